import {
  type BundleRequest, type ChangedRequest, CodedError, type GossipRequest, type IntroduceRequest, type OfferNewsRequest, type OfferRequest, MAX_REQUEST_FRAME_BYTES, MAX_STREAMS_PER_PEER, type PeerAnswer, type PeerId, type PeerRequest, REQUEST_TIMEOUT_MS, type ReadRequest,
  type SharePath, type ThumbnailRequest, decodeRequest, encodeAnswer,
} from '@harddrive-party/protocol'
import { setImmediate as turn } from 'node:timers/promises'
import { type ShareView, shareAt } from '../../core/share-view.ts'
import { type UploadLimits, UPLOAD_LIMITS } from '../../core/transfers/upload-scheduler.ts'
import type { UploadPeerStatus, UploadStatus } from '../../network/network-api.ts'
import { type Clock, systemClock } from '../system/drive.ts'
import { sendBundle } from '../transfers/bundle-sender.ts'
import { FrameStream } from './frame-stream.ts'
import { hashPart } from '../transfers/part-hash.ts'
import { createRangeHasher } from '../transfers/range-hasher.ts'
import { type Pacer, openPacer } from '../transfers/pacer.ts'
import type { Visibility } from '../shares/share-index.ts'
import type { RangeLease, ShareReader } from '../shares/share-reader.ts'
import type { PeerConnection, PeerStream } from './transport.ts'
import { type UploadTurn, type UploadTurns, type WaitingRead, openUploadTurns } from '../transfers/upload-turns.ts'

/**
 * Answers what peers ask on streams of their own: listings, reads, pings. Which peers may ask is decided before, whose read is next by
 * `upload-turns.ts`, and what is on the disk by the share reader.
 */
export interface PeerService {
  /** Takes over a stream that the peer opened after hello. Never throws: what goes wrong is answered, or ends the stream. */
  serve(connection: PeerConnection, stream: PeerStream): void
  /** Replaces the bounds on what is sent at once. */
  setBounds(limits: UploadLimits): void
  /** Peers may see other shares than before: what is being sent of those they may not see any more is cut off. */
  viewsChanged(): void
  /** Cuts off everything that is being served. Idempotent. */
  close(): void
}

export interface PeerServiceOptions {
  readonly reader: ShareReader
  /** What peers are fetching, whenever it has changed, at most every UPLOADS_INTERVAL_MS; an empty list when it is over. */
  readonly onUploads: (uploads: readonly UploadStatus[], peers: readonly UploadPeerStatus[]) => void
  /** What a peer sees of the shares; absent = everything. */
  readonly viewOf?: (peerId: PeerId) => ShareView
  /** Limits what is sent; stays the caller's to close. Absent = nothing does. */
  readonly pacer?: Pacer
  /** Answers what is not about files; absent = `unsupported`. @throws CodedError what is to be answered instead */
  readonly signal?: (connection: PeerConnection, request: GossipRequest | IntroduceRequest | ChangedRequest | OfferRequest | OfferNewsRequest, options: { signal: AbortSignal }) => Promise<PeerAnswer>
  /** Makes pictures of images; absent = `unsupported`. @throws CodedError what is to be answered instead */
  readonly thumbnail?: (connection: PeerConnection, request: ThumbnailRequest, options: Visibility & { readonly signal: AbortSignal }) => Promise<Uint8Array>
  readonly log?: (message: string) => void
  /** Absent = `connection.setBusy`. For an owner that also fetches over the same connection. */
  readonly setBusy?: (connection: PeerConnection, busy: boolean) => void
  readonly limits?: UploadLimits
  readonly clock?: Clock
}

/** A peer that does not take a small answer by then is cut off. */
const ANSWER_TIMEOUT_MS = 60_000
/** What a peer sends after its request is thrown away; a peer that goes on and on is cut off. */
const DRAIN_READS = 16
/** Between two looks whether somebody still waits for a listing. */
const LOOK_MS = 20
const NOTHING = new Uint8Array(0)

export function openPeerService(options: PeerServiceOptions): PeerService {
  return new Service(options)
}

