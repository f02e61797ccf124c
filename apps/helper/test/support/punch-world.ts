import type { Endpoint, Hmac, ReachCandidate } from '@harddrive-party/protocol'
import { classifyNat, natFactsOf } from '../../src/core/punch/nat-kind.ts'
import type { InterfaceAddress } from '../../src/core/reach/own-reach.ts'
import { PacketBudget } from '../../src/core/packet-budget.ts'
import type { PunchEffect, PunchInput, PunchOptions, PunchPeer } from '../../src/core/punch/punch-messages.ts'
import { Puncher } from '../../src/core/punch/puncher.ts'
import type { Nat } from './nat.ts'
import { seededRandom } from './world.ts'

/** Two punchers, the NATs in front of them, and an internet that delays, loses and counts hops. Everything follows from the seed. */

export type Side = 0 | 1

/** Hops between the outermost routers of two sites. */
const CORE_HOPS = 8
const DEFAULT_TTL = 64
const SERVERS: readonly Endpoint[] = [{ host: '9.9.9.1', port: 3478 }, { host: '9.9.9.2', port: 3478 }]
const SERVERS6: readonly Endpoint[] = [{ host: '2606:9::1', port: 3478 }, { host: '2606:9::2', port: 3478 }]

export interface Site {
  /** The host's own address on its innermost network. */
  readonly host: string
  /** From the host outwards; none = the host is on the internet. Firewalls are NATs that translate nothing. */
  readonly nats: readonly Nat[]
  readonly v6?: { readonly host: string; readonly firewall: Nat | null }
  /** A port mapping in the outermost NAT. */
  readonly mapped?: boolean
  /** UDP goes nowhere. */
  readonly blocked?: boolean
}

export interface PunchWorldOptions {
  readonly seed: number
  readonly sites: readonly [Site, Site]
  /** One way between the sites, least and most. */
  readonly delayMs: readonly [number, number]
  readonly loss?: number
  /** When each side starts. */
  readonly startsAt?: readonly [number, number]
  /** When both are told that the other one starts, if at all. */
  readonly signalAt?: number
  /** The wall clock of side 1 is wrong by so much. */
  readonly clockSkewMs?: number
  readonly patienceMs?: number
  readonly eager?: boolean
  /** Until then nothing arrives at the other side. */
  readonly silentUntil?: number
  /** How long it takes to open the sockets of a search. Default: a millisecond. */
  readonly openingMs?: number
  /** Flows per second of others in each house. */
  readonly disturbancePerSecond?: number
  /** Addresses that the sides are told of each other, instead of what they are. */
  readonly candidates?: (side: Side, own: readonly ReachCandidate[]) => readonly ReachCandidate[]
  /** Sees every packet that leaves a side. */
  readonly onSend?: (side: Side, to: Endpoint, bytes: Uint8Array) => void
}

export interface Outcome {
  readonly type: 'path' | 'failed' | 'none'
  readonly at: number
  readonly socket: number
  readonly endpoint: Endpoint | undefined
  readonly code: string
  readonly rttMs: number | null
}

interface Player {
  readonly site: Site
  readonly puncher: Puncher
  readonly budget: PacketBudget
  readonly ports: Map<number, number>
  readonly byPort: Map<number, number>
  nextPort: number
  outcome: Outcome
  waitedAt: number | undefined
  packets: number
  /** Extra sockets that are open. */
  open: Set<number>
}

export class PunchWorld {
  now = 0
  readonly players: readonly [Player, Player]
  readonly #options: PunchWorldOptions
  readonly #random: () => number
  readonly #queue = new EventQueue()
  #lastSocket = 0
  /** What last arrived: the test's own packets are seen here. */
  #arrivals: { readonly side: Side; readonly socket: number; readonly from: Endpoint; readonly bytes: Uint8Array }[] = []
  #recording = false

