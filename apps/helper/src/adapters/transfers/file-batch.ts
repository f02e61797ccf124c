import { CodedError, type FileVersion, type PeerId } from '@harddrive-party/protocol'
import type { FileJob, NetworkEvent } from '../../network/network-api.ts'
import { type BundleOutcome, cutBundles, requestBundle } from './bulk-requests.ts'
import { partsBelow } from './download-path.ts'
import { type PartialOwner, discardPartial, findFinished } from './partial-file.ts'
import { type BufferPool, Slots } from './read-slots.ts'
import { placeSmall, storeSmall } from './small-files.ts'
import type { PeerConnection } from '../peers/transport.ts'

/**
 * Fetches small files of one peer together: a few requests for all of them, and the disk is waited for once. Each file ends for itself, and what goes
 * wrong with one is that one's alone.
 */

export interface BatchMember {
  readonly job: FileJob
  readonly owner: PartialOwner
  readonly abort: AbortController
}

export type DoneEvent = Extract<NetworkEvent, { type: 'file-done' }>

export interface FileBatchOptions {
  readonly connection: (peerId: PeerId) => PeerConnection | undefined
  /** Runs `use` in one of the peer's turns to read. */
  readonly inTurn: (peerId: PeerId, signal: AbortSignal, use: () => Promise<void>) => Promise<void>
  readonly buffers: BufferPool
  /** @throws CodedError `disk-full` */
  readonly checkSpace: (downloadDirectory: string) => Promise<void>
  readonly setBusy: (connection: PeerConnection, change: 1 | -1) => void
  /** The peer serves others before this one (1 = it is next), or a limit of ours lets nothing in (null). */
  readonly onPlace: (job: FileJob, place: number | null) => void
  /** Fetches one by itself, from a peer that knows no bundles. */
  readonly single: (member: BatchMember) => Promise<DoneEvent>
  readonly request?: typeof requestBundle
}

/** Looked for at once under their final names. */
const LOOKS_AT_ONCE = 16
/** Files open for writing at once, over all batches: below every system's bound, and enough for disks that join their work. */
const stores = new Slots(32)
/** Of a batch fetched one by one: as many as a peer's turns. */
const SINGLES_AT_ONCE = 8

interface Waiting {
  readonly member: BatchMember
  readonly version: FileVersion
  readonly resolve: (event: DoneEvent) => void
  readonly reject: (error: unknown) => void
  isStored: boolean
}

export class FileBatch {
  readonly #options: FileBatchOptions
  readonly #size: number
  readonly #waiting: Waiting[] = []
  readonly #abort = new AbortController()
  #stopped = 0

  /** @param size members that will join */
  constructor(size: number, options: FileBatchOptions) {
    this.#size = size
    this.#options = options
  }

