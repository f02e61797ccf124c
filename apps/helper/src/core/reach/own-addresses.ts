/**
 * Keeps what we know of our own reach: turns interfaces, STUN answers, samples of the NAT and port mappings into one OwnReach, and decides when servers are
 * asked, asked again, and when our NAT needs to be kept awake. Opens nothing, resolves nothing, sends nothing itself.
 */
import { type AddressFamily, type Endpoint, type NatKind, addressFamily } from '@harddrive-party/protocol'
import type { Machine } from '../machine.ts'
import { type MappingSample, type NatFacts, type PortSample, classifyNat, natFactsOf, sameEndpoint } from '../punch/nat-kind.ts'
import type { InterfaceAddress, MappingReport, OwnReach, StunOutcome } from './own-reach.ts'
import { isMappingBelievable, rankCandidates } from './reach-candidates.ts'
import { type StunInput, StunProbe } from './stun-probe.ts'

export type OwnAddressesInput =
  | { readonly type: 'tick' }
  /** What the interfaces say; the first one starts everything. The same again changes nothing. */
  | { readonly type: 'interfaces'; readonly addresses: readonly InterfaceAddress[] }
  /** The name of a server was looked up; empty = there is no such address. */
  | { readonly type: 'resolved'; readonly round: number; readonly server: string; readonly family: AddressFamily; readonly endpoint: Endpoint | null }
  /** STUN, on the QUIC socket. */
  | { readonly type: 'datagram'; readonly from: Endpoint; readonly bytes: Uint8Array }
  /** What short-lived sockets were told, in the order in which they asked. */
  | { readonly type: 'port-samples'; readonly round: number; readonly samples: readonly PortSample[] }
  /** Many new flows went through our NAT: one that counts has moved on. */
  | { readonly type: 'ports-used' }
  /** Null = nobody is asked for ports. */
  | { readonly type: 'mapping'; readonly mapping: MappingFacts | null }
  /** The machine slept, or something else makes all that we know doubtful. */
  | { readonly type: 'wake' }

/** What a router says; whether it is believed is decided here. */
export type MappingFacts = Omit<MappingReport, 'state'> & { readonly state: 'searching' | 'none' | 'mapped' }

export type OwnAddressesEffect =
  | { readonly type: 'resolve'; readonly round: number; readonly server: string; readonly family: AddressFamily }
  | { readonly type: 'send'; readonly to: Endpoint; readonly bytes: Uint8Array }
  /** Ask these servers from many new sockets, one question each: our NAT is a hard one, and this tells which. */
  | { readonly type: 'sample-ports'; readonly round: number; readonly servers: readonly Endpoint[] }
  /** The mapping of our router may be gone. */
  | { readonly type: 'renew-mapping' }
  | { readonly type: 'reach'; readonly reach: OwnReach }

export interface OwnAddressesOptions {
  readonly ports: { readonly v4: number | null; readonly v6: number | null }
  /** `host:port` each; none = nobody is asked. */
  readonly servers: readonly string[]
  /** 12 new random bytes. */
  readonly transactionId: () => Uint8Array
}

/** Routers forget an answered question after 30 s (measured); a lost packet must not matter. */
export const KEEP_ALIVE_MS = 17_000
/** Where nothing has to be kept awake, a changed public address is noticed this late at worst. */
const RECHECK_MS = 5 * 60_000
/** A NAT that counts moves on with every flow of the household; others predict it from what we say. Behind any hard one, whether its address is still the same. */
const RESAMPLE_MS = 60_000
/** However much is punched. */
const MIN_RESAMPLE_MS = 2_000
/** Many may notice the same thing at once: a dozen connections that end with one network. */
const MIN_BETWEEN_WAKES_MS = 2_000
/** Nobody answered: the network may be on its way. Doubles up to RECHECK_MS. */
const FIRST_RETRY_MS = 15_000
/** Servers that fail to answer a keep-alive, one after the other, before everything is measured anew: one may just be down. */
const MISSES_BEFORE_MEASURING = 2

interface Asked {
  readonly server: string
  readonly family: AddressFamily
  readonly outcome: StunOutcome['outcome']
  /** Where it was asked, and how it sees us: of the last round until this one has an answer. */
  readonly sample: MappingSample | null
}

const UNKNOWN: NatFacts = { kind: 'unknown' }

