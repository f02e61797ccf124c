import { CodedError, type ErrorCode, type PeerId, READS_IN_FLIGHT } from '@harddrive-party/protocol'
import { resolve } from 'node:path'
import { RateMeter } from '../../core/rate-meter.ts'
import type { FileJob, NetworkEvent, PartialData } from '../../network/network-api.ts'
import { checkDiskSpace, diskSpace } from './disk-space.ts'
import type { requestHashes } from './bulk-requests.ts'
import { makeDirectories, partsBelow } from './download-path.ts'
import { type DoneEvent, FileBatch, type FileBatchOptions } from './file-batch.ts'
import { isStillSame } from './kept-data.ts'
import { type PartialFile, type PartialOwner, discardPartial, findFinished, openPartial, partialKey, tidyPartials } from './partial-file.ts'
import { PartialRecorder } from './partial-recorder.ts'
import { requestRead } from '../peers/peer-requests.ts'
import { BufferPool, Slots } from './read-slots.ts'
import type { PeerConnection } from '../peers/transport.ts'

/**
 * Fetches files: one job each, several at once, the reads of one peer shared between its jobs. Touches partial files and connections.
 * Which files, when, and what to do after a failure is decided elsewhere.
 */
export interface FileJobs {
  /** The outcome of each comes as an event. The same `jobId` again is a no-op while it runs. */
  start(started: readonly FileJob[]): void
  /** Stops a job without an event; resolves when nothing of it runs and, with `discard`, its partial data is gone. */
  stop(jobId: string, discard: boolean, partial?: PartialData): Promise<void>
  /** For jobs that name no directory of their own. */
  setDownloadDirectory(directory: string): void
  /** Records what every job has on disk and stops it. Idempotent. */
  close(): Promise<void>
}

export type FileEvent = Extract<NetworkEvent, { type: 'file-progress' | 'file-waiting' | 'file-done' | 'file-failed' }>

export interface FileJobsOptions {
  /** The connection to a peer now, undefined = none. */
  readonly connection: (peerId: PeerId) => PeerConnection | undefined
  readonly onEvent: (event: FileEvent) => void
  readonly downloadDirectory: string
  readonly log?: { debug(fields: object, message: string): void; warn(fields: object, message: string): void }
  /** Absent = `connection.setBusy`. For an owner that also serves over the same connection. */
  readonly setBusy?: (connection: PeerConnection, busy: boolean) => void
  /** Replaced in tests. */
  readonly read?: typeof requestRead
  readonly readBundle?: FileBatchOptions['request']
  readonly readHashes?: typeof requestHashes
  readonly open?: typeof openPartial
  readonly space?: typeof diskSpace
  readonly stallMs?: number
}

/** What common file systems hold at most (ext4: 16 TiB); a listing may claim anything, and a plan takes a byte for each range. */
const MAX_FILE_BYTES = 2 ** 44

/** Ranges in memory at once, over all peers: 24 x 4 MiB. */
const MAX_BUFFERS = 24
const PROGRESS_MS = 250
/** A job that has had nothing for so long waits. */
const QUIET_MS = 2_000
/** A connection that lives but brings nothing for so long is given up: another try may fare better, and others want the slots. */
const STALL_MS = 30_000

interface RunningJob {
  readonly job: FileJob
  readonly owner: PartialOwner
  readonly abort: AbortController
  readonly meter: RateMeter
  /** Why we aborted, when it was not `stop`. */
  failure: unknown
  /** Still to be written, for the disk space check. */
  remaining: number
  reading: number
  heardAt: number
  /** When bytes came last. */
  bytesAt: number
  progressAt: number
  ended: Promise<void>
}

