import type { PeerId, SharePath } from '@harddrive-party/protocol'
import type { Machine } from '../machine.ts'
import { QueueBooks } from './queue-books.ts'
import * as commands from './queue-commands.ts'
import type { QueueEffect, QueueInput } from './queue-messages.ts'
import {
  DISK_FULL_MS, FILE_TROUBLE, FOLLOW_MS, MAX_TRIES, PEER_TROUBLE, backoff, changeRow, countBegun, countDone, jobIdOf, nextWake, openWish, recovered, wake,
} from './queue-state.ts'
import type { Peer, Place, Wish } from './queue-state.ts'
import { type FileFacts, type Shown, type WishStatus, fileShownOf, shownOf, statusOf } from './queue-status.ts'
import { lookSoon, takeTurns } from './queue-turns.ts'
import { DONE, FAILED, type WishPage, type WishRecord, hasEnded } from '../wishes/wish.ts'

/**
 * Decides which wish is listed and which file is fetched next, when to try again after what went wrong, and when a wish has ended. Lists, fetches and
 * stores nothing itself. Whose turn it is: queue-turns.ts; what a person does to it: queue-commands.ts.
 */
export class TransferQueue implements Machine<QueueInput, QueueEffect> {
  readonly #books: QueueBooks

  /** @param random like Math.random, for jitter */
  constructor(random: () => number) {
    this.#books = new QueueBooks(random)
  }

  get deadline(): number | undefined {
    const { sleepers, followers, peers, allPaused } = this.#books
    return nextWake(sleepers, allPaused ? [] : followers, peers)
  }

  record(id: string): WishRecord | undefined {
    return this.#books.wishes.get(id)?.record
  }

