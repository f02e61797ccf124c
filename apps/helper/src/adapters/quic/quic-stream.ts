/** One bidirectional QUIC stream, from the application's side. When it may send and when it is read is up to its connection. */
import { CodedError } from '@harddrive-party/protocol'
import type { PeerStream } from '../peers/transport.ts'
import { type NativeConnection, type NativeQuic, nativeErrorName } from './native.ts'

/** What a stream needs of its connection. */
export interface StreamOwner {
  readonly engine: NativeQuic
  readonly native: NativeConnection
  /** Counts flushes. */
  readonly turn: number
  /** Set once the connection is over; what had arrived before can still be read. */
  readonly ended: boolean
  /** Bytes are waiting to be written, or the end is. */
  wantsToWrite(stream: QuicStream): void
  /** Bytes were taken, or a frame of control waits: packets are due, but not at once. */
  wantsFlush(taken: number): void
  /** Nothing more will come of this stream. `given up`: the engine may still mention it. */
  released(stream: QuicStream, givenUp: boolean): void
  /** The engine has come to a limit that only a new connection gets around. */
  exhausted(): void
}

interface Reader {
  readonly into: Uint8Array
  readonly resolve: (count: number) => void
  readonly reject: (error: Error) => void
}

interface Writer {
  readonly bytes: Uint8Array
  offset: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

const NOTHING = new Uint8Array(0)

/**
 * The last bytes of a write are kept back for one turn of the event loop, so that an end that follows at once travels with them. This engine
 * takes a stream for complete, and forgets it, when all bytes are acknowledged, even if an end sent after them was lost or not sent yet.
 */
const HELD_BYTES = 1024

/** On the wire for streams given up; there is nothing to tell apart. */
const ABORT_CODE = 0

export class QuicStream implements PeerStream {
  readonly id: number
  readonly #owner: StreamOwner
  #reader: Reader | null = null
  #writer: Writer | null = null
  /** Why there is nothing more to read: the peer's end, or an error. */
  #readEnd: 'finished' | CodedError | null = null
  #writeEnd: 'finished' | CodedError | null = null
  /** Whether asking the engine may bring something: it answers "nothing" with an exception, which costs more than a packet. */
  #mayHaveMore = true
  #finishing = false
  /** The last bytes written, and the turn they must not be sent in without an end. */
  #held = NOTHING
  #heldTurn = 0
  #released = false
  /** Queued for writing at the connection. */
  queued = false
  /** Bytes that the engine has taken. */
  written = 0

  constructor(id: number, owner: StreamOwner) {
    this.id = id
    this.#owner = owner
  }

