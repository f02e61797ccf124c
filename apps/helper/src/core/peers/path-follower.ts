/**
 * Decides when to send to another address of a peer than before. Pure. A packet proves who wrote it, not where its writer is:
 * a copy of it can be sent from anywhere. So a new address is only a candidate until it has echoed a probe that only the peer can answer.
 */
import type { Endpoint } from '@harddrive-party/protocol'
import type { Machine } from '../machine.ts'

export type PathInput =
  /** A packet of the peer's own came from an address that is not {@link PathFollower.current}. `nonce`: fresh random bytes. */
  | { readonly type: 'heard'; readonly from: Endpoint; readonly nonce: Uint8Array }
  /** An echo under the connection's keys. */
  | { readonly type: 'echo'; readonly from: Endpoint; readonly nonce: Uint8Array }
  /** A probe under the connection's keys: somebody who is our peer wants to know whether we are where it thinks. */
  | { readonly type: 'probe'; readonly from: Endpoint; readonly nonce: Uint8Array }
  | { readonly type: 'tick' }

export type PathEffect =
  | { readonly type: 'send-probe'; readonly to: Endpoint; readonly nonce: Uint8Array }
  | { readonly type: 'send-echo'; readonly to: Endpoint; readonly nonce: Uint8Array }
  | { readonly type: 'follow'; readonly to: Endpoint }

interface Candidate {
  readonly endpoint: Endpoint
  readonly nonce: Uint8Array
  probes: number
  nextAt: number
}

/** Addresses under examination at once: forged ones may fill some places, but places come free within a second. */
const MAX_CANDIDATES = 4

/** A probe can be lost like any datagram. */
const PROBES_PER_CANDIDATE = 4
const PROBE_INTERVAL_MS = 250

/** Probes, and echoes, per second at most: both go to addresses that somebody else chose. */
const PER_SECOND = 20

/** Packets that were on their way while the peer moved must not lead us back. */
const LEFT_BEHIND_MS = 3000

export class PathFollower implements Machine<PathInput, PathEffect> {
  deadline: number | undefined
  #current: Endpoint
  #left: { readonly endpoint: Endpoint; readonly until: number } | null = null
  #candidates: Candidate[] = []
  readonly #probes: Budget = { left: PER_SECOND, since: 0 }
  readonly #echoes: Budget = { left: PER_SECOND, since: 0 }

  constructor(current: Endpoint) {
    this.#current = current
  }

  /** Where to send to. */
  get current(): Endpoint {
    return this.#current
  }

  step(now: number, input: PathInput): PathEffect[] {
    switch (input.type) {
      case 'heard':
        this.#consider(now, input.from, input.nonce)
        break
      case 'probe':
        return spend(this.#echoes, now) ? [{ type: 'send-echo', to: input.from, nonce: input.nonce }] : []
      case 'echo':
        return this.#follow(now, input.from, input.nonce)
      case 'tick':
        break
    }
    return this.#probe(now)
  }

  #consider(now: number, from: Endpoint, nonce: Uint8Array): void {
    if (sameEndpoint(from, this.#current) || this.#candidates.length >= MAX_CANDIDATES) return
    if (this.#left !== null && now < this.#left.until && sameEndpoint(from, this.#left.endpoint)) return
    if (this.#candidates.some(({ endpoint }) => sameEndpoint(endpoint, from))) return
    this.#candidates.push({ endpoint: from, nonce, probes: 0, nextAt: now })
  }

  #probe(now: number): PathEffect[] {
    const effects: PathEffect[] = []
    this.#candidates = this.#candidates.filter(({ probes, nextAt }) => probes < PROBES_PER_CANDIDATE || now < nextAt)
    for (const candidate of this.#candidates) {
      if (now < candidate.nextAt || candidate.probes === PROBES_PER_CANDIDATE) continue
      candidate.nextAt = now + PROBE_INTERVAL_MS
      candidate.probes++
      if (spend(this.#probes, now)) effects.push({ type: 'send-probe', to: candidate.endpoint, nonce: candidate.nonce })
    }
    this.#setDeadline()
    return effects
  }

  #follow(now: number, from: Endpoint, nonce: Uint8Array): PathEffect[] {
    const found = this.#candidates.find((candidate) => sameEndpoint(candidate.endpoint, from) && sameBytes(candidate.nonce, nonce))
    if (found === undefined) return []
    this.#left = { endpoint: this.#current, until: now + LEFT_BEHIND_MS }
    this.#current = found.endpoint
    this.#candidates = []
    this.deadline = undefined
    return [{ type: 'follow', to: found.endpoint }]
  }

  #setDeadline(): void {
    this.deadline = this.#candidates.length === 0 ? undefined : Math.min(...this.#candidates.map(({ nextAt }) => nextAt))
  }
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.host === b.host
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

interface Budget {
  left: number
  since: number
}

function spend(budget: Budget, now: number): boolean {
  if (now - budget.since >= 1000) {
    budget.since = now
    budget.left = PER_SECOND
  }
  if (budget.left === 0) return false
  budget.left--
  return true
}
