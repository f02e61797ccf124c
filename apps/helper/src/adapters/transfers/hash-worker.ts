/** A thread that hashes what it is shown and does nothing else. `part-hash.ts` starts it, and ends it when there is nothing to hash. */
import { createHash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'

/** In memory that both threads see. Answered in order, with 32 bytes each. */
export type ToHashWorker = Uint8Array<SharedArrayBuffer>
export type FromHashWorker = Uint8Array

parentPort?.on('message', (bytes: ToHashWorker) => {
  const hash: FromHashWorker = createHash('sha256').update(bytes).digest()
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage(hash)
})
