import type { QueueBooks } from './queue-books.ts'
import {
  type Batch, FOLLOW_LEAST_MS, FOLLOW_SPREAD_MS, JOBS_IN_ALL, JOBS_PER_PEER, LISTINGS_IN_ALL, LISTINGS_PER_PEER, OPEN_PAGES, type Peer, type Place, TURNS_FOR_OTHERS, type Wish,
  openJob, takeBatch, wakeDelayed,
} from './queue-state.ts'
import { BEGUN, type LookAgain, hasEnded } from '../wishes/wish.ts'
import { choiceFor, holdsEverywhere } from '../wishes/wish-choices.ts'
import { nextToLoad } from './queue-pages.ts'

/**
 * Decides whose turn it is. Peers take turns, and none waits for a slow one: each may have one batch under way whatever the others have. Within a peer the
 * order of the wishes decides, but some turns go round among those behind the first.
 */
export function takeTurns(books: QueueBooks, now: number): void {
  for (const peer of books.peers.values()) {
    if (peer.notBefore === 0 || peer.notBefore > now) continue
    peer.notBefore = 0
    for (const wish of peer.wishes) books.touched.add(wish)
  }
  for (const wish of books.sleepers) wakeDue(books, now, wish)
  for (const wish of books.followers) lookIfDue(books, now, wish)
  if (books.allPaused) return
  goRound(books, (peer) => startListing(books, now, peer))
  goRound(books, (peer) => startBatch(books, now, peer))
}

/** The source of an ended wish is looked at again. */
export function lookAgain(books: QueueBooks, wish: Wish, how: LookAgain): void {
  const { record } = wish
  if (!hasEnded(record.phase)) return
  record.again = { how, ended: record.phase }
  record.phase = 'list'
  books.begin(wish)
  books.save(wish)
}

/** A peer came: what is new there is soon seen, unless it was looked at just now. */
export function lookSoon(books: QueueBooks, now: number, wish: Wish): void {
  wish.lookAt = Math.max(now + books.random() * FOLLOW_SPREAD_MS, wish.lookedAt + FOLLOW_LEAST_MS)
}

/** Until nobody has anything to begin. */
function goRound(books: QueueBooks, begin: (peer: Peer) => boolean): void {
  for (let idle = 0; idle < books.peerTurn.length; ) {
    const peerId = books.peerTurn.shift()
    if (peerId === undefined) return
    books.peerTurn.push(peerId)
    idle = begin(books.peer(peerId)) ? 0 : idle + 1
  }
}

function wakeDue(books: QueueBooks, now: number, wish: Wish): void {
  wakeDelayed(wish, now)
  if (wish.delayed.length > 0 || wish.notBefore > 0) return
  books.sleepers.delete(wish)
  books.touched.add(wish)
}

function lookIfDue(books: QueueBooks, now: number, wish: Wish): void {
  const peer = books.peerOf(wish)
  if (wish.lookAt > now || !peer.connected || peer.paused || peer.notBefore > now || books.allPaused) return
  lookAgain(books, wish, 'new')
}

function startListing(books: QueueBooks, now: number, peer: Peer): boolean {
  if (!peer.connected || peer.paused || peer.notBefore > now || books.listings >= LISTINGS_IN_ALL || peer.listings >= LISTINGS_PER_PEER) return false
  const wish = peer.wishes.find(({ record, listing, notBefore }) => record.phase === 'list' && !listing && notBefore <= now && !choiceFor(record.holds, ''))
  if (wish === undefined) return false
  wish.listing = true
  wish.listedAt = now
  peer.listings++
  books.listings++
  books.touched.add(wish)
  books.effects.push({ type: 'list', id: wish.record.id, again: wish.record.again?.how ?? null })
  return true
}

/** @returns whether something of this peer was started, so that another may be */
function startBatch(books: QueueBooks, now: number, peer: Peer): boolean {
  if (!peer.connected || peer.paused || peer.busy >= JOBS_PER_PEER || peer.notBefore > now) return false
  if (books.batches >= JOBS_IN_ALL && peer.busy > 0) return false
  const wish = nextWish(now, peer)
  if (wish === undefined) return false
  peer.busy++
  wish.busy++
  const places = takeBatch(wish)
  if (places.length > 0) startJobs(books, wish, places)
  else {
    const number = nextToLoad(wish) as number
    if (wish.again[0] === number) wish.again.shift()
    wish.loading = number
    books.effects.push({ type: 'load', id: wish.record.id, number })
  }
  return true
}

/** The first in line that has something to begin; once it has its share, those behind it take turns. */
function nextWish(now: number, peer: Peer): Wish | undefined {
  const first = peer.wishes.find((wish) => canBegin(now, wish))
  if (first === undefined || first.busy < JOBS_PER_PEER - TURNS_FOR_OTHERS) return first
  const next = peer.turn.find((wish) => wish !== first && canBegin(now, wish))
  if (next === undefined) return first
  peer.turn.splice(peer.turn.indexOf(next), 1)
  peer.turn.push(next)
  return next
}

function canBegin(now: number, wish: Wish): boolean {
  if (wish.record.phase !== 'fetch' || wish.notBefore > now || holdsEverywhere(wish.record.holds)) return false
  // While something is wrong one file goes ahead to see whether it still is.
  if (wish.trouble?.code === 'disk-full' && wish.jobs.size > 0) return false
  return wish.ready.length > 0 || (wish.loading === undefined && wish.open.size < OPEN_PAGES && nextToLoad(wish) !== undefined)
}

function startJobs(books: QueueBooks, wish: Wish, places: readonly Place[]): void {
  const batch = { number: ++books.lastBatch, left: places.length }
  books.batches++
  for (const place of places) startJob(books, wish, place, batch)
}

function startJob(books: QueueBooks, wish: Wish, place: Place, batch: Batch): void {
  const { id } = wish.record
  const { job, jobId, page } = openJob(wish, place, batch)
  books.jobs.set(jobId, job)
  books.touched.add(wish)
  if (page.states[place.index] !== BEGUN) {
    page.states[place.index] = BEGUN
    books.savePage(wish, place.number, page)
  }
  books.effects.push({ type: 'start', id, jobId, row: job.row, batch: batch.number })
}
