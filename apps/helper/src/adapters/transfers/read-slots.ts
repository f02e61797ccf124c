import { CodedError, MAX_READ_BYTES } from '@harddrive-party/protocol'
import { givePart, isPart, takePart } from '../system/part-memory.ts'

/** Bounds how many of something are used at once, first come first served. Knows nothing of what they are. */
export class Slots {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  /** Resolves when one is ours; give it back with `release`. @throws CodedError `aborted` */
  async acquire(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new CodedError('aborted', 'stopped')
    if (this.#free > 0) {
      this.#free--
      return
    }
    await new Promise<void>((resolve, reject) => {
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(take), 1)
        reject(new CodedError('aborted', 'stopped'))
      }
      const take = () => {
        signal.removeEventListener('abort', abort)
        resolve()
      }
      signal.addEventListener('abort', abort, { once: true })
      this.#waiting.push(take)
    })
  }

  release(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free++
    else next()
  }
}

/** Buffers of MAX_READ_BYTES that are used again and again; at most `count` of them exist. */
export class BufferPool {
  readonly #slots: Slots
  #spare: Uint8Array[] = []

  constructor(count: number) {
    this.#slots = new Slots(count)
  }

  /** A buffer of exactly this many bytes, at most MAX_READ_BYTES; its content is left over from earlier. */
  async acquire(length: number, signal: AbortSignal): Promise<Uint8Array> {
    await this.#slots.acquire(signal)
    // A small file should not cost a large buffer; one taken from the pool is cut to what is wanted.
    if (length <= MAX_READ_BYTES / 16) return Buffer.allocUnsafe(length)
    const buffer = takePart() ?? this.#spare.pop() ?? Buffer.allocUnsafeSlow(MAX_READ_BYTES)
    return buffer.subarray(0, length)
  }

  release(bytes: Uint8Array): void {
    if (isPart(bytes)) givePart(bytes)
    else if (bytes.buffer.byteLength === MAX_READ_BYTES && bytes.byteOffset === 0) this.#spare.push(new Uint8Array(bytes.buffer))
    this.#slots.release()
  }

  /** Gives spare memory back when nothing runs. */
  shrink(): void {
    this.#spare = []
  }
}
