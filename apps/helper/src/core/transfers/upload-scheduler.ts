import { FairTurns } from './fair-turns.ts'
import type { Machine } from '../machine.ts'

/**
 * Decides whose read is served next: round-robin over peers, bounded per peer and in all, with some slots kept for peers that have none.
 * It knows nothing of files and streams; a slot stands for one read in memory, up to MAX_READ_BYTES.
 */
export type UploadInput =
  /** A read wants a slot. `id` is the caller's, unique among those waiting or holding. */
  | { readonly type: 'ask'; readonly id: number; readonly peer: string; readonly file?: string }
  /** The peer took some bytes of it. */
  | { readonly type: 'progress'; readonly id: number }
  /** It waits for us, not for its peer, until the next progress. */
  | { readonly type: 'pause'; readonly id: number }
  | { readonly type: 'limits'; readonly limits: UploadLimits }
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
  /** Different files of one peer at once; absent = as many as it has slots. */
  readonly files?: number
  /** Reads of one peer that wait or are served; more are refused. Absent = no bound but that on streams. */
  readonly queue?: number
  /** Tighter bounds on the slots of single peers, for example because a narrow line is shared out in fewer, quicker parts. */
  readonly peerSlots?: ReadonlyMap<string, number>
  /** How many turns a peer gets for one of the others, 1 where nothing is said. */
  readonly weights?: ReadonlyMap<string, number>
}

/** 24 reads of 4 MiB are 96 MiB: the most that serving peers may hold. Eight is READS_IN_FLIGHT, what one link needs. */
export const UPLOAD_LIMITS: UploadLimits = { slots: 16, reserve: 8, perPeer: 8, stallMs: 60_000, contendedStallMs: 15_000 }

interface Read {
  readonly id: number
  readonly peer: string
  readonly file: string | undefined
}

interface Slot extends Read {
  /** Infinity while it waits for us. */
  progressAt: number
}

export class UploadScheduler implements Machine<UploadInput, UploadEffect> {
  #limits: UploadLimits
  /** Who holds a slot, by id. */
  readonly #slots = new Map<number, Slot>()
  readonly #held = new Map<string, number>()
  /** Waiting reads per peer, oldest first. */
  readonly #waiting = new Map<string, Read[]>()
  readonly #waitingPeer = new Map<number, string>()
  readonly #turns = new FairTurns((peer) => this.#limits.weights?.get(peer) ?? 1)

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

  /** Reads of a peer that wait for a slot. */
  waiting(peer: string): number {
    return this.#waiting.get(peer)?.length ?? 0
  }

  /** Whether one more read of this peer would be beyond its bound. */
  isFull(peer: string): boolean {
    return this.#limits.queue !== undefined && this.held(peer) + this.waiting(peer) >= this.#limits.queue
  }

  /** How many peers' turns there are until this one's, its own included; undefined when none of its reads waits. */
  place(peer: string): number | undefined {
    if (!this.#waiting.has(peer)) return undefined
    return this.#turns.inOrder().indexOf(peer) + 1
  }

  step(now: number, input: UploadInput): UploadEffect[] {
    if (input.type === 'ask') this.#enqueue({ id: input.id, peer: input.peer, file: input.file })
    else if (input.type === 'end') this.#forget(input.id)
    else if (input.type === 'limits') this.#limits = input.limits
    else if (input.type !== 'tick') {
      const slot = this.#slots.get(input.id)
      if (slot !== undefined) slot.progressAt = input.type === 'pause' ? Infinity : now
      return []
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

  #enqueue(read: Read): void {
    const { id, peer } = read
    if (this.#waitingPeer.has(id) || this.#slots.has(id)) throw new TypeError(`read ${id} asked twice`)
    this.#waitingPeer.set(id, peer)
    const queue = this.#waiting.get(peer)
    if (queue === undefined) this.#waiting.set(peer, [read])
    else queue.push(read)
    this.#turns.wait(peer)
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
    this.#keepWaiting(peer, (this.#waiting.get(peer) ?? []).filter((other) => other.id !== id))
  }

  #keepWaiting(peer: string, queue: Read[]): void {
    if (queue.length > 0) {
      this.#waiting.set(peer, queue)
      return
    }
    this.#waiting.delete(peer)
    this.#turns.leave(peer)
  }

  #grant(now: number): UploadEffect[] {
    const effects: UploadEffect[] = []
    for (let peer = this.#next(); peer !== undefined; peer = this.#next()) {
      const queue = this.#waiting.get(peer) ?? []
      const [read] = queue.splice(this.#startable(peer), 1)
      if (read === undefined) throw new TypeError('a peer in line wants nothing')
      this.#turns.serve(peer, 1)
      this.#keepWaiting(peer, queue)
      this.#waitingPeer.delete(read.id)
      this.#slots.set(read.id, { ...read, progressAt: now })
      this.#held.set(peer, this.held(peer) + 1)
      effects.push({ type: 'grant', id: read.id })
    }
    return effects
  }

  /** Whose turn it is, if there is a slot for it. */
  #next(): string | undefined {
    const { slots, reserve } = this.#limits
    if (this.#slots.size >= slots + reserve) return undefined
    return this.#turns.next((peer) => this.#mayHaveMore(peer) && this.#slots.size < (this.held(peer) === 0 ? slots + reserve : slots))
  }

  /** Not at its own bound. */
  #mayHaveMore(peer: string): boolean {
    const { perPeer, peerSlots } = this.#limits
    return this.held(peer) < Math.min(perPeer, peerSlots?.get(peer) ?? perPeer) && this.#startable(peer) !== -1
  }

  /** The first waiting read of a peer that does not begin one file too many. */
  #startable(peer: string): number {
    const queue = this.#waiting.get(peer) ?? []
    const { files = Infinity } = this.#limits
    if (files >= this.#limits.perPeer) return queue.length === 0 ? -1 : 0
    const open = new Set<string | undefined>()
    for (const slot of this.#slots.values()) if (slot.peer === peer) open.add(slot.file)
    return open.size < files ? Math.min(0, queue.length - 1) : queue.findIndex(({ file }) => open.has(file))
  }

  /** Somebody waits who would get a slot if one were free: not one who is at its own bound. */
  #patience(): number {
    for (const peer of this.#waiting.keys()) if (this.#mayHaveMore(peer)) return this.#limits.contendedStallMs
    return this.#limits.stallMs
  }

  /** The read whose peer has taken nothing for the longest time, if that is too long. */
  #stalled(now: number): number | undefined {
    const oldest = this.#oldest()
    return oldest !== undefined && oldest.progressAt + this.#patience() <= now ? oldest.id : undefined
  }

  #oldest(): { readonly id: number; readonly progressAt: number } | undefined {
    let oldest: { id: number; progressAt: number } | undefined
    for (const { id, progressAt } of this.#slots.values()) {
      if (progressAt !== Infinity && (oldest === undefined || progressAt < oldest.progressAt)) oldest = { id, progressAt }
    }
    return oldest
  }
}
