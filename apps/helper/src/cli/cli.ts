/** The program `hdp`: reads the command line, runs one command, and ends with its exit code. */
import { CommanderError } from 'commander'
import { EXIT, toCommandError } from './exit-codes.ts'
import { openSession } from './open-session.ts'
import { endQuietlyWhenUnread, openOutput } from './output.ts'
import { buildProgram } from './program.ts'

endQuietlyWhenUnread((code) => process.exit(code))

const program = buildProgram({
  start: async (options) => {
    // The helper is large, and no other command needs it.
    const { startCommand } = await import('./commands/start.ts')
    await startCommand(options, openOutput({ json: options.json === true }))
  },
  autostart: async (wish, options) => {
    const { autostartCommand } = await import('./commands/autostart.ts')
    await autostartCommand(wish, options, openOutput({ json: options.json === true }))
  },
  withHelper: async (options, run) => {
    process.once('SIGINT', exitInterrupted)
    const session = await openSession(options, openOutput({ json: options.json === true }))
    try {
      await run(session)
    } finally {
      session.client.close()
    }
  },
})

function exitInterrupted(): void {
  process.exit(EXIT.interrupted)
}

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage
  else {
    const failure = toCommandError(error)
    openOutput({ json: program.opts<{ json?: boolean }>().json === true }).fail(failure)
    process.exitCode = failure.exitCode
  }
}
