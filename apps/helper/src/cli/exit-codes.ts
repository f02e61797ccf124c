/** What the command line says to scripts by its exit code, and the error that carries one. */
import { CodedError, type ErrorCode } from '@harddrive-party/protocol'

export const EXIT = {
  ok: 0,
  /** Something went wrong that no other code names. */
  failed: 1,
  /** The command line itself was wrong. */
  usage: 2,
  /** No helper is running, or it is not ours. */
  notRunning: 3,
  /** No such peer, path, share or transfer; or several peers fit. */
  notFound: 4,
  /** A download or read ended without all its bytes. */
  transferFailed: 5,
  /** Ctrl-C while waiting; what was asked for goes on. */
  interrupted: 130,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Ends a command: `message` for people, `exitCode` and `code` for scripts. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: ExitCode
  readonly code: ErrorCode | 'usage' | 'not-running' | 'ambiguous'

  constructor(exitCode: ExitCode, code: CommandError['code'], message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.exitCode = exitCode
    this.code = code
  }
}

/** @returns how a command ends that failed with this */
export function toCommandError(error: unknown): CommandError {
  if (error instanceof CommandError) return error
  if (error instanceof CodedError) return new CommandError(exitCodeOf(error.code), error.code, error.message, { cause: error })
  return new CommandError(EXIT.failed, 'internal', error instanceof Error ? error.message : String(error), { cause: error })
}

function exitCodeOf(code: ErrorCode): ExitCode {
  switch (code) {
    case 'not-found':
    case 'bad-path':
      return EXIT.notFound
    case 'source-changed':
    case 'hash-mismatch':
    case 'wrong-length':
      return EXIT.transferFailed
    default:
      return EXIT.failed
  }
}
