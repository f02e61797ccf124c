import type { PeerId } from '@harddrive-party/protocol'
import type { QueueBooks } from './queue-books.ts'
import type { QueueScope } from './queue-messages.ts'
import { lookAtAll, unpark } from './queue-pages.ts'
import { type Wish, wake } from './queue-state.ts'
import { lookAgain } from './queue-turns.ts'
import { hasEnded } from '../wishes/wish.ts'
import { choose } from '../wishes/wish-choices.ts'
import { type MoveTo, compareOrder, insertInOrder, moveInOrder } from '../wishes/wish-order.ts'

/** What a person may do to the queue: each command for one file, a folder, a wish, a peer, or everything. Starts nothing by itself. */

export function pause(books: QueueBooks, now: number, scope: QueueScope): void {
  if (!('id' in scope)) return pauseWhole(books, now, scope, true)
  const wish = books.wishes.get(scope.id)
  if (wish === undefined || hasEnded(wish.record.phase)) return
  choose(wish.record.holds, scope.path, true)
  if (scope.path === '') books.stopListing(now, wish)
  books.sortAgain(now, wish)
  books.save(wish)
}

export function resume(books: QueueBooks, now: number, scope: QueueScope): void {
  if (!('id' in scope)) return pauseWhole(books, now, scope, false)
  const wish = books.wishes.get(scope.id)
  if (wish === undefined) return
  choose(wish.record.holds, scope.path, false)
  books.save(wish)
  if (hasEnded(wish.record.phase)) return
  tryNow(books, wish)
  unpark(wish)
  books.sortAgain(now, wish)
}

/** A peer or everything: one switch, whatever is paused within it stays so. */
function pauseWhole(books: QueueBooks, now: number, scope: Exclude<QueueScope, { id: string }>, paused: boolean): void {
  if ('peerId' in scope) books.peer(scope.peerId).paused = paused
  else books.allPaused = paused
  for (const wish of wishesIn(books, scope)) {
    books.touched.add(wish)
    if (!paused) continue
    books.stopListing(now, wish)
    books.stopJobs(wish)
  }
  keepPauses(books)
}

export function restorePauses(books: QueueBooks, all: boolean, peers: readonly PeerId[]): void {
  books.allPaused = all
  for (const peerId of peers) books.peer(peerId).paused = true
}

export function pausedPeers(books: QueueBooks): PeerId[] {
  return [...books.peers].flatMap(([peerId, { paused }]) => (paused ? [peerId] : []))
}

function keepPauses(books: QueueBooks): void {
  books.effects.push({ type: 'keep-pauses', all: books.allPaused, peers: pausedPeers(books) })
}

export function cancel(books: QueueBooks, now: number, scope: QueueScope): void {
  if ('id' in scope && scope.path !== '') return cancelPart(books, now, scope)
  for (const wish of wishesIn(books, scope)) cancelWish(books, now, wish)
}

function cancelWish(books: QueueBooks, now: number, wish: Wish): void {
  const { record } = wish
  if (hasEnded(record.phase)) return
  books.stopListing(now, wish)
  record.follow = false
  if (record.phase === 'list' && record.again !== null) {
    // Nothing new was begun: what came of it before stands.
    return books.end(now, wish, record.again.ended, record.reason)
  }
  for (const jobId of wish.jobs.keys()) {
    books.jobEnded(jobId)
    books.effects.push({ type: 'stop', jobId, discard: true })
  }
  books.end(now, wish, 'cancelled', null)
  books.effects.push({ type: 'discard', id: record.id })
}

function cancelPart(books: QueueBooks, now: number, { id, path }: { readonly id: string; readonly path: string }): void {
  const wish = books.wishes.get(id)
  if (wish === undefined || hasEnded(wish.record.phase)) return
  choose(wish.record.skips, path, true)
  books.save(wish)
  // Paused files among them are to be counted as left out.
  unpark(wish)
  books.sortAgain(now, wish)
}

