import type { PeerId, SharePath } from '@harddrive-party/protocol'
import type { Machine } from './machine.ts'
import type { QueueEffect, QueueInput } from './queue-messages.ts'
import {
  DISK_FULL_MS, FILE_TROUBLE, JOBS_IN_ALL, JOBS_PER_PEER, LISTINGS_IN_ALL, MAX_TRIES, OPEN_PAGES, PEER_TROUBLE, backoff,
  changeRow, countBegun, countDone, failureOf, forget, jobIdOf, newPeer, nextWake, openJob, openWish, recovered, setBack, stateOf, statusOf, takeBatch, unfinishedOf, wake, wakeDelayed,
} from './queue-state.ts'
import type { Batch, Job, Peer, Place, Wish, WishStatus } from './queue-state.ts'
import { BEGUN, DONE, FAILED, type Reason, type WishPage, type WishRecord, hasEnded } from './wish.ts'

/**
 * Decides which wish is listed and which file is fetched next, fairly between peers and between wishes, when to try again after what went wrong,
 * and when a wish has ended. Lists, fetches and stores nothing itself.
 */
export class TransferQueue implements Machine<QueueInput, QueueEffect> {
  readonly #random: () => number
  readonly #wishes = new Map<string, Wish>()
  readonly #peers = new Map<PeerId, Peer>()
  readonly #jobs = new Map<string, Job>()
  /** Those that may want a tick. */
  readonly #sleepers = new Set<Wish>()
  readonly #touched = new Set<Wish>()
  #peerTurn: PeerId[] = []
  #listings = 0
  /** Batches under way, and the number of the latest. */
  #batches = 0
  #lastBatch = 0
  #effects: QueueEffect[] = []

  /** @param random like Math.random, for jitter */
  constructor(random: () => number) {
    this.#random = random
  }

  get deadline(): number | undefined {
    return nextWake(this.#sleepers, this.#peers)
  }

  record(id: string): WishRecord | undefined {
    return this.#wishes.get(id)?.record
  }

  /** Wishes that have not ended. */
  get active(): number {
    return [...this.#peers.values()].reduce((active, { wishes }) => active + wishes.length, 0)
  }

  records(): WishRecord[] {
    return [...this.#wishes.values()].map(({ record }) => record)
  }

  /** The page as it is now, when the queue has it in hand. */
  openPage(id: string, number: number): WishPage | undefined {
    return this.#wishes.get(id)?.open.get(number)?.page
  }

  /** The wish for this that has not ended. */
  find(peerId: PeerId, path: SharePath): WishRecord | undefined {
    return this.#peers.get(peerId)?.wishes.find(({ record }) => record.path === path)?.record
  }

  isRunning(jobId: string): boolean {
    return this.#jobs.has(jobId)
  }

  /** @returns what is shown of a wish beside its record */
  status(now: number, id: string): WishStatus | undefined {
    const wish = this.#wishes.get(id)
    if (wish === undefined) return undefined
    return statusOf(now, wish, this.#peer(wish.record.peerId))
  }

  step(now: number, input: QueueInput): QueueEffect[] {
    this.#effects = []
    this.#touched.clear()
    this.#apply(now, input)
    this.#schedule(now)
    for (const wish of this.#touched) {
      const { state } = stateOf(wish, this.#peer(wish.record.peerId))
      this.#effects.push({ type: 'changed', id: wish.record.id, state: state !== wish.shown })
      wish.shown = state
    }
    return this.#effects
  }

  #apply(now: number, input: QueueInput): void {
    switch (input.type) {
      case 'add':
        return this.#add(input.wish)
      case 'peer':
        return this.#setConnected(input.peerId, input.connected)
      case 'listed':
        return this.#listed(input)
      case 'list-failed':
        return this.#listFailed(now, input)
      case 'page':
        return this.#pageLoaded(input)
      case 'rearmed':
        return this.#rearmed(input)
      case 'file-progress':
        return this.#progress(now, input)
      case 'file-done':
        return this.#fileDone(now, input)
      case 'file-failed':
        return this.#fileFailed(now, input)
      case 'network-restart':
        return this.#networkRestart()
      case 'cancel':
        return this.#cancel(input.id)
      case 'retry':
        return this.#retry(input.id)
      case 'clear':
        return this.#clear()
      case 'tick':
    }
  }

  #peer(peerId: PeerId): Peer {
    let peer = this.#peers.get(peerId)
    if (peer === undefined) {
      peer = newPeer()
      this.#peers.set(peerId, peer)
      this.#peerTurn.push(peerId)
    }
    return peer
  }

  #add(record: WishRecord): void {
    if (this.#wishes.has(record.id)) return
    const wish = openWish(record)
    this.#wishes.set(record.id, wish)
    this.#touched.add(wish)
    if (hasEnded(record.phase)) return
    this.#peer(record.peerId).wishes.push(wish)
    if (record.phase === 'rearm') this.#effects.push({ type: 'rearm', id: record.id })
  }

  #setConnected(peerId: PeerId, connected: boolean): void {
    const peer = this.#peer(peerId)
    if (peer.connected === connected) return
    peer.connected = connected
    for (const wish of peer.wishes) {
      this.#touched.add(wish)
      if (connected) wake(wish)
    }
    if (!connected) return
    Object.assign(peer, { notBefore: 0, attempts: 0, trouble: null } satisfies Partial<Peer>)
  }

  #listed({ id, isDirectory, target, pages, files, bytes, renamed, rejected }: Extract<QueueInput, { type: 'listed' }>): void {
    const wish = this.#listingEnded(id)
    if (wish === undefined) return
    Object.assign(wish.record, {
      isDirectory, target, pages, renamed, rejected, total: bytes, totalFiles: files, doneFiles: 0, failedFiles: 0, doneBytes: 0, firstPage: 0, begun: {}, phase: 'fetch',
    } satisfies Partial<WishRecord>)
    wish.nextPage = 0
    wish.attempts = 0
    wish.trouble = null
    this.#endIfDone(wish)
    this.#save(wish)
  }

  #listFailed(now: number, { id, code, message }: Extract<QueueInput, { type: 'list-failed' }>): void {
    const wish = this.#listingEnded(id)
    if (wish === undefined) return
    const reason = { code, message }
    if (PEER_TROUBLE.has(code)) return this.#delayPeer(now, wish, reason)
    wish.attempts++
    // `bad-request`: the cursor is from before a rescan at the peer.
    if (FILE_TROUBLE.has(code) || (code === 'bad-request' && wish.attempts < MAX_TRIES)) return this.#delayWish(wish, now + backoff(wish.attempts, this.#random()), reason)
    if (code === 'disk-full') return this.#delayWish(wish, now + DISK_FULL_MS, reason)
    this.#end(wish, 'failed', reason)
  }