  /** Wishes that have not ended. */
  get active(): number {
    let active = 0
    for (const { wishes } of this.#books.peers.values()) active += wishes.length
    return active
  }

  /** What is paused as a whole. */
  get pauses(): { readonly all: boolean; readonly peers: readonly PeerId[] } {
    return { all: this.#books.allPaused, peers: commands.pausedPeers(this.#books) }
  }

  /** For a new wish: behind all others. */
  get nextOrder(): number {
    let last = 0
    for (const { record } of this.#books.wishes.values()) last = Math.max(last, record.order)
    return last + 1
  }

  records(): WishRecord[] {
    return [...this.#books.wishes.values()].map(({ record }) => record)
  }

  /** The page as it is now, when the queue has it in hand. */
  openPage(id: string, number: number): WishPage | undefined {
    return this.#books.wishes.get(id)?.open.get(number)?.page
  }

  /** The wish for this that has not ended. */
  find(peerId: PeerId, path: SharePath): WishRecord | undefined {
    return this.#books.peers.get(peerId)?.wishes.find(({ record }) => record.path === path)?.record
  }

  /** @returns what is shown of a wish beside its record */
  status(now: number, id: string): WishStatus | undefined {
    const wish = this.#books.wishes.get(id)
    return wish === undefined ? undefined : statusOf(now, wish, this.#around(wish))
  }

  /** @returns what is shown of one file of a wish */
  fileStatus(id: string, facts: FileFacts): Shown | undefined {
    const wish = this.#books.wishes.get(id)
    return wish === undefined ? undefined : fileShownOf(wish, this.#around(wish), facts)
  }

  #around(wish: Wish): { peer: Peer; allPaused: boolean } {
    return { peer: this.#books.peerOf(wish), allPaused: this.#books.allPaused }
  }

  step(now: number, input: QueueInput): QueueEffect[] {
    const books = this.#books
    books.effects = []
    books.touched.clear()
    this.#apply(now, input)
    takeTurns(books, now)
    for (const wish of books.touched) {
      const { state, wait } = shownOf(wish, this.#around(wish))
      const shown = `${state} ${wait?.cause ?? ''}`
      books.effects.push({ type: 'changed', id: wish.record.id, state: shown !== wish.shown })
      wish.shown = shown
    }
    return books.effects
  }

  #apply(now: number, input: QueueInput): void {
    const books = this.#books
    switch (input.type) {
      case 'add':
        return this.#add(now, input.wish)
      case 'peer':
        return this.#setConnected(now, input.peerId, input.connected)
      case 'listed':
        return this.#listed(now, input)
      case 'list-failed':
        return this.#listFailed(now, input)
      case 'page':
        return this.#pageLoaded(now, input)
      case 'file-progress':
        return this.#progress(now, input)
      case 'file-waiting':
        return this.#waiting(input)
      case 'file-done':
        return this.#fileDone(now, input)
      case 'file-failed':
        return this.#fileFailed(now, input)
      case 'network-restart':
        return this.#networkRestart(now)
      case 'pauses':
        return commands.restorePauses(books, input.all, input.peers)
      case 'pause':
        return commands.pause(books, now, input.scope)
      case 'resume':
        return commands.resume(books, now, input.scope)
      case 'cancel':
        return commands.cancel(books, now, input.scope)
      case 'retry':
        return commands.retry(books, now, input.scope)
      case 'move':
        return commands.move(books, input.id, input.to)
      case 'follow':
        return commands.follow(books, now, input.id, input.follow)
      case 'look-again':
        return commands.lookByHand(books, input.id)
      case 'clear':
        return this.#clear()
      case 'tick':
    }
  }

  #add(now: number, record: WishRecord): void {
    const books = this.#books
    if (books.wishes.has(record.id)) return
    const wish = openWish(record)
    books.wishes.set(record.id, wish)
    books.touched.add(wish)
    if (!hasEnded(record.phase)) books.begin(wish)
    else if (record.follow) {
      books.followFrom(now, wish)
      lookSoon(books, now, wish)
    }
  }

  #setConnected(now: number, peerId: PeerId, connected: boolean): void {
    const books = this.#books
    const peer = books.peer(peerId)
    if (peer.connected === connected) return
    peer.connected = connected
    for (const wish of peer.wishes) {
      books.touched.add(wish)
      if (connected) wake(wish)
    }
    if (!connected) return
    for (const wish of books.followers) {
      if (wish.record.peerId === peerId) lookSoon(books, now, wish)
    }
    peer.notBefore = 0
    peer.attempts = 0
    peer.trouble = null
  }

  #listed(now: number, { id, fresh, files, bytes, failure, ...listed }: Extract<QueueInput, { type: 'listed' }>): void {
    const books = this.#books
    const wish = books.listingEnded(now, id)
    if (wish === undefined) return
    const { record } = wish
    const { type: _, ...fields } = listed
    Object.assign(record, { ...fields, total: bytes, totalFiles: files, firstPage: listed.base, begun: {}, rearm: [] } satisfies Partial<WishRecord>)
    wish.attempts = 0
    wish.trouble = null
    if (record.again !== null && fresh === 0) {
      // Nothing to do: it ended when it ended.
      wish.nextPage = record.pages
      books.end(now, wish, record.failedFiles > 0 ? 'failed' : 'done', failure)
      return
    }
    Object.assign(record, { phase: 'fetch', reason: failure, endedAt: null, again: null } satisfies Partial<WishRecord>)
    wish.nextPage = record.base
    books.endIfDone(now, wish)
    books.save(wish)
  }

  #listFailed(now: number, { id, code, message }: Extract<QueueInput, { type: 'list-failed' }>): void {
    const books = this.#books
    const wish = books.listingEnded(now, id)
    if (wish === undefined) return
    const reason = { code, message }
    const { again } = wish.record
    if (PEER_TROUBLE.has(code)) books.delayPeer(now, wish, reason)
    if (again?.how === 'new') {
      // Nobody asked for it: another look comes by itself.
      books.end(now, wish, again.ended, wish.record.reason)
      wish.lookAt = now + FOLLOW_MS
      return
    }
    if (PEER_TROUBLE.has(code)) return
    wish.attempts++
    // `bad-request`: the cursor is from before a rescan at the peer.
    if (FILE_TROUBLE.has(code) || (code === 'bad-request' && wish.attempts < MAX_TRIES)) return books.delayWish(wish, now + backoff(wish.attempts, books.random()), reason)
    if (code === 'disk-full') return books.delayWish(wish, now + DISK_FULL_MS, reason)
    books.end(now, wish, 'failed', reason)
  }

  #pageLoaded(now: number, { id, number, page }: Extract<QueueInput, { type: 'page' }>): void {
    const books = this.#books
    const wish = books.wishes.get(id)
    if (wish === undefined || wish.loading !== number) return
    if (page === undefined) return books.end(now, wish, 'failed', { code: 'disk-error', message: 'the list of its files cannot be read any more' })
    wish.loading = undefined
    wish.busy--
    books.peerOf(wish).busy--
    books.touched.add(wish)
    wish.nextPage = Math.max(wish.nextPage, number + 1)
    books.takePage(now, wish, number, page)
  }

  #progress(now: number, { jobId, bytes, bytesPerSecond }: Extract<QueueInput, { type: 'file-progress' }>): void {
    const books = this.#books
    const job = books.jobs.get(jobId)
    if (job === undefined) return
    // What was there from an earlier try has not come in now.
    if (job.rate > 0 || job.bytes > 0) job.wish.meter.add(now, Math.max(0, bytes - job.bytes))
    job.rate = bytesPerSecond
    job.place = undefined
    if (countBegun(job, jobId, bytes)) books.effects.push({ type: 'save', id: job.wish.record.id, soon: true })
    recovered(job.wish, books.peerOf(job.wish))
    books.touched.add(job.wish)
  }

