/** So many at once, then one in so long: the bound on what a peer may make us do. Knows no clock; the time is given to it. */
export class TokenBucket {
  readonly #burst: number
  readonly #intervalMs: number
  #tokens: number
  #at = -Infinity

  constructor(burst: number, intervalMs: number) {
    this.#burst = burst
    this.#intervalMs = intervalMs
    this.#tokens = burst
  }

  /** Uses one up, if there is one. */
  take(now: number): boolean {
    this.#refill(now)
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  /** When there will be one: `now` if there is. */
  nextAt(now: number): number {
    this.#refill(now)
    return this.#tokens >= 1 ? now : now + (1 - this.#tokens) * this.#intervalMs
  }

  #refill(now: number): void {
    if (now > this.#at) {
      this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) / this.#intervalMs)
      this.#at = now
    }
  }
}
