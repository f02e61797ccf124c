import type { ErrorCode, PeerId } from '@harddrive-party/protocol'
import type { JobRow, QueueEffect } from './queue-messages.ts'
import { RateMeter } from '../rate-meter.ts'
import type { Reason, WishPage, WishRecord } from '../wishes/wish.ts'

/** What the transfer queue remembers of wishes, peers and jobs while it runs, and what can be told from it. Changes nothing by itself. */

/** Files of one peer, and of all peers, fetched at once. Reads are bounded separately, so that many small files keep a long line full. */
export const JOBS_PER_PEER = 8
export const JOBS_IN_ALL = 24
/** Of a peer's eight, what others keep from the first wish in line, so that a small one does not wait for days behind a large one. */
export const TURNS_FOR_OTHERS = 2
/** Listings of one peer, and of all: one that is slow does not hold up those of others. */
export const LISTINGS_PER_PEER = 2
export const LISTINGS_IN_ALL = 8
/** Files up to this size are fetched in batches, which count as one: a round trip for each would cost more than their bytes. */
export const BATCHED_FILE_BYTES = 256 * 1024
/** Files and bytes of a batch: eight batches fill a long link, and one is soon over, so that others get their turn. */
export const BATCH_FILES = 128
export const BATCH_BYTES = 2 * 1024 * 1024
/** Pages of one wish in memory: more than one only while single files wait for another try. */
export const OPEN_PAGES = 8
export const FIRST_RETRY_MS = 1_000
export const LAST_RETRY_MS = 60_000
/** How often a full disk is looked at again. */
export const DISK_FULL_MS = 5_000
/** Tries of one file, or of a listing with a cursor that went stale, before it counts as failed. */
export const MAX_TRIES = 5
/** How often the source of a wish that follows it is looked at, and at most how large a part of the time that takes. */
export const FOLLOW_MS = 10 * 60_000
export const FOLLOW_SHARE = 0.05
/** A peer that comes and goes is not looked at each time it comes. */
export const FOLLOW_LEAST_MS = 60_000
/** After a peer came, so that not everything happens at once. */
export const FOLLOW_SPREAD_MS = 5_000
/** How much of a large file comes in before that is noted: seldom enough to cost nothing, often enough for a truthful bar after a crash. */
export const NOTE_BYTES = 32 * 1024 * 1024

/** Somebody else's turn, or the line is down: the file is as good as before. */
export const PEER_TROUBLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['offline', 'connection-lost', 'closed', 'busy', 'unreachable', 'no-transport', 'approval-pending'])
/** May be this one file's fault: the others go on meanwhile. */
export const FILE_TROUBLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['timed-out', 'stream-reset', 'aborted'])

export interface Place {
  readonly number: number
  readonly index: number
}

/** Files that were started together and use one of the peer's turns. */
export interface Batch {
  readonly number: number
  left: number
}

export interface Job extends Place {
  readonly wish: Wish
  readonly row: JobRow
  readonly batch: Batch
  bytes: number
  /** Of `bytes`, what the store was told. */
  kept: number
  rate: number
  /** Its place in the peer's queue, null while a limit of ours holds it up, undefined while neither does. */
  place: number | null | undefined
}

export interface OpenPage {
  readonly page: WishPage
  /** Files that are fetched, wait for their turn, or for another try. */
  left: number
  /** Files that are paused. */
  held: number
}

export interface Wish {
  readonly record: WishRecord
  readonly meter: RateMeter
  readonly jobs: Map<string, Job>
  readonly open: Map<number, OpenPage>
  ready: Place[]
  delayed: (Place & { readonly at: number; readonly reason: Reason })[]
  readonly tries: Map<string, number>
  /** Pages from here on were not looked at since the start or the last look at the source. */
  nextPage: number
  /** Pages before it that are to be looked at once more, in order. */
  again: number[]
  /** Pages before it where only paused files are left. */
  readonly parked: Set<number>
  /** The page that is being loaded. */
  loading: number | undefined
  listing: boolean
  listedAt: number
  /** When the source of an ended wish that follows it is looked at, and when it was last. */
  lookAt: number
  lookedAt: number
  /** Batches, and a page being loaded. */
  busy: number
  notBefore: number
  attempts: number
  /** Why it waits, while it does. */
  trouble: Reason | null
  shown: string | undefined
}

