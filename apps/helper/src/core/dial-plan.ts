import { HANDSHAKE_TIMEOUT_MS, addressScope, formatEndpoint } from '@harddrive-party/protocol'
import type { Endpoint, ErrorCode, Fault } from '@harddrive-party/protocol'
import type { Machine } from './machine.ts'

/**
 * Decides in which order, and when, the addresses of one peer are tried: the nearest first, each next one a little later, the first to succeed
 * ends the rest. It does not decide whether or when to try again.
 */

/** Head start of each attempt over the next: long enough for a near peer to win alone, short enough not to be felt (RFC 8305 §5). */
export const ATTEMPT_STAGGER_MS = 250

/** Addresses tried for one peer: what a hello may carry, doubled for what we remember ourselves. */
export const MAX_DIAL_ADDRESSES = 32

export type DialInput =
  | { readonly type: 'start' }
  | { readonly type: 'attempt-succeeded'; readonly attempt: number }
  | { readonly type: 'attempt-failed'; readonly attempt: number; readonly fault: Fault<ErrorCode> }
  | { readonly type: 'abort' }
  | { readonly type: 'tick' }

export type DialEffect =
  | { readonly type: 'attempt'; readonly attempt: number; readonly endpoint: Endpoint }
  | { readonly type: 'abort-attempt'; readonly attempt: number }
  | { readonly type: 'succeeded'; readonly attempt: number; readonly endpoint: Endpoint }
  | { readonly type: 'failed'; readonly fault: Fault<ErrorCode> }

/** Which failure tells a person most, when attempts failed in different ways: what the peer itself said comes first. */
const TELLING: readonly ErrorCode[] = ['blocked', 'refused', 'wrong-identity', 'busy', 'no-transport', 'timed-out', 'connection-lost', 'unreachable']

export class DialPlan implements Machine<DialInput, DialEffect> {
  readonly #endpoints: readonly Endpoint[]
  /** Running attempts and when each has taken too long. */
  readonly #running = new Map<number, number>()
  #faults: Fault<ErrorCode>[] = []
  #next = 0
  #nextAt: number | undefined
  #ended = false

  constructor(addresses: readonly Endpoint[]) {
    this.#endpoints = orderEndpoints(addresses)
  }

  get deadline(): number | undefined {
    if (this.#ended) return undefined
    let earliest = this.#nextAt
    for (const at of this.#running.values()) if (earliest === undefined || at < earliest) earliest = at
    return earliest
  }

  step(now: number, input: DialInput): DialEffect[] {
    if (this.#ended) return []
    const effects: DialEffect[] = []
    switch (input.type) {
      case 'start':
        this.#nextAt = now
        break
      case 'attempt-succeeded': {
        const endpoint = this.#endpoints[input.attempt]
        if (endpoint === undefined || !this.#running.delete(input.attempt)) return []
        return [...this.#end(), { type: 'succeeded', attempt: input.attempt, endpoint }]
      }
      case 'attempt-failed':
        if (!this.#running.delete(input.attempt)) return []
        this.#faults.push(input.fault)
        // Nothing to wait for any more: the next one may go.
        if (this.#next < this.#endpoints.length) this.#nextAt = now
        break
      case 'abort':
        return this.#end()
      case 'tick':
        for (const [attempt, until] of this.#running) {
          if (until > now) continue
          this.#running.delete(attempt)
          this.#faults.push({ code: 'timed-out', message: 'no answer' })
          effects.push({ type: 'abort-attempt', attempt })
        }
    }
    this.#proceed(now, effects)
    return effects
  }

  #proceed(now: number, effects: DialEffect[]): void {
    const endpoint = this.#endpoints[this.#next]
    if (endpoint !== undefined && this.#nextAt !== undefined && this.#nextAt <= now) {
      const attempt = this.#next++
      this.#running.set(attempt, now + HANDSHAKE_TIMEOUT_MS)
      this.#nextAt = this.#next < this.#endpoints.length ? now + ATTEMPT_STAGGER_MS : undefined
      effects.push({ type: 'attempt', attempt, endpoint })
    }
    if (this.#running.size > 0 || this.#next < this.#endpoints.length) return
    this.#ended = true
    effects.push({ type: 'failed', fault: summarise(this.#endpoints, this.#faults) })
  }

  #end(): DialEffect[] {
    this.#ended = true
    const effects: DialEffect[] = []
    for (const attempt of this.#running.keys()) effects.push({ type: 'abort-attempt', attempt })
    this.#running.clear()
    return effects
  }
}

/** Nearest first, since a near path is the fastest and costs least to try: this machine, this network, IPv6, IPv4; without repetitions. */
export function orderEndpoints(addresses: readonly Endpoint[]): Endpoint[] {
  const distinct = new Map<string, Endpoint>()
  for (const endpoint of addresses) {
    const key = formatEndpoint(endpoint)
    if (!distinct.has(key)) distinct.set(key, endpoint)
  }
  return [...distinct.values()].toSorted((a, b) => distance(a) - distance(b)).slice(0, MAX_DIAL_ADDRESSES)
}

function distance({ host }: Endpoint): number {
  const scope = addressScope(host)
  if (scope === 'loopback') return 0
  if (scope === 'private' || scope === 'link-local') return 1
  return host.includes(':') ? 2 : 3
}

function summarise(endpoints: readonly Endpoint[], faults: readonly Fault<ErrorCode>[]): Fault<ErrorCode> {
  if (endpoints.length === 0) return { code: 'unreachable', message: 'no address of this peer is known' }
  const code = TELLING.find((candidate) => faults.some((fault) => fault.code === candidate)) ?? faults[0]?.code ?? 'unreachable'
  if (code === 'timed-out' || code === 'unreachable') {
    return { code, message: endpoints.length === 1 ? 'no answer from its address' : `no answer from any of its ${endpoints.length} addresses` }
  }
  return { code, message: faults.find((fault) => fault.code === code)?.message ?? 'it could not be reached' }
}
