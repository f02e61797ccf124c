import { peerIdFromKey } from '@harddrive-party/protocol'
import type { PeerId } from '@harddrive-party/protocol'
import { PeerLinksMachine } from '../../src/core/peers/peer-links.ts'
import type { LinkCloseCode, LinkPolicy, LinksEffect, LinksInput } from '../../src/core/peers/peer-link-messages.ts'

/** Two link machines, a virtual clock and a wire between them that delays, loses and cuts. Everything follows from the seed. */

export type Side = 0 | 1

/** A small generator with good enough bits for schedules (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Wire {
  readonly dialler: Side
  /** The link number at each side while that side has the connection. */
  readonly links: [number | undefined, number | undefined]
  /** Nothing passes any more, though neither side has been told. */
  cut: boolean
  /** When the last message towards each side arrives: they keep their order. */
  readonly arrivesAt: [number, number]
}

export interface WorldOptions {
  readonly seed: number
  /** One way, milliseconds, most and least. */
  readonly delayMs: readonly [number, number]
  /** Of dials that are never answered. */
  readonly lostDials: number
}

export const IDS: readonly [PeerId, PeerId] = [peerIdFromKey(new Uint8Array(32).fill(1)), peerIdFromKey(new Uint8Array(32).fill(2))]

export class World {
  now = 0
  readonly effects: readonly [LinksEffect[], LinksEffect[]] = [[], []]
  readonly #random: () => number
  readonly #options: WorldOptions
  readonly #machines: [PeerLinksMachine, PeerLinksMachine]
  readonly #epochs: [number, number] = [0, 0]
  readonly #wires = new Set<Wire>()
  readonly #aborted: readonly [Set<number>, Set<number>] = [new Set(), new Set()]
  #queue: { readonly at: number; readonly run: () => void }[] = []
  #lastLink = 0

