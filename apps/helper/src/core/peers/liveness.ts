/** Decides when to ask whether a peer is still there and when to give it up. Pure; what a ping is, its owner knows. */
import type { Machine } from '../machine.ts'

export type LivenessInput =
  /** @param received packets from the peer that have proved to be its own, counted since the start */
  | { readonly type: 'tick'; readonly received: number }
  | { readonly type: 'busy'; readonly busy: boolean }
  /** There is a reason to think that it may be gone: until it is heard, it is asked as often as a busy one. */
  | { readonly type: 'doubt'; readonly received: number }

export type LivenessEffect = { readonly type: 'ping' } | { readonly type: 'dead' }

/**
 * With {@link MISSES} a silent death is noticed within five of these: the one in which it happens, three with pings that nobody answers,
 * and the last answer's. That is 4 s while a transfer runs and 25 s else.
 */
const BUSY_INTERVAL_MS = 800
const IDLE_INTERVAL_MS = 5000

/** Pings without any answer: three, so that one or two lost ones kill nobody. Counted, so that our own standstill counts once. */
const MISSES = 3

export class Liveness implements Machine<LivenessInput, LivenessEffect> {
  deadline: number | undefined
  #usual = IDLE_INTERVAL_MS
  #doubted = false
  #received = 0
  #misses = 0

  constructor(now: number) {
    this.deadline = now + this.#usual
  }

  get #interval(): number {
    return this.#doubted ? BUSY_INTERVAL_MS : this.#usual
  }

  step(now: number, input: LivenessInput): LivenessEffect[] {
    if (this.deadline === undefined) return []
    if (input.type === 'busy') {
      this.#usual = input.busy ? BUSY_INTERVAL_MS : IDLE_INTERVAL_MS
      this.#misses = 0
      this.deadline = Math.min(this.deadline, now + this.#interval)
      return []
    }
    if (input.type === 'doubt') {
      this.#doubted = true
      this.#received = input.received
      this.#misses = 0
      this.deadline = Math.min(this.deadline, now + BUSY_INTERVAL_MS)
      return [{ type: 'ping' }]
    }
    if (now < this.deadline) return []
    if (input.received > this.#received) this.#doubted = false
    this.deadline = now + this.#interval
    if (input.received > this.#received) {
      this.#received = input.received
      this.#misses = 0
      return this.#usual === IDLE_INTERVAL_MS ? [{ type: 'ping' }] : []
    }
    if (this.#misses === MISSES) {
      this.deadline = undefined
      return [{ type: 'dead' }]
    }
    this.#misses++
    return [{ type: 'ping' }]
  }
}
