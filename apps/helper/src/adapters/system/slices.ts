import { CodedError } from '@harddrive-party/protocol'
import { setImmediate as turn } from 'node:timers/promises'

/** How long one piece of work may hold up everybody else in the process. */
const SLICE_MS = 6

/**
 * Runs work that yields where it may be interrupted, and lets others have their turn every few milliseconds.
 * @throws what the work throws; CodedError `aborted`
 */
export async function runSliced<T>(work: Generator<void, T>, { onResume, signal }: { readonly onResume?: () => void; readonly signal?: AbortSignal | undefined }): Promise<T> {
  for (let began = performance.now(); ;) {
    const { done, value } = work.next()
    if (done === true) return value
    if (performance.now() - began < SLICE_MS) continue
    await turn()
    if (signal?.aborted === true) throw new CodedError('aborted', 'nobody wants this any more')
    onResume?.()
    began = performance.now()
  }
}
