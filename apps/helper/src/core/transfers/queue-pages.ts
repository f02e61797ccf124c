import type { QueueEffect } from './queue-messages.ts'
import { type Place, type Wish, jobIdOf } from './queue-state.ts'
import { BEGUN, DONE, FAILED, QUEUED, SKIPPED, type WishPage, type WishRecord } from '../wishes/wish.ts'
import { choiceFor, isWithin } from '../wishes/wish-choices.ts'
import type { WishRow } from '../wishes/wish-listing.ts'

/** Decides what becomes of each file on a page: fetched, paused, tried again or left out. Changes states and counts of the page; starts and stops nothing. */

export interface SortedPage {
  readonly ready: readonly Place[]
  /** Files that are fetched, wait for their turn, or for another try. */
  readonly left: number
  readonly held: number
  /** Something is to be stored. */
  readonly changed: boolean
  /** Jobs that must not go on. */
  readonly stop: readonly { readonly jobId: string; readonly discard: boolean }[]
  readonly drop: readonly Extract<QueueEffect, { type: 'drop' }>[]
}

/** Looks at every file of a page anew: when it comes up, and when the person chose something else. */
export function sortPage(wish: Wish, number: number, page: WishPage): SortedPage {
  const { record } = wish
  const ready: Place[] = []
  const stop: { jobId: string; discard: boolean }[] = []
  const drop: Extract<QueueEffect, { type: 'drop' }>[] = []
  const delayed = new Set(wish.delayed.flatMap((place) => (place.number === number ? [place.index] : [])))
  const noLonger = new Set<number>()
  let [left, held, changed] = [0, 0, false]
  for (const [index, row] of page.rows.entries()) {
    if (row.isDirectory) continue
    const jobId = jobIdOf(record.id, { number, index })
    const wanted = !choiceFor(record.skips, row.remote)
    if (wanted && revive(record, page, index)) changed = true
    const state = page.states[index]
    if (state !== QUEUED && state !== BEGUN) continue
    const running = wish.jobs.has(jobId)
    if (!wanted) {
      page.states[index] = SKIPPED
      record.skippedFiles++
      record.skippedBytes += row.size
      delete record.begun[jobId]
      wish.tries.delete(jobId)
      changed = true
      noLonger.add(index)
      if (running) stop.push({ jobId, discard: true })
      else if (state === BEGUN) drop.push({ type: 'drop', id: record.id, jobId, row: jobRow(row) })
    } else if (choiceFor(record.holds, row.remote)) {
      held++
      noLonger.add(index)
      if (running) stop.push({ jobId, discard: false })
    } else {
      left++
      if (!running && !delayed.has(index)) ready.push({ number, index })
    }
  }
  if (noLonger.size > 0) wish.delayed = wish.delayed.filter((place) => place.number !== number || !noLonger.has(place.index))
  return { ready, left, held, changed, stop, drop }
}

/** What failed and is to be tried again, or was left out and is wanted after all. @returns whether it is one of these */
function revive(record: WishRecord, page: WishPage, index: number): boolean {
  const row = page.rows[index] as WishRow
  const state = page.states[index]
  if (state === SKIPPED) {
    record.skippedFiles = Math.max(0, record.skippedFiles - 1)
    record.skippedBytes = Math.max(0, record.skippedBytes - row.size)
  } else if (state === FAILED && record.rearm.some((path) => isWithin(row.remote, path))) {
    record.failedFiles = Math.max(0, record.failedFiles - 1)
    page.reasons.delete(index)
  } else return false
  page.states[index] = QUEUED
  return true
}

export function jobRow({ remote, local, size, mtime }: WishRow): { remote: string; local: string; size: number; mtime: number } {
  return { remote, local, size, mtime }
}

/** The page to look at next; undefined = none before something else happens. */
export function nextToLoad({ again, nextPage, record }: Wish): number | undefined {
  return again[0] ?? (nextPage < record.pages ? nextPage : undefined)
}

/** Pages where only paused files were left are looked at once more. */
export function unpark(wish: Wish): void {
  if (wish.parked.size === 0) return
  wish.again = [...new Set([...wish.again, ...wish.parked])].sort((a, b) => a - b)
  wish.parked.clear()
}

/** Every page that was looked at before is once more. */
export function lookAtAll(wish: Wish): void {
  wish.parked.clear()
  wish.again = []
  for (let number = wish.record.base; number < wish.nextPage; number++) {
    if (!wish.open.has(number)) wish.again.push(number)
  }
}

/** Files on all pages before it have ended. */
export function firstUnfinished({ nextPage, open, again, parked, loading }: Wish): number {
  return Math.min(nextPage, loading ?? Infinity, again[0] ?? Infinity, ...open.keys(), ...parked)
}

/** Pages that nobody has left anything on: the wish is over. */
export function allPagesEnded({ nextPage, record, open, again, parked, loading }: Wish): boolean {
  return nextPage >= record.pages && open.size === 0 && again.length === 0 && parked.size === 0 && loading === undefined
}

/** States that a file keeps when its source is looked at again and has not changed. */
export function isSettled(state: number | undefined): boolean {
  return state === DONE || state === FAILED || state === SKIPPED
}
