/** Measures bytes per second over the last seconds. Decides nothing else; time comes in as `now`. */

/** Long enough to be steady under bursts of whole chunks, short enough to show a stall. */
const WINDOW_MS = 5_000
const SLOT_MS = 250
const SLOTS = WINDOW_MS / SLOT_MS

export class RateMeter {
  readonly #slots = new Float64Array(SLOTS)
  /** Number of the newest slot, counted from time 0. */
  #newest: number | undefined
  #startedAt = 0
  #sum = 0

  /** @param now milliseconds of a monotonic clock */
  add(now: number, bytes: number): void {
    this.#advance(now)
    const slot = (this.#newest ?? 0) % SLOTS
    this.#slots[slot] = (this.#slots[slot] ?? 0) + bytes
    this.#sum += bytes
  }

  /** Bytes per second; 0 before anything was added and after a whole silent window. */
  rate(now: number): number {
    if (this.#newest === undefined) return 0
    this.#advance(now)
    if (this.#sum <= 0) return 0
    // The newest slot is only as old as it is.
    const spanMs = Math.max(SLOT_MS, Math.min(WINDOW_MS - SLOT_MS + (now % SLOT_MS), now - this.#startedAt))
    return (this.#sum * 1000) / spanMs
  }

  #advance(now: number): void {
    const slot = Math.floor(now / SLOT_MS)
    if (this.#newest === undefined || slot - this.#newest >= SLOTS) {
      this.#slots.fill(0)
      this.#sum = 0
      this.#startedAt = now
      this.#newest = slot
      return
    }
    while (this.#newest < slot) {
      this.#newest++
      const oldest = this.#newest % SLOTS
      this.#sum -= this.#slots[oldest] ?? 0
      this.#slots[oldest] = 0
    }
  }
}