  read(into: Uint8Array): Promise<number> {
    if (this.#reader !== null) return Promise.reject(new Error('a read before the last one was done'))
    if (into.length === 0) return Promise.reject(new RangeError('a read into nothing'))
    if (this.#mayHaveMore || this.#owner.ended || this.#readEnd !== null) {
      const got = this.#take(into)
      if (typeof got === 'number') return Promise.resolve(got)
      if (got !== null) return Promise.reject(got)
    }
    return new Promise((resolve, reject) => {
      this.#reader = { into, resolve, reject }
    })
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#writer !== null) return Promise.reject(new Error('a write before the last one was done'))
    if (this.#finishing || this.#writeEnd === 'finished') return Promise.reject(new Error('a write after the end'))
    if (this.#writeEnd !== null) return Promise.reject(this.#writeEnd)
    if (this.#owner.ended) return Promise.reject(connectionLost())
    if (bytes.length === 0) return Promise.resolve()
    if (this.#held.length === 0 && bytes.length <= HELD_BYTES) {
      this.#hold(bytes)
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      this.#writer = { bytes, offset: 0, resolve, reject }
      this.#owner.wantsToWrite(this)
    })
  }

  finish(): void {
    if (this.#finishing || this.#writeEnd !== null || this.#owner.ended) return
    this.#finishing = true
    this.#owner.wantsToWrite(this)
  }

  abort(): void {
    if (this.#released) return
    const { native, engine, ended } = this.#owner
    const error = new CodedError('aborted', 'the stream was given up')
    if (!ended) {
      // Both throw where the engine has nothing to shut: never begun, or over already.
      if (this.#readEnd === null) attempt(() => native.streamShutdown(this.id, engine.Shutdown.Read, ABORT_CODE))
      if (this.#writeEnd === null) attempt(() => native.streamShutdown(this.id, engine.Shutdown.Write, ABORT_CODE))
      this.#owner.wantsFlush(0)
    }
    this.#endReading(error)
    this.#endWriting(error)
    this.#release(true)
  }

  /** By the connection: there may be something to read. */
  onReadable(): void {
    const reader = this.#reader
    this.#mayHaveMore = true
    if (reader === null) return
    const got = this.#take(reader.into)
    if (got === null) return
    this.#reader = null
    if (typeof got === 'number') reader.resolve(got)
    else reader.reject(got)
  }

  /**
   * By the connection, when the engine has sent everything that it had: hands over up to `most` bytes.
   * @returns how many were taken, an end of the stream counting as one; `waiting` if there is more to come
   */
  pump(most: number): { readonly taken: number; readonly waiting: boolean } {
    let taken = 0
    const writer = this.#writer
    if (this.#held.length > 0) {
      const last = writer === null && this.#finishing
      if (writer === null && !last && this.#heldTurn === this.#owner.turn) return { taken: 0, waiting: true }
      taken = this.#send(this.#held, last) ?? 0
      this.#held = this.#held.subarray(taken)
      if (this.#writeEnd !== null) return { taken, waiting: false }
      if (this.#held.length > 0) return { taken, waiting: true }
      if (last) return this.#finished(taken)
    }
    if (writer !== null) {
      const end = writer.bytes.length - Math.min(HELD_BYTES, writer.bytes.length)
      if (writer.offset < end) {
        const part = this.#send(writer.bytes.subarray(writer.offset, Math.min(writer.offset + most, end)), false)
        if (part === null) return { taken, waiting: this.#writer !== null }
        taken += part
        writer.offset += part
      }
      if (writer.offset < end) return { taken, waiting: true }
      this.#writer = null
      this.#hold(writer.bytes.subarray(end))
      writer.resolve()
      return { taken, waiting: false }
    }
    if (!this.#finishing || this.#writeEnd !== null) return { taken, waiting: false }
    if (!this.#maySendEnd() || this.#send(NOTHING, true) === null) return { taken, waiting: this.#writeEnd === null }
    return this.#finished(taken + 1)
  }

  /** By the connection: it is over. What was received whole stays readable. */
  onConnectionEnd(): void {
    this.onReadable()
    const error = connectionLost()
    const reader = this.#reader
    this.#reader = null
    reader?.reject(error)
    this.#endWriting(error)
  }

  /** @returns a count, 0 = the end; null = nothing yet; or why there will be nothing */
  #take(into: Uint8Array): number | CodedError | null {
    if (this.#readEnd === 'finished') return 0
    if (this.#readEnd !== null) return this.#readEnd
    let got: [number, boolean] | null
    try {
      got = this.#owner.native.streamRecv(this.id, into)
    } catch (error) {
      if (nativeErrorName(error) === 'StreamReset') {
        const reset = new CodedError('stream-reset', 'the other side gave up this stream')
        this.#readEnd = reset
        this.#releaseIfOver()
        return reset
      }
      // `Done`, or `InvalidStreamState` while the engine has not heard of this stream: nothing yet.
      got = null
    }
    // What does not fill the buffer was all there is; the connection says when more has come.
    this.#mayHaveMore = got !== null && got[0] === into.length
    if (got === null) return this.#owner.ended ? connectionLost() : null
    const [count, finished] = got
    if (count > 0) this.#owner.wantsFlush(count)
    if (finished) {
      this.#readEnd = 'finished'
      this.#releaseIfOver()
      return count
    }
    return count === 0 ? null : count
  }

  #hold(bytes: Uint8Array): void {
    this.#held = Uint8Array.from(bytes)
    this.#heldTurn = this.#owner.turn
    this.#owner.wantsToWrite(this)
  }

  #finished(taken: number): { readonly taken: number; readonly waiting: false } {
    this.#writeEnd = 'finished'
    this.#releaseIfOver()
    return { taken, waiting: false }
  }

  /** An end without bytes only when it can be sent at once. */
  #maySendEnd(): boolean {
    try {
      return this.#owner.native.streamCapacity(this.id) > 0
    } catch {
      // Nothing was ever sent on it: its beginning is its end.
      return true
    }
  }

  /** @returns null = not now, or never: then the write side has ended */
  #send(bytes: Uint8Array, finish: boolean): number | null {
    const { native } = this.#owner
    try {
      const taken = native.streamSend(this.id, bytes, finish)
      this.written += taken ?? 0
      // A stream that the engine has already forgotten, because the peer gave it up, takes nothing either: asking tells the difference.
      if (taken === null) native.streamCapacity(this.id)
      return taken
    } catch (error) {
      const name = nativeErrorName(error)
      if (name === 'Done') return null
      if (name === 'StreamLimit') this.#owner.exhausted()
      else this.#endWriting(new CodedError('stream-reset', 'the other side does not want this stream any more'))
      this.#releaseIfOver()
      return null
    }
  }

  #endReading(error: CodedError): void {
    this.#readEnd ??= error
    const reader = this.#reader
    this.#reader = null
    reader?.reject(error)
  }

  #endWriting(error: CodedError): void {
    this.#writeEnd ??= error
    this.#held = NOTHING
    const writer = this.#writer
    this.#writer = null
    writer?.reject(error)
  }

  #releaseIfOver(): void {
    if (this.#readEnd !== null && this.#writeEnd !== null) this.#release(false)
  }

  #release(givenUp: boolean): void {
    if (this.#released) return
    this.#released = true
    this.#owner.released(this, givenUp)
  }
}

function connectionLost(): CodedError {
  return new CodedError('connection-lost', 'the connection to the peer is gone')
}

function attempt(action: () => void): void {
  try {
    action()
  } catch {
    // Said where it is called: there was nothing to do.
  }
}