  #listingEnded(id: string): Wish | undefined {
    const wish = this.#wishes.get(id)
    if (wish === undefined || !wish.listing) return undefined
    wish.listing = false
    this.#listings--
    this.#touched.add(wish)
    return wish
  }

  #pageLoaded({ id, number, page }: Extract<QueueInput, { type: 'page' }>): void {
    const wish = this.#wishes.get(id)
    if (wish === undefined || !wish.loading || wish.nextPage !== number) return
    wish.loading = false
    this.#touched.add(wish)
    this.#peer(wish.record.peerId).busy--
    if (page === undefined) return this.#end(wish, 'failed', { code: 'disk-error', message: 'the list of its files cannot be read any more' })
    wish.nextPage++
    const places = unfinishedOf(page, number)
    wish.ready.push(...places)
    if (places.length > 0) wish.open.set(number, { page, left: places.length })
    else this.#pageEnded(wish)
  }

  #pageEnded(wish: Wish): void {
    wish.record.firstPage = Math.min(wish.nextPage, ...wish.open.keys())
    this.#endIfDone(wish)
    this.#save(wish)
  }

  #rearmed({ id, doneFiles, doneBytes }: Extract<QueueInput, { type: 'rearmed' }>): void {
    const wish = this.#wishes.get(id)
    if (wish?.record.phase !== 'rearm') return
    Object.assign(wish.record, { phase: 'fetch', failedFiles: 0, doneFiles, doneBytes, firstPage: 0 } satisfies Partial<WishRecord>)
    wish.nextPage = 0
    this.#touched.add(wish)
    this.#endIfDone(wish)
    this.#save(wish)
  }

  #progress(now: number, { jobId, bytes, bytesPerSecond }: Extract<QueueInput, { type: 'file-progress' }>): void {
    const job = this.#jobs.get(jobId)
    if (job === undefined) return
    // What was there from an earlier try has not come in now.
    if (job.rate > 0 || job.bytes > 0) job.wish.meter.add(now, Math.max(0, bytes - job.bytes))
    job.rate = bytesPerSecond
    if (countBegun(job, jobId, bytes)) this.#effects.push({ type: 'save', id: job.wish.record.id, soon: true })
    recovered(job.wish, this.#peer(job.wish.record.peerId))
    this.#touched.add(job.wish)
  }

  #fileDone(now: number, { jobId, name, restarted }: Extract<QueueInput, { type: 'file-done' }>): void {
    const job = this.#jobEnded(jobId)
    const opened = job?.wish.open.get(job.number)
    if (job === undefined || opened === undefined) return
    const { wish, row } = job
    wish.meter.add(now, row.size - job.bytes)
    countDone(job, opened.page, { name, restarted })
    recovered(wish, this.#peer(wish.record.peerId))
    this.#rowEnded(job, DONE)
  }

  #fileFailed(now: number, { jobId, code, message, now: found }: Extract<QueueInput, { type: 'file-failed' }>): void {
    const job = this.#jobEnded(jobId)
    const opened = job?.wish.open.get(job.number)
    if (job === undefined || opened === undefined) return
    const { wish, number, index } = job
    const reason = { code, message }
    if (PEER_TROUBLE.has(code)) {
      wish.ready.unshift({ number, index })
      return this.#delayPeer(now, wish, reason)
    }
    if (code === 'disk-full') {
      wish.ready.unshift({ number, index })
      return this.#delayWish(wish, now + DISK_FULL_MS, reason)
    }
    const tries = (wish.tries.get(jobId) ?? 0) + 1
    wish.tries.set(jobId, tries)
    const changed = code === 'source-changed' && found !== undefined
    if ((changed || FILE_TROUBLE.has(code)) && tries < MAX_TRIES) {
      if (changed) this.#effects.push(changeRow(job, opened.page, found))
      // The first change is taken up at once; a file that is being written all the time is given time.
      const at = changed && tries === 1 ? now : now + backoff(tries, this.#random())
      wish.delayed.push({ number, index, at })
      wish.trouble = reason
      this.#sleepers.add(wish)
      return
    }
    wish.record.failedFiles++
    wish.record.reason ??= reason
    opened.page.reasons.set(index, reason)
    this.#rowEnded(job, FAILED)
  }

  #jobEnded(jobId: string): Job | undefined {
    const job = this.#jobs.get(jobId)
    if (job === undefined) return undefined
    this.#jobs.delete(jobId)
    job.wish.jobs.delete(jobId)
    if (--job.batch.left === 0) {
      this.#batches--
      this.#peer(job.wish.record.peerId).busy--
    }
    this.#touched.add(job.wish)
    return job
  }

  #rowEnded({ wish, number, index, row }: Job, state: typeof DONE | typeof FAILED): void {
    const opened = wish.open.get(number)
    if (opened === undefined) return
    opened.page.states[index] = state
    opened.left--
    const jobId = jobIdOf(wish.record.id, { number, index })
    wish.tries.delete(jobId)
    delete wish.record.begun[jobId]
    if (opened.left === 0) wish.open.delete(number)
    this.#effects.push({ type: 'save', id: wish.record.id, number, page: opened.page, soon: row.local !== '' })
    if (opened.left === 0) this.#pageEnded(wish)
  }

  #endIfDone(wish: Wish): void {
    const { record } = wish
    if (record.phase !== 'fetch' || wish.nextPage < record.pages || wish.open.size > 0) return
    if (record.failedFiles === 0) return this.#end(wish, 'done', null)
    this.#end(wish, 'failed', failureOf(record))
  }

  #end(wish: Wish, phase: 'done' | 'failed' | 'cancelled', reason: Reason | null): void {
    const { record } = wish
    record.phase = phase
    record.reason = reason
    record.begun = {}
    const peer = this.#peer(record.peerId)
    peer.wishes = peer.wishes.filter((other) => other !== wish)
    if (wish.loading) peer.busy--
    forget(wish)
    this.#sleepers.delete(wish)
    this.#touched.add(wish)
    this.#save(wish)
  }

  #save({ record: { id } }: Wish): void {
    this.#effects.push({ type: 'save', id, soon: false })
  }

  #networkRestart(): void {
    for (const job of this.#jobs.values()) {
      this.#jobEnded(jobIdOf(job.wish.record.id, job))
      job.wish.ready.unshift({ number: job.number, index: job.index })
    }
    for (const [peerId] of this.#peers) this.#setConnected(peerId, false)
  }

  #cancel(id: string): void {
    const wish = this.#wishes.get(id)
    if (wish === undefined || hasEnded(wish.record.phase)) return
    if (wish.listing) {
      this.#listingEnded(id)
      this.#effects.push({ type: 'stop-listing', id })
    }
    for (const jobId of wish.jobs.keys()) {
      this.#jobEnded(jobId)
      this.#effects.push({ type: 'stop', jobId, discard: true })
    }
    this.#end(wish, 'cancelled', null)
    this.#effects.push({ type: 'discard', id })
  }

  #retry(id: string): void {
    const wish = this.#wishes.get(id)
    if (wish === undefined || wish.record.phase === 'done') return
    const { record } = wish
    const peer = this.#peer(record.peerId)
    this.#touched.add(wish)
    if (!hasEnded(record.phase)) {
      wake(wish)
      peer.notBefore = 0
      return
    }
    // A single file is looked up again: it may be another one now. A folder goes on with what failed.
    const again = record.pages === 0 || record.isDirectory === false || record.reason?.code === 'disk-error'
    Object.assign(record, { phase: again ? 'list' : 'rearm', reason: null, endedAt: null } satisfies Partial<WishRecord>)
    peer.wishes.push(wish)
    if (!again) this.#effects.push({ type: 'rearm', id })
    this.#save(wish)
  }

  #clear(): void {
    for (const [id, wish] of this.#wishes) {
      if (!hasEnded(wish.record.phase)) continue
      this.#wishes.delete(id)
      this.#touched.delete(wish)
      this.#effects.push({ type: 'removed', record: wish.record })
    }
  }

  #delayPeer(now: number, wish: Wish, reason: Reason): void {
    const peer = this.#peer(wish.record.peerId)
    if (!setBack(now, peer, reason, this.#random)) return
    for (const other of peer.wishes) this.#touched.add(other)
  }

  #delayWish(wish: Wish, until: number, reason: Reason): void {
    wish.trouble = reason
    wish.notBefore = until
    this.#sleepers.add(wish)
    this.#touched.add(wish)
  }

  #schedule(now: number): void {
    for (const peer of this.#peers.values()) {
      if (peer.notBefore === 0 || peer.notBefore > now) continue
      peer.notBefore = 0
      for (const wish of peer.wishes) this.#touched.add(wish)
    }
    for (const wish of this.#sleepers) this.#wakeDue(now, wish)
    this.#scheduleListings(now)
    for (let idle = 0; idle < this.#peerTurn.length && this.#batches < JOBS_IN_ALL; ) {
      const peerId = this.#peerTurn.shift() as PeerId
      this.#peerTurn.push(peerId)
      idle = this.#startOne(now, this.#peer(peerId)) ? 0 : idle + 1
    }
  }

  #wakeDue(now: number, wish: Wish): void {
    wakeDelayed(wish, now)
    if (wish.delayed.length > 0 || wish.notBefore > 0) return
    this.#sleepers.delete(wish)
    this.#touched.add(wish)
  }

  #scheduleListings(now: number): void {
    if (this.#listings >= LISTINGS_IN_ALL) return
    for (const peer of this.#peers.values()) {
      if (!peer.connected || peer.notBefore > now) continue
      for (const wish of peer.wishes) {
        if (wish.record.phase !== 'list' || wish.listing || wish.notBefore > now) continue
        if (this.#listings >= LISTINGS_IN_ALL) return
        wish.listing = true
        this.#listings++
        this.#touched.add(wish)
        this.#effects.push({ type: 'list', id: wish.record.id })
      }
    }
  }

  /** @returns whether something of this peer was started, so that another may be */
  #startOne(now: number, peer: Peer): boolean {
    if (!peer.connected || peer.busy >= JOBS_PER_PEER || peer.notBefore > now) return false
    for (const [position, wish] of peer.wishes.entries()) {
      if (wish.record.phase !== 'fetch' || wish.notBefore > now) continue
      // While something is wrong one file goes ahead to see whether it still is.
      if (wish.trouble?.code === 'disk-full' && wish.jobs.size > 0) continue
      const places = takeBatch(wish)
      if (places.length === 0 && (wish.loading || wish.nextPage >= wish.record.pages || wish.open.size >= OPEN_PAGES)) continue
      peer.wishes.splice(position, 1)
      peer.wishes.push(wish)
      peer.busy++
      if (places.length > 0) return this.#startBatch(wish, places)
      wish.loading = true
      this.#effects.push({ type: 'load', id: wish.record.id, number: wish.nextPage })
      return true
    }
    return false
  }

  #startBatch(wish: Wish, places: readonly Place[]): true {
    const batch = { number: ++this.#lastBatch, left: places.length }
    this.#batches++
    for (const place of places) this.#startJob(wish, place, batch)
    return true
  }

  #startJob(wish: Wish, { number, index }: Place, batch: Batch): void {
    const { job, jobId, page } = openJob(wish, { number, index }, batch)
    this.#jobs.set(jobId, job)
    this.#touched.add(wish)
    if (page.states[index] !== BEGUN) {
      page.states[index] = BEGUN
      this.#effects.push({ type: 'save', id: wish.record.id, number, page, soon: true })
    }
    this.#effects.push({ type: 'start', id: wish.record.id, jobId, row: job.row, batch: batch.number })
  }
}
