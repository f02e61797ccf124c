/** Decides how many bytes one connection may send now, so that a burst does not overflow a queue on the way. Pure: time and figures come in. */

/** What congestion control says, as read from the engine. */
export interface PathFigures {
  /** Whole milliseconds. */
  readonly rttMs: number
  /** Bytes. */
  readonly cwnd: number
  /** Bytes per millisecond, see NativeConnection.sendQuantum. */
  readonly quantum: number
}

/** When the shortest round-trip time seen is below this there is no queue worth protecting, and a timer of 1 ms would be the bottleneck. */
const MIN_RTT_MS = 2

/** Above 60 MB/s our own CPU paces. */
const MAX_RATE = 60_000

/** Within these the engine's quantum is its pacing rate; outside it is a constant and says nothing. */
const MIN_QUANTUM = 3000
const MAX_QUANTUM = 64_000

/** A little more than the measured rate, else the rate could never grow. */
const GAIN = 1.25

/** A timer may come late by this much without a loss of speed. */
const BURST_MS = 4

/** At least the initial window: the first flight is never held back. */
const MIN_BURST_BYTES = 10 * 1350

export class Pacer {
  /** Bytes per millisecond, Infinity = unpaced. */
  #rate = Number.POSITIVE_INFINITY
  #tokens = MIN_BURST_BYTES
  #at = 0
  #shortestRttMs = Number.POSITIVE_INFINITY
  readonly #loopback: boolean

  /** @param loopback within one machine nothing is paced: its round-trip time is our own CPU's */
  constructor(loopback: boolean) {
    this.#loopback = loopback
  }

  /** Bytes per millisecond. */
  get rate(): number {
    return this.#rate
  }

  /** To be called now and then, every few milliseconds while sending. */
  update({ rttMs, cwnd, quantum }: PathFigures): void {
    const byWindow = (GAIN * cwnd) / Math.max(rttMs, 1)
    const rate = quantum > MIN_QUANTUM && quantum < MAX_QUANTUM ? GAIN * quantum : byWindow
    this.#shortestRttMs = Math.min(this.#shortestRttMs, rttMs)
    this.#rate = this.#loopback || this.#shortestRttMs < MIN_RTT_MS || rate > MAX_RATE ? Number.POSITIVE_INFINITY : rate
  }

  /** @returns how many bytes may be sent now; one packet more than the rest is fine */
  available(now: number): number {
    if (this.#rate === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY
    this.#tokens = Math.min(this.#tokens + (now - this.#at) * this.#rate, Math.max(MIN_BURST_BYTES, BURST_MS * this.#rate))
    this.#at = now
    return this.#tokens
  }

  sent(bytes: number): void {
    if (this.#rate !== Number.POSITIVE_INFINITY) this.#tokens -= bytes
  }
}