  #waiting({ jobId, place }: Extract<QueueInput, { type: 'file-waiting' }>): void {
    const job = this.#books.jobs.get(jobId)
    if (job === undefined) return
    job.place = place
    job.rate = 0
    this.#books.touched.add(job.wish)
  }

  #fileDone(now: number, { jobId, name, restarted }: Extract<QueueInput, { type: 'file-done' }>): void {
    const books = this.#books
    const job = books.jobEnded(jobId)
    const opened = job?.wish.open.get(job.number)
    if (job === undefined || opened === undefined) return
    const { wish, row } = job
    wish.meter.add(now, row.size - job.bytes)
    countDone(job, opened.page, { name, restarted })
    recovered(wish, books.peerOf(wish))
    books.rowEnded(now, job, DONE)
  }

  #fileFailed(now: number, { jobId, code, message, now: found }: Extract<QueueInput, { type: 'file-failed' }>): void {
    const books = this.#books
    const job = books.jobEnded(jobId)
    const opened = job?.wish.open.get(job.number)
    if (job === undefined || opened === undefined) return
    const { wish, number, index } = job
    const reason = { code, message }
    if (PEER_TROUBLE.has(code)) {
      wish.ready.unshift({ number, index })
      return books.delayPeer(now, wish, reason)
    }
    if (code === 'disk-full') {
      wish.ready.unshift({ number, index })
      return books.delayWish(wish, now + DISK_FULL_MS, reason)
    }
    const tries = (wish.tries.get(jobId) ?? 0) + 1
    wish.tries.set(jobId, tries)
    const changed = code === 'source-changed' && found !== undefined
    if ((changed || FILE_TROUBLE.has(code)) && tries < MAX_TRIES) {
      if (changed) books.effects.push(changeRow(job, opened.page, found))
      // The first change is taken up at once; a file that is being written all the time is given time.
      const at = changed && tries === 1 ? now : now + backoff(tries, books.random())
      wish.delayed.push({ number, index, at, reason })
      wish.trouble = reason
      books.sleepers.add(wish)
      return
    }
    wish.record.failedFiles++
    wish.record.reason ??= reason
    opened.page.reasons.set(index, reason)
    books.rowEnded(now, job, FAILED)
  }

  #networkRestart(now: number): void {
    const books = this.#books
    for (const job of books.jobs.values()) {
      books.jobEnded(jobIdOf(job.wish.record.id, job))
      job.wish.ready.unshift(placeOf(job))
    }
    for (const [peerId] of books.peers) this.#setConnected(now, peerId, false)
  }

  #clear(): void {
    const books = this.#books
    for (const [id, wish] of books.wishes) {
      // What follows its source is not over.
      if (!hasEnded(wish.record.phase) || wish.record.follow) continue
      books.wishes.delete(id)
      books.touched.delete(wish)
      books.effects.push({ type: 'removed', record: wish.record })
    }
  }
}

function placeOf({ number, index }: Place): Place {
  return { number, index }
}
