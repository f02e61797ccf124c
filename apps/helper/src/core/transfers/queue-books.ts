import type { PeerId } from '@harddrive-party/protocol'
import type { QueueEffect } from './queue-messages.ts'
import { type SortedPage, allPagesEnded, firstUnfinished, sortPage } from './queue-pages.ts'
import { FOLLOW_MS, FOLLOW_SHARE, type Job, type Peer, type Wish, failureOf, forget, jobIdOf, newPeer, setBack } from './queue-state.ts'
import type { DONE, FAILED, Reason, WishEnd, WishPage } from '../wishes/wish.ts'
import { insertInOrder } from '../wishes/wish-order.ts'

/** Everything the transfer queue knows, and the steps that keep its parts in agreement. Decides no turns. */
export class QueueBooks {
  readonly random: () => number
  readonly wishes = new Map<string, Wish>()
  readonly peers = new Map<PeerId, Peer>()
  readonly jobs = new Map<string, Job>()
  /** Those that may want a tick. */
  readonly sleepers = new Set<Wish>()
  /** Ended ones whose source is looked at from time to time. */
  readonly followers = new Set<Wish>()
  readonly touched = new Set<Wish>()
  readonly peerTurn: PeerId[] = []
  allPaused = false
  listings = 0
  /** Batches under way, and the number of the latest. */
  batches = 0
  lastBatch = 0
  effects: QueueEffect[] = []

  constructor(random: () => number) {
    this.random = random
  }

  peer(peerId: PeerId): Peer {
    let peer = this.peers.get(peerId)
    if (peer === undefined) {
      peer = newPeer()
      this.peers.set(peerId, peer)
      this.peerTurn.push(peerId)
    }
    return peer
  }

  peerOf(wish: Wish): Peer {
    return this.peer(wish.record.peerId)
  }

  save({ record: { id } }: Wish): void {
    this.effects.push({ type: 'save', id, soon: false })
  }

  savePage({ record: { id } }: Wish, number: number, page: WishPage): void {
    this.effects.push({ type: 'save', id, number, page, soon: true })
  }

  /** Joins the line of those that have not ended. */
  begin(wish: Wish): void {
    const peer = this.peerOf(wish)
    insertInOrder(peer.wishes, wish)
    peer.turn.unshift(wish)
    this.followers.delete(wish)
    this.touched.add(wish)
  }

  end(now: number, wish: Wish, phase: WishEnd, reason: Reason | null): void {
    const { record } = wish
    Object.assign(record, { phase, reason, begun: {}, rearm: [], again: null } satisfies Partial<typeof record>)
    const peer = this.peerOf(wish)
    peer.wishes = peer.wishes.filter((other) => other !== wish)
    peer.turn = peer.turn.filter((other) => other !== wish)
    if (wish.loading !== undefined) {
      peer.busy--
      wish.busy--
    }
    forget(wish)
    this.sleepers.delete(wish)
    if (record.follow) this.followFrom(now, wish)
    this.touched.add(wish)
    this.save(wish)
  }

  /** The source is looked at again a while from now: the longer that took, the later. */
  followFrom(now: number, wish: Wish): void {
    const took = Math.max(0, wish.lookedAt - wish.listedAt)
    wish.lookAt = now + Math.max(FOLLOW_MS, took / FOLLOW_SHARE)
    this.followers.add(wish)
  }

  endIfDone(now: number, wish: Wish): void {
    const { record } = wish
    if (record.phase !== 'fetch' || !allPagesEnded(wish)) return
    if (record.failedFiles > 0) return this.end(now, wish, 'failed', failureOf(record))
    const isUnwanted = record.skippedFiles > 0 && record.doneFiles === 0
    this.end(now, wish, isUnwanted ? 'cancelled' : 'done', null)
  }

  listingEnded(now: number, id: string): Wish | undefined {
    const wish = this.wishes.get(id)
    if (wish === undefined || !wish.listing) return undefined
    wish.listing = false
    wish.lookedAt = now
    this.listings--
    this.peerOf(wish).listings--
    this.touched.add(wish)
    return wish
  }

