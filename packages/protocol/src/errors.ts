/**
 * The codes that cross a boundary: between peers, between helper and UI, between the helper's processes.
 * The wire carries `{ code, message }` only; whatever else an error knows stays in the process where it happened.
 */
export const ERROR_CODES = [
  // the request
  'bad-request', 'unsupported', 'too-large', 'not-found', 'not-allowed', 'busy',
  // the source of a read
  'source-changed', 'unreadable',
  // the connection
  'offline', 'refused', 'blocked', 'approval-pending', 'wrong-identity', 'timed-out', 'connection-lost', 'stream-reset', 'unreachable',
  'no-transport',
  // what was received
  'bad-answer', 'hash-mismatch', 'wrong-length', 'bad-path',
  // this machine
  'disk-full', 'disk-error', 'already-running', 'address-in-use', 'conflict',
  // the ends of things
  'aborted', 'closed', 'internal',
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && (ERROR_CODES as readonly string[]).includes(text)
}

/** The one class that adapters and control throw. Core returns outcomes as data instead; bugs throw plain errors. */
export class CodedError extends Error {
  override readonly name = 'CodedError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }

  /** What may leave the process: unknown errors become `internal` with their text hidden. */
  static toWire(error: unknown): { code: ErrorCode; message: string } {
    return error instanceof CodedError
      ? { code: error.code, message: error.message }
      : { code: 'internal', message: 'something went wrong on the other side' }
  }
}