export class OwnAddresses implements Machine<OwnAddressesInput, OwnAddressesEffect> {
  readonly #options: OwnAddressesOptions
  #interfaces: readonly InterfaceAddress[] | null = null
  readonly #asked = new Map<string, Asked>()
  readonly #probes = new Map<string, StunProbe>()
  #round = 0
  #resolving = 0
  #measuring = false
  #keepAlive: { readonly key: string; readonly probe: StunProbe } | null = null
  #turn = 0
  #misses = 0
  #failures = 0
  #next: number | undefined
  /** Of the last sampling on this network; null when the NAT is not a hard one. */
  #samples: readonly PortSample[] | null = null
  #sampledAt = 0
  #wokeAt: number | null = null
  #measuredAt = 0
  #mapping: MappingFacts | null = null
  #told = ''

  constructor(options: OwnAddressesOptions) {
    this.#options = options
  }

  get deadline(): number | undefined {
    const dues = [this.#next, this.#keepAlive?.probe.deadline, ...[...this.#probes.values()].map((probe) => probe.deadline)]
    return dues.reduce((first, due) => (first === undefined || (due !== undefined && due < first) ? due : first), undefined)
  }

  step(now: number, input: OwnAddressesInput): OwnAddressesEffect[] {
    const effects: OwnAddressesEffect[] = []
    switch (input.type) {
      case 'interfaces':
        this.#look(now, input.addresses, effects)
        break
      case 'wake':
        if (this.#wokeAt !== null && now - this.#wokeAt < MIN_BETWEEN_WAKES_MS) break
        this.#wokeAt = now
        if (this.#interfaces !== null) this.#measure(effects)
        effects.push({ type: 'renew-mapping' })
        break
      case 'resolved':
        if (input.round === this.#round) this.#begin(now, input.server, input.family, input.endpoint)
        break
      case 'port-samples':
        if (input.round !== this.#round || input.samples.length === 0) break
        this.#samples = input.samples
        if (!this.#measuring && this.#keepAlive === null) this.#schedule(now)
        break
      case 'ports-used':
        if (this.#isCounting() && now - this.#sampledAt >= MIN_RESAMPLE_MS) this.#samplePorts(now, effects)
        break
      case 'mapping':
        this.#mapping = input.mapping
        break
    }
    const stun: StunInput = input.type === 'datagram' ? input : { type: 'tick' }
    this.#runProbes(now, stun, effects)
    this.#runKeepAlive(now, stun, effects)
    if (this.#next !== undefined && this.#next <= now) this.#onTimer(now, effects)
    this.#settle(now, effects)
    this.#tell(effects)
    return effects
  }

  #look(now: number, addresses: readonly InterfaceAddress[], effects: OwnAddressesEffect[]): void {
    const first = this.#interfaces === null
    const isSameNetwork = this.#interfaces !== null && networksOf(addresses) === networksOf(this.#interfaces)
    this.#interfaces = addresses
    // What the system thinks of an address (preferred, temporary) changes our candidates, not what others see.
    if (isSameNetwork) return
    // What others saw of the old network says nothing about the new one.
    this.#asked.clear()
    this.#samples = null
    this.#failures = 0
    if (!first) effects.push({ type: 'renew-mapping' })
    this.#measure(effects)
    if (this.#resolving === 0) this.#schedule(now)
  }

  /** Asks every server in every family that we listen on. Names are looked up each time: after a change of network they may be others. */
  #measure(effects: OwnAddressesEffect[]): void {
    this.#round++
    this.#probes.clear()
    this.#keepAlive = null
    this.#next = undefined
    this.#misses = 0
    this.#resolving = 0
    const { ports, servers } = this.#options
    const families = ([4, 6] as const).filter((family) => (family === 4 ? ports.v4 : ports.v6) !== null && this.#interfaces?.some((address) => address.family === family))
    this.#measuring = true
    for (const server of servers) {
      for (const family of families) {
        if (literalFamily(server) === (family === 4 ? 6 : 4)) continue
        const key = keyOf(server, family)
        this.#asked.set(key, { server, family, outcome: 'asking', sample: this.#asked.get(key)?.sample ?? null })
        this.#resolving++
        effects.push({ type: 'resolve', round: this.#round, server, family })
      }
    }
  }

  #begin(now: number, server: string, family: AddressFamily, endpoint: Endpoint | null): void {
    const key = keyOf(server, family)
    const asked = this.#asked.get(key)
    if (asked === undefined || asked.outcome !== 'asking' || this.#probes.has(key)) return
    this.#resolving--
    if (endpoint === null) this.#asked.set(key, { server, family, outcome: 'no-address', sample: null })
    else this.#probes.set(key, new StunProbe(now, [{ server: endpoint, transactionId: this.#options.transactionId() }]))
  }

  #runProbes(now: number, input: StunInput, effects: OwnAddressesEffect[]): void {
    for (const [key, probe] of this.#probes) {
      const asked = this.#asked.get(key)
      for (const effect of probe.step(now, input)) {
        if (effect.type === 'send') effects.push(effect)
        else if (effect.type === 'sample' && asked !== undefined) this.#asked.set(key, { ...asked, outcome: 'mapped', sample: effect.sample })
        else if (effect.type === 'done') {
          this.#probes.delete(key)
          if (effect.samples.length === 0 && asked !== undefined) this.#asked.set(key, { ...asked, outcome: 'no-answer', sample: null })
        }
      }
    }
  }

  #runKeepAlive(now: number, input: StunInput, effects: OwnAddressesEffect[]): void {
    const running = this.#keepAlive
    if (running === null) return
    for (const effect of running.probe.step(now, input)) {
      if (effect.type === 'send') effects.push(effect)
      else if (effect.type === 'sample') {
        // After a silence the router may have started anew, and lost what it gave us.
        if (this.#misses > 0) effects.push({ type: 'renew-mapping' })
        this.#misses = 0
        const known = this.#asked.get(running.key)?.sample
        if (known === null || known === undefined || this.#isSameSight(known, effect.sample)) continue
        // Another public address: another network behind the same interface, or a router that has started anew.
        effects.push({ type: 'renew-mapping' })
        this.#samples = null
        return this.#measure(effects)
      } else {
        this.#keepAlive = null
        if (effect.samples.length === 0 && ++this.#misses >= MISSES_BEFORE_MEASURING) return this.#measure(effects)
        this.#schedule(now)
      }
    }
  }

  /** Behind a hard NAT every question comes from another port: only the address says something. */
  #isSameSight({ mapped }: MappingSample, now: MappingSample): boolean {
    return isHard(this.#natOf(addressFamily(mapped.host)).kind) ? mapped.host === now.mapped.host : sameEndpoint(mapped, now.mapped)
  }

  /** When all servers have answered or been given up: what next? */
  #settle(now: number, effects: OwnAddressesEffect[]): void {
    if (!this.#measuring || this.#resolving > 0 || this.#probes.size > 0) return
    this.#measuring = false
    const answered = [...this.#asked.values()].some(({ outcome }) => outcome === 'mapped')
    if (answered && this.#failures > 0) effects.push({ type: 'renew-mapping' })
    this.#failures = answered ? 0 : this.#failures + 1
    this.#measuredAt = now
    if (isHard(this.#natOf(4).kind)) this.#samplePorts(now, effects)
    else this.#samples = null
    this.#schedule(now)
  }

  #samplePorts(now: number, effects: OwnAddressesEffect[]): void {
    this.#sampledAt = now
    effects.push({ type: 'sample-ports', round: this.#round, servers: this.#samplesOf(4).map(({ server }) => server) })
  }

  #isCounting(): boolean {
    return this.#natOf(4).kind === 'counting'
  }

  #schedule(now: number): void {
    if (this.#options.servers.length === 0 || this.#interfaces === null) return
    if (this.#failures > 0) this.#next = now + Math.min(RECHECK_MS, FIRST_RETRY_MS * 2 ** (this.#failures - 1))
    else if (this.#awakeServers().length > 0) this.#next = now + KEEP_ALIVE_MS
    else this.#next = now + (this.#isCounting() || this.#watchedServers().length > 0 ? RESAMPLE_MS : RECHECK_MS)
  }

  #onTimer(now: number, effects: OwnAddressesEffect[]): void {
    this.#next = undefined
    if (this.#isCounting() && this.#failures === 0 && now - this.#measuredAt < RECHECK_MS) {
      this.#samplePorts(now, effects)
      return this.#schedule(now)
    }
    const awake = this.#awakeServers()
    if (awake.length === 0 && now - this.#measuredAt >= RECHECK_MS) return this.#measure(effects)
    const servers = awake.length > 0 ? awake : this.#watchedServers()
    const asked = servers[this.#turn++ % Math.max(1, servers.length)]
    if (asked === undefined || asked.sample === null || this.#failures > 0) return this.#measure(effects)
    const probe = new StunProbe(now, [{ server: asked.sample.server, transactionId: this.#options.transactionId() }])
    this.#keepAlive = { key: keyOf(asked.server, asked.family), probe }
    this.#runKeepAlive(now, { type: 'tick' }, effects)
  }

  /** Servers whose sight of us is worth keeping: a NAT stands between, and it shows the same port to others too. */
  #awakeServers(): Asked[] {
    return [...this.#asked.values()].filter(({ family, outcome }) => {
      const { kind } = this.#natOf(family)
      return outcome === 'mapped' && (kind === 'consistent' || kind === 'unknown')
    })
  }

  /** Servers that see us through a hard NAT, asked only whether its address is another one. */
  #watchedServers(): Asked[] {
    return [...this.#asked.values()].filter(({ family, outcome }) => outcome === 'mapped' && isHard(this.#natOf(family).kind))
  }

  #samplesOf(family: AddressFamily): MappingSample[] {
    return [...this.#asked.values()].flatMap((asked) => (asked.family === family && asked.sample !== null ? [asked.sample] : []))
  }

  #ownEndpoints(family: AddressFamily): Endpoint[] {
    const port = family === 4 ? this.#options.ports.v4 : this.#options.ports.v6
    return port === null ? [] : (this.#interfaces ?? []).filter((address) => address.family === family).map(({ host }) => ({ host, port }))
  }

  #natOf(family: AddressFamily): NatFacts {
    const samples = this.#samplesOf(family)
    if (samples.length === 0) return UNKNOWN
    const kind = classifyNat(samples, this.#ownEndpoints(family))
    if (!isHard(kind) || family === 6 || this.#samples === null) return { kind }
    return natFactsOf(this.#samples)
  }

  #reach(interfaces: readonly InterfaceAddress[]): OwnReach {
    const { ports } = this.#options
    const nat = { v4: this.#natOf(4), v6: this.#natOf(6) }
    // Of a hard NAT the port that a server sees is of no use to others, but its address is: the search for the port starts there.
    const seen = uniqueEndpoints([...this.#samplesOf(4), ...this.#samplesOf(6)].map(({ mapped }) => mapped), isHard(nat.v4.kind))
    const mapping = this.#reportMapping(seen)
    const { block, step, lastPort } = nat.v4
    return {
      candidates: rankCandidates({
        ports, interfaces, seen,
        mapped: mapping?.state === 'mapped' ? mapping.outside : null,
        pinholes: mapping?.pinholes ?? [],
      }),
      nat: { v4: nat.v4.kind, v6: nat.v6.kind },
      ...(block === undefined ? {} : { block }),
      ...(step === undefined ? {} : { step }),
      ...(lastPort === undefined ? {} : { lastPort }),
      stun: [...this.#asked.values()].map(({ server, family, outcome, sample }) => ({
        server, family, outcome, ...(outcome === 'mapped' && sample !== null ? { mapped: sample.mapped } : {}),
      })),
      mapping,
      interfaces,
    }
  }

  #reportMapping(seen: readonly Endpoint[]): MappingReport | null {
    const mapping = this.#mapping
    if (mapping === null || mapping.outside === null || mapping.state !== 'mapped') return mapping
    return isMappingBelievable(mapping.outside, seen) ? mapping : { ...mapping, state: 'not-believed' }
  }

  #tell(effects: OwnAddressesEffect[]): void {
    if (this.#interfaces === null) return
    const reach = this.#reach(this.#interfaces)
    const text = JSON.stringify(reach)
    if (text === this.#told) return
    this.#told = text
    effects.push({ type: 'reach', reach })
  }
}

/** Of a server that was given as an address; an address has no other family. */
function literalFamily(server: string): AddressFamily | null {
  if (server.startsWith('[')) return 6
  return /^[0-9.]+:[0-9]+$/.test(server) ? 4 : null
}

function networksOf(addresses: readonly InterfaceAddress[]): string {
  return JSON.stringify(addresses.map(({ host, name, prefixBits }) => [host, name, prefixBits]).sort())
}

function keyOf(server: string, family: AddressFamily): string {
  return `${family} ${server}`
}

function isHard(kind: NatKind): boolean {
  return kind === 'counting' || kind === 'block' || kind === 'random'
}

/** @param oneV4 keep only one endpoint per IPv4 address: the ports differ for each who looks */
function uniqueEndpoints(endpoints: readonly Endpoint[], oneV4: boolean): Endpoint[] {
  const found: Endpoint[] = []
  for (const endpoint of endpoints) {
    const isKnown = found.some((other) => (oneV4 && addressFamily(endpoint.host) === 4 ? other.host === endpoint.host : sameEndpoint(other, endpoint)))
    if (!isKnown) found.push(endpoint)
  }
  return found
}