export function retry(books: QueueBooks, now: number, scope: QueueScope): void {
  if ('id' in scope) {
    const wish = books.wishes.get(scope.id)
    if (wish !== undefined) retryWish(books, now, wish, scope.path)
    return
  }
  for (const wish of books.wishes.values()) {
    const { peerId, phase } = wish.record
    if (('peerId' in scope && peerId !== scope.peerId) || phase === 'done' || phase === 'cancelled') continue
    retryWish(books, now, wish, '')
  }
}

function retryWish(books: QueueBooks, now: number, wish: Wish, path: string): void {
  const { record } = wish
  if (record.phase === 'done' && path === '') return
  if (path !== '') {
    // Of a cancelled wish only this is wanted again.
    if (record.phase === 'cancelled') choose(record.skips, '', true)
    choose(record.skips, path, false)
  }
  tryNow(books, wish)
  if (record.phase === 'list') return
  if (!hasEnded(record.phase)) {
    record.rearm = [...record.rearm.filter((other) => other !== path), path]
    lookAtAll(wish)
    books.sortAgain(now, wish)
    return
  }
  // A single file is looked up again: it may be another one now. A folder goes on with what failed.
  const anew = record.pages === record.base || record.isDirectory === false || record.reason?.code === 'disk-error'
  Object.assign(record, { phase: anew ? 'list' : 'fetch', reason: null, endedAt: null, again: null, rearm: anew ? [] : [path], firstPage: record.base } satisfies Partial<typeof record>)
  wish.nextPage = record.base
  books.begin(wish)
  books.endIfDone(now, wish)
  books.save(wish)
}

/** Whatever stands in the way may be gone. */
function tryNow(books: QueueBooks, wish: Wish): void {
  wake(wish)
  books.peerOf(wish).notBefore = 0
  books.touched.add(wish)
}

export function move(books: QueueBooks, id: string, to: MoveTo): void {
  const moved = books.wishes.get(id)
  if (moved === undefined || hasEnded(moved.record.phase)) return
  const line = [...books.peers.values()].flatMap(({ wishes }) => wishes.map(({ record }) => record)).sort(compareOrder)
  const peers = new Set<PeerId>()
  for (const record of moveInOrder(line, moved.record, to)) {
    const wish = books.wishes.get(record.id) as Wish
    peers.add(record.peerId)
    books.touched.add(wish)
    books.save(wish)
  }
  for (const peerId of peers) {
    const peer = books.peer(peerId)
    const wishes = peer.wishes
    peer.wishes = []
    for (const wish of wishes) insertInOrder(peer.wishes, wish)
  }
}

export function follow(books: QueueBooks, now: number, id: string, isOn: boolean): void {
  const wish = books.wishes.get(id)
  if (wish === undefined || wish.record.follow === isOn) return
  wish.record.follow = isOn
  books.touched.add(wish)
  if (isOn && hasEnded(wish.record.phase)) {
    books.followFrom(now, wish)
    // Whoever switches it on wants to see that it works.
    wish.lookAt = now
  }
  if (!isOn) books.followers.delete(wish)
  books.save(wish)
}

/** Whoever asks by hand does not wait until it is time. */
export function lookByHand(books: QueueBooks, id: string): void {
  const wish = books.wishes.get(id)
  if (wish === undefined) return
  tryNow(books, wish)
  if (wish.record.phase === 'list' && wish.record.again !== null) wish.record.again = { ...wish.record.again, how: 'missing' }
  else lookAgain(books, wish, 'missing')
}

/** Those in scope that have not ended. */
function wishesIn(books: QueueBooks, scope: QueueScope): Iterable<Wish> {
  if ('id' in scope) {
    const wish = books.wishes.get(scope.id)
    return wish === undefined ? [] : [wish]
  }
  if ('peerId' in scope) return books.peer(scope.peerId).wishes
  return [...books.peers.values()].flatMap(({ wishes }) => wishes)
}
