import {
  type BundleRequest, type ChangedRequest, CodedError, type GossipRequest, type IntroduceRequest, MAX_REQUEST_FRAME_BYTES, MAX_STREAMS_PER_PEER, type PeerAnswer, type PeerId, type PeerRequest, REQUEST_TIMEOUT_MS, type ReadRequest,
  type SharePath, decodeRequest, encodeAnswer,
} from '@harddrive-party/protocol'
import { createHash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { UploadMeter } from '../core/upload-meter.ts'
import { type UploadInput, type UploadLimits, UPLOAD_LIMITS, UploadScheduler } from '../core/upload-scheduler.ts'
import type { UploadStatus } from '../network/network-api.ts'
import { type Clock, drive, systemClock } from './drive.ts'
import { sendBundle } from './bundle-sender.ts'
import { FrameStream } from './frame-stream.ts'
import { createRangeHasher } from './range-hasher.ts'
import type { RangeLease, ShareReader } from './share-reader.ts'
import type { PeerConnection, PeerStream } from './transport.ts'

/**
 * Answers what peers ask on streams of their own: listings, reads, pings. Which peers may ask is decided before, whose read is next by
 * `core/upload-scheduler.ts`, and what is on the disk by the share reader.
 */
export interface PeerService {
  /** Takes over a stream that the peer opened after hello. Never throws: what goes wrong is answered, or ends the stream. */
  serve(connection: PeerConnection, stream: PeerStream): void
  /** Cuts off everything that is being served. Idempotent. */
  close(): void
}

export interface PeerServiceOptions {
  readonly reader: ShareReader
  /** What peers are fetching, whenever it has changed, at most every UPLOADS_INTERVAL_MS; an empty list when it is over. */
  readonly onUploads: (uploads: readonly UploadStatus[]) => void
  /** Answers what is not about files; absent = `unsupported`. @throws CodedError what is to be answered instead */
  readonly signal?: (connection: PeerConnection, request: GossipRequest | IntroduceRequest | ChangedRequest, options: { signal: AbortSignal }) => Promise<PeerAnswer>
  readonly log?: (message: string) => void
  /** Absent = `connection.setBusy`. For an owner that also fetches over the same connection. */
  readonly setBusy?: (connection: PeerConnection, busy: boolean) => void
  readonly limits?: UploadLimits
  readonly clock?: Clock
}

/** Raw bytes go out in pieces of this size: taking one is the progress that keeps a slot, and hashing one holds up nobody. */
const PIECE_BYTES = 64 * 1024
/** A peer that does not take a small answer by then is cut off. */
const ANSWER_TIMEOUT_MS = 60_000
const UPLOADS_INTERVAL_MS = 500
/** What a peer sends after its request is thrown away; a peer that goes on and on is cut off. */
const DRAIN_READS = 16

export function openPeerService(options: PeerServiceOptions): PeerService {
  return new Service(options)
}

interface PendingRead {
  readonly granted: () => void
  readonly evicted: AbortController
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
  readonly #meter = new UploadMeter()
  readonly #hasher: ReturnType<typeof createRangeHasher>
  readonly #slots: { input(input: Exclude<UploadInput, { type: 'tick' }>): void; close(): void }
  readonly #pending = new Map<number, PendingRead>()
  readonly #loads = new Map<PeerId, PeerLoad>()
  readonly #reads = new Map<PeerConnection, number>()
  readonly #open = new Set<AbortController>()
  #nextRead = 1
  #cancelReport: (() => void) | undefined
  #closed = false

  constructor(options: PeerServiceOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#hasher = createRangeHasher(this.#clock)
    const scheduler = new UploadScheduler(options.limits ?? UPLOAD_LIMITS)
    this.#slots = drive<Exclude<UploadInput, { type: 'tick' }>, { type: 'grant' | 'evict'; id: number }>(
      scheduler,
      ({ type, id }) => {
        const read = this.#pending.get(id)
        if (type === 'grant') read?.granted()
        else read?.evicted.abort()
      },
      this.#clock,
    )
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
    this.#slots.close()
    this.#cancelReport?.()
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
        const page = await this.#inTurn(load, () => this.#options.reader.list(request))
        return this.#send(frames, { type: 'page', ...page }, cut)
      }
      case 'read':
        return this.#read(connection, frames, request, cut)
      case 'bundle':
        return this.#bundle(connection, frames, request, cut)
      case 'hashes': {
        const read = (range: Omit<ReadRequest, 'type'>) => this.#options.reader.readRange(range, { signal: cut.signal })
        return this.#send(frames, await this.#hasher.hash(connection.peerId, request, read, { signal: cut.signal }), cut)
      }
      case 'gossip':
      case 'introduce':
      case 'changed': {
        if (this.#options.signal === undefined) throw new CodedError('unsupported', 'this request is not known here')
        const { signal } = this.#options
        return this.#send(frames, await signal(connection, request, { signal: cut.signal }), cut)
      }
      case 'hello':
        throw new CodedError('bad-request', 'hello comes first on a connection, and only there')
    }
  }

  /** One listing of a peer at a time, and each in a turn of the event loop of its own. */
  async #inTurn<T>(load: PeerLoad, work: () => T): Promise<T> {
    const before = load.listings
    const mine = before.then(async () => {
      await turn()
      return work()
    })
    // The next one waits for this one's end, whatever it is.
    load.listings = Promise.allSettled([mine])
    return mine
  }

  async #read(connection: PeerConnection, frames: FrameStream, request: ReadRequest, cut: AbortController): Promise<void> {
    const id = this.#nextRead++
    this.#busy(connection, 1)
    try {
      await this.#slot(id, connection.peerId, cut)
      this.#meter.reading(this.#clock.now(), connection.peerId, request.path, 1)
      this.#reportSoon()
      try {
        const lease = await this.#options.reader.readRange(request, { signal: cut.signal })
        try {
          await this.#sendRange(id, connection.peerId, request.path, frames, lease)
        } finally {
          lease.release()
        }
      } finally {
        this.#meter.reading(this.#clock.now(), connection.peerId, request.path, -1)
      }
    } finally {
      this.#pending.delete(id)
      this.#slots.input({ type: 'end', id })
      this.#busy(connection, -1)
    }
  }

  /** Counts as one read: its bytes are bounded as those of one. */
  async #bundle(connection: PeerConnection, frames: FrameStream, request: BundleRequest, cut: AbortController): Promise<void> {
    const id = this.#nextRead++
    const { peerId } = connection
    this.#busy(connection, 1)
    try {
      await this.#slot(id, peerId, cut)
      this.#reportSoon()
      await sendBundle(request, {
        read: ({ path, size, mtime }) => this.#options.reader.readRange({ path, start: 0, end: size, expect: { size, mtime } }, { signal: cut.signal }),
        write: async (bytes) => {
          await frames.stream.write(bytes)
          this.#slots.input({ type: 'progress', id })
        },
        onSent: ({ path, size }) => this.#meter.sent(this.#clock.now(), peerId, path, size),
      })
    } finally {
      this.#pending.delete(id)
      this.#slots.input({ type: 'end', id })
      this.#busy(connection, -1)
    }
  }

  /** Resolves when it is this read's turn. */
  #slot(id: number, peer: PeerId, cut: AbortController): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = () => reject(new CodedError('aborted', 'cut off'))
      if (cut.signal.aborted) {
        stop()
        return
      }
      cut.signal.addEventListener('abort', stop, { once: true })
      this.#pending.set(id, { granted: resolve, evicted: cut })
      this.#slots.input({ type: 'ask', id, peer })
    })
  }

  async #sendRange(id: number, peer: PeerId, path: SharePath, frames: FrameStream, { size, mtime, start, bytes }: RangeLease): Promise<void> {
    await frames.writeFrame(encodeAnswer({ type: 'data', size, mtime, start, length: bytes.length }))
    const hash = createHash('sha256')
    for (let sent = 0; sent < bytes.length; sent += PIECE_BYTES) {
      const piece = bytes.subarray(sent, sent + PIECE_BYTES)
      const written = frames.stream.write(piece)
      hash.update(piece)
      await written
      this.#slots.input({ type: 'progress', id })
      this.#meter.sent(this.#clock.now(), peer, path, piece.length)
    }
    await frames.writeFrame(encodeAnswer({ type: 'sent', bytes: bytes.length, hash: hash.digest() }))
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

  #reportSoon(): void {
    if (this.#closed || this.#cancelReport !== undefined) return
    this.#cancelReport = this.#clock.wakeAfter(UPLOADS_INTERVAL_MS, () => {
      this.#cancelReport = undefined
      const list = this.#meter.list(this.#clock.now())
      this.#options.onUploads(list.map(({ peer, path, bytes, bytesPerSecond }) => ({ peerId: peer as PeerId, path: path as SharePath, bytes, bytesPerSecond })))
      if (list.length > 0) this.#reportSoon()
    })
  }
}

/** The peer is gone or has lost interest: nothing is left to be said on this stream. */
function isEndOfStream(error: unknown): boolean {
  return error instanceof CodedError && (error.code === 'stream-reset' || error.code === 'connection-lost' || error.code === 'aborted')
}