  constructor(options: PunchWorldOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed)
    const reaches = options.sites.map((site) => this.#measure(site)) as [ReachInfo, ReachInfo]
    this.players = [this.#player(0, reaches), this.#player(1, reaches)]
  }

  /** Runs until both sides have ended, or the time is up. */
  run(untilMs: number): void {
    const { startsAt = [0, 0], signalAt, disturbancePerSecond = 0 } = this.#options
    for (const side of [0, 1] as const) {
      this.#queue.push(startsAt[side], () => this.input(side, { type: 'start' }))
      if (signalAt !== undefined) this.#queue.push(signalAt, () => this.input(side, { type: 'live-signal' }))
    }
    if (disturbancePerSecond > 0) this.#disturb(disturbancePerSecond)
    this.#drive(untilMs, () => this.players.every(({ outcome }) => outcome.type !== 'none'))
  }

  /** Goes on, whatever has ended. */
  runUntil(untilMs: number): void {
    this.#drive(untilMs, () => false)
  }

  input(side: Side, input: PunchInput): void {
    for (const effect of this.players[side].puncher.step(this.now, input)) this.#perform(side, effect)
  }

  /** Both ended with a path, and what one sends over its own arrives at the other's. */
  agree(): boolean {
    const [a, b] = this.players
    if (a.outcome.type !== 'path' || b.outcome.type !== 'path') return false
    this.#recording = true
    const data = [Uint8Array.of(0x40, 1), Uint8Array.of(0x40, 2)] as const
    for (const side of [0, 1] as const) {
      const { socket, endpoint } = this.players[side].outcome
      if (endpoint) this.#transmit(side, socket, endpoint, data[side], DEFAULT_TTL, 0)
    }
    this.#drive(this.now + 5_000, () => this.#arrivals.length >= 2)
    this.#recording = false
    return ([0, 1] as const).every((side) => {
      const { outcome } = this.players[side === 0 ? 1 : 0]
      return this.#arrivals.some(
        (arrival) => arrival.side !== side && arrival.bytes === data[side] && arrival.socket === outcome.socket && arrival.from.host === outcome.endpoint?.host && arrival.from.port === outcome.endpoint.port,
      )
    })
  }

  /** When the later one of the two knew its path, from when both had started. */
  get timeMs(): number {
    const { startsAt = [0, 0], signalAt } = this.#options
    return Math.max(this.players[0].outcome.at, this.players[1].outcome.at) - Math.max(...startsAt, signalAt ?? 0)
  }

  #drive(until: number, isOver: () => boolean): void {
    let standing = 0
    while (this.now < until && !isOver()) {
      const deadlines = this.players.map(({ puncher }) => Math.max(this.now, puncher.deadline ?? Infinity))
      const next = Math.min(this.#queue.next, ...deadlines, until)
      standing = next === this.now ? standing + 1 : 0
      if (standing > 1_000) throw new Error(`a puncher wants time that does not pass at ${this.now}`)
      this.now = next
      this.#queue.runUntil(next)
      for (const side of [0, 1] as const) if ((this.players[side].puncher.deadline ?? Infinity) <= this.now) this.input(side, { type: 'tick' })
    }
  }

  #disturb(perSecond: number): void {
    const again = (): void => {
      for (const { nats } of this.#options.sites) for (const nat of nats) nat.disturb()
      this.#queue.push(this.now + (-Math.log(1 - this.#random()) * 1000) / perSecond, again)
    }
    this.#queue.push(this.now, again)
  }

