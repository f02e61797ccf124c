/** One stream of a TCP connection, from the application's side. Which lane carries it and when it may send is up to its connection. */
import { CodedError, type LaneFrame } from '@harddrive-party/protocol'
import type { PeerStream } from '../peers/transport.ts'
import { copyBytes } from '../system/part-memory.ts'
import { ReceivedBytes } from './received-bytes.ts'

/** What a stream needs of its connection. */
export interface StreamOwner {
  /** Set once the connection is over; what had arrived before can still be read. */
  readonly ended: boolean
  /** How far ahead of its reader the peer may write on each stream. */
  readonly window: number
  /** Bytes are waiting to be written, or the end is. */
  wantsToWrite(stream: TcpStream): void
  /** The peer is to be told how far it may write, or that we gave up. */
  wantsControl(stream: TcpStream): void
  /** `flush` is to be called once what is arriving now has been taken. */
  flushSoon(stream: TcpStream): void
  /** The application has done with it, or it is over; said once. */
  released(stream: TcpStream): void
  /** Nothing more can come of it: its number may be forgotten. */
  forget(stream: TcpStream): void
}

/** What a peer may write on a stream before it has heard anything: enough for every request. */
export const INITIAL_WINDOW_BYTES = 64 * 1024

/** Up to this much a write is taken over at once, so that an end that follows travels with it. */
const COPIED_BYTES = 16 * 1024

interface Reader {
  readonly into: Uint8Array
  filled: number
  readonly resolve: (count: number) => void
  readonly reject: (error: Error) => void
}

interface Writer {
  readonly bytes: Uint8Array
  offset: number
  /** Null: the writer was told already. */
  readonly resolve: (() => void) | null
  readonly reject: ((error: Error) => void) | null
}

export interface OutgoingFrame {
  readonly frame: LaneFrame
  readonly payload: Uint8Array
  /** To be called when the payload was handed over. */
  readonly done: (() => void) | null
}

const NOTHING = new Uint8Array(0)

export class TcpStream implements PeerStream {
  readonly id: number
  /** Opened by the peer. */
  readonly theirs: boolean
  /** Queued for writing at the connection. */
  queued = false
  /** The lane that carries what we write; the connection's own note. */
  lane = 0
  readonly #owner: StreamOwner
  readonly #received = new ReceivedBytes()
  /** Bytes of the peer that have arrived, read or not. */
  #arrived = 0
  /** How much the peer sends in all, once that is known. */
  #size: number | null = null
  /** How far the peer has been told that it may write. */
  #granted = INITIAL_WINDOW_BYTES
  #grantDue = false
  #reader: Reader | null = null
  #writers: Writer[] = []
  #sent = 0
  #limit = INITIAL_WINDOW_BYTES
  #finishing = false
  #finishSent = false
  #seen: boolean
  #resetDue = false
  #failure: CodedError | null = null
  #released = false

  constructor(id: number, owner: StreamOwner, theirs: boolean) {
    this.id = id
    this.#owner = owner
    this.theirs = theirs
    this.#seen = theirs
  }

  /** Bytes written so far. */
  get sent(): number {
    return this.#sent
  }

  // --- the application's side