/** What is being sent, and of which shares. */
interface OpenRead {
  readonly peerId: PeerId
  readonly paths: readonly SharePath[]
  readonly shares: readonly (string | undefined)[]
  readonly cut: AbortController
}

/** What one peer has under way, over all its connections. */
interface PeerLoad {
  streams: number
  /** The end of its last listing: a peer's listings are made one after the other, so that many at once cannot crowd out other peers. */
  listings: Promise<unknown>
}

class Service implements PeerService {
  readonly #options: PeerServiceOptions
  readonly #clock: Clock
  readonly #hasher: ReturnType<typeof createRangeHasher>
  readonly #turns: UploadTurns
  readonly #openReads = new Set<OpenRead>()
  readonly #loads = new Map<PeerId, PeerLoad>()
  readonly #reads = new Map<PeerConnection, number>()
  readonly #open = new Set<AbortController>()
  #closed = false

  constructor(options: PeerServiceOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#hasher = createRangeHasher(this.#clock)
    const { limits = UPLOAD_LIMITS, pacer = openPacer(this.#clock), onUploads } = options
    this.#turns = openUploadTurns({ limits, pacer, clock: this.#clock, onUploads })
  }

  setBounds(limits: UploadLimits): void {
    this.#turns.setBounds(limits)
  }

  viewsChanged(): void {
    for (const { peerId, paths, shares, cut } of this.#openReads) {
      const now = this.#sharesAt(peerId, paths)
      if (shares.some((share, i) => share !== now[i])) cut.abort()
    }
  }

  serve(connection: PeerConnection, stream: PeerStream): void {
    if (this.#closed) {
      stream.abort()
      return
    }
    const load = this.#loads.get(connection.peerId) ?? { streams: 0, listings: Promise.resolve() }
    this.#loads.set(connection.peerId, load)
    load.streams++
    const cut = new AbortController()
    this.#open.add(cut)
    cut.signal.addEventListener('abort', () => stream.abort(), { once: true })
    void this.#serve(connection, stream, load, cut).finally(() => {
      this.#open.delete(cut)
      load.streams--
      if (load.streams === 0) this.#loads.delete(connection.peerId)
    })
  }

  close(): void {
    this.#closed = true
    this.#turns.close()
    for (const cut of this.#open) cut.abort()
  }

  async #serve(connection: PeerConnection, stream: PeerStream, load: PeerLoad, cut: AbortController): Promise<void> {
    const frames = new FrameStream(stream)
    try {
      try {
        if (load.streams > MAX_STREAMS_PER_PEER) throw new CodedError('busy', 'too many requests at once')
        const request = await this.#request(frames, cut)
        if (request !== undefined) await this.#answer(connection, frames, request, load, cut)
      } catch (error) {
        if (isEndOfStream(error)) throw error
        if (!(error instanceof CodedError)) this.#options.log?.(`a request failed: ${String(error)}`)
        await this.#send(frames, { type: 'error', ...CodedError.toWire(error) }, cut)
      }
      stream.finish()
      await this.#drain(stream, cut)
    } catch (error) {
      stream.abort()
      if (!isEndOfStream(error)) this.#options.log?.(`a stream failed: ${String(error)}`)
    }
  }