export interface Peer {
  connected: boolean
  /** Batches, and pages being loaded for one. */
  busy: number
  notBefore: number
  attempts: number
  trouble: Reason | null
  paused: boolean
  listings: number
  /** Those that have not ended, in order. */
  wishes: Wish[]
  /** Of the wishes behind the first, those that were served longest ago come first. */
  turn: Wish[]
}

export function newPeer(): Peer {
  return { connected: false, busy: 0, notBefore: 0, attempts: 0, trouble: null, paused: false, listings: 0, wishes: [], turn: [] }
}

export function openWish(record: WishRecord): Wish {
  return {
    record, meter: new RateMeter(), jobs: new Map(), open: new Map(), ready: [], delayed: [], tries: new Map(), nextPage: record.rearm.length > 0 ? record.base : record.firstPage,
    again: [], parked: new Set(), loading: undefined, listing: false, listedAt: 0, lookAt: 0, lookedAt: -FOLLOW_LEAST_MS, busy: 0, notBefore: 0, attempts: 0, trouble: null,
    shown: undefined,
  }
}

/** Whatever it waited for may be over. */
export function wake(wish: Wish): void {
  wish.ready.push(...wish.delayed)
  wish.delayed = []
  wish.notBefore = 0
}

/** Something came in: what went wrong before is over. */
export function recovered(wish: Wish, peer: Peer): void {
  wish.trouble = null
  wish.attempts = 0
  peer.attempts = 0
  peer.trouble = null
}

/** Leaves a peer alone for a while. @returns whether that is news: several jobs that fall over one loss are one failure */
export function setBack(now: number, peer: Peer, reason: Reason, random: () => number): boolean {
  peer.trouble = reason
  if (now < peer.notBefore) return false
  peer.attempts++
  peer.notBefore = now + backoff(peer.attempts, random())
  return true
}

/** An ended wish keeps nothing but its record. */
export function forget(wish: Wish): void {
  Object.assign(wish, { loading: undefined, ready: [], delayed: [], again: [], trouble: null, notBefore: 0, attempts: 0 } satisfies Partial<Wish>)
  wish.open.clear()
  wish.parked.clear()
  wish.tries.clear()
}

/** Only what has waited long enough. */
export function wakeDelayed(wish: Wish, now: number): void {
  const due = wish.delayed.filter(({ at }) => at <= now)
  if (due.length > 0) {
    wish.delayed = wish.delayed.filter(({ at }) => at > now)
    wish.ready.unshift(...due)
  }
  if (wish.notBefore <= now) wish.notBefore = 0
}

/** When something that sleeps may be tried; undefined = not before something else happens. */
export function nextWake(sleepers: Iterable<Wish>, followers: Iterable<Wish>, peers: ReadonlyMap<PeerId, Peer>): number | undefined {
  let earliest = Infinity
  for (const wish of sleepers) {
    const peer = peers.get(wish.record.peerId)
    if (peer?.connected !== true) continue
    // Nothing of it can begin before the later of the two.
    const floor = Math.max(peer.notBefore, wish.notBefore)
    if (floor > 0) earliest = Math.min(earliest, floor)
    for (const { at } of wish.delayed) earliest = Math.min(earliest, Math.max(floor, at))
  }
  for (const wish of followers) {
    const peer = peers.get(wish.record.peerId)
    if (peer?.connected === true && !peer.paused) earliest = Math.min(earliest, Math.max(peer.notBefore, wish.lookAt))
  }
  for (const { connected, notBefore, wishes } of peers.values()) {
    if (connected && notBefore > 0 && wishes.length > 0) earliest = Math.min(earliest, notBefore)
  }
  return earliest === Infinity ? undefined : earliest
}

