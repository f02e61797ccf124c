import { HANDSHAKE_TIMEOUT_MS, addressScope, formatEndpoint } from '@harddrive-party/protocol'
import type { Endpoint, ErrorCode, Fault, ReachCandidate } from '@harddrive-party/protocol'
import type { SortedCandidates } from './dial-candidates.ts'
import type { Machine } from '../machine.ts'

/**
 * Decides in which order, and when, the addresses of one peer are tried: the nearest first, each next one a little later, punching beside them once
 * they do not answer at once; the first to succeed ends the rest. It does not decide whether or when to try again.
 */

/** Head start of each attempt over the next: long enough for a near peer to win alone, short enough not to be felt (RFC 8305 §5). */
export const ATTEMPT_STAGGER_MS = 250

/** Addresses tried for one peer: what a hello may carry, doubled for what we remember ourselves. */
export const MAX_DIAL_ADDRESSES = 32

/** Head start of plain dialling over punching: an open, mapped or near peer answers within it, and costs no search. */
export const PUNCH_DELAY_MS = 300

/** Head start of QUIC over TCP: with both there QUIC is connected by then, and TCP joins it in its own time. */
export const TCP_DELAY_MS = 400

/** Addresses behind a NAT are dialled as they are only after this: by then both sides have knocked in a way that does no harm. */
export const LATE_DIAL_MS = 600

/** The whole takes no longer, whatever the single attempts do: a person waits for the outcome. */
export const MAX_DIALLING_MS = 14_000

export type DialInput =
  | { readonly type: 'start' }
  | { readonly type: 'attempt-succeeded'; readonly attempt: number }
  /** `patient`: punching goes on sparsely by itself, though there is nothing to wait for now. */
  | { readonly type: 'attempt-failed'; readonly attempt: number; readonly fault: Fault<ErrorCode>; readonly patient?: boolean }
  | { readonly type: 'abort' }
  | { readonly type: 'tick' }

export type DialEffect =
  /** `late`: what stands in front of it has been knocked at before. */
  | { readonly type: 'attempt'; readonly attempt: number; readonly candidate: ReachCandidate; readonly late?: boolean; readonly transport?: 'tcp' }
  /** Open a way through the NATs between us, and connect on it: an attempt like the others. */
  | { readonly type: 'punch'; readonly attempt: number; readonly candidates: readonly ReachCandidate[] }
  | { readonly type: 'abort-attempt'; readonly attempt: number }
  | { readonly type: 'succeeded'; readonly attempt: number }
  | { readonly type: 'failed'; readonly fault: Fault<ErrorCode>; readonly patient: boolean }

/** Which failure tells a person most, when attempts failed in different ways: what the peer itself said comes first. */
const TELLING: readonly ErrorCode[] = ['blocked', 'refused', 'wrong-identity', 'busy', 'no-transport', 'timed-out', 'connection-lost', 'unreachable']

/** These say only that nobody answered; punching knows better why. */
const SILENCE: readonly ErrorCode[] = ['timed-out', 'unreachable']

export class DialPlan implements Machine<DialInput, DialEffect> {
  readonly #candidates: readonly ReachCandidate[]
  /** From this one on they are dialled late. */
  readonly #lateFrom: number
  readonly #punchable: readonly ReachCandidate[]
  readonly #overTcp: readonly ReachCandidate[]
  #nextTcp = 0
  #tcpAt: number | undefined
  /** Running attempts and when each has taken too long. */
  readonly #running = new Map<number, number>()
  #faults: Fault<ErrorCode>[] = []
  #next = 0
  #nextAt: number | undefined
  #startedAt = 0
  /** Undefined once it has begun, or where nobody punches. */
  #punchAt: number | undefined
  #punchFault: Fault<ErrorCode> | undefined
  #patient = false
  #endAt: number | undefined
  #ended = false

  constructor({ dial, late, punch, tcp = [] }: SortedCandidates) {
    const early = orderCandidates(dial)
    this.#candidates = [...early, ...orderCandidates(late)].slice(0, MAX_DIAL_ADDRESSES)
    this.#lateFrom = early.length
    this.#punchable = orderCandidates(punch)
    this.#overTcp = orderCandidates(tcp)
  }

