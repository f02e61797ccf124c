/** Structured logs on standard error: warnings and worse by default, everything when asked. Standard output belongs to what commands print. */
import { type Logger, destination, pino } from 'pino'

export type { Logger } from 'pino'

/** @param part which process or part speaks, in every line */
export function openLog(part: string, { verbose }: { readonly verbose: boolean }): Logger {
  return pino({ level: verbose ? 'debug' : 'warn', base: { part, pid: process.pid } }, destination({ fd: 2, sync: true }))
}