  /** What a helper would find out by itself. */
  #measure(site: Site): ReachInfo {
    const main = { host: site.host, port: 4433 }
    const inner = { endpoint: main, source: 'interface' } as const
    const candidates: ReachCandidate[] = [inner]
    const interfaces: InterfaceAddress[] = [interfaceOf(site.host, 4, 24)]
    const samples = site.blocked === true ? [] : SERVERS.flatMap((server) => {
      const mapped = seenFrom(this.now, site, main, server)
      return mapped ? [{ server, mapped }] : []
    })
    const [first] = samples
    let facts = { kind: classifyNat(samples, [main]) } as ReturnType<typeof natFactsOf>
    if (facts.kind === 'random') {
      const [server = main] = SERVERS
      facts = natFactsOf(Array.from({ length: 32 }, (_, i) => seenFrom(this.now, site, { host: site.host, port: 30_000 + i }, server)).flatMap((mapped) => (mapped ? [{ mapped }] : [])))
    }
    if (first) candidates.unshift({ endpoint: facts.lastPort === undefined ? first.mapped : { host: first.mapped.host, port: facts.lastPort }, source: 'stun' })
    const outer = site.nats.at(-1)
    if (site.mapped === true && outer?.options.host) {
      outer.redirect(7_777, main)
      candidates.unshift({ endpoint: { host: outer.options.host, port: 7_777 }, source: 'mapping' })
    }
    let v6: PunchPeer['nat']['v6'] = 'unknown'
    if (site.v6) {
      const own6 = { host: site.v6.host, port: 4433 }
      interfaces.push(interfaceOf(site.v6.host, 6, 64))
      candidates.push({ endpoint: own6, source: 'interface' })
      v6 = classifyNat(SERVERS6.map((server) => ({ server, mapped: own6 })), [own6])
    }
    const { kind, ...rest } = facts
    return { candidates, interfaces, nat: { v4: kind, v6 }, ...rest }
  }

  #player(side: Side, reaches: readonly [ReachInfo, ReachInfo]): Player {
    const { seed, sites, clockSkewMs = 0, patienceMs, candidates, eager = false } = this.#options
    const own = reaches[side]
    const theirs = reaches[side === 0 ? 1 : 0]
    const budget = new PacketBudget()
    const random = seededRandom(seed * 2 + side + 77)
    const options: PunchOptions = {
      own,
      theirs: { ...theirs, candidates: candidates?.(side, theirs.candidates) ?? theirs.candidates },
      keyHashes: { ours: HASHES[side], theirs: HASHES[side === 0 ? 1 : 0] },
      secrets: { ours: [SECRETS[side]], theirs: SECRETS[side === 0 ? 1 : 0] },
      budget,
      random,
      randomBytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256)),
      unixOffsetMs: 1_700_000_000_000 + (side === 1 ? clockSkewMs : 0),
      hmac: quickHmac,
      eager,
      ...(patienceMs !== undefined && { patienceMs }),
    }
    return {
      site: sites[side],
      puncher: new Puncher(options),
      budget,
      ports: new Map([[0, 4433]]),
      byPort: new Map([[4433, 0]]),
      nextPort: 45_000,
      outcome: { type: 'none', at: 0, socket: 0, endpoint: undefined, code: '', rttMs: null },
      waitedAt: undefined,
      packets: 0,
      open: new Set(),
    }
  }

  #perform(side: Side, effect: PunchEffect): void {
    const player = this.players[side]
    switch (effect.type) {
      case 'send':
        player.packets++
        this.#options.onSend?.(side, effect.to, effect.bytes)
        return this.#transmit(side, effect.socket, effect.to, effect.bytes, effect.ttl ?? DEFAULT_TTL, this.#options.loss ?? 0)
      case 'open-sockets': {
        const ids = Array.from({ length: effect.count }, () => ++this.#lastSocket)
        for (const id of ids) {
          const port = player.nextPort++
          player.ports.set(id, port)
          player.byPort.set(port, id)
          player.open.add(id)
        }
        return this.#queue.push(this.now + (this.#options.openingMs ?? 1), () => this.input(side, { type: 'sockets-opened', ids }))
      }
      case 'close-sockets':
        for (const id of effect.ids) {
          if (!player.open.delete(id)) throw new Error(`socket ${id} is not open`)
          player.byPort.delete(player.ports.get(id) ?? 0)
        }
        return
      case 'waiting':
        player.waitedAt ??= this.now
        return
      case 'path':
      case 'failed':
        if (player.outcome.type !== 'none') throw new Error('ended twice')
        player.outcome = {
          type: effect.type,
          at: this.now,
          socket: effect.type === 'path' ? effect.socket : 0,
          endpoint: effect.type === 'path' ? effect.endpoint : undefined,
          code: effect.type === 'failed' ? effect.code : '',
          rttMs: effect.type === 'path' ? effect.rttMs : null,
        }
    }
  }

  #transmit(side: Side, socket: number, to: Endpoint, bytes: Uint8Array, ttl: number, loss: number): void {
    const { site, ports } = this.players[side]
    const port = ports.get(socket)
    if (port === undefined || site.blocked === true) return
    if (to.host.includes(':')) return this.#transmit6(side, port, to, bytes, loss)
    const other = side === 0 ? 1 : 0
    const target = this.#options.sites[other]
    let from: Endpoint = { host: site.host, port }
    // On the way out: each router is a hop, and may know the address itself.
    let hops = 0
    for (const [level, nat] of site.nats.entries()) {
      if (onSameNetwork(site, target, level, to.host)) return this.#descend(other, from, to, bytes, 1, this.#networkDepth(target, to.host))
      if (++hops >= ttl) return
      const outside = nat.outbound(this.now, from, to)
      if (outside === undefined) return
      if (nat.options.host === to.host) {
        // Back in at the same router: by hairpin, or not at all.
        if (nat.options.hairpin !== true || !target.nats.includes(nat)) return
        return this.#descend(other, outside, to, bytes, 1, target.nats.indexOf(nat))
      }
      from = outside
    }
    if (hops + CORE_HOPS >= ttl || this.now < (this.#options.silentUntil ?? 0) || this.#random() < loss) return
    const outermost = target.nats.at(-1)
    const isThere = outermost === undefined ? to.host === target.host : (outermost.options.host ?? target.host) === to.host
    if (isThere) this.#descend(other, from, to, bytes, this.#delay(), target.nats.length - 1)
  }

  /** Where, among the routers of the target, the network is that has this address: -1 = the host's own. */
  #networkDepth(target: Site, host: string): number {
    return target.host === host ? -1 : target.nats.findIndex((nat) => nat.options.host === host)
  }

  #descend(side: Side, from: Endpoint, to: Endpoint, bytes: Uint8Array, delay: number, level: number): void {
    this.#queue.push(this.now + delay, () => {
      let inside = to
      for (let i = level; i >= 0; i--) {
        const next = this.#options.sites[side].nats[i]?.inbound(this.now, from, inside)
        if (next === undefined) return
        inside = next
      }
      this.#arrive(side, inside.port, from, bytes)
    })
  }

  #transmit6(side: Side, port: number, to: Endpoint, bytes: Uint8Array, loss: number): void {
    const own = this.players[side].site.v6
    const other = side === 0 ? 1 : 0
    const target = this.#options.sites[other].v6
    if (!own) return
    const from = { host: own.host, port }
    own.firewall?.outbound(this.now, from, to)
    if (target?.host !== to.host || this.#random() < loss) return
    this.#queue.push(this.now + this.#delay(), () => {
      if (target.firewall === null || target.firewall.inbound(this.now, from, to)) this.#arrive(other, to.port, from, bytes)
    })
  }

  #arrive(side: Side, port: number, from: Endpoint, bytes: Uint8Array): void {
    const socket = this.players[side].byPort.get(port)
    if (socket === undefined) return
    const isOurs = (bytes[0] ?? 0) < 0x40
    if (isOurs) this.input(side, { type: 'packet', socket, from, bytes })
    else if (this.#recording) this.#arrivals.push({ side, socket, from, bytes })
  }

  #delay(): number {
    const [least, most] = this.#options.delayMs
    return least + (most - least) * this.#random()
  }
}

