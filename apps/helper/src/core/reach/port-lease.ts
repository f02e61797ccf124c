/**
 * Keeps one port of ours, of UDP or TCP, open at a router, by PCP (RFC 6887) or, where the router only knows that, NAT-PMP (RFC 6886): asks, renews at half life,
 * asks anew when the router has lost its state, and takes the mapping back at the end. Sends nothing itself; whether to believe the router is not its business.
 */
import type { Endpoint } from '@harddrive-party/protocol'
import type { Machine } from '../machine.ts'
import { type NatPmpAnswer, decodeNatPmpAnswer, encodeNatPmpAddressRequest, encodeNatPmpMap } from './nat-pmp-message.ts'
import type { MappingProtocol } from './own-reach.ts'
import { PCP_RESULTS, type PcpAnswer, type PortProtocol, decodePcpAnswer, encodePcpMap, toHex } from './pcp-message.ts'

export type PortLeaseInput =
  | { readonly type: 'tick' }
  /** From the router's port 5351, or an announcement of the router to everybody. */
  | { readonly type: 'datagram'; readonly bytes: Uint8Array }
  /** Something about the network has changed: see whether the mapping still stands. */
  | { readonly type: 'renew' }
  /** Take the mapping back. `closed` follows within a second. */
  | { readonly type: 'close' }

export type PortLeaseEffect =
  | { readonly type: 'send'; readonly bytes: Uint8Array }
  /** The mapping stands; told again only when something of it has changed. */
  | { readonly type: 'mapped'; readonly protocol: Exclude<MappingProtocol, 'upnp'>; readonly outside: Endpoint }
  /** There is no mapping now: the router does not answer (this protocol is not there), or says no. It is asked again later. */
  | { readonly type: 'none'; readonly reason: 'no-answer' | 'refused'; readonly result?: number }
  | { readonly type: 'closed' }

export interface PortLeaseOptions {
  /** Our address towards the router. An IPv6 address is let through the firewall as it is, and only PCP can do that. */
  readonly client: string
  /** What the port is of. Default UDP. */
  readonly of?: PortProtocol
  readonly port: number
  /** The only outside port that is of use: another one is given back at once. Default: ours is asked for, and any other one taken. */
  readonly onlyPort?: number
  /** 12 bytes that nobody can guess; the same ones again after a crash, else the router takes us for somebody else. */
  readonly nonce: Uint8Array
}

/** Asked for in seconds. Half of it is how long a router that silently lost us may stay unnoticed; it also outlives us that long after a crash. */
export const LEASE_SECONDS = 3600
/** Shorter leases would make us a nuisance; longer ones hide a router that has lost us. */
const MIN_LEASE_MS = 120_000
const MAX_LEASE_MS = 24 * 3_600_000
/** RFC 6886 section 3.1: 250 ms, doubling. */
const FIRST_WAIT_MS = 250
/** The last wait of six is 8 s: after 16 s there is nobody. */
const MAX_TRIES = 6
/** From this try on NAT-PMP is asked too: some old routers drop what they do not know instead of saying so. */
const TRIES_BEFORE_NAT_PMP = 2
const MAX_CLOSE_TRIES = 3
/** A router that does not answer, or says no, rarely changes its mind; a new network starts over anyway. */
const REST_MS = 10 * 60_000
/** How long a refusal is respected, whatever its own lifetime says. */
const MIN_REST_MS = 30_000
/** Announcements come unproved; they make us ask again no more often than this. */
const MIN_BETWEEN_ASKS_MS = 5_000

export class PortLease implements Machine<PortLeaseInput, PortLeaseEffect> {
  readonly #options: PortLeaseOptions
  readonly #of: PortProtocol
  readonly #nonce: string
  #state: 'asking' | 'waiting' | 'closing' | 'closed' = 'asking'
  #tries = 0
  #due: number
  #askedAt: number
  #protocol: 'pcp' | 'nat-pmp' | null
  #held: { readonly outside: Endpoint; readonly expires: number } | null = null
  /** What it was before, to be asked for again. */
  #wanted: Endpoint | null = null
  #epoch: { readonly value: number; readonly at: number } | null = null
  /** NAT-PMP answers in two halves. */
  #address: string | null = null
  #map: { readonly outsidePort: number; readonly lifetime: number } | null = null

