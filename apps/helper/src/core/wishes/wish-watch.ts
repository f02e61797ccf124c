import type { PeerId } from '@harddrive-party/protocol'
import type { Machine } from '../machine.ts'

/**
 * Decides when which search wish is looked for at which peer: when the peer connects, when what it shares has changed, when the wish is new, and never more
 * often than is good for both sides. Searches nothing itself.
 */
export type WatchInput =
  /** All that are to be looked for; `version` is another one when something else is looked for. */
  | { readonly type: 'wishes'; readonly wishes: readonly WatchedWish[] }
  | { readonly type: 'peer'; readonly peerId: PeerId; readonly connected: boolean }
  /** The peer has told the state of its shares: any text that is another one when they have changed. */
  | { readonly type: 'changed'; readonly peerId: PeerId; readonly revision: string }
  /** `more`: there is more than was taken in one go. */
  | { readonly type: 'searched'; readonly id: string; readonly peerId: PeerId; readonly outcome: 'done' | 'more' | 'failed' }
  | { readonly type: 'tick' }

export interface WatchEffect {
  readonly type: 'search'
  readonly id: string
  readonly peerId: PeerId
}

export interface WatchedWish {
  readonly id: string
  readonly version: string
  /** Null = at everybody. */
  readonly peerId: PeerId | null
}

/** A peer that has just connected tells the state of its shares first, which may make a search needless. */
export const SETTLE_MS = 1_500
/** The same wish is looked for at the same peer at most so often, however often its shares change. */
export const AGAIN_MS = 10_000
/** Peers that do not tell when their shares change are asked so often. */
export const POLL_MS = 15 * 60_000
const FIRST_RETRY_MS = 30_000
/** At one peer one at a time; so many in all. */
const SEARCHES_IN_ALL = 3
/** Peers that are away and remembered, so that they need not be searched again when they come back unchanged. */
const MAX_AWAY = 200

interface WatchedPeer {
  connected: boolean
  /** Counts up. */
  connection: number
  readyAt: number
  /** What it said since it connected; null = nothing. */
  revision: string | null
  running: { readonly id: string; readonly look: Omit<Look, 'endedAt' | 'outcome' | 'failures'> } | null
  readonly looks: Map<string, Look>
}

/** The last search for one wish at one peer. */
interface Look {
  readonly version: string
  readonly connection: number
  readonly revision: string | null
  readonly endedAt: number
  readonly outcome: 'done' | 'more' | 'failed'
  /** In a row. */
  readonly failures: number
}

export class WishWatch implements Machine<WatchInput, WatchEffect> {
  #wishes: readonly WatchedWish[] = []
  readonly #peers = new Map<PeerId, WatchedPeer>()
  #running = 0
  #deadline: number | undefined

  get deadline(): number | undefined {
    return this.#deadline
  }

  step(now: number, input: WatchInput): WatchEffect[] {
    this.#apply(now, input)
    return this.#schedule(now)
  }

  #apply(now: number, input: WatchInput): void {
    switch (input.type) {
      case 'wishes': {
        this.#wishes = input.wishes
        const wanted = new Set(input.wishes.map(({ id }) => id))
        for (const { looks } of this.#peers.values()) {
          for (const id of looks.keys()) if (!wanted.has(id)) looks.delete(id)
        }
        return
      }
      case 'peer':
        return this.#setConnected(now, input.peerId, input.connected)
      case 'changed': {
        const peer = this.#peers.get(input.peerId)
        if (peer?.connected === true) peer.revision = input.revision
        return
      }
      case 'searched':
        return this.#searched(now, input)
      case 'tick':
    }
  }

  #setConnected(now: number, peerId: PeerId, connected: boolean): void {
    const peer = this.#peers.get(peerId) ?? { connected: false, connection: 0, readyAt: 0, revision: null, running: null, looks: new Map<string, Look>() }
    if (peer.connected === connected) return
    // The last one comes last.
    this.#peers.delete(peerId)
    this.#peers.set(peerId, peer)
    Object.assign(peer, { connected, connection: peer.connection + 1, readyAt: now + SETTLE_MS, revision: null })
    if (connected) return
    let away = [...this.#peers.values()].filter((other) => !other.connected).length
    for (const [id, other] of this.#peers) {
      if (away <= MAX_AWAY) return
      if (other.connected || other.running !== null) continue
      this.#peers.delete(id)
      away--
    }
  }

  #searched(now: number, { id, peerId, outcome }: Extract<WatchInput, { type: 'searched' }>): void {
    const peer = this.#peers.get(peerId)
    if (peer?.running?.id !== id) return
    const { look } = peer.running
    peer.running = null
    this.#running--
    if (this.#wishes.some((wish) => wish.id === id)) peer.looks.set(id, { ...look, endedAt: now, outcome, failures: outcome === 'failed' ? (peer.looks.get(id)?.failures ?? 0) + 1 : 0 })
  }

  #schedule(now: number): WatchEffect[] {
    const effects: WatchEffect[] = []
    let earliest = Infinity
    for (const [peerId, peer] of this.#peers) {
      if (!peer.connected || peer.running !== null) continue
      for (const wish of this.#wishes) {
        if (wish.peerId !== null && wish.peerId !== peerId) continue
        const at = Math.max(peer.readyAt, dueAt(peer, wish))
        if (at > now) {
          earliest = Math.min(earliest, at)
          continue
        }
        // The end of a search that runs is a step of its own.
        if (this.#running >= SEARCHES_IN_ALL) break
        this.#running++
        peer.running = { id: wish.id, look: { version: wish.version, connection: peer.connection, revision: peer.revision } }
        effects.push({ type: 'search', id: wish.id, peerId })
        break
      }
    }
    this.#deadline = earliest === Infinity ? undefined : earliest
    return effects
  }
}

/** When this wish is to be looked for at this peer. */
function dueAt({ looks, revision, connection }: WatchedPeer, wish: WatchedWish): number {
  const last = looks.get(wish.id)
  if (last === undefined || last.version !== wish.version) return 0
  if (last.outcome === 'failed') return last.endedAt + Math.min(POLL_MS, FIRST_RETRY_MS * 2 ** (last.failures - 1))
  if (last.outcome === 'more' || (revision !== null && last.revision !== revision)) return last.endedAt + AGAIN_MS
  if (revision !== null) return Infinity
  return last.connection === connection ? last.endedAt + POLL_MS : last.endedAt + AGAIN_MS
}
