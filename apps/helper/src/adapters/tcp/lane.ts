/** One TLS connection of the several that may carry a connection between two peers: takes frames out of what arrives, writes what its owner has to send. */
import type { TLSSocket } from 'node:tls'
import { encodeLaneHeader, type LaneFrame, LaneReader } from '@harddrive-party/protocol'

export interface LaneOwner {
  onFrame(lane: Lane, frame: LaneFrame): void
  onPayload(lane: Lane, frame: LaneFrame, piece: Uint8Array, at: number): void
  /** What to send now, as much as the lane should take at once; nothing when there is nothing. */
  nextFrames(lane: Lane): readonly LaneBatch[]
  /** Closed by either side, broken, or it carried nonsense (`broke`). Said once, unless we closed it. */
  onLaneEnd(lane: Lane, broke: boolean): void
}

export interface LaneBatch {
  readonly frame: LaneFrame
  readonly payload: Uint8Array
  readonly done: (() => void) | null
}

/** A goodbye that the other side does not fetch is forgotten after this. */
const LINGER_MS = 1_000


export class Lane {
  readonly number: number
  readonly socket: TLSSocket
  /** Reads that brought something, for liveness. */
  heard = 0
  readonly #owner: LaneOwner
  readonly #reader: LaneReader
  #scheduled = false
  #writing = false
  #writingSince = 0
  #over = false

  /** @param socket whose handshake is complete */
  constructor(number: number, socket: TLSSocket, owner: LaneOwner) {
    this.number = number
    this.socket = socket
    this.#owner = owner
    this.#reader = new LaneReader({
      onFrame: (frame) => {
        if (!this.#over) owner.onFrame(this, frame)
      },
      onPayload: (frame, piece, at) => {
        if (!this.#over) owner.onPayload(this, frame, piece, at)
      },
    })
    socket.on('data', (bytes: Buffer) => this.#take(bytes))
    socket.on('close', () => this.#end(false))
    // Breaks and ends of the other side are followed by `close`.
    socket.on('error', () => {})
    socket.on('end', () => socket.destroy())
  }

  /** Since when the system has not taken what it was given; null when there is nothing. */
  get stuckSince(): number | null {
    return this.#writing ? this.#writingSince : null
  }

  /** There is something to send. */
  wake(): void {
    if (this.#scheduled || this.#writing || this.#over) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  /** Says last words and closes. */
  close(last: LaneFrame | null): void {
    if (this.#over) return
    this.#over = true
    const { socket } = this
    if (last === null || socket.destroyed) return void socket.destroy()
    socket.resume()
    socket.end(encodeLaneHeader(last))
    const linger = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.once('close', () => clearTimeout(linger))
  }

  #take(bytes: Buffer): void {
    if (this.#over) return
    this.heard++
    if (this.#reader.take(bytes) !== null) this.#end(true)
  }

  #pump(): void {
    if (this.#over || this.#writing) return
    this.put(this.#owner.nextFrames(this))
  }

  /** To be called with what the owner has only while nothing is being written. */
  put(frames: readonly LaneBatch[]): void {
    const last = frames.at(-1)
    if (last === undefined) return
    this.#writing = true
    this.#writingSince = performance.now()
    const { socket } = this
    socket.cork()
    for (const batch of frames) {
      const header = encodeLaneHeader(batch.frame)
      if (batch === last && batch.payload.length === 0) socket.write(header, () => this.#written(frames))
      else socket.write(header)
      if (batch.payload.length === 0) continue
      if (batch === last) socket.write(batch.payload, () => this.#written(frames))
      else socket.write(batch.payload)
    }
    socket.uncork()
  }

  #written(frames: readonly LaneBatch[]): void {
    this.#writing = false
    for (const { done } of frames) done?.()
    this.wake()
  }

  #end(broke: boolean): void {
    if (this.#over) return
    this.#over = true
    this.socket.destroy()
    this.#owner.onLaneEnd(this, broke)
  }
}
