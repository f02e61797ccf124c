import type { QueueState, Wait } from './queue-messages.ts'
import { type Job, type Peer, type Place, type Wish, jobIdOf } from './queue-state.ts'
import { DONE, FAILED, type Reason, SKIPPED, hasEnded } from '../wishes/wish.ts'
import { choiceFor, holdsEverywhere } from '../wishes/wish-choices.ts'

/** What is shown of wishes and their files: states, and always why nothing comes in. Changes nothing. */

export interface Shown {
  readonly state: QueueState
  readonly reason: Reason | null
  /** While nothing comes in. */
  readonly wait: Wait | null
}

export interface WishStatus extends Shown {
  readonly bytes: number
  readonly bytesPerSecond: number
}

/** What holds for more than one wish. */
interface Around {
  readonly peer: Peer
  readonly allPaused: boolean
}

const OFFLINE: Reason = { code: 'offline', message: 'the peer is not connected' }

export function statusOf(now: number, wish: Wish, around: Around): WishStatus {
  const shown = shownOf(wish, around)
  const bytes = Object.values(wish.record.begun).reduce((sum, begun) => sum + begun, wish.record.doneBytes)
  let rate = 0
  for (const job of wish.jobs.values()) rate += job.rate
  return { ...shown, bytes, bytesPerSecond: shown.state === 'running' ? Math.round(Math.max(rate, wish.meter.rate(now))) : 0 }
}

export function shownOf(wish: Wish, around: Around): Shown {
  const { record } = wish
  if (hasEnded(record.phase)) return { state: record.phase, reason: record.reason, wait: null }
  // A look that nobody asked for does not disturb the picture before it has found something.
  if (record.phase === 'list' && record.again?.how === 'new') return { state: record.again.ended, reason: record.reason, wait: null }
  const paused = pauseOf(wish, around)
  if (paused !== null) return paused
  if (wish.listing) return { state: 'listing', reason: null, wait: null }
  if (wish.jobs.size > 0 || wish.loading !== undefined) return movingOf(wish)
  return stillOf(wish, around)
}

function pauseOf({ record }: Wish, { peer, allPaused }: Around): Shown | null {
  if (allPaused) return paused('all-paused')
  if (peer.paused) return paused('peer-paused')
  return holdsEverywhere(record.holds) || (record.phase === 'list' && choiceFor(record.holds, '')) ? paused('paused') : null
}

function paused(cause: Wait['cause']): Shown {
  return { state: 'paused', reason: null, wait: { cause } }
}

function movingOf({ jobs, loading }: Wish): Shown {
  let best: Wait | undefined
  for (const job of jobs.values()) {
    const wait = waitOfJob(job)
    if (wait === undefined) return { state: 'running', reason: null, wait: null }
    if (best === undefined || (wait.place ?? Infinity) < (best.place ?? Infinity)) best = wait
  }
  return best === undefined || loading !== undefined ? { state: 'running', reason: null, wait: null } : inLine(best)
}

function stillOf(wish: Wish, { peer }: Around): Shown {
  if (!peer.connected) return { state: 'waiting', reason: OFFLINE, wait: { cause: 'offline' } }
  const later = wish.delayed.toSorted((a, b) => a.at - b.at)[0]
  const trouble = wish.trouble ?? later?.reason ?? null
  if (trouble !== null && (wish.notBefore > 0 || (later !== undefined && wish.ready.length === 0))) {
    const until = Math.max(peer.notBefore, wish.notBefore > 0 ? wish.notBefore : (later?.at ?? 0))
    return { state: 'waiting', reason: trouble, wait: { cause: causeOf(trouble), until } }
  }
  if (peer.trouble !== null && peer.notBefore > 0) return { state: 'waiting', reason: peer.trouble, wait: { cause: 'peer', until: peer.notBefore } }
  const isRestPaused = wish.parked.size > 0 && wish.ready.length === 0 && wish.again.length === 0 && wish.nextPage >= wish.record.pages
  return isRestPaused ? paused('paused') : { state: 'queued', reason: null, wait: { cause: 'turn' } }
}

function causeOf({ code }: Reason): Wait['cause'] {
  return code === 'disk-full' ? 'disk' : code === 'source-changed' ? 'source' : 'retry'
}

function waitOfJob({ place }: Job): Wait | undefined {
  return place === undefined ? undefined : place === null ? { cause: 'limit' } : { cause: 'place', place }
}

function inLine(wait: Wait): Shown {
  const message = wait.cause === 'limit' ? 'the rate limit lets nothing in just now' : `place ${wait.place} in the queue of the peer`
  return { state: 'waiting', reason: { code: 'busy', message }, wait }
}

/** @param state of its row */
export function fileShownOf(wish: Wish, around: Around, { place, state, remote, reason }: FileFacts): Shown {
  if (state === DONE) return { state: 'done', reason: null, wait: null }
  if (state === FAILED) return { state: 'failed', reason, wait: null }
  if (state === SKIPPED || choiceFor(wish.record.skips, remote)) return { state: 'cancelled', reason: null, wait: null }
  const job = wish.jobs.get(jobIdOf(wish.record.id, place))
  if (job !== undefined) {
    const wait = waitOfJob(job)
    return wait === undefined ? { state: 'running', reason: null, wait: null } : inLine(wait)
  }
  if (wish.record.phase !== 'list' && hasEnded(wish.record.phase)) return { state: 'cancelled', reason: null, wait: null }
  const above = pauseOf(wish, around)
  if (above !== null) return above
  if (choiceFor(wish.record.holds, remote)) return paused('paused')
  const later = wish.delayed.find(({ number, index }) => number === place.number && index === place.index)
  if (later !== undefined && around.peer.connected) return { state: 'waiting', reason: later.reason, wait: { cause: causeOf(later.reason), until: later.at } }
  // Others of the wish may be moving: this one waits for its turn, unless none can.
  const all = stillOf(wish, around)
  return wish.jobs.size > 0 || all.state === 'paused' ? { state: 'queued', reason: null, wait: { cause: 'turn' } } : all
}

export interface FileFacts {
  readonly place: Place
  readonly state: number | undefined
  readonly remote: string
  /** Why it failed. */
  readonly reason: Reason | null
}
