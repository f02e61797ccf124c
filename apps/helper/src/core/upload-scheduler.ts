import type { Machine } from './machine.ts'

/**
 * Decides whose read is served next: round-robin over peers, bounded per peer and in all, with some slots kept for peers that have none.
 * It knows nothing of files and streams; a slot stands for one read in memory, up to MAX_READ_BYTES.
 */
export type UploadInput =
  /** A read wants a slot. `id` is the caller's, unique among those waiting or holding. */
  | { readonly type: 'ask'; readonly id: number; readonly peer: string }
  /** The peer took some bytes of it. */
  | { readonly type: 'progress'; readonly id: number }
  /** Sent, failed, or no longer wanted. Harmless for an unknown id. */
  | { readonly type: 'end'; readonly id: number }
  | { readonly type: 'tick' }

export type UploadEffect =
  | { readonly type: 'grant'; readonly id: number }
  /** The peer does not read: cut it off. The slot is free already. */
  | { readonly type: 'evict'; readonly id: number }

export interface UploadLimits {
  /** Slots for everybody. */
  readonly slots: number
  /** More slots, only for peers that hold none: nobody is kept out by others who read slowly. */
  readonly reserve: number
  /** At most this many for one peer. */
  readonly perPeer: number
  /** A peer that has taken nothing for this long is cut off. */
  readonly stallMs: number
  /** The same while somebody waits who could have the slot. */
  readonly contendedStallMs: number
}

/** 24 reads of 4 MiB are 96 MiB: the most that serving peers may hold. Eight is READS_IN_FLIGHT, what one link needs. */
export const UPLOAD_LIMITS: UploadLimits = { slots: 16, reserve: 8, perPeer: 8, stallMs: 60_000, contendedStallMs: 15_000 }

interface Slot {
  readonly peer: string
  progressAt: number
}

export class UploadScheduler implements Machine<UploadInput, UploadEffect> {
  readonly #limits: UploadLimits
  /** Who holds a slot, by id. */
  readonly #slots = new Map<number, Slot>()
  readonly #held = new Map<string, number>()
  /** Waiting reads per peer, oldest first. The order of the keys is whose turn is next. */
  readonly #waiting = new Map<string, number[]>()
  readonly #waitingPeer = new Map<number, string>()

  constructor(limits: UploadLimits = UPLOAD_LIMITS) {
    this.#limits = limits
  }

  get deadline(): number | undefined {
    const oldest = this.#oldest()
    return oldest === undefined ? undefined : oldest.progressAt + this.#patience()
  }

  /** Slots in use, of one peer or of all. */
  held(peer?: string): number {
    return peer === undefined ? this.#slots.size : (this.#held.get(peer) ?? 0)
  }

  step(now: number, input: UploadInput): UploadEffect[] {
    if (input.type === 'ask') this.#enqueue(input.id, input.peer)
    else if (input.type === 'end') this.#forget(input.id)
    else if (input.type === 'progress') {
      const slot = this.#slots.get(input.id)
      if (slot !== undefined) slot.progressAt = now
    }
    const effects = this.#grant(now)
    if (input.type !== 'tick') return effects
    // One at a time: the first to go may end the contention.
    for (let id = this.#stalled(now); id !== undefined; id = this.#stalled(now)) {
      this.#forget(id)
      effects.push({ type: 'evict', id }, ...this.#grant(now))
    }
    return effects
  }

  #enqueue(id: number, peer: string): void {
    if (this.#waitingPeer.has(id) || this.#slots.has(id)) throw new TypeError(`read ${id} asked twice`)
    this.#waitingPeer.set(id, peer)
    const queue = this.#waiting.get(peer)
    if (queue === undefined) this.#waiting.set(peer, [id])
    else queue.push(id)
  }

  #forget(id: number): void {
    const slot = this.#slots.get(id)
    if (slot !== undefined) {
      this.#slots.delete(id)
      const left = this.held(slot.peer) - 1
      if (left === 0) this.#held.delete(slot.peer)
      else this.#held.set(slot.peer, left)
      return
    }
    const peer = this.#waitingPeer.get(id)
    if (peer === undefined) return
    this.#waitingPeer.delete(id)
    const rest = (this.#waiting.get(peer) ?? []).filter((other) => other !== id)
    if (rest.length === 0) this.#waiting.delete(peer)
    else this.#waiting.set(peer, rest)
  }

  #grant(now: number): UploadEffect[] {
    const effects: UploadEffect[] = []
    for (let peer = this.#next(); peer !== undefined; peer = this.#next()) {
      const queue = this.#waiting.get(peer) ?? []
      const id = queue.shift()
      // To the end of the line, or out of it.
      this.#waiting.delete(peer)
      if (id === undefined) continue
      if (queue.length > 0) this.#waiting.set(peer, queue)
      this.#waitingPeer.delete(id)
      this.#slots.set(id, { peer, progressAt: now })
      this.#held.set(peer, this.held(peer) + 1)
      effects.push({ type: 'grant', id })
    }
    return effects
  }

  /** Whose turn it is, if there is a slot for it. */
  #next(): string | undefined {
    const { slots, reserve, perPeer } = this.#limits
    for (const peer of this.#waiting.keys()) {
      const held = this.held(peer)
      if (held >= perPeer) continue
      if (this.#slots.size < (held === 0 ? slots + reserve : slots)) return peer
    }
    return undefined
  }

  /** Somebody waits who would get a slot if one were free: not one who is at its own bound. */
  #patience(): number {
    for (const peer of this.#waiting.keys()) if (this.held(peer) < this.#limits.perPeer) return this.#limits.contendedStallMs
    return this.#limits.stallMs
  }

  /** The read whose peer has taken nothing for the longest time, if that is too long. */
  #stalled(now: number): number | undefined {
    const oldest = this.#oldest()
    return oldest !== undefined && oldest.progressAt + this.#patience() <= now ? oldest.id : undefined
  }

  #oldest(): { readonly id: number; readonly progressAt: number } | undefined {
    let oldest: { id: number; progressAt: number } | undefined
    for (const [id, { progressAt }] of this.#slots) {
      if (oldest === undefined || progressAt < oldest.progressAt) oldest = { id, progressAt }
    }
    return oldest
  }
}