  constructor(now: number, options: PortLeaseOptions) {
    this.#options = options
    this.#of = options.of ?? 'udp'
    this.#nonce = toHex(options.nonce)
    this.#due = now
    this.#askedAt = now
    this.#protocol = options.client.includes(':') ? 'pcp' : null
  }

  get deadline(): number | undefined {
    return this.#state === 'closed' ? undefined : this.#due
  }

  step(now: number, input: PortLeaseInput): PortLeaseEffect[] {
    const effects: PortLeaseEffect[] = []
    if (this.#state === 'closed') return effects
    if (input.type === 'datagram') this.#take(now, input.bytes, effects)
    else if (input.type === 'renew' && this.#state === 'waiting') this.#ask(now)
    else if (input.type === 'close') this.#close(now, effects)
    if (this.#due <= now) this.#act(now, effects)
    return effects
  }

  #ask(now: number): void {
    this.#state = 'asking'
    this.#tries = 0
    this.#due = now
    this.#askedAt = now
    this.#address = null
    this.#map = null
  }

  #act(now: number, effects: PortLeaseEffect[]): void {
    if (this.#state === 'closed') return
    if (this.#held !== null && this.#held.expires <= now && this.#state !== 'closing') {
      this.#held = null
      effects.push({ type: 'none', reason: 'no-answer' })
    }
    if (this.#state === 'waiting') this.#ask(now)
    if (this.#tries === (this.#state === 'closing' ? MAX_CLOSE_TRIES : MAX_TRIES)) return this.#giveUp(now, effects)
    if (this.#state === 'closing') this.#send(0, effects)
    else this.#send(LEASE_SECONDS, effects)
    this.#due = now + FIRST_WAIT_MS * (this.#state === 'closing' ? 1 : 2 ** this.#tries)
    this.#tries++
  }

  #giveUp(now: number, effects: PortLeaseEffect[]): void {
    if (this.#state === 'closing') {
      this.#state = 'closed'
      effects.push({ type: 'closed' })
      return
    }
    this.#state = 'waiting'
    if (this.#held === null) {
      this.#due = now + REST_MS
      effects.push({ type: 'none', reason: 'no-answer' })
    } else {
      // As RFC 6887 section 11.2.1: at half of what is left, again and again, until it has run out.
      this.#due = Math.min(this.#held.expires, now + Math.max(MIN_BETWEEN_ASKS_MS, (this.#held.expires - now) / 2))
    }
  }

  #send(lifetime: number, effects: PortLeaseEffect[]): void {
    const { client, port, nonce, onlyPort } = this.#options
    const of = this.#of
    if (this.#protocol !== 'nat-pmp') {
      const wanted = lifetime === 0 ? null : (this.#wanted ?? { host: client.includes(':') ? '::' : '0.0.0.0', port: onlyPort ?? port })
      effects.push({ type: 'send', bytes: encodePcpMap({ of, nonce, client, port, wanted, lifetime }) })
    }
    if (this.#protocol === 'nat-pmp' || (this.#protocol === null && this.#tries >= TRIES_BEFORE_NAT_PMP)) {
      if (lifetime > 0) effects.push({ type: 'send', bytes: encodeNatPmpAddressRequest() })
      effects.push({ type: 'send', bytes: encodeNatPmpMap({ of, port, wantedPort: lifetime === 0 ? 0 : (this.#wanted?.port ?? onlyPort ?? port), lifetime }) })
    }
  }

  #close(now: number, effects: PortLeaseEffect[]): void {
    if (this.#state === 'closing') return
    // Where nobody answers there is nothing to take back, unless the answer is on its way.
    const underWay = this.#state === 'asking' && this.#tries > 0 && this.#tries <= TRIES_BEFORE_NAT_PMP
    if (this.#held === null && !underWay) {
      this.#state = 'closed'
      effects.push({ type: 'closed' })
      return
    }
    this.#state = 'closing'
    this.#tries = 0
    this.#due = now
  }

  #take(now: number, bytes: Uint8Array, effects: PortLeaseEffect[]): void {
    const pcp = decodePcpAnswer(bytes)
    if (pcp.ok) return this.#takePcp(now, pcp.value, effects)
    const natPmp = decodeNatPmpAnswer(bytes)
    if (natPmp.ok && !this.#options.client.includes(':')) this.#takeNatPmp(now, natPmp.value, effects)
  }

  #takePcp(now: number, answer: PcpAnswer, effects: PortLeaseEffect[]): void {
    if (answer.type === 'announce') return this.#hearEpoch(now, answer.epoch)
    if (answer.nonce !== this.#nonce || answer.of !== this.#of || answer.port !== this.#options.port || this.#protocol === 'nat-pmp') return
    if (this.#state === 'closing') return this.#end(effects)
    if (this.#state !== 'asking') return
    if (answer.result === PCP_RESULTS['unsupported-version'] && !this.#options.client.includes(':')) return this.#fallBack(now)
    this.#protocol = 'pcp'
    this.#epoch = { value: answer.epoch, at: now }
    const { result, lifetime, outside } = answer
    if (result !== PCP_RESULTS.ok || lifetime === 0 || outside.port === 0) return this.#refused(now, result, lifetime, effects)
    this.#hold(now, 'pcp', outside, lifetime, effects)
  }

  #takeNatPmp(now: number, answer: NatPmpAnswer, effects: PortLeaseEffect[]): void {
    if (answer.type === 'refusal') {
      if (this.#state !== 'asking') return
      if (this.#protocol === null) this.#fallBack(now)
      else if (this.#protocol === 'nat-pmp') this.#refused(now, answer.result, 0, effects)
      return
    }
    if (this.#protocol === 'pcp' || (answer.type === 'map' && (answer.port !== this.#options.port || answer.of !== this.#of))) return
    if (this.#state === 'closing') {
      if (answer.type === 'map') this.#end(effects)
      return
    }
    if (this.#state !== 'asking') {
      if (answer.type === 'address') this.#hearEpoch(now, answer.epoch)
      return
    }
    this.#protocol = 'nat-pmp'
    this.#epoch = { value: answer.epoch, at: now }
    if (answer.result !== 0) return this.#refused(now, answer.result, 0, effects)
    if (answer.type === 'address') this.#address = answer.host
    else this.#map = answer
    if (this.#address === null || this.#map === null) return
    if (this.#map.lifetime === 0 || this.#map.outsidePort === 0) return this.#refused(now, 0, 0, effects)
    this.#hold(now, 'nat-pmp', { host: this.#address, port: this.#map.outsidePort }, this.#map.lifetime, effects)
  }

  #fallBack(now: number): void {
    this.#protocol = 'nat-pmp'
    this.#ask(now)
  }

  #end(effects: PortLeaseEffect[]): void {
    this.#state = 'closed'
    effects.push({ type: 'closed' })
  }

  #hold(now: number, protocol: 'pcp' | 'nat-pmp', outside: Endpoint, lifetime: number, effects: PortLeaseEffect[]): void {
    if (outside.port !== (this.#options.onlyPort ?? outside.port)) {
      this.#send(0, effects)
      return this.#refused(now, 0, 0, effects)
    }
    const before = this.#held?.outside
    const lasts = Math.min(MAX_LEASE_MS, Math.max(MIN_LEASE_MS, lifetime * 1000))
    this.#held = { outside, expires: now + lasts }
    this.#wanted = outside
    this.#state = 'waiting'
    this.#due = now + lasts / 2
    if (before?.host !== outside.host || before.port !== outside.port) effects.push({ type: 'mapped', protocol, outside })
  }

  #refused(now: number, result: number, lifetime: number, effects: PortLeaseEffect[]): void {
    this.#held = null
    // It may be the very wish (that port, that address) that is refused.
    this.#wanted = null
    this.#state = 'waiting'
    this.#due = now + (lifetime === 0 ? REST_MS : Math.min(REST_MS, Math.max(MIN_REST_MS, lifetime * 1000)))
    effects.push({ type: 'none', reason: 'refused', result })
  }

  /** An announcement: asks again when the router has started anew since its last answer, or is heard for the first time. */
  #hearEpoch(now: number, epoch: number): void {
    if (this.#state !== 'waiting' || now - this.#askedAt < MIN_BETWEEN_ASKS_MS) return
    if (this.#epoch === null || epochWasReset(this.#epoch, epoch, now)) this.#ask(now)
  }
}

/** RFC 6887 section 8.5. @param epoch seconds that the router counts since it lost its state @param now and `at` in milliseconds */
export function epochWasReset(previous: { readonly value: number; readonly at: number }, epoch: number, now: number): boolean {
  if (epoch < previous.value - 1) return true
  const ours = (now - previous.at) / 1000
  const theirs = epoch - previous.value
  return ours + 2 < theirs - theirs / 16 || theirs + 2 < ours - ours / 16
}
