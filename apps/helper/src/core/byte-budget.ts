/** So many bytes at once, then so many per second: the bound on work that costs its asker nothing. Knows no clock; the time is given to it. */
export class ByteBudget {
  readonly #burst: number
  readonly #bytesPerSecond: number
  /** When everything taken so far will be paid for, in the caller's milliseconds. */
  #paidAt = -Infinity

  constructor(limits: { readonly burst: number; readonly bytesPerSecond: number }) {
    this.#burst = limits.burst
    this.#bytesPerSecond = limits.bytesPerSecond
  }

  /** Takes them in any case. @returns milliseconds to wait before they are used */
  take(now: number, bytes: number): number {
    this.#paidAt = Math.max(now, this.#paidAt) + this.#ms(bytes)
    return Math.max(0, this.#paidAt - this.#ms(this.#burst) - now)
  }

  /** Nothing is owed: a new one would be the same. */
  isFull(now: number): boolean {
    return this.#paidAt <= now
  }

  #ms(bytes: number): number {
    return (bytes * 1000) / this.#bytesPerSecond
  }
}