  get deadline(): number | undefined {
    if (this.#ended) return undefined
    let earliest: number | undefined
    for (const at of [this.#nextAt, this.#punchAt, this.#tcpAt, this.#endAt, ...this.#running.values()]) {
      if (at !== undefined && (earliest === undefined || at < earliest)) earliest = at
    }
    return earliest
  }

  step(now: number, input: DialInput): DialEffect[] {
    if (this.#ended) return []
    const effects: DialEffect[] = []
    switch (input.type) {
      case 'start':
        this.#startedAt = now
        if (this.#candidates.length > 0) this.#nextAt = this.#notBefore(now)
        this.#endAt = now + MAX_DIALLING_MS
        if (this.#overTcp.length > 0) this.#tcpAt = this.#candidates.length > 0 || this.#punchable.length > 0 ? now + TCP_DELAY_MS : now
        if (this.#punchable.length > 0) this.#punchAt = this.#lateFrom > 0 ? now + PUNCH_DELAY_MS : now
        break
      case 'attempt-succeeded':
        if (!this.#running.delete(input.attempt)) return []
        return [...this.#end(), { type: 'succeeded', attempt: input.attempt }]
      case 'attempt-failed':
        if (!this.#running.delete(input.attempt)) return []
        this.#patient ||= input.patient ?? false
        this.#failed(now, input.attempt, input.fault)
        break
      case 'abort':
        return this.#end()
      case 'tick':
        for (const [attempt, until] of this.#running) {
          if (until > now) continue
          this.#running.delete(attempt)
          this.#failed(now, attempt, { code: 'timed-out', message: 'no answer' })
          effects.push({ type: 'abort-attempt', attempt })
        }
        if (this.#endAt !== undefined && this.#endAt <= now) return [...effects, ...this.#end(), this.#failure()]
    }
    this.#proceed(now, effects)
    return effects
  }

  #notBefore(at: number): number {
    return this.#next < this.#lateFrom ? at : Math.max(at, this.#startedAt + LATE_DIAL_MS)
  }

  get #punchAttempt(): number {
    return this.#candidates.length
  }

  get #isTcpAlone(): boolean {
    return this.#candidates.length === 0 && this.#punchable.length === 0
  }

  #failed(now: number, attempt: number, fault: Fault<ErrorCode>): void {
    if (attempt === this.#punchAttempt) {
      this.#punchFault = fault
      return
    }
    if (attempt > this.#punchAttempt) {
      // What an answer over TCP was says something; that there was none, only that there is no such way.
      if (!SILENCE.includes(fault.code) || this.#isTcpAlone) this.#faults.push(fault)
      if (this.#nextTcp < this.#overTcp.length) this.#tcpAt = now
      return
    }
    this.#faults.push(fault)
    // Nothing to wait for any more: the next one may go.
    if (this.#next < this.#candidates.length) this.#nextAt = this.#notBefore(now)
    // What failed for good rather than by silence will do so on every way.
    else if (this.#running.size === 0 && this.#punchAt !== undefined) this.#punchAt = this.#faults.every(({ code }) => SILENCE.includes(code)) ? now : undefined
  }

  #proceed(now: number, effects: DialEffect[]): void {
    const candidate = this.#candidates[this.#next]
    if (candidate !== undefined && this.#nextAt !== undefined && this.#nextAt <= now) {
      const attempt = this.#next++
      this.#running.set(attempt, now + HANDSHAKE_TIMEOUT_MS)
      this.#nextAt = this.#next < this.#candidates.length ? this.#notBefore(now + ATTEMPT_STAGGER_MS) : undefined
      effects.push({ type: 'attempt', attempt, candidate, ...(attempt >= this.#lateFrom && { late: true }) })
    }
    if (this.#punchAt !== undefined && this.#punchAt <= now) {
      this.#punchAt = undefined
      this.#running.set(this.#punchAttempt, now + MAX_DIALLING_MS)
      effects.push({ type: 'punch', attempt: this.#punchAttempt, candidates: this.#punchable })
    }
    const overTcp = this.#overTcp[this.#nextTcp]
    if (overTcp !== undefined && this.#tcpAt !== undefined && this.#tcpAt <= now) {
      const attempt = this.#punchAttempt + 1 + this.#nextTcp++
      this.#running.set(attempt, now + HANDSHAKE_TIMEOUT_MS)
      this.#tcpAt = this.#nextTcp < this.#overTcp.length ? now + ATTEMPT_STAGGER_MS : undefined
      effects.push({ type: 'attempt', attempt, candidate: overTcp, transport: 'tcp' })
    }
    if (this.#running.size > 0 || this.#next < this.#candidates.length || this.#punchAt !== undefined || this.#tcpAt !== undefined) return
    this.#ended = true
    effects.push(this.#failure())
  }

  #end(): DialEffect[] {
    this.#ended = true
    const effects: DialEffect[] = []
    for (const attempt of this.#running.keys()) effects.push({ type: 'abort-attempt', attempt })
    this.#running.clear()
    return effects
  }

  #failure(): DialEffect {
    const fault = summarise(Math.max(this.#candidates.length, this.#punchable.length, this.#overTcp.length), this.#faults)
    const isSilence = SILENCE.includes(fault.code)
    return { type: 'failed', fault: isSilence ? (this.#punchFault ?? fault) : fault, patient: this.#patient && isSilence }
  }
}

/** Nearest first, since a near path is the fastest and costs least to try; without repetitions. */
export function orderCandidates(candidates: readonly ReachCandidate[]): ReachCandidate[] {
  const distinct = new Map<string, ReachCandidate>()
  for (const candidate of candidates) {
    const key = formatEndpoint(candidate.endpoint)
    const known = distinct.get(key)
    if (known === undefined) distinct.set(key, candidate)
    else if (distance(candidate) < distance(known)) distinct.set(key, candidate)
  }
  return [...distinct.values()].toSorted((a, b) => distance(a) - distance(b)).slice(0, MAX_DIAL_ADDRESSES)
}

/** This machine, this network, IPv6, a port that a router keeps open, and the rest of IPv4. */
function distance({ endpoint, source }: ReachCandidate): number {
  const scope = addressScope(endpoint.host)
  if (scope === 'loopback') return 0
  if (scope === 'private' || scope === 'link-local' || source === 'lan') return 1
  if (isIPv6(endpoint)) return 2
  return source === 'mapping' ? 3 : 4
}

function isIPv6({ host }: Endpoint): boolean {
  return host.includes(':')
}

function summarise(count: number, faults: readonly Fault<ErrorCode>[]): Fault<ErrorCode> {
  if (count === 0) return { code: 'unreachable', message: 'no address of this peer is known', detail: { code: 'no-address-known', values: {} } }
  const code = TELLING.find((candidate) => faults.some((fault) => fault.code === candidate)) ?? faults[0]?.code ?? 'timed-out'
  if (SILENCE.includes(code)) {
    return { code, message: count === 1 ? 'no answer from its address' : `no answer from any of its ${count} addresses` }
  }
  return { code, message: faults.find((fault) => fault.code === code)?.message ?? 'it could not be reached' }
}