  stopListing(now: number, wish: Wish): void {
    if (this.listingEnded(now, wish.record.id) === undefined) return
    this.effects.push({ type: 'stop-listing', id: wish.record.id })
  }

  jobEnded(jobId: string): Job | undefined {
    const job = this.jobs.get(jobId)
    if (job === undefined) return undefined
    const { wish, batch } = job
    this.jobs.delete(jobId)
    wish.jobs.delete(jobId)
    if (--batch.left === 0) {
      this.batches--
      wish.busy--
      this.peerOf(wish).busy--
    }
    this.touched.add(wish)
    return job
  }

  /** Its files go back into line, with what is there of them. */
  stopJobs(wish: Wish): void {
    for (const [jobId, { number, index }] of wish.jobs) {
      this.jobEnded(jobId)
      this.effects.push({ type: 'stop', jobId, discard: false })
      wish.ready.unshift({ number, index })
    }
  }

  rowEnded(now: number, { wish, number, index, row }: Job, state: typeof DONE | typeof FAILED): void {
    const opened = wish.open.get(number)
    if (opened === undefined) return
    opened.page.states[index] = state
    opened.left--
    const jobId = jobIdOf(wish.record.id, { number, index })
    wish.tries.delete(jobId)
    delete wish.record.begun[jobId]
    // The name of a wish that is one file is its target, which is in the record.
    this.effects.push({ type: 'save', id: wish.record.id, number, page: opened.page, soon: row.local !== '' })
    if (opened.left === 0) this.#closePage(now, wish, number)
  }

  /** A page came up, or what is wanted of it changed. */
  takePage(now: number, wish: Wish, number: number, page: WishPage): SortedPage {
    const sorted = sortPage(wish, number, page)
    wish.open.set(number, { page, left: sorted.left, held: sorted.held })
    for (const { jobId, discard } of sorted.stop) {
      this.jobEnded(jobId)
      this.effects.push({ type: 'stop', jobId, discard })
    }
    this.effects.push(...sorted.drop)
    wish.ready.push(...sorted.ready)
    if (sorted.changed) this.savePage(wish, number, page)
    if (sorted.left === 0) this.#closePage(now, wish, number)
    return sorted
  }

  /** The person chose something else for parts of it. */
  sortAgain(now: number, wish: Wish): void {
    wish.ready = []
    for (const [number, { page }] of [...wish.open].sort(([a], [b]) => a - b)) {
      if (hasLeft(wish)) this.takePage(now, wish, number, page)
    }
    this.touched.add(wish)
    if (hasLeft(wish)) this.pagesEnded(now, wish)
  }

  #closePage(now: number, wish: Wish, number: number): void {
    const held = wish.open.get(number)?.held ?? 0
    wish.open.delete(number)
    if (held > 0) wish.parked.add(number)
    this.pagesEnded(now, wish)
  }

  pagesEnded(now: number, wish: Wish): void {
    const { record } = wish
    if (record.rearm.length > 0 && wish.again.length === 0 && wish.loading === undefined && wish.nextPage >= record.pages) record.rearm = []
    record.firstPage = record.rearm.length > 0 ? record.base : firstUnfinished(wish)
    this.endIfDone(now, wish)
    this.save(wish)
  }

  delayPeer(now: number, wish: Wish, reason: Reason): void {
    const peer = this.peerOf(wish)
    if (!setBack(now, peer, reason, this.random)) return
    for (const other of peer.wishes) this.touched.add(other)
  }

  delayWish(wish: Wish, until: number, reason: Reason): void {
    wish.trouble = reason
    wish.notBefore = until
    this.sleepers.add(wish)
    this.touched.add(wish)
  }
}

/** Ending one page may have ended the wish. */
function hasLeft({ record }: Wish): boolean {
  return record.phase === 'fetch'
}
