import { type Endpoint, type PeerId, formatEndpoint } from '@harddrive-party/protocol'
import type { LanSighting } from './lan-records.ts'
import type { LinkState } from '../peers/peer-link-messages.ts'
import type { Machine } from '../machine.ts'

/**
 * Decides what follows from who announces itself on the local network: whom we know is dialled there, whom we do not know is shown as nearby. A sighting
 * proves nothing; whoever is dialled has to prove its key.
 */

/** People remembered as nearby: more than anybody looks through, and a bound for who invents some. */
export const MAX_NEIGHBOURS = 128
/** The same peer is dialled again no sooner, unless it announces something else. */
export const DIAL_AGAIN_MS = 10_000
/** Addresses kept of one: two families on a few interfaces. */
const MAX_ADDRESSES = 8

export type NeighboursInput =
  /** Whom we know, and whether we want to be connected to them. */
  | { readonly type: 'known'; readonly peers: readonly { readonly peerId: PeerId; readonly wanted: boolean; readonly blocked: boolean }[] }
  | { readonly type: 'sighted'; readonly sighting: LanSighting }
  /** What the session layer says of a peer. */
  | { readonly type: 'status'; readonly peerId: PeerId; readonly state: LinkState }
  | { readonly type: 'tick' }

export type NeighboursEffect =
  | { readonly type: 'dial'; readonly neighbour: Neighbour }
  /** Somebody unknown is nearby; or is no more, which is of interest only while nothing else is said of it. */
  | { readonly type: 'nearby'; readonly peerId: PeerId; readonly isNearby: boolean }

export interface Neighbour {
  readonly peerId: PeerId
  readonly knockSecret: Uint8Array
  readonly endpoints: readonly Endpoint[]
}

interface Sighted extends Neighbour {
  endpoints: readonly Endpoint[]
  until: number
  dialledAt: number
}

/** States in which the session layer says nothing that would be hidden by `nearby`, or helped by dialling. */
const ABSENT: readonly LinkState[] = ['offline']

export class LanNeighbours implements Machine<NeighboursInput, NeighboursEffect> {
  readonly #self: PeerId
  readonly #sighted = new Map<PeerId, Sighted>()
  readonly #known = new Map<PeerId, { readonly wanted: boolean; readonly blocked: boolean }>()
  /** Of those who are not offline. */
  readonly #states = new Map<PeerId, LinkState>()
  readonly #told = new Set<PeerId>()

  constructor(self: PeerId) {
    this.#self = self
  }

  get deadline(): number | undefined {
    let earliest: number | undefined
    for (const { until } of this.#sighted.values()) if (earliest === undefined || until < earliest) earliest = until
    return earliest
  }

  /** How to reach somebody who is nearby. */
  find(peerId: PeerId): Neighbour | undefined {
    return this.#sighted.get(peerId)
  }

  step(now: number, input: NeighboursInput): NeighboursEffect[] {
    switch (input.type) {
      case 'known':
        this.#known.clear()
        for (const { peerId, wanted, blocked } of input.peers) this.#known.set(peerId, { wanted, blocked })
        return [...this.#sighted.values()].flatMap((neighbour) => this.#judge(now, neighbour))
      case 'status': {
        if (ABSENT.includes(input.state)) this.#states.delete(input.peerId)
        else this.#states.set(input.peerId, input.state)
        // Whatever else is said of a peer takes the place of `nearby`; it is said again afterwards.
        this.#told.delete(input.peerId)
        const neighbour = this.#sighted.get(input.peerId)
        return neighbour ? this.#judge(now, neighbour) : []
      }
      case 'sighted': return this.#see(now, input.sighting)
      case 'tick':
        return [...this.#sighted.values()].flatMap((neighbour) => (neighbour.until <= now ? this.#lose(neighbour.peerId) : []))
    }
  }

  #see(now: number, { peerId, knockSecret, endpoints, ttl }: LanSighting): NeighboursEffect[] {
    if (peerId === this.#self) return []
    if (ttl <= 0) return this.#lose(peerId)
    const before = this.#sighted.get(peerId)
    if (!before && this.#sighted.size >= MAX_NEIGHBOURS) return []
    const same = before && equal(before.knockSecret, knockSecret) ? before : undefined
    // The newest first; a peer on several interfaces is seen on each of them.
    const all = new Map([...endpoints, ...(same?.endpoints ?? [])].map((endpoint) => [formatEndpoint(endpoint), endpoint]))
    const addresses = [...all.values()].slice(0, MAX_ADDRESSES)
    const isNews = same === undefined || addresses.some((endpoint) => !same.endpoints.some((old) => formatEndpoint(old) === formatEndpoint(endpoint)))
    const neighbour: Sighted = {
      peerId, knockSecret, endpoints: addresses, until: now + ttl * 1000, dialledAt: isNews ? -Infinity : (same?.dialledAt ?? -Infinity),
    }
    this.#sighted.set(peerId, neighbour)
    return this.#judge(now, neighbour)
  }

  #judge(now: number, neighbour: Sighted): NeighboursEffect[] {
    const { peerId } = neighbour
    const known = this.#known.get(peerId)
    const state = this.#states.get(peerId)
    if (known) {
      const untold = this.#told.delete(peerId)
      const effects: NeighboursEffect[] = untold && state === undefined ? [{ type: 'nearby', peerId, isNearby: false }] : []
      if (!known.wanted || known.blocked || (state !== undefined && state !== 'dialling') || neighbour.endpoints.length === 0) return effects
      if (now - neighbour.dialledAt < DIAL_AGAIN_MS) return effects
      neighbour.dialledAt = now
      return [...effects, { type: 'dial', neighbour }]
    }
    if (state !== undefined || this.#told.has(peerId)) return []
    this.#told.add(peerId)
    return [{ type: 'nearby', peerId, isNearby: true }]
  }

  #lose(peerId: PeerId): NeighboursEffect[] {
    this.#sighted.delete(peerId)
    return this.#told.delete(peerId) ? [{ type: 'nearby', peerId, isNearby: false }] : []
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
