import type { Detail } from './detail.ts'

/**
 * The codes that cross a boundary: between peers, between helper and UI, between the helper's processes.
 * The wire carries `{ code, message }` only, the helper's own interfaces also get the `detail`; whatever else an error knows stays in the process where
 * it happened.
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

/** Why something did not work, as interfaces are told. `message` is English; whoever speaks another language has the code and, where it says more, the detail. */
export interface Reason {
  readonly code: ErrorCode
  readonly message: string
  readonly detail?: Detail
}

/** The one class that adapters and control throw. Core returns outcomes as data instead; bugs throw plain errors. */
export class CodedError extends Error {
  override readonly name = 'CodedError'
  readonly code: ErrorCode
  readonly detail: Detail | undefined

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; detail?: Detail } = {}) {
    const { detail, ...rest } = options
    super(message, rest)
    this.code = code
    this.detail = detail
  }

  /** What may leave the process: unknown errors become `internal` with their text hidden. */
  static toWire(error: unknown): { code: ErrorCode; message: string } {
    return error instanceof CodedError
      ? { code: error.code, message: error.message }
      : { code: 'internal', message: 'something went wrong on the other side' }
  }

  /** What an interface of this helper is told: `toWire`, and the detail. */
  static toReason(error: unknown): Reason {
    const detail = error instanceof CodedError ? error.detail : undefined
    return { ...CodedError.toWire(error), ...(detail && { detail }) }
  }

  static from({ code, message, detail }: Reason): CodedError {
    return new CodedError(code, message, detail && { detail })
  }
}
