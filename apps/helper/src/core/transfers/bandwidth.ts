import { ByteBucket } from '../byte-bucket.ts'
import { FairTurns } from './fair-turns.ts'
import type { Machine } from '../machine.ts'

/**
 * Decides when bytes may pass in one direction: a limit for all together, one for each peer, and fair turns between peers that wait. It knows nothing of
 * files, streams and schedules; whoever passes bytes asks for a piece at a time and passes it once it is granted.
 */
export type BandwidthInput =
  /** Somebody wants to pass a piece. `id` is the caller's, unique among those waiting. `isLocal`: to or from a peer on the same network. */
  | { readonly type: 'ask'; readonly id: number; readonly peer: string; readonly bytes: number; readonly isLocal: boolean }
  /** It is no longer wanted. Harmless for an unknown id. */
  | { readonly type: 'end'; readonly id: number }
  | { readonly type: 'limits'; readonly limits: BandwidthLimits }
  | { readonly type: 'tick' }

export interface BandwidthEffect {
  readonly type: 'grant'
  readonly id: number
}

/** In bytes per second; null = none. */
export interface BandwidthLimits {
  /** For all peers together. */
  readonly all: number | null
  /** For each peer that has none of its own. */
  readonly each: number | null
  /** Peers with a limit of their own, which holds wherever they are; null = none for this one but that for all. */
  readonly own: ReadonlyMap<string, number | null>
  /** How much of what is shared a peer gets beside others, 1 where nothing is said. */
  readonly weights: ReadonlyMap<string, number>
  /** Peers on the same network do not count, but for limits of their own. */
  readonly localIsFree: boolean
}

export const NO_LIMITS: BandwidthLimits = { all: null, each: null, own: new Map(), weights: new Map(), localIsFree: true }

/** Pieces are at least this long: shorter ones would cost more than they smooth. */
export const MIN_PIECE_BYTES = 4 * 1024
/** What may pass at once after a rest: a quarter of a second's worth, so that a limit is also one for those who share the line. */
const BURST_MS = 250
/** A piece is worth this much time, so that the turns of many are short. */
const PIECE_MS = 100

interface Ask {
  readonly id: number
  readonly bytes: number
  readonly isLocal: boolean
}

export class Bandwidth implements Machine<BandwidthInput, BandwidthEffect> {
  #limits: BandwidthLimits
  #all: ByteBucket | undefined
  readonly #peers = new Map<string, ByteBucket>()
  /** Per peer, oldest first. */
  readonly #asks = new Map<string, Ask[]>()
  readonly #turns = new FairTurns((peer) => this.#limits.weights.get(peer) ?? 1)
  #deadline: number | undefined

  constructor(limits: BandwidthLimits = NO_LIMITS, now = 0) {
    this.#limits = limits
    this.#setBuckets(now)
  }

  get deadline(): number | undefined {
    return this.#deadline
  }

  /** Those who wait. */
  get waiting(): number {
    let count = 0
    for (const asks of this.#asks.values()) count += asks.length
    return count
  }

  /** The tightest limit that holds for a peer, null = none. */
  limitOf(peer: string, isLocal: boolean): number | null {
    const { all } = this.#limits
    const isFree = isLocal && this.#limits.localIsFree
    const own = this.#peerLimit(peer, isFree)
    const rates = [own, isFree ? null : all].filter((rate) => rate !== null)
    return rates.length === 0 ? null : Math.min(...rates)
  }

  /** The limit of this peer alone, null = none. */
  peerLimitOf(peer: string, isLocal: boolean): number | null {
    return this.#peerLimit(peer, isLocal && this.#limits.localIsFree)
  }

  /** How long a piece for this peer should be now, undefined = as long as one likes, since nothing limits it. */
  pieceBytes(peer: string, isLocal: boolean): number | undefined {
    const limit = this.limitOf(peer, isLocal)
    return limit === null ? undefined : Math.max(MIN_PIECE_BYTES, Math.floor((limit * PIECE_MS) / 1000))
  }

  step(now: number, input: BandwidthInput): BandwidthEffect[] {
    if (input.type === 'ask') this.#ask(input)
    else if (input.type === 'end') this.#end(input.id)
    else if (input.type === 'limits') {
      this.#limits = input.limits
      this.#setBuckets(now)
    }
    return this.#grant(now)
  }

  #ask({ id, peer, bytes, isLocal }: Ask & { peer: string }): void {
    const asks = this.#asks.get(peer)
    if (asks === undefined) this.#asks.set(peer, [{ id, bytes, isLocal }])
    else asks.push({ id, bytes, isLocal })
    this.#turns.wait(peer)
  }

