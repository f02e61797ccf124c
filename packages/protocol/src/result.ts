import type { Detail } from './detail.ts'

/** The outcome of decoding or parsing something a stranger may have written: data, never an exception. */
export type Result<T, E = Fault> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E }

/** Why something was refused: a stable code for programs and one sentence for people. */
export interface Fault<C extends string = string> {
  readonly code: C
  readonly message: string
  readonly detail?: Detail
}

export function succeed<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value }
}

export function refuse<C extends string>(code: C, message: string): { readonly ok: false; readonly error: Fault<C> } {
  return { ok: false, error: { code, message } }
}
