import { CodedError, type ErrorCode } from '@harddrive-party/protocol'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { Generation } from './share-index-tables.ts'
import { openShareIndexWriter } from './share-index-writer.ts'
import { type ScanCounts, scanTree } from './share-scanner.ts'

/**
 * A thread of its own for scanning: it walks directories and writes the share index, one job after the other, and decides nothing.
 * `shares.ts` starts it when there is something to scan and ends it when there is not.
 */
export interface ScanWorkerData {
  readonly indexDirectory: string
  /** Set to 1 by the owner to stop the scan that runs. */
  readonly abort: Int32Array
}

export type ToScanWorker =
  | { readonly kind: 'scan'; readonly shareId: string; readonly directory: string; readonly excluded: readonly string[]; readonly shareIds: readonly string[]; readonly now: number }
  /** Forgets every share that is not named. */
  | { readonly kind: 'sweep'; readonly shareIds: readonly string[] }
  | { readonly kind: 'close' }

export type FromScanWorker =
  | { readonly kind: 'progress'; readonly counts: ScanCounts }
  | { readonly kind: 'scanned'; readonly generation: Generation }
  | { readonly kind: 'swept' }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string }

function serve(port: MessagePort, { indexDirectory, abort }: ScanWorkerData): void {
  const writer = openShareIndexWriter(indexDirectory)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  const post = (message: FromScanWorker) => port.postMessage(message)
  const run = (message: ToScanWorker) => {
    if (message.kind === 'scan') {
      const generation = writer.begin(message.shareId)
      const result = scanTree({
        directory: message.directory,
        excluded: message.excluded,
        onChunk: (directoryId, index, chunk) => generation.put(directoryId, index, chunk),
        onProgress: (counts) => post({ kind: 'progress', counts }),
        isAborted: () => Atomics.load(abort, 0) !== 0,
      })
      post({ kind: 'scanned', generation: generation.commit(result, message.now) })
      writer.sweep(message.shareIds)
    } else if (message.kind === 'sweep') {
      writer.sweep(message.shareIds)
      post({ kind: 'swept' })
    } else void writer.close().then(() => port.close())
  }
  port.on('message', (message: ToScanWorker) => {
    try {
      run(message)
    } catch (error) {
      // What the file system and the database say is worth knowing here, on one's own machine.
      const code = error instanceof CodedError ? error.code : 'disk-error'
      post({ kind: 'failed', code, message: error instanceof Error ? error.message : String(error) })
    }
  })
}

if (parentPort !== null) serve(parentPort, workerData as ScanWorkerData)
