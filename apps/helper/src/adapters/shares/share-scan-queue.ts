import { CodedError } from '@harddrive-party/protocol'
import { Worker } from 'node:worker_threads'
import type { FromScanWorker, ScanExtent, ScanOutcome, ScanWorkerData, ToScanWorker } from './share-scan-worker.ts'
import type { ScanCounts } from './share-scanner.ts'

/**
 * Runs scans one at a time in the scan worker, which lives only while there is work: an idle helper should be small.
 * It does not know what shares there are.
 */
export interface ShareScanQueue {
  /**
   * @param shareIds called when the scan begins: every share whose index is to be kept
   * @throws CodedError `not-found`, `unreadable`, `disk-error`, `aborted` (stopped, or closed)
   */
  scan(job: ScanJob): Promise<ScanOutcome>
  /** Drops what other shares than these left in the index. */
  sweep(shareIds: () => readonly string[]): Promise<void>
  /** Stops the running scan if it is this share's, and drops its waiting ones. */
  cancel(shareId: string): void
  close(): Promise<void>
}

export interface ScanJob {
  readonly shareId: string
  readonly directory: string
  readonly excluded: readonly string[]
  readonly extent: ScanExtent
  /** Whatever else the machine has to do may go first. */
  readonly isPatient?: boolean
  readonly shareIds: () => readonly string[]
  readonly onProgress: (counts: ScanCounts) => void
}

interface Job {
  readonly shareId: string | undefined
  /** What those who wait for it want, together. */
  extent: ScanExtent
  isPatient: boolean
  /** Built when its turn comes. */
  readonly message: (extent: ScanExtent, isPatient: boolean) => ToScanWorker
  readonly onProgress: (counts: ScanCounts) => void
  readonly outcome: Promise<ScanOutcome | undefined>
  readonly resolve: (outcome: ScanOutcome | undefined) => void
  readonly reject: (error: CodedError) => void
}

/** @param workerUrl the worker's module: a bundle beside the main one, or the source where a loader understands it */
export function openShareScanQueue(options: { readonly indexDirectory: string; readonly workerUrl: URL }): ShareScanQueue {
  const abort = new Int32Array(new SharedArrayBuffer(4))
  const waiting: Job[] = []
  let running: Job | undefined
  let worker: Worker | undefined
  /** The worker that is on its way out; the next one waits for it, so that there is one writer. */
  let ending: Promise<void> = Promise.resolve()
  let runningEnded: Promise<void> = Promise.resolve()
  let endRunning: (() => void) | undefined
  let closed = false

  const settle = (outcome: (job: Job) => void) => {
    const job = running
    running = undefined
    if (job !== undefined) outcome(job)
    endRunning?.()
    void next()
  }

  const hear = (message: FromScanWorker) => {
    if (message.kind === 'progress') running?.onProgress(message.counts)
    else if (message.kind === 'scanned') settle((job) => job.resolve(message.outcome))
    else if (message.kind === 'swept') settle((job) => job.resolve(undefined))
    else settle((job) => job.reject(new CodedError(message.code, message.message)))
  }

  const startWorker = () => {
    const workerData: ScanWorkerData = { indexDirectory: options.indexDirectory, abort }
    const started = new Worker(options.workerUrl, { workerData, name: 'share-scan' })
    started.on('message', hear)
    // The owner's process must not be kept alive by an idle thread, nor brought down by a failing one.
    started.unref()
    const lost = (cause?: unknown) => {
      if (worker !== started) return
      worker = undefined
      settle((job) => job.reject(new CodedError('disk-error', 'the scan ended unexpectedly', { cause })))
    }
    started.on('error', lost)
    started.on('exit', () => lost())
    return started
  }

  const endWorker = () => {
    const last = worker
    worker = undefined
    if (last === undefined) return
    ending = new Promise((resolve) => {
      last.once('exit', () => resolve())
      last.ref()
      send(last, { kind: 'close' })
    })
  }

  const next = async () => {
    await ending
    if (running !== undefined) return
    const job = waiting.shift()
    if (job === undefined) {
      endWorker()
      return
    }
    running = job
    runningEnded = new Promise((resolve) => (endRunning = resolve))
    Atomics.store(abort, 0, 0)
    worker ??= startWorker()
    send(worker, job.message(job.extent, job.isPatient))
  }

  const enqueue = async (job: Pick<Job, 'shareId' | 'extent' | 'isPatient' | 'message' | 'onProgress'>) => {
    if (closed) throw new CodedError('closed', 'the shares are closed')
    // One that has yet to begin will see all that this one could see.
    const same = waiting.find(({ shareId }) => shareId === job.shareId)
    if (same !== undefined) {
      same.extent = joinExtents(same.extent, job.extent)
      same.isPatient &&= job.isPatient
      return same.outcome
    }
    let settleWith: Pick<Job, 'resolve' | 'reject'> | undefined
    const outcome = new Promise<ScanOutcome | undefined>((resolve, reject) => (settleWith = { resolve, reject }))
    if (settleWith === undefined) throw new TypeError('a promise runs its executor at once')
    waiting.push({ ...job, ...settleWith, outcome })
    void next()
    return outcome
  }

  const drop = (which: (job: Job) => boolean) => {
    for (const job of waiting.filter(which)) {
      waiting.splice(waiting.indexOf(job), 1)
      job.reject(new CodedError('aborted', 'the scan was stopped'))
    }
    if (running !== undefined && which(running)) Atomics.store(abort, 0, 1)
  }

  return {
    scan: async ({ shareId, directory, excluded, extent, isPatient = false, shareIds, onProgress }) => {
      const message = (joined: ScanExtent, patient: boolean): ToScanWorker => ({ kind: 'scan', shareId, directory, excluded, extent: joined, isPatient: patient, shareIds: shareIds(), now: Date.now() })
      const outcome = await enqueue({ shareId, extent, isPatient, message, onProgress })
      if (outcome === undefined) throw new CodedError('internal', 'a scan without an outcome')
      return outcome
    },
    sweep: async (shareIds) => {
      await enqueue({ shareId: undefined, extent: 'quick', isPatient: true, message: () => ({ kind: 'sweep', shareIds: shareIds() }), onProgress: () => {} })
    },
    cancel: (shareId) => drop((job) => job.shareId === shareId),
    close: async () => {
      closed = true
      drop(() => true)
      await runningEnded
      endWorker()
      await ending
    },
  }
}

/** More paths than this are no longer looked at one by one. */
const MAX_EXTENT_PATHS = 1_000

/** What covers both. A quick rescan sees no file that was written to in place, so beside named directories only a deep one will do. */
export function joinExtents(a: ScanExtent, b: ScanExtent): ScanExtent {
  for (const extent of ['whole', 'deep'] as const) if (a === extent || b === extent) return extent
  if (a === 'quick' && b === 'quick') return 'quick'
  if (a === 'quick' || b === 'quick') return 'deep'
  const paths = [...new Set([...(a as readonly string[]), ...(b as readonly string[])])]
  return paths.length > MAX_EXTENT_PATHS ? 'deep' : paths
}

function send(worker: Worker, message: ToScanWorker): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  worker.postMessage(message)
}