/** The same for the same file over restarts. */
export function jobIdOf(wishId: string, { number, index }: Place): string {
  return `${wishId}.${number}.${index}`
}

/** Counts what of a file is on the disk by now. @returns whether that is worth storing */
export function countBegun(job: Job, jobId: string, bytes: number): boolean {
  const { begun } = job.wish.record
  job.bytes = Math.min(bytes, job.row.size)
  if (job.bytes > 0) begun[jobId] = job.bytes
  else delete begun[jobId]
  if (Math.abs(job.bytes - job.kept) < NOTE_BYTES) return false
  job.kept = job.bytes
  return true
}

/** @param outcome the name the file got, and whether data of another version was thrown away */
export function countDone({ wish: { record }, row, index }: Job, page: WishPage, outcome: { readonly name: string; readonly restarted: boolean }): void {
  const { name, restarted } = outcome
  record.doneFiles++
  record.doneBytes += row.size
  if (restarted) record.restarted++
  if (row.local === '') {
    // The wish is this one file: its target is what it became.
    record.target = record.target === null ? null : replaceName(record.target, name)
  } else if (name !== baseName(row.local)) {
    page.names.set(index, name)
    record.renamed++
  }
}

/** The source has another version of a file: that one is wanted now. */
export function changeRow({ wish: { record }, row, number, index }: Job, page: WishPage, found: { readonly size: number; readonly mtime: number }): QueueEffect {
  record.total = (record.total ?? 0) + found.size - row.size
  record.changed++
  delete record.begun[jobIdOf(record.id, { number, index })]
  page.rows[index] = { ...row, size: found.size, mtime: found.mtime, isDirectory: false }
  return { type: 'save', id: record.id, number, page, rows: true, soon: true }
}

/** Why a wish failed of which some files did. */
export function failureOf({ reason, totalFiles, failedFiles }: WishRecord): Reason {
  const { code, message }: Reason = reason ?? { code: 'internal', message: 'something went wrong' }
  return { code, message: totalFiles === 1 ? message : `${failedFiles} of ${totalFiles} files failed; the first: ${message}` }
}

/** Takes what is fetched in one turn: the next file, and if it is small those after it that are small too. */
export function takeBatch(wish: Wish): Place[] {
  const places: Place[] = []
  let bytes = 0
  // While something is wrong one file goes ahead to see whether it still is.
  const most = wish.trouble === null ? BATCH_FILES : 1
  for (let place = wish.ready[0]; place !== undefined && places.length < most; place = wish.ready[0]) {
    const size = wish.open.get(place.number)?.page.rows[place.index]?.size ?? 0
    if (places.length > 0 && (size > BATCHED_FILE_BYTES || bytes + size > BATCH_BYTES)) break
    places.push(place)
    wish.ready.shift()
    bytes += size
    if (size > BATCHED_FILE_BYTES) break
  }
  return places
}

export function openJob(wish: Wish, { number, index }: Place, batch: Batch): { job: Job; jobId: string; page: WishPage } {
  const page = wish.open.get(number)?.page
  const row = page?.rows[index]
  if (page === undefined || row === undefined) throw new Error('a file to fetch is on no open page')
  const jobId = jobIdOf(wish.record.id, { number, index })
  const { remote, local, size, mtime } = row
  const job = { wish, number, index, batch, row: { remote, local, size, mtime }, bytes: 0, kept: wish.record.begun[jobId] ?? 0, rate: 0, place: undefined }
  wish.jobs.set(jobId, job)
  return { job, jobId, page }
}

/** @param random from 0 to 1 @returns milliseconds */
export function backoff(attempts: number, random: number): number {
  return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (attempts - 1)) * (0.5 + random)
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** @param path absolute, in the form of whatever system this runs on */
function replaceName(path: string, name: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1) + name
}
