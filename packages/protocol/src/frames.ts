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

/**
 * Cuts frames out of chunks as they arrive. After a fault it stays failed: the boundary of the next frame is lost.
 * It holds at most one unfinished frame and allocates only what has arrived, whatever length was claimed.
 */
export class FrameReader {
  /** The limit for frames not begun yet; it may be changed between frames, as the protocol says what may come next. */
  maxBytes: number
  #pending: Uint8Array = new Uint8Array(0)
  #failed: Fault<'too-large'> | undefined

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** @returns the bodies completed by this chunk, in order; `too-large` when a claimed length is above the limit */
  push(chunk: Uint8Array): Result<Uint8Array[], Fault<'too-large'>> {
    if (this.#failed) return { ok: false, error: this.#failed }
    const bodies: Uint8Array[] = []
    let bytes = this.#pending.length === 0 ? chunk : join(this.#pending, chunk)
    while (bytes.length >= FRAME_PREFIX_BYTES) {
      const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
      if (length > this.maxBytes) {
        const refused = refuse('too-large', `a frame of ${length} bytes where at most ${this.maxBytes} are allowed`)
        this.#failed = refused.error
        this.#pending = new Uint8Array(0)
        return refused
      }
      if (bytes.length < FRAME_PREFIX_BYTES + length) break
      bodies.push(bytes.slice(FRAME_PREFIX_BYTES, FRAME_PREFIX_BYTES + length))
      bytes = bytes.subarray(FRAME_PREFIX_BYTES + length)
    }
    // A copy: the caller may use its chunk again.
    this.#pending = Uint8Array.from(bytes)
    return succeed(bodies)
  }

  /** Whether the stream may end here: nothing of an unfinished frame is waiting. */
  get atBoundary(): boolean {
    return this.#pending.length === 0
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length)
  whole.set(a)
  whole.set(b, a.length)
  return whole
}
