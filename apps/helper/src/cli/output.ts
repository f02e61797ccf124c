/** Where commands write: results to standard output, one at a time and no faster than it is read; everything else to standard error. */
import { once } from 'node:events'
import { type ExitCode, type CommandError, EXIT } from './exit-codes.ts'

export interface Output {
  readonly json: boolean
  /** Standard error is a terminal, and nothing else wants it: progress may be drawn. */
  readonly showsProgress: boolean
  /** One line of the result. Resolves when more may be written. */
  line(text: string): Promise<void>
  /** For the person only; not shown with --json. */
  note(text: string): void
  fail(error: CommandError): void
}

export function openOutput({ json }: { readonly json: boolean }): Output {
  return {
    json,
    showsProgress: !json && process.stderr.isTTY,
    line: (text) => writeAll(`${text}\n`),
    note: (text) => {
      if (!json) process.stderr.write(`${text}\n`)
    },
    fail: (error) => {
      process.stderr.write(json ? `${JSON.stringify({ error: { code: error.code, message: error.message } })}\n` : `hdp: ${error.message}\n`)
    },
  }
}

async function writeAll(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain')
}

/** `hdp ls | head` is not an error: when nobody reads any more, there is nothing left to do. */
export function endQuietlyWhenUnread(exit: (code: ExitCode) => void): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed))
}