  #end(id: number): void {
    for (const [peer, asks] of this.#asks) {
      const at = asks.findIndex((ask) => ask.id === id)
      if (at === -1) continue
      asks.splice(at, 1)
      if (asks.length === 0) this.#leave(peer)
      return
    }
  }

  #grant(now: number): BandwidthEffect[] {
    const effects: BandwidthEffect[] = []
    for (let peer = this.#next(now); peer !== undefined; peer = this.#next(now)) effects.push(this.#pass(peer, now))
    this.#deadline = this.#nextReadyAt(now)
    return effects
  }

  #next(now: number): string | undefined {
    const free = this.#turns.next((peer) => this.#isFree(this.#first(peer)) && this.#peerReadyAt(peer, now) <= now)
    if (free !== undefined) return free
    const peer = this.#nextShared(now)
    return peer !== undefined && this.#allReadyAt(peer, now) <= now ? peer : undefined
  }

  /** Whose turn it is when the limit of all admits it. Skipping it for somebody with a shorter piece would starve it. */
  #nextShared(now: number): string | undefined {
    return this.#turns.next((peer) => !this.#isFree(this.#first(peer)) && this.#peerReadyAt(peer, now) <= now)
  }

  #nextReadyAt(now: number): number | undefined {
    const shared = this.#nextShared(now)
    let earliest = shared === undefined ? Infinity : this.#allReadyAt(shared, now)
    for (const peer of this.#asks.keys()) {
      const readyAt = this.#peerReadyAt(peer, now)
      if (readyAt > now) earliest = Math.min(earliest, readyAt)
    }
    return earliest === Infinity ? undefined : earliest
  }

  #pass(peer: string, now: number): BandwidthEffect {
    const ask = this.#first(peer)
    this.#asks.get(peer)?.shift()
    const isFree = this.#isFree(ask)
    if (!isFree) this.#all?.take(ask.bytes, now)
    this.#bucketOf(peer, ask, now)?.take(ask.bytes, now)
    // What takes nothing from the others is no turn of theirs.
    this.#turns.serve(peer, isFree ? 0 : ask.bytes)
    if (this.#asks.get(peer)?.length === 0) this.#leave(peer)
    return { type: 'grant', id: ask.id }
  }

  #leave(peer: string): void {
    this.#asks.delete(peer)
    this.#turns.leave(peer)
  }

  #first(peer: string): Ask {
    const ask = this.#asks.get(peer)?.[0]
    if (ask === undefined) throw new TypeError('a peer in line wants nothing')
    return ask
  }

  #isFree(ask: Ask): boolean {
    return ask.isLocal && this.#limits.localIsFree
  }

  #allReadyAt(peer: string, now: number): number {
    const ask = this.#first(peer)
    return this.#all?.readyAt(ask.bytes, now) ?? now
  }

  #peerReadyAt(peer: string, now: number): number {
    const ask = this.#first(peer)
    return this.#bucketOf(peer, ask, now)?.readyAt(ask.bytes, now) ?? now
  }

  #bucketOf(peer: string, ask: Ask, now: number): ByteBucket | undefined {
    const rate = this.#peerLimit(peer, this.#isFree(ask))
    if (rate === null) return undefined
    const bucket = this.#peers.get(peer)
    if (bucket !== undefined) return bucket
    // A full one says nothing that a new one would not; those of peers that left long ago are the first to go.
    if (this.#peers.size >= MAX_BUCKETS) this.#peers.delete(this.#peers.keys().next().value ?? '')
    const fresh = new ByteBucket(rate, burstOf(rate), now)
    this.#peers.set(peer, fresh)
    return fresh
  }

  #peerLimit(peer: string, isFree: boolean): number | null {
    const own = this.#limits.own.get(peer)
    if (own !== undefined) return own
    return isFree ? null : this.#limits.each
  }

  #setBuckets(now: number): void {
    const { all } = this.#limits
    if (all === null) this.#all = undefined
    else if (this.#all === undefined) this.#all = new ByteBucket(all, burstOf(all), now)
    else this.#all.set(all, burstOf(all), now)
    for (const [peer, bucket] of this.#peers) {
      const rate = this.#peerLimit(peer, false)
      if (rate === null) this.#peers.delete(peer)
      else bucket.set(rate, burstOf(rate), now)
    }
  }
}

/** Buckets of peers; with more, the oldest start full again. */
const MAX_BUCKETS = 1_000

/** How many bytes may pass at once under a limit. */
export function burstOf(rate: number): number {
  return Math.max(MIN_BURST_BYTES, Math.floor((rate * BURST_MS) / 1000))
}

/** Two of the shortest pieces. */
const MIN_BURST_BYTES = 2 * MIN_PIECE_BYTES
