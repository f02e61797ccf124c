import { CodedError, MAX_READ_BYTES } from '@harddrive-party/protocol'
import { BufferShares } from '../../core/transfers/buffer-shares.ts'
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

interface Holding {
  readonly owner: string
  readonly takenAt: number
}

/** Buffers of MAX_READ_BYTES that are used again and again; at most `count` of them exist. Who gets the next one is decided by `BufferShares`. */
export class BufferPool {
  readonly #shares: BufferShares
  readonly #now: () => number
  readonly #waiting: { readonly owner: string; readonly take: () => void }[] = []
  readonly #holdings = new Map<Uint8Array, Holding>()
  #spare: Uint8Array[] = []

  constructor(count: number, now = () => performance.now()) {
    this.#shares = new BufferShares(count)
    this.#now = now
  }

  /**
   * A buffer of exactly this many bytes, at most MAX_READ_BYTES; its content is left over from earlier.
   * @param owner the peer that is to fill it
   * @throws CodedError `aborted`
   */
  async acquire(length: number, owner: string, signal: AbortSignal): Promise<Uint8Array> {
    if (signal.aborted) throw new CodedError('aborted', 'stopped')
    if (this.#shares.mayTake(owner)) this.#shares.take(owner)
    else await this.#wait(owner, signal)
    const bytes = this.#allocate(length)
    this.#holdings.set(bytes, { owner, takenAt: this.#now() })
    return bytes
  }

  /** @param bytes what `acquire` gave, once */
  release(bytes: Uint8Array): void {
    const holding = this.#holdings.get(bytes)
    if (holding === undefined) return
    this.#holdings.delete(bytes)
    if (isPart(bytes)) givePart(bytes)
    else if (bytes.buffer.byteLength === MAX_READ_BYTES && bytes.byteOffset === 0) this.#spare.push(new Uint8Array(bytes.buffer))
    this.#shares.release(holding.owner, this.#now() - holding.takenAt)
    this.#serve()
  }

  /** Gives spare memory back when nothing runs. */
  shrink(): void {
    this.#spare = []
    this.#shares.forgetIdle()
  }

  #allocate(length: number): Uint8Array {
    // A small file should not cost a large buffer; one taken from the pool is cut to what is wanted.
    if (length <= MAX_READ_BYTES / 16) return Buffer.allocUnsafe(length)
    const buffer = takePart() ?? this.#spare.pop() ?? Buffer.allocUnsafeSlow(MAX_READ_BYTES)
    return buffer.subarray(0, length)
  }

  async #wait(owner: string, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const waiter = {
        owner,
        take: () => {
          signal.removeEventListener('abort', abort)
          resolve()
        },
      }
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        reject(new CodedError('aborted', 'stopped'))
      }
      signal.addEventListener('abort', abort, { once: true })
      this.#waiting.push(waiter)
    })
  }

  /** Those who have none come first, otherwise who has waited longest. */
  #serve(): void {
    for (;;) {
      const none = this.#waiting.findIndex(({ owner }) => this.#shares.held(owner) === 0 && this.#shares.mayTake(owner))
      const index = none === -1 ? this.#waiting.findIndex(({ owner }) => this.#shares.mayTake(owner)) : none
      const [next] = index === -1 ? [] : this.#waiting.splice(index, 1)
      if (next === undefined) return
      this.#shares.take(next.owner)
      next.take()
    }
  }
}