  /** @returns undefined when the peer finished without asking for anything @throws CodedError what is to be answered */
  async #request(frames: FrameStream, cut: AbortController): Promise<PeerRequest | undefined> {
    const body = await this.#within(REQUEST_TIMEOUT_MS, cut, () => frames.readFrame(MAX_REQUEST_FRAME_BYTES)).catch((error: unknown) => {
      // For a client these are faults of an answer; here they are faults of the request.
      throw error instanceof CodedError && error.code === 'bad-answer' ? new CodedError('bad-request', error.message) : error
    })
    if (body === null) return undefined
    const request = decodeRequest(body)
    if (!request.ok) throw new CodedError(request.error.code, request.error.message)
    return request.value
  }

  async #answer(connection: PeerConnection, frames: FrameStream, request: PeerRequest, load: PeerLoad, cut: AbortController): Promise<void> {
    switch (request.type) {
      case 'ping':
        return this.#send(frames, { type: 'pong' }, cut)
      case 'ls': {
        const page = await this.#inTurn(load, frames.stream, cut, () => this.#options.reader.list(request, { signal: cut.signal, ...this.#visibility(connection.peerId) }))
        return this.#send(frames, { type: 'page', ...page }, cut)
      }
      case 'read':
        return this.#read(connection, frames, request, cut)
      case 'bundle':
        return this.#bundle(connection, frames, request, cut)
      case 'hashes': {
        const read = (range: Omit<ReadRequest, 'type'>) => this.#options.reader.readRange(range, { signal: cut.signal, ...this.#visibility(connection.peerId) })
        return this.#send(frames, await this.#hasher.hash(connection.peerId, request, read, { signal: cut.signal }), cut)
      }
      case 'thumbnail': {
        if (this.#options.thumbnail === undefined) throw new CodedError('unsupported', 'this request is not known here')
        const [before] = this.#sharesAt(connection.peerId, [request.path])
        const bytes = await this.#options.thumbnail(connection, request, { signal: cut.signal, ...this.#visibility(connection.peerId) })
        // It takes a while to make one; the peer may have lost sight of the share meanwhile.
        if (this.#sharesAt(connection.peerId, [request.path])[0] !== before) throw new CodedError('not-found', 'there is no such file')
        return this.#send(frames, { type: 'picture', bytes }, cut)
      }
      case 'gossip':
      case 'introduce':
      case 'changed':
      case 'offer':
      case 'offer-news': {
        if (this.#options.signal === undefined) throw new CodedError('unsupported', 'this request is not known here')
        const { signal } = this.#options
        return this.#send(frames, await signal(connection, request, { signal: cut.signal }), cut)
      }
      case 'hello':
        throw new CodedError('bad-request', 'hello comes first on a connection, and only there')
    }
  }

  /** One listing of a peer at a time, and each in a turn of the event loop of its own. */
  async #inTurn<T>(load: PeerLoad, stream: PeerStream, cut: AbortController, work: () => Promise<T>): Promise<T> {
    const before = load.listings
    const mine = before.then(async () => {
      await turn()
      // Whoever goes on typing has no use for the searches before.
      await stream.write(NOTHING)
      const end = this.#untilLeft(stream, cut)
      return work().finally(end)
    })
    // The next one waits for this one's end, whatever it is.
    load.listings = Promise.allSettled([mine])
    return mine
  }

  /** Looks now and then whether the peer still listens, and cuts the stream off if not. @returns ends that */
  #untilLeft(stream: PeerStream, cut: AbortController): () => void {
    let cancel: (() => void) | undefined
    const look = () => {
      cancel = this.#clock.wakeAfter(LOOK_MS, () => {
        look()
        stream.write(NOTHING).catch(() => cut.abort())
      })
    }
    look()
    return () => cancel?.()
  }

  #read(connection: PeerConnection, frames: FrameStream, request: ReadRequest, cut: AbortController): Promise<void> {
    return this.#inSlot(waitingRead(connection, request.path, frames, request), [request.path], cut, async (slot) => {
      const lease = await this.#options.reader.readRange(request, { signal: cut.signal, ...this.#visibility(connection.peerId) })
      try {
        await sendRange(request.path, frames, lease, slot)
      } finally {
        lease.release()
      }
    })
  }

  /** Counts as one read: its bytes are bounded as those of one. */
  #bundle(connection: PeerConnection, frames: FrameStream, request: BundleRequest, cut: AbortController): Promise<void> {
    const paths = request.files.map(({ path }) => path)
    const [path] = paths
    if (path === undefined) return Promise.resolve()
    return this.#inSlot(waitingRead(connection, path, frames, request), paths, cut, (slot) => sendBundle(request, {
      read: (file) => this.#options.reader.readRange(
        { path: file.path, start: 0, end: file.size, expect: { size: file.size, mtime: file.mtime } }, { signal: cut.signal, ...this.#visibility(connection.peerId) },
      ),
      write: (bytes) => slot.send(frames.stream, bytes),
      onSent: (file) => slot.sent(file.path, file.size),
    }))
  }

  /** Waits for a slot, works in it and gives it back; cut off when the peer may not see these files any more. */
  async #inSlot(read: WaitingRead, paths: readonly SharePath[], cut: AbortController, work: (slot: UploadTurn) => Promise<void>): Promise<void> {
    const { connection } = read
    const open = { peerId: connection.peerId, paths, shares: this.#sharesAt(connection.peerId, paths), cut }
    this.#openReads.add(open)
    this.#busy(connection, 1)
    try {
      const slot = await this.#turns.take(read, cut)
      try {
        await work(slot)
      } finally {
        slot.end()
      }
    } finally {
      this.#openReads.delete(open)
      this.#busy(connection, -1)
    }
  }

  #visibility(peerId: PeerId): Visibility {
    const visible = this.#options.viewOf?.(peerId)
    return visible === undefined ? {} : { visible }
  }

  /** By path; undefined where the peer sees none. */
  #sharesAt(peerId: PeerId, paths: readonly SharePath[]): (string | undefined)[] {
    const view = this.#options.viewOf?.(peerId)
    return view === undefined ? [] : paths.map((path) => shareAt(view, path))
  }

  /** Sees the peer's end of the stream too, so that the stream is over and not forgotten half open. */
  async #drain(stream: PeerStream, cut: AbortController): Promise<void> {
    const rest = new Uint8Array(MAX_REQUEST_FRAME_BYTES)
    await this.#within(REQUEST_TIMEOUT_MS, cut, async () => {
      for (let i = 0; i < DRAIN_READS; i++) if ((await stream.read(rest)) === 0) return
      cut.abort()
    })
  }

  async #send(frames: FrameStream, answer: PeerAnswer, cut: AbortController): Promise<void> {
    await this.#within(ANSWER_TIMEOUT_MS, cut, () => frames.writeFrame(encodeAnswer(answer)))
  }

  /** Cuts the stream off when the peer takes too long. */
  async #within<T>(ms: number, cut: AbortController, work: () => Promise<T>): Promise<T> {
    const cancel = this.#clock.wakeAfter(ms, () => cut.abort())
    try {
      return await work()
    } finally {
      cancel()
    }
  }

  #busy(connection: PeerConnection, change: 1 | -1): void {
    const before = this.#reads.get(connection) ?? 0
    const now = before + change
    if (now === 0) this.#reads.delete(connection)
    else this.#reads.set(connection, now)
    if ((before === 0) === (now === 0)) return
    if (this.#options.setBusy === undefined) connection.setBusy(now > 0)
    else this.#options.setBusy(connection, now > 0)
  }
}

