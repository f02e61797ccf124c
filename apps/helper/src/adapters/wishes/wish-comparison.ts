import { type SharePath, compareTreeOrder } from '@harddrive-party/protocol'
import { lstat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DONE, FAILED, type LookAgain, QUEUED, type Reason, SKIPPED, type WishPage, type WishRecord } from '../../core/wishes/wish.ts'
import type { WishRow } from '../../core/wishes/wish-listing.ts'
import { newStates, type WishStore } from './wish-store.ts'

/**
 * Lays a new listing of a wish beside its old one, so that only what is missing, new or changed is fetched. Reads old pages and, for what should be here,
 * the download folder; writes nothing.
 */
export interface WishComparison {
  /** Rows come in the order of listings. @returns the new page, with what stays of the old one */
  page(rows: readonly WishRow[]): Promise<WishPage>
  readonly counts: ComparedCounts
}

export interface ComparedCounts {
  /** Files to be fetched, and folders to be made. */
  fresh: number
  doneFiles: number
  doneBytes: number
  failedFiles: number
  skippedFiles: number
  skippedBytes: number
  failure: Reason | null
}

interface OldRow {
  readonly row: WishRow
  readonly state: number | undefined
  readonly reason: Reason | undefined
  readonly name: string | undefined
}

export function compareWish(record: WishRecord, how: LookAgain | null, wishes: Pick<WishStore, 'page'>): WishComparison {
  const counts: ComparedCounts = { fresh: 0, doneFiles: 0, doneBytes: 0, failedFiles: 0, skippedFiles: 0, skippedBytes: 0, failure: null }
  const old = how === null ? undefined : oldRows(record, wishes)
  let next = old?.next()

  function find(row: WishRow): OldRow | undefined {
    while (next !== undefined && next.done !== true && compareTreeOrder(next.value.row.remote as SharePath, row.remote as SharePath) < 0) next = old?.next()
    return next !== undefined && next.done !== true && next.value.row.remote === row.remote ? next.value : undefined
  }

  return {
    counts,
    page: async (rows) => {
      const page: WishPage = { rows: [...rows], states: newStates(rows), reasons: new Map(), names: new Map() }
      for (const [index, row] of rows.entries()) {
        const known = find(row)
        if (row.isDirectory) {
          if (known?.row.isDirectory !== true) counts.fresh++
          continue
        }
        const state = known !== undefined && isSameVersion(known.row, row) ? await stateNow(record, how, known) : QUEUED
        page.states[index] = state
        if (known?.name !== undefined && state === DONE) page.names.set(index, known.name)
        if (known?.reason !== undefined && state === FAILED) page.reasons.set(index, known.reason)
        count(counts, state, row, known?.reason)
      }
      return page
    },
  }
}

function count(counts: ComparedCounts, state: number, { size }: WishRow, reason: Reason | undefined): void {
  if (state === DONE) {
    counts.doneFiles++
    counts.doneBytes += size
  } else if (state === FAILED) {
    counts.failedFiles++
    counts.failure ??= reason ?? null
  } else if (state === SKIPPED) {
    counts.skippedFiles++
    counts.skippedBytes += size
  } else counts.fresh++
}

/** What is at hand of a page that did not change. */
async function stateNow(record: WishRecord, how: LookAgain | null, { row, state, name }: OldRow): Promise<number> {
  if (state === SKIPPED) return SKIPPED
  if (how === 'new') return state === DONE || state === FAILED ? state : QUEUED
  return state === DONE && (await isHere(record, row, name)) ? DONE : QUEUED
}

/** As it was put there: what was changed or moved away since is missing. */
async function isHere({ target }: WishRecord, { local, size, mtime }: WishRow, name: string | undefined): Promise<boolean> {
  if (target === null) return false
  const planned = local === '' ? target : join(target, local)
  try {
    const found = await lstat(name === undefined ? planned : join(dirname(planned), name))
    return found.isFile() && found.size === size && Math.abs(found.mtimeMs - mtime) < 1
  } catch {
    return false
  }
}

/** The name it has here counts too: it may be another one when a neighbour came that some file systems take for the same. */
function isSameVersion(old: WishRow, row: WishRow): boolean {
  return !old.isDirectory && old.size === row.size && old.mtime === row.mtime && old.local === row.local
}

function* oldRows({ id, base, pages }: WishRecord, wishes: Pick<WishStore, 'page'>): Generator<OldRow, undefined> {
  for (let number = base; number < pages; number++) {
    const page = wishes.page(id, number)
    for (const [index, row] of page?.rows.entries() ?? []) {
      yield { row, state: page?.states[index], reason: page?.reasons.get(index), name: page?.names.get(index) }
    }
  }
  return undefined
}