  constructor(options: WorldOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed)
    this.#machines = [this.#newMachine(0), this.#newMachine(1)]
  }

  machine(side: Side): PeerLinksMachine {
    return this.#machines[side]
  }

  random(): number {
    return this.#random()
  }

  /** Each knows the other and wants it. */
  static mutualPolicy(side: Side): LinkPolicy {
    const peer = { peerId: IDS[side === 0 ? 1 : 0], blocked: false, wanted: true, addresses: [{ host: '10.0.0.1', port: 4433 }], knockSecret: 'aa' }
    return { codeSecret: 'cc', askBeforeAccepting: true, peers: [peer] }
  }

  input(side: Side, input: LinksInput): void {
    for (const effect of this.#machines[side].step(this.now, input)) {
      this.effects[side].push(effect)
      this.#perform(side, effect)
    }
  }

  at(at: number, run: () => void): void {
    this.#queue.push({ at, run })
  }

  runUntil(end: number): void {
    for (;;) {
      let next = end
      for (const { at } of this.#queue) next = Math.min(next, at)
      for (const machine of this.#machines) next = Math.min(next, Math.max(this.now, machine.deadline ?? end))
      this.now = next
      const due = this.#queue.filter(({ at }) => at <= next)
      this.#queue = this.#queue.filter(({ at }) => at > next)
      for (const { run } of due) run()
      for (const side of [0, 1] as const) if ((this.#machines[side].deadline ?? Infinity) <= this.now) this.input(side, { type: 'tick' })
      if (next >= end && due.length === 0) return
    }
  }

  /** Connections that exist at both sides and work. */
  shared(): Wire[] {
    return [...this.#wires].filter((wire) => !wire.cut && wire.links[0] !== undefined && wire.links[1] !== undefined)
  }

  /** Connections that a side holds, working or not. */
  held(side: Side): Wire[] {
    return [...this.#wires].filter((wire) => wire.links[side] !== undefined)
  }

  chosen(side: Side): Wire | undefined {
    const link = this.#machines[side].connection(IDS[side === 0 ? 1 : 0])
    return link === undefined ? undefined : [...this.#wires].find((wire) => wire.links[side] === link)
  }

  /** Loses every connection that exists now; the sides notice when their timers say so, not at once and not together. */
  cutAll(noticeMs: () => number): void {
    for (const wire of this.#wires) this.#cut(wire, noticeMs)
  }

  /** A side's process is replaced by a new one that remembers nothing; the other side hears no goodbye. */
  restart(side: Side, policy: LinkPolicy, noticeMs: () => number): void {
    for (const wire of this.#wires) {
      wire.links[side] = undefined
      this.#cut(wire, noticeMs)
    }
    this.#epochs[side]++
    this.#aborted[side].clear()
    this.#machines[side] = this.#newMachine(side)
    this.input(side, { type: 'policy', policy })
  }

  #newMachine(side: Side): PeerLinksMachine {
    return new PeerLinksMachine({ self: IDS[side], random: this.#random })
  }

  #cut(wire: Wire, noticeMs: () => number): void {
    if (wire.cut) return
    wire.cut = true
    for (const side of [0, 1] as const) this.at(this.now + noticeMs(), () => this.#ended(wire, side, 'timeout', 'lost'))
  }

  #ended(wire: Wire, side: Side, by: 'peer' | 'timeout', code: LinkCloseCode | 'lost'): void {
    const link = wire.links[side]
    wire.links[side] = undefined
    this.#sweep(wire)
    if (link !== undefined) this.input(side, { type: 'closed', link, by, code })
  }

  #sweep(wire: Wire): void {
    if (wire.links[0] === undefined && wire.links[1] === undefined) this.#wires.delete(wire)
  }

  #delay(): number {
    const [least, most] = this.#options.delayMs
    return least + (most - least) * this.#random()
  }

  /** One way over a connection, in order. */
  #send(wire: Wire, to: Side, arrive: (link: number) => void): void {
    wire.arrivesAt[to] = Math.max(wire.arrivesAt[to], this.now + this.#delay())
    this.at(wire.arrivesAt[to], () => {
      const link = wire.links[to]
      if (!wire.cut && link !== undefined) arrive(link)
    })
  }

  #perform(side: Side, effect: LinksEffect): void {
    const other: Side = side === 0 ? 1 : 0
    const wire = 'link' in effect ? [...this.#wires].find((candidate) => candidate.links[side] === effect.link) : undefined
    switch (effect.type) {
      case 'dial': return this.#dial(side, other, effect.dial)
      case 'abort-dial': return void this.#aborted[side].add(effect.dial)
      case 'greet': return wire && this.#send(wire, other, (link) => this.input(other, { type: 'hello', link }))
      case 'hold': return wire && this.#send(wire, other, (link) => this.input(other, { type: 'waits', link }))
      case 'admit': return wire && this.#send(wire, other, (link) => this.input(other, { type: 'greeted', link }))
      case 'probe': return this.#probe(side, other, effect.link, wire)
      case 'close': {
        if (!wire) return
        wire.links[side] = undefined
        this.#sweep(wire)
        return this.#send(wire, other, () => this.#ended(wire, other, 'peer', effect.code))
      }
    }
  }

  #dial(side: Side, other: Side, dial: number): void {
    if (this.#random() < this.#options.lostDials) return
    const [from, to] = [this.#epochs[side], this.#epochs[other]]
    this.at(this.now + this.#delay(), () => {
      if (this.#epochs[other] !== to || this.#epochs[side] !== from) return
      const wire: Wire = { dialler: side, links: [undefined, undefined], cut: false, arrivesAt: [0, 0] }
      this.#wires.add(wire)
      const theirs = ++this.#lastLink
      wire.links[other] = theirs
      this.input(other, { type: 'arrived', link: theirs, peerId: IDS[side], knock: 'known' })
      wire.arrivesAt[side] = this.now + this.#delay()
      this.at(wire.arrivesAt[side], () => {
        if (wire.cut || this.#epochs[side] !== from) return
        if (this.#aborted[side].has(dial)) return this.#send(wire, other, () => this.#ended(wire, other, 'peer', 'duplicate'))
        const ours = ++this.#lastLink
        wire.links[side] = ours
        this.#wires.add(wire)
        this.input(side, { type: 'dialled', dial, link: ours, peerId: IDS[other] })
        // Refused before we knew of it.
        if (wire.links[other] === undefined) this.#send(wire, side, () => this.#ended(wire, side, 'peer', 'refused'))
      })
    })
  }

  #probe(side: Side, other: Side, link: number, wire: Wire | undefined): void {
    const answer = (alive: boolean): void => this.input(side, { type: 'probed', link, alive })
    if (!wire) return
    const asked = this.now
    let answered = false
    this.#send(wire, other, () => {
      this.#send(wire, side, () => {
        answered = this.now - asked < 3_000
        if (answered) answer(true)
      })
    })
    const epoch = this.#epochs[side]
    this.at(asked + 3_000, () => {
      if (!answered && this.#epochs[side] === epoch) answer(false)
    })
  }
}