type ReachInfo = PunchPeer & { readonly interfaces: readonly InterfaceAddress[] }

/** Whether the two sites share the network at this level: the inside of one and the same router, or of none. */
function onSameNetwork(a: Site, b: Site, level: number, host: string): boolean {
  const router = a.nats[level]
  const at = router === undefined ? -1 : b.nats.indexOf(router)
  if (at === -1) return false
  return (at === 0 ? b.host : b.nats[at - 1]?.options.host) === host
}

function seenFrom(now: number, site: Site, main: Endpoint, server: Endpoint): Endpoint | undefined {
  let from: Endpoint | undefined = main
  for (const nat of site.nats) from = from && nat.outbound(now, from, server)
  return from
}

function interfaceOf(host: string, family: 4 | 6, prefixBits: number): InterfaceAddress {
  return { host, family, name: 'eth0', prefixBits, virtual: false, temporary: false, preferred: true }
}

const HASHES = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)] as const
const SECRETS = [new Uint8Array(16).fill(11), new Uint8Array(16).fill(12)] as const

/** Not a HMAC, but quick, and it depends on every byte of both. */
export const quickHmac: Hmac = (key, data) => {
  const words = new Uint32Array(8).fill(0x9e3779b9)
  let at = 0
  for (const part of [key, data]) {
    for (const byte of part) {
      words[at & 7] = Math.imul(((words[at & 7] ?? 0) ^ byte) + (words[(at + 5) & 7] ?? 0), 0x85ebca6b)
      at++
    }
  }
  for (let i = 0; i < 16; i++) words[i & 7] = Math.imul((words[i & 7] ?? 0) ^ ((words[(i + 3) & 7] ?? 0) >>> 13), 0xc2b2ae35)
  return new Uint8Array(words.buffer)
}

/** What happens when; first come, first served among equals. */
class EventQueue {
  readonly #heap: { readonly at: number; readonly order: number; readonly run: () => void }[] = []
  #order = 0

  get next(): number {
    return this.#heap[0]?.at ?? Infinity
  }

  push(at: number, run: () => void): void {
    const heap = this.#heap
    const item = { at, order: this.#order++, run }
    let i = heap.length
    heap.push(item)
    while (i > 0) {
      const up = (i - 1) >> 1
      const parent = heap[up]
      if (parent === undefined || !isEarlier(item, parent)) break
      heap[i] = parent
      i = up
    }
    heap[i] = item
  }

  runUntil(now: number): void {
    while (this.next <= now) this.#pop()?.run()
  }

  #pop() {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    let i = 0
    for (;;) {
      let down = 2 * i + 1
      const [left, right] = [heap[down], heap[down + 1]]
      if (left === undefined) break
      if (right !== undefined && isEarlier(right, left)) down++
      const child = heap[down]
      if (child === undefined || !isEarlier(child, last)) break
      heap[i] = child
      i = down
    }
    heap[i] = last
    return first
  }
}

function isEarlier(a: { at: number; order: number }, b: { at: number; order: number }): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
