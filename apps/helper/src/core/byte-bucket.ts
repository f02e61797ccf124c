/** A limit in bytes per second with a burst: no more passes in any time than rate x time + burst. Knows no clock; the time is given to it. */
export class ByteBucket {
  #rate: number
  #burst: number
  #level: number
  #at: number

  /** @param rate bytes per second, above 0 @param now when it is full */
  constructor(rate: number, burst: number, now: number) {
    this.#rate = rate
    this.#burst = burst
    this.#level = burst
    this.#at = now
  }

  /** What has gathered stays, up to the new burst. */
  set(rate: number, burst: number, now: number): void {
    this.#refill(now)
    this.#rate = rate
    this.#burst = burst
    this.#level = Math.min(this.#level, burst)
  }

  /** When so many bytes may pass: `now` if they may. More than the burst pass when it is full, and are paid for afterwards. */
  readyAt(bytes: number, now: number): number {
    this.#refill(now)
    const missing = Math.min(bytes, this.#burst) - this.#level
    // What rounding took from the level must not make anybody wait for ever.
    return missing <= ROUNDING_BYTES ? now : now + (missing * 1000) / this.#rate
  }

  take(bytes: number, now: number): void {
    this.#refill(now)
    this.#level -= bytes
  }

  #refill(now: number): void {
    if (now <= this.#at) return
    this.#level = Math.min(this.#burst, this.#level + ((now - this.#at) * this.#rate) / 1000)
    this.#at = now
  }
}

const ROUNDING_BYTES = 0.001