/** Told its place only where the asker understands that. */
function waitingRead(connection: PeerConnection, path: SharePath, frames: FrameStream, { places }: ReadRequest | BundleRequest): WaitingRead {
  const tell = async (place: number) => frames.writeFrame(encodeAnswer({ type: 'wait', reason: 'queue', place }))
  return { connection, path, ...(places === true ? { tell } : {}) }
}

async function sendRange(path: SharePath, frames: FrameStream, { size, mtime, start, bytes }: RangeLease, slot: UploadTurn): Promise<void> {
  await frames.writeFrame(encodeAnswer({ type: 'data', size, mtime, start, length: bytes.length }))
  const hash = hashPart(bytes, true)
  let sent = 0
  let before: Uint8Array | undefined
  await slot.send(frames.stream, bytes, (piece) => {
    // A piece counts once the next one is on its way, which is when the peer has taken it.
    if (before !== undefined) slot.sent(path, before.length)
    before = piece
    sent += piece.length
    hash.reach(sent)
  })
  slot.sent(path, before?.length ?? 0)
  await frames.writeFrame(encodeAnswer({ type: 'sent', bytes: bytes.length, hash: await hash.digest() }))
}

/** The peer is gone or has lost interest: nothing is left to be said on this stream. */
function isEndOfStream(error: unknown): boolean {
  return error instanceof CodedError && (error.code === 'stream-reset' || error.code === 'connection-lost' || error.code === 'aborted')
}