/** @throws nothing: problems come as events */
export function openFileJobs(options: FileJobsOptions): FileJobs {
  const { read = requestRead, open = openPartial, space = diskSpace, stallMs = STALL_MS } = options
  let downloadDirectory = resolve(options.downloadDirectory)
  const jobs = new Map<string, RunningJob>()
  const slots = new Map<PeerId, { readonly reads: Slots; jobs: number }>()
  const buffers = new BufferPool(MAX_BUFFERS)
  const busy = new Map<PeerConnection, number>()
  /** The last user of each partial file: two jobs never write into one. */
  const partials = new Map<string, Promise<void>>()
  const batchOptions: FileBatchOptions = {
    connection: options.connection, buffers, checkSpace, setBusy,
    inTurn: async (peerId, signal, use) => {
      const { reads } = peerReads(peerId, 1)
      try {
        await reads.acquire(signal)
        await use().finally(() => reads.release())
      } finally {
        peerReads(peerId, -1)
      }
    },
    single: (member) => run(member as RunningJob),
    onPlace: ({ jobId }, place) => {
      if (!closed) options.onEvent({ type: 'file-waiting', jobId, place })
    },
    ...(options.readBundle === undefined ? {} : { request: options.readBundle }),
  }
  let stallTimer: ReturnType<typeof setInterval> | undefined
  let closed = false

  function ownerOf({ peerId, path, downloadDirectory: own }: PartialData): PartialOwner {
    return { downloadDirectory: own === undefined ? downloadDirectory : resolve(own), peerId, path }
  }

  /** Runs `use` when nobody else uses that partial file. */
  function alone<T>(owner: PartialOwner, use: () => Promise<T>): Promise<T> {
    const key = partialKey(owner)
    const result = (partials.get(key) ?? Promise.resolve()).then(use)
    const settled: Promise<void> = result.then(
      () => undefined,
      () => undefined,
    ).finally(() => {
      if (partials.get(key) === settled) partials.delete(key)
    })
    partials.set(key, settled)
    return result
  }

  function start(started: readonly FileJob[]): void {
    // One that is being stopped is as good as gone: the new one waits for its partial file.
    const wanted = started.filter(({ jobId }) => !closed && jobs.get(jobId)?.abort.signal.aborted !== false)
    const batch = wanted.length > 1 ? new FileBatch(wanted.length, batchOptions) : undefined
    for (const job of wanted) startJob(job, batch)
  }

  function startJob(job: FileJob, batch: FileBatch | undefined): void {
    const running: RunningJob = {
      job, owner: ownerOf(job), abort: new AbortController(), meter: new RateMeter(), failure: undefined, remaining: job.size, reading: 0,
      heardAt: 0, bytesAt: -QUIET_MS, progressAt: 0, ended: Promise.resolve(),
    }
    jobs.set(job.jobId, running)
    stallTimer ??= setInterval(abortStalled, Math.max(10, stallMs / 6)).unref()
    running.ended = runToEvent(running, batch)
  }

  async function runToEvent(running: RunningJob, batch: FileBatch | undefined): Promise<void> {
    const { jobId } = running.job
    let event: FileEvent | undefined
    try {
      event = await alone(running.owner, () => batch?.join(running) ?? run(running))
    } catch (caught) {
      const error = running.failure ?? caught
      const stopped = running.abort.signal.aborted && running.failure === undefined
      if (!stopped) event = await failureEvent(running, error)
    }
    if (event?.type === 'file-failed' && event.code === 'source-changed') await removePartial(running.owner, jobId)
    if (jobs.get(jobId) === running) jobs.delete(jobId)
    if (jobs.size === 0) {
      clearInterval(stallTimer)
      stallTimer = undefined
      buffers.shrink()
      await tidyPartials(running.owner)
    }
    if (event !== undefined && !closed) options.onEvent(event)
  }

  async function run(running: RunningJob): Promise<DoneEvent> {
    const { job, owner, abort } = running
    const { signal } = abort
    if (!(job.size <= MAX_FILE_BYTES)) throw new CodedError('too-large', 'the file is larger than any disk takes')
    const parts = partsBelow(owner.downloadDirectory, job.target)
    await makeDirectories(owner.downloadDirectory, parts.slice(0, -1))
    if (job.since !== undefined) {
      const finished = await findFinished(job.target, job, job.since)
      if (finished !== undefined) {
        await discardPartial(owner)
        return { type: 'file-done', jobId: job.jobId, target: finished, bytes: job.size }
      }
    }
    signal.throwIfAborted()
    const connection = options.connection(job.peerId)
    if (connection === undefined) throw new CodedError('offline', 'the peer is not connected')
    let partial = await open(owner, job)
    let restarted = partial.startedAgain
    try {
      if (partial.fetch.bytes > 0 && !(await isSame(running, partial, connection))) {
        await partial.close()
        await discardPartial(owner)
        partial = await open(owner, job)
        restarted = true
      }
      running.remaining = job.size - partial.fetch.bytes
      if (partial.fetch.bytes > 0) reportProgress(running)
      if (running.remaining > 0) await checkSpace(owner.downloadDirectory)
      setBusy(connection, 1)
      try {
        await fetchAll(running, partial, connection)
      } finally {
        setBusy(connection, -1)
      }
      const target = await partial.place(job.target)
      const done = { type: 'file-done', jobId: job.jobId, target, bytes: job.size } as const
      return restarted ? { ...done, restarted: true } : done
    } finally {
      await partial.close()
    }
  }

  /** Whether what is kept is what the source has, as far as can be seen in a moment. */
  async function isSame({ job, abort: { signal } }: RunningJob, partial: PartialFile, connection: PeerConnection): Promise<boolean> {
    let same = true
    await batchOptions.inTurn(job.peerId, signal, async () => {
      same = await isStillSame(partial, connection, job, { signal, ...(options.readHashes === undefined ? {} : { request: options.readHashes }) })
    })
    return same
  }

  /** For what all jobs still have to write. */
  async function checkSpace(directory: string): Promise<void> {
    let promised = 0
    for (const { remaining } of jobs.values()) promised += remaining
    await checkDiskSpace(directory, promised, space)
  }

  function setBusy(connection: PeerConnection, change: 1 | -1): void {
    const count = (busy.get(connection) ?? 0) + change
    if (count > 0) busy.set(connection, count)
    else busy.delete(connection)
    if (count !== 0 && (count !== 1 || change !== 1)) return
    if (options.setBusy === undefined) connection.setBusy(count > 0)
    else options.setBusy(connection, count > 0)
  }

  /** The turns to read of a peer, which its jobs share; kept while there are any. */
  function peerReads(peerId: PeerId, change: 1 | -1): { readonly reads: Slots; jobs: number } {
    const peer = slots.get(peerId) ?? { reads: new Slots(READS_IN_FLIGHT), jobs: 0 }
    peer.jobs += change
    if (peer.jobs === 0) slots.delete(peerId)
    else slots.set(peerId, peer)
    return peer
  }

  /** Every range that is not on the disk yet, several in flight; at the end all are written, or the first failure is thrown. */
  async function fetchAll(running: RunningJob, partial: PartialFile, connection: PeerConnection): Promise<void> {
    const { job, abort } = running
    const { signal } = abort
    if (job.size === 0) {
      // Nothing to fetch, but the source must still be what was asked for.
      await readRange(running, connection, { start: 0, end: 0 }, new Uint8Array(0))
      return
    }
    const peer = peerReads(job.peerId, 1)
    const record = new PartialRecorder(partial, (error) => fail(running, error))
    const flying = new Set<Promise<void>>()
    try {
      while (!partial.fetch.complete) {
        const range = partial.fetch.next()
        if (range === undefined) {
          await Promise.race(flying)
          continue
        }
        await peer.reads.acquire(signal)
        const flight = (async () => {
          let buffer: Uint8Array | undefined
          try {
            try {
              buffer = await buffers.acquire(range.end - range.start, job.peerId, signal)
              await readRange(running, connection, range, buffer)
            } finally {
              peer.reads.release()
            }
            await partial.write(buffer, range.start)
            partial.fetch.written(range.index)
            running.remaining = job.size - partial.fetch.bytes
            record.wrote(buffer.length)
            reportProgress(running)
          } catch (error) {
            partial.fetch.release(range.index)
            fail(running, error)
          } finally {
            if (buffer !== undefined) buffers.release(buffer)
          }
        })()
        flying.add(flight)
        void flight.finally(() => flying.delete(flight))
      }
    } finally {
      await Promise.all(flying)
      if (!partial.fetch.complete) await record.finish()
      else await record.settled()
      peerReads(job.peerId, -1)
    }
    signal.throwIfAborted()
  }

  function fail(running: RunningJob, error: unknown): void {
    if (running.abort.signal.aborted) return
    running.failure = error
    running.abort.abort()
  }

  async function readRange(running: RunningJob, connection: PeerConnection, { start, end }: { start: number; end: number }, into: Uint8Array): Promise<void> {
    const { job, abort } = running
    if (running.reading++ === 0) running.heardAt = performance.now()
    try {
      const expect = { size: job.size, mtime: job.mtime }
      const onBytes = (count: number) => {
        running.heardAt = performance.now()
        running.bytesAt = running.heardAt
        running.meter.add(running.heardAt, count)
        reportProgress(running)
      }
      const onPlace = (place: number | null) => {
        running.heardAt = performance.now()
        reportWaiting(running, place)
      }
      const got = await read(connection, { path: job.path, start, end, expect }, into, { signal: abort.signal, onBytes, onPlace })
      if (got.size !== job.size || got.mtime !== job.mtime) throw new SourceChanged({ size: got.size, mtime: got.mtime })
      if (got.start !== start || got.length !== end - start) throw new CodedError('wrong-length', 'the peer sent another range than was asked for')
    } finally {
      running.reading--
    }
  }

  function reportProgress(running: RunningJob): void {
    const now = performance.now()
    if (closed || running.abort.signal.aborted || now - running.progressAt < PROGRESS_MS) return
    running.progressAt = now
    options.onEvent({ type: 'file-progress', jobId: running.job.jobId, bytes: running.job.size - running.remaining, bytesPerSecond: running.meter.rate(now) })
  }

  /** Only while none of the parts that are being read brings anything. */
  function reportWaiting(running: RunningJob, place: number | null): void {
    if (closed || running.abort.signal.aborted || performance.now() - running.bytesAt < QUIET_MS) return
    options.onEvent({ type: 'file-waiting', jobId: running.job.jobId, place })
  }

  function abortStalled(): void {
    const now = performance.now()
    for (const running of jobs.values()) {
      if (running.reading > 0 && now - running.heardAt > stallMs) fail(running, new CodedError('timed-out', 'the peer sent nothing for a while'))
    }
  }

  async function failureEvent(running: RunningJob, error: unknown): Promise<FileEvent> {
    const { jobId } = running.job
    let outcome = error
    if (error instanceof CodedError && error.code === 'source-changed' && !(error instanceof SourceChanged)) {
      outcome = await lookAgain(running, error)
    }
    if (outcome instanceof SourceChanged) {
      return { type: 'file-failed', jobId, code: 'source-changed', message: outcome.message, now: outcome.now }
    }
    if (!(outcome instanceof CodedError)) options.log?.warn({ err: outcome, jobId }, 'a download failed unexpectedly')
    const { code, message }: { code: ErrorCode; message: string } =
      outcome instanceof CodedError ? outcome : { code: 'internal', message: 'something went wrong while fetching' }
    return { type: 'file-failed', jobId, code, message }
  }

  /** What the source has now instead. */
  async function lookAgain({ job }: RunningJob, changed: CodedError): Promise<unknown> {
    const connection = options.connection(job.peerId)
    if (connection === undefined) return new CodedError('offline', 'the peer is not connected')
    try {
      const signal = AbortSignal.timeout(stallMs)
      const { size, mtime } = await read(connection, { path: job.path, start: 0, end: 0 }, new Uint8Array(0), { signal })
      return size === job.size && mtime === job.mtime ? changed : new SourceChanged({ size, mtime })
    } catch (error) {
      return error
    }
  }

  async function stop(jobId: string, discard: boolean, partial?: PartialData): Promise<void> {
    const running = jobs.get(jobId)
    running?.abort.abort()
    await running?.ended
    const owner = running?.owner ?? (partial === undefined ? undefined : ownerOf(partial))
    if (discard && owner !== undefined) await removePartial(owner, jobId)
  }

  async function removePartial(owner: PartialOwner, jobId: string): Promise<void> {
    try {
      await alone(owner, () => discardPartial(owner))
      if (jobs.size === 0) await tidyPartials(owner)
    } catch (error) {
      options.log?.warn({ err: error, jobId }, 'unfinished data could not be removed')
    }
  }

  return {
    start,
    stop,
    setDownloadDirectory: (directory) => {
      downloadDirectory = resolve(directory)
    },
    close: async () => {
      closed = true
      const running = [...jobs.values()]
      for (const { abort } of running) abort.abort()
      await Promise.all(running.map(({ ended }) => ended))
    },
  }
}

/** The source has another version now. */
class SourceChanged extends CodedError {
  readonly now: { readonly size: number; readonly mtime: number }

  constructor(now: { readonly size: number; readonly mtime: number }) {
    super('source-changed', 'the file changed at its source')
    this.now = now
  }
}
