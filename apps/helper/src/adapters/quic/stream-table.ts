/** The streams of one connection: which are open, which the peer may still open, and what it has sent that nobody reads. */
import { CodedError, MAX_STREAMS_PER_PEER } from '@harddrive-party/protocol'
import type { PeerStream } from '../peers/transport.ts'
import { STREAM_WINDOW_BYTES } from './config.ts'
import { nativeErrorName } from './native.ts'
import { QuicStream, type StreamOwner } from './quic-stream.ts'

/** Streams beyond the limit that a peer may try before we take it for hostile: an honest one knows the limit. */
const MAX_EXCESS_STREAMS = 256

/** Streams given up whose last words may still arrive. */
const MAX_REMEMBERED = 1024

/** What a peer may have sent without our having read it: a full window on every stream it may have open, and some for overhead. */
export const MAX_UNREAD_BYTES = (MAX_STREAMS_PER_PEER + 8) * STREAM_WINDOW_BYTES

/** Of each packet this much is taken for headers and control, so that only bulk counts as unread. */
const OVERHEAD_PER_PACKET = 100

/** Spurious repetitions are received, but never read. */
const REPETITION = 1.1

/** Bytes handed to the engine at once per stream and round: small enough for turns between streams, large enough for few calls. */
const WRITE_SLICE = 64 * 1024

/** Given to the engine at once in all: what it has, it sends from all streams in turn. */
const ROUND_BYTES = 128 * 1024

/** A stream that has written no more than this goes first: a page of a listing, a small file. */
const SMALL_ANSWER_BYTES = 64 * 1024

export class StreamTable {
  readonly #owner: StreamOwner
  readonly #streams = new Map<number, QuicStream>()
  readonly #givenUp = new Set<number>()
  #writers: QuicStream[] = []
  /** 0 for the connection's client, 1 for its server: the lowest bit of the IDs of streams opened by us. */
  readonly #ourBit: number
  #nextId: number
  #ours = 0
  #theirs = 0
  #excess = 0
  #surface: ((stream: PeerStream) => void) | null = null
  #early: QuicStream[] = []
  #read = 0
  #unread = 0
  #seenRead = 0
  #seenPackets = 0
  #seenBytes = 0

  constructor(owner: StreamOwner, dialler: boolean) {
    this.#owner = owner
    this.#ourBit = dialler ? 0 : 1
    this.#nextId = this.#ourBit
  }

  get surface(): ((stream: PeerStream) => void) | null {
    return this.#surface
  }

  /** Where streams opened by the peer go; those that came before are handed over at once. */
  set surface(handler: ((stream: PeerStream) => void) | null) {
    this.#surface = handler
    if (handler === null) return
    const early = this.#early
    this.#early = []
    for (const stream of early) handler(stream)
  }

  get writing(): boolean {
    return this.#writers.length > 0
  }

  /** @throws CodedError `busy` */
  open(): QuicStream {
    if (this.#ours >= MAX_STREAMS_PER_PEER) throw new CodedError('busy', `more than ${MAX_STREAMS_PER_PEER} streams to one peer`)
    const stream = new QuicStream(this.#nextId, this.#owner)
    this.#nextId += 4
    this.#ours++
    this.#streams.set(stream.id, stream)
    return stream
  }

  queue(stream: QuicStream): void {
    if (stream.queued) return
    stream.queued = true
    this.#writers.push(stream)
  }

  /**
   * Gives the engine what streams have to write: first those that have written little, so that an answer does not wait behind a film; then the oldest
   * of the others, so that of several parts of a film one is complete soon and the next can be asked for while the rest is under way.
   * @returns how much the engine took; an end counts as a byte
   */
  pump(): number {
    const writers = this.#writers.sort((a, b) => Number(a.written > SMALL_ANSWER_BYTES) - Number(b.written > SMALL_ANSWER_BYTES) || a.id - b.id)
    this.#writers = []
    let given = 0
    for (const stream of writers) {
      stream.queued = false
      const { taken, waiting } = given < ROUND_BYTES ? stream.pump(WRITE_SLICE) : { taken: 0, waiting: true }
      given += taken
      if (waiting) this.queue(stream)
    }
    return given
  }

  /** Hands what has arrived to whoever waits for it. @returns false when the peer is beyond all limits */
  deliver(readable: Iterable<number>): boolean {
    for (const id of readable) {
      const known = this.#streams.get(id)
      if (known !== undefined) known.onReadable()
      else if ((id & 1) === this.#ourBit || this.#givenUp.has(id)) this.#drain(id)
      else if (this.#theirs >= MAX_STREAMS_PER_PEER) {
        if (++this.#excess > MAX_EXCESS_STREAMS) return false
        this.#theirs++
        const unwanted = new QuicStream(id, this.#owner)
        unwanted.abort()
      } else this.#welcome(id)
    }
    return true
  }

  taken(bytes: number): void {
    this.#read += bytes
  }

  released(stream: QuicStream, givenUp: boolean): void {
    this.#streams.delete(stream.id)
    if ((stream.id & 1) === this.#ourBit) this.#ours--
    else this.#theirs--
    if (!givenUp) return
    this.#givenUp.add(stream.id)
    if (this.#givenUp.size > MAX_REMEMBERED) {
      const [oldest] = this.#givenUp
      this.#givenUp.delete(oldest!)
    }
  }

  /** To be called now and then with the engine's totals. @returns whether more lies unread than a peer may cause */
  overfull(totals: { readonly recv: number; readonly recvBytes: number }): boolean {
    const arrived = totals.recvBytes - this.#seenBytes - OVERHEAD_PER_PACKET * (totals.recv - this.#seenPackets)
    this.#unread = Math.max(0, this.#unread + arrived - REPETITION * (this.#read - this.#seenRead))
    this.#seenBytes = totals.recvBytes
    this.#seenPackets = totals.recv
    this.#seenRead = this.#read
    return this.#unread > MAX_UNREAD_BYTES
  }

  /** The connection is over: everybody who waits is told. */
  end(): void {
    this.#writers = []
    for (const stream of this.#streams.values()) stream.onConnectionEnd()
  }

  #welcome(id: number): void {
    const stream = new QuicStream(id, this.#owner)
    this.#theirs++
    this.#streams.set(id, stream)
    if (this.#surface === null) this.#early.push(stream)
    else this.#surface(stream)
  }

  /** Last words on a stream that we have done with: without this the engine would mention them for ever. */
  #drain(id: number): void {
    const scratch = new Uint8Array(4096)
    try {
      while (this.#owner.native.streamRecv(id, scratch) !== null);
    } catch (error) {
      if (nativeErrorName(error) !== 'StreamReset') return
    }
  }
}
