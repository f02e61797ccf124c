import { type Fault, type Result, refuse, succeed } from './result.ts'

/** Length-prefixed frames over any stream of bytes: four bytes of length, big-endian, then the body. Knows nothing of what is in a body. */

export const FRAME_PREFIX_BYTES = 4

/** @param body an encoded message */
export function encodeFrame(body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_PREFIX_BYTES + body.length)
  new DataView(frame.buffer).setUint32(0, body.length)
  frame.set(body, FRAME_PREFIX_BYTES)
  return frame
}

/** What is kept at first; it doubles as bytes arrive, so that a frame in single bytes costs no more than one in a piece. */
const FIRST_CAPACITY = 4096

/**
 * Cuts frames out of chunks as they arrive. After a fault it stays failed: the boundary of the next frame is lost.
 * It holds at most one unfinished frame and allocates only for what has arrived, whatever length was claimed.
 */
export class FrameReader {
  /** The limit for frames whose length has not arrived yet; it may change between frames, as the protocol says what may come next. */
  maxBytes: number
  #buffer = new Uint8Array(0)
  #size = 0
  #failed: Fault<'too-large'> | undefined

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** @param chunk copied @returns the bodies completed by this chunk, in order; `too-large` when a claimed length is above the limit */
  push(chunk: Uint8Array): Result<Uint8Array[], Fault<'too-large'>> {
    if (this.#failed) return { ok: false, error: this.#failed }
    this.#append(chunk)
    const bodies: Uint8Array[] = []
    const view = new DataView(this.#buffer.buffer)
    let at = 0
    while (this.#size - at >= FRAME_PREFIX_BYTES) {
      const length = view.getUint32(at)
      if (length > this.maxBytes) return this.#fail(length)
      const end = at + FRAME_PREFIX_BYTES + length
      if (end > this.#size) break
      bodies.push(this.#buffer.slice(at + FRAME_PREFIX_BYTES, end))
      at = end
    }
    this.#drop(at)
    return succeed(bodies)
  }

  /** Whether the stream may end here: nothing of an unfinished frame is waiting. */
  get atBoundary(): boolean {
    return this.#size === 0
  }

  #append(chunk: Uint8Array): void {
    const size = this.#size + chunk.length
    if (size > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(size, this.#buffer.length * 2, FIRST_CAPACITY))
      larger.set(this.#buffer.subarray(0, this.#size))
      this.#buffer = larger
    }
    this.#buffer.set(chunk, this.#size)
    this.#size = size
  }

  #drop(count: number): void {
    this.#buffer.copyWithin(0, count, this.#size)
    this.#size -= count
    // Nothing large is kept for a stream that is quiet.
    if (this.#size === 0 && this.#buffer.length > FIRST_CAPACITY) this.#buffer = new Uint8Array(0)
  }

  #fail(length: number) {
    const refused = refuse('too-large', `a frame of ${length} bytes where at most ${this.maxBytes} are allowed`)
    this.#failed = refused.error
    this.#buffer = new Uint8Array(0)
    this.#size = 0
    return refused
  }
}
