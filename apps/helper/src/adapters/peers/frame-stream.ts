import { CodedError } from '@harddrive-party/protocol'
import { copyBytes } from '../system/part-memory.ts'
import type { PeerStream } from './transport.ts'

/**
 * Length-prefixed frames (4 bytes, big-endian, then the body) and raw bytes on one stream, in any order that the protocol says.
 * Knows nothing of what is in a frame.
 */
export class FrameStream {
  readonly stream: PeerStream
  /** Bytes read from the stream and not yet taken: `pending[from..to)`. */
  #pending = new Uint8Array(16 * 1024)
  #from = 0
  #to = 0

  constructor(stream: PeerStream) {
    this.stream = stream
  }

  /**
   * The next frame's body, or null when the peer finished before the first byte of one.
   * @param maxBytes the limit for what may legally come next
   * @throws CodedError `too-large`, `bad-answer` (cut short), and what `PeerStream.read` throws
   */
  async readFrame(maxBytes: number): Promise<Uint8Array | null> {
    const prefix = new Uint8Array(4)
    const got = await this.readExactly(prefix)
    if (got === 0) return null
    if (got < 4) throw new CodedError('bad-answer', 'the stream ended inside a frame')
    const length = new DataView(prefix.buffer).getUint32(0)
    if (length > maxBytes) throw new CodedError('too-large', `a frame of ${length} bytes where at most ${maxBytes} are allowed`)
    const body = new Uint8Array(length)
    if ((await this.readExactly(body)) < length) throw new CodedError('bad-answer', 'the stream ended inside a frame')
    return body
  }

  /** Fills `into` completely unless the peer finishes first. @returns how many bytes were filled */
  async readExactly(into: Uint8Array): Promise<number> {
    let filled = 0
    while (filled < into.length) {
      if (this.#from < this.#to) {
        const take = Math.min(into.length - filled, this.#to - this.#from)
        copyBytes(this.#pending.subarray(this.#from, this.#from + take), into, filled)
        this.#from += take
        filled += take
        continue
      }
      // Large reads go straight into the caller's buffer; small ones through ours, so that a frame costs one read.
      const direct = into.length - filled >= this.#pending.length
      const count = await this.stream.read(direct ? into.subarray(filled) : this.#pending)
      if (count === 0) return filled
      if (direct) filled += count
      else {
        this.#from = 0
        this.#to = count
      }
    }
    return filled
  }

  /** @param body an encoded message, without its prefix */
  async writeFrame(body: Uint8Array): Promise<void> {
    const frame = new Uint8Array(4 + body.length)
    new DataView(frame.buffer).setUint32(0, body.length)
    frame.set(body, 4)
    await this.stream.write(frame)
  }
}