  /**
   * To be called once for each member, when nobody else uses its unfinished data. Begins with the last one.
   * @throws CodedError why this file did not come
   */
  join(member: BatchMember): Promise<DoneEvent> {
    return new Promise((resolve, reject) => {
      const { path, size, mtime } = member.job
      this.#waiting.push({ member, version: { path, size, mtime }, resolve, reject, isStored: false })
      const { signal } = member.abort
      const stop = () => {
        if (++this.#stopped === this.#size) this.#abort.abort()
      }
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop, { once: true })
      if (this.#waiting.length === this.#size) void this.#run()
    })
  }

  async #run(): Promise<void> {
    try {
      const wanted = await this.#lookForFinished()
      if (wanted.length > 0) await this.#fetch(wanted)
    } catch (error) {
      // Those that have ended already do not hear it.
      for (const { reject } of this.#waiting) reject(error)
    }
  }

  /** @returns those that are not there yet */
  async #lookForFinished(): Promise<Waiting[]> {
    const wanted: Waiting[] = []
    await atOnce(LOOKS_AT_ONCE, this.#waiting, async (one) => {
      const { job, owner, abort } = one.member
      try {
        if (abort.signal.aborted) throw new CodedError('aborted', 'stopped')
        partsBelow(owner.downloadDirectory, job.target)
        const target = job.since === undefined ? undefined : await findFinished(job.target, job, job.since)
        if (target === undefined) return void wanted.push(one)
        await discardPartial(owner)
        one.resolve({ type: 'file-done', jobId: job.jobId, target, bytes: job.size })
      } catch (error) {
        one.reject(error)
      }
    })
    return wanted
  }

  async #fetch(wanted: readonly Waiting[]): Promise<void> {
    const { connection: connectionTo, checkSpace, setBusy } = this.#options
    const [{ member }] = wanted as [Waiting]
    const connection = connectionTo(member.job.peerId)
    if (connection === undefined) throw new CodedError('offline', 'the peer is not connected')
    await checkSpace(member.owner.downloadDirectory)
    setBusy(connection, 1)
    try {
      const bundles = cutBundles(wanted.map((one) => ({ ...one.version, one })))
      await Promise.all(bundles.map((bundle) => this.#fetchBundle(connection, bundle.map(({ one }) => one))))
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'unsupported') throw error
      await atOnce(SINGLES_AT_ONCE, wanted, ({ member: one, resolve, reject }) => this.#options.single(one).then(resolve, reject))
    } finally {
      setBusy(connection, -1)
    }
  }

  async #fetchBundle(connection: PeerConnection, bundle: readonly Waiting[]): Promise<void> {
    const { request = requestBundle, buffers, inTurn, onPlace } = this.#options
    const { signal } = this.#abort
    const bytes = bundle.reduce((sum, { version }) => sum + version.size, 0)
    const storing: Promise<void>[] = []
    // Files come in order: from here on they wait.
    let arrived = 0
    const tellPlace = (place: number | null): void => {
      for (const { member } of bundle.slice(arrived)) if (!member.abort.signal.aborted) onPlace(member.job, place)
    }
    let buffer: Uint8Array | undefined
    let failure: { readonly error: unknown } | undefined
    try {
      await inTurn(connection.peerId, signal, async () => {
        // A turn first, then a buffer, as everywhere: who has a buffer waits for nobody.
        buffer = await buffers.acquire(bytes, connection.peerId, signal)
        const onFile = (index: number, outcome: BundleOutcome): void => {
          arrived = index + 1
          storing.push(store(bundle[index] as Waiting, outcome))
        }
        await request(connection, bundle.map(({ version }) => version), buffer, onFile, { signal, onPlace: tellPlace })
      })
    } catch (error) {
      failure = { error }
    } finally {
      await Promise.all(storing)
      if (buffer !== undefined) buffers.release(buffer)
    }
    await place(bundle.filter(({ isStored }) => isStored))
    if (failure === undefined) return
    if (failure.error instanceof CodedError && failure.error.code === 'unsupported') throw failure.error
    for (const { reject } of bundle) reject(failure.error)
  }
}

/** Never rejects: what goes wrong is this file's. */
async function store(one: Waiting, outcome: BundleOutcome): Promise<void> {
  const { member, version, reject } = one
  try {
    if ('error' in outcome) throw outcome.error
    await stores.acquire(member.abort.signal)
    try {
      await storeSmall(member.owner, version, outcome.bytes)
    } finally {
      stores.release()
    }
    one.isStored = true
  } catch (error) {
    reject(error)
  }
}

async function place(stored: readonly Waiting[]): Promise<void> {
  const wanted = stored.filter(({ member, reject }) => {
    if (member.abort.signal.aborted) reject(new CodedError('aborted', 'stopped'))
    return !member.abort.signal.aborted
  })
  const placed = await placeSmall(wanted.map(({ member: { owner, job } }) => ({ owner, target: job.target })))
  for (const [index, { member, resolve, reject }] of wanted.entries()) {
    const target = placed[index]
    if (typeof target === 'string') resolve({ type: 'file-done', jobId: member.job.jobId, target, bytes: member.job.size })
    else reject(target)
  }
}

async function atOnce<T>(count: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async () => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item)
  }
  await Promise.all(Array.from({ length: count }, worker))
}