  read(into: Uint8Array): Promise<number> {
    if (this.#reader !== null) return Promise.reject(new Error('a read before the last one was done'))
    if (into.length === 0) return Promise.reject(new RangeError('a read into nothing'))
    if (this.#failure !== null) return Promise.reject(this.#failure)
    const count = this.#received.take(into)
    if (count > 0) {
      this.#consumed()
      return Promise.resolve(count)
    }
    if (this.#isRead) return Promise.resolve(0)
    if (this.#owner.ended) return Promise.reject(connectionLost())
    return new Promise((resolve, reject) => {
      this.#reader = { into, filled: 0, resolve, reject }
    })
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    if (this.#finishing) return Promise.reject(new Error('a write after the end'))
    if (this.#owner.ended) return Promise.reject(connectionLost())
    if (this.#writers.some((writer) => writer.resolve !== null)) return Promise.reject(new Error('a write before the last one was done'))
    if (bytes.length === 0) return Promise.resolve()
    if (bytes.length <= COPIED_BYTES && this.#writers.length === 0) {
      this.#writers.push({ bytes: Uint8Array.from(bytes), offset: 0, resolve: null, reject: null })
      this.#owner.wantsToWrite(this)
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      this.#writers.push({ bytes, offset: 0, resolve, reject })
      this.#owner.wantsToWrite(this)
    })
  }

  finish(): void {
    if (this.#finishing || this.#failure !== null || this.#owner.ended) return
    this.#finishing = true
    this.#owner.wantsToWrite(this)
  }

  abort(): void {
    if (this.#failure !== null || this.#released) return
    this.#giveUp(new CodedError('aborted', 'the stream was given up'))
    if (this.#owner.ended) return
    // What was never heard of needs no end.
    if (!this.#seen) this.#owner.forget(this)
    else {
      this.#resetDue = true
      this.#owner.wantsControl(this)
      this.#forgetIfOver()
    }
  }

  // --- the connection's side

  /** Whether there is something to send now. */
  get canSend(): boolean {
    if (this.#failure !== null || this.#finishSent) return false
    return this.#writers.length > 0 ? this.#sent < this.#limit : this.#finishing
  }

  /** @returns the next frame to send; null = nothing now */
  nextFrame(most: number): OutgoingFrame | null {
    if (!this.canSend) return null
    if (!this.#seen) {
      this.#seen = true
      // Whoever asks is about to be answered: the answer is not to wait for a window.
      this.#grant()
    }
    const [writer] = this.#writers
    if (writer === undefined) return this.#frame(NOTHING, true, null)
    const count = Math.min(most, writer.bytes.length - writer.offset, this.#limit - this.#sent)
    const payload = writer.bytes.subarray(writer.offset, writer.offset + count)
    writer.offset += count
    const isDone = writer.offset === writer.bytes.length
    if (isDone) this.#writers.shift()
    return this.#frame(payload, isDone && this.#finishing && this.#writers.length === 0, isDone ? writer.resolve : null)
  }

  #frame(payload: Uint8Array, last: boolean, done: (() => void) | null): OutgoingFrame {
    const frame = { type: last ? 'last-data' : 'data', stream: this.id, value: this.#sent, length: payload.length } as const
    this.#sent += payload.length
    if (last) {
      this.#finishSent = true
      this.#forgetIfOver()
    }
    return { frame, payload, done }
  }

  /** What the peer is to be told besides data. */
  controlFrames(): LaneFrame[] {
    const frames: LaneFrame[] = []
    if (this.#resetDue) frames.push({ type: 'reset', stream: this.id, value: this.#sent, length: 0 })
    else if (this.#grantDue) frames.push({ type: 'window', stream: this.id, value: this.#granted, length: 0 })
    this.#resetDue = false
    this.#grantDue = false
    this.#forgetIfOver()
    return frames
  }

  /** The peer may not write beyond what it was granted, nor go on after its end. @returns whether the frame is one that an honest peer sends */
  mayTake({ type, value, length }: LaneFrame): boolean {
    const end = value + length
    if (end > this.#granted || (this.#size !== null && (end > this.#size || type === 'last-data'))) return false
    if (type === 'last-data') {
      if (this.#arrived + length > end) return false
      this.#size = end
      if (length === 0) this.#arrivedMore()
    }
    return true
  }

  /** @param piece only lent @returns whether it is one that an honest peer sends */
  take(offset: number, piece: Uint8Array): boolean {
    this.#arrived += piece.length
    if (this.#arrived > (this.#size ?? this.#granted)) return false
    if (this.#failure === null && !this.#place(offset, piece)) return false
    this.#arrivedMore()
    return true
  }

  #place(offset: number, piece: Uint8Array): boolean {
    const reader = this.#reader
    const received = this.#received
    if (reader === null || offset !== received.end || received.available > 0) return received.push(offset, piece)
    const room = reader.into.length - reader.filled
    const direct = piece.length <= room ? piece : piece.subarray(0, room)
    if (direct.length > 0) {
      copyBytes(direct, reader.into, reader.filled)
      reader.filled += direct.length
      if (!received.pass(direct.length)) return false
    }
    return direct.length === piece.length || received.push(offset + direct.length, piece.subarray(direct.length))
  }

  #arrivedMore(): void {
    const reader = this.#reader
    if (reader !== null) {
      if (reader.filled === reader.into.length || this.#isRead) this.flush()
      else this.#owner.flushSoon(this)
    }
    this.#forgetIfOver()
  }

  /** Wakes a reader that has got something, or the end. */
  flush(): void {
    const reader = this.#reader
    if (reader === null) return
    if (reader.filled < reader.into.length) reader.filled += this.#received.take(reader.into.subarray(reader.filled))
    if (reader.filled === 0 && !this.#isRead) return
    this.#reader = null
    this.#consumed()
    reader.resolve(reader.filled)
  }

  onWindow(limit: number): void {
    if (limit <= this.#limit) return
    this.#limit = limit
    if (this.#writers.length > 0) this.#owner.wantsToWrite(this)
  }

  /** @param size how much the peer has written before it gave up @returns whether that can be so */
  onReset(size: number): boolean {
    if (size < this.#arrived || size > this.#granted || (this.#size !== null && this.#size !== size)) return false
    this.#size = size
    if (this.#failure === null) {
      this.#giveUp(new CodedError('stream-reset', 'the other side gave up this stream'))
      // The other side waits to hear how much it has to expect of us.
      if (!this.#finishSent) {
        this.#resetDue = true
        this.#owner.wantsControl(this)
      }
    }
    this.#forgetIfOver()
    return true
  }

  /** The connection is over. What was received stays readable. */
  onConnectionEnd(): void {
    this.flush()
    const error = connectionLost()
    this.#reader?.reject(error)
    this.#reader = null
    for (const { reject } of this.#writers.splice(0)) reject?.(error)
  }

  /** Everything that the peer sent has been read. */
  get #isRead(): boolean {
    return this.#size !== null && this.#received.read === this.#size
  }

  #consumed(): void {
    if (this.#size === null && this.#received.read + this.#owner.window - this.#granted >= this.#owner.window / 2) this.#grant()
    this.#forgetIfOver()
  }

  #grant(): void {
    const granted = this.#received.read + this.#owner.window
    if (granted <= this.#granted) return
    this.#granted = granted
    this.#grantDue = true
    this.#owner.wantsControl(this)
  }

  #giveUp(error: CodedError): void {
    this.#failure = error
    this.#received.discard()
    this.#reader?.reject(error)
    this.#reader = null
    for (const { reject } of this.#writers.splice(0)) reject?.(error)
    this.#release()
  }

  #forgetIfOver(): void {
    const isHeard = this.#size !== null && this.#arrived === this.#size
    if (!isHeard || (this.#failure === null && !(this.#finishSent && this.#isRead))) return
    this.#release()
    // What still has to be said is said by somebody whom the connection knows.
    if (!this.#resetDue) this.#owner.forget(this)
  }

  #release(): void {
    if (this.#released) return
    this.#released = true
    this.#owner.released(this)
  }
}

function connectionLost(): CodedError {
  return new CodedError('connection-lost', 'the connection to the peer is gone')
}
