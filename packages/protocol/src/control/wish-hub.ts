import { type SyncedWish, isSameWish, mergeWishes, stampsOf } from './synced-wish.ts'
import { type WishClock, stampTime } from './wish-stamp.ts'
import type { WishStatus, WishSyncPage, WishSyncRequest, WishSyncRow } from './wishes-api.ts'
import { MAX_WISHES } from './wishes-api.ts'

/**
 * The helper's copy of the wishes, which all browsers sync with: merges what comes, numbers every change, and tells what is newer than a number.
 *
 * A removed wish is kept for a while, so that every copy hears of it, and then forgotten. A copy that comes back even later cannot bring it to life: it has
 * read less than what was forgotten (`forgotten`), so nothing is taken from it before it has read everything, and then it knows that what the helper had
 * once taken and has no more was removed. What the helper never had is new and is kept.
 *
 * Stores nothing by itself, reads no clock.
 */
export interface HubRow extends WishSyncRow {
  readonly revision: number
  /** When the helper heard that it was removed; null while it is not. */
  readonly removedAt: number | null
}

/** Longer than anybody leaves a browser alone and still expects it to be quick; coming later costs one full reading. */
export const FORGET_AFTER_MS = 90 * 86_400_000
/** Removed wishes that are remembered; beyond it the oldest go early. */
export const MAX_REMOVED = 5_000
const PAGE_ROWS = 200
/** A path takes 4 KiB; the page is an answer like others. */
const PAGE_CHARACTERS = 200_000

export const NEW_STATUS: WishStatus = { state: 'waiting', reason: null, matches: 0, taken: 0 }

export class WishHub {
  readonly #store: string
  readonly #clock: WishClock
  /** In the order of their revisions. */
  readonly #rows = new Map<string, HubRow>()
  #revision: number
  #forgotten: number
  #live = 0

  /** @param kept what was stored, in any order */
  constructor(store: string, clock: WishClock, kept: { readonly rows: readonly HubRow[]; readonly forgotten: number }) {
    this.#store = store
    this.#clock = clock
    this.#forgotten = kept.forgotten
    this.#revision = kept.forgotten
    for (const row of [...kept.rows].sort((a, b) => a.revision - b.revision)) {
      this.#rows.set(row.wish.id, row)
      this.#revision = Math.max(this.#revision, row.revision)
      if (row.removedAt === null) this.#live++
      for (const stamp of stampsOf(row.wish)) clock.see(stamp)
    }
  }

  get revision(): number {
    return this.#revision
  }

  get forgotten(): number {
    return this.#forgotten
  }

  row(id: string): HubRow | undefined {
    return this.#rows.get(id)
  }

  /** Also removed ones. A list of its own: what follows may change the rows. */
  rows(): HubRow[] {
    return [...this.#rows.values()]
  }

  /** @returns the row as it is now and was before, or why it was not taken */
  take(wish: SyncedWish, wall: number): { readonly row: HubRow; readonly before: HubRow | undefined } | 'too-late' | 'too-many' {
    const horizon = this.#clock.horizon(wall)
    const stamps = stampsOf(wish)
    if (stamps.some((stamp) => stampTime(stamp) > horizon)) return 'too-late'
    const before = this.#rows.get(wish.id)
    const merged = before === undefined ? wish : mergeWishes(before.wish, wish)
    if (before !== undefined && isSameWish(before.wish, merged)) return { row: before, before }
    const isLive = !merged.fields.removed.value
    if (isLive && (before === undefined || before.removedAt !== null) && this.#live >= MAX_WISHES) return 'too-many'
    for (const stamp of stamps) this.#clock.see(stamp)
    const row = this.#put({ wish: merged, status: before?.status ?? NEW_STATUS, revision: 0, removedAt: isLive ? null : (before?.removedAt ?? wall) })
    return { row, before }
  }

  /** @returns the row as it is now, or undefined when that says nothing new */
  setStatus(id: string, status: WishStatus): HubRow | undefined {
    const row = this.#rows.get(id)
    return row === undefined || isSameStatus(row.status, status) ? undefined : this.#put({ ...row, status })
  }

  /** What a browser is told. Changes were taken before. */
  page({ store, since, whole = false }: WishSyncRequest, wall: number): Omit<WishSyncPage, 'refused'> {
    const facts = { store: this.#store, forgotten: this.#forgotten, now: Math.max(wall, this.#clock.time) }
    if (!this.admits({ ...(store === undefined ? {} : { store }), since, whole })) return { ...facts, reset: true, rows: [], cursor: 0, more: true }
    const rows: WishSyncRow[] = []
    let cursor = since
    let room = PAGE_CHARACTERS
    for (const { wish, status, revision } of this.#rows.values()) {
      if (revision <= since) continue
      room -= JSON.stringify(wish).length
      if (rows.length > 0 && (rows.length >= PAGE_ROWS || room < 0)) return { ...facts, reset: false, rows, cursor, more: true }
      rows.push({ wish, status })
      cursor = revision
    }
    return { ...facts, reset: false, rows, cursor: this.#revision, more: false }
  }

  /** Whether this copy has heard of everything that was forgotten, so that changes may be taken from it. */
  admits({ store, since, whole = false }: WishSyncRequest): boolean {
    // A new copy has nothing that it could bring back.
    if (store === undefined) return since === 0
    return store === this.#store && since <= this.#revision && (whole || since >= this.#forgotten)
  }

  /** Forgets what was removed long ago, and the oldest of too many. @returns their ids */
  forget(wall: number): string[] {
    const removed = [...this.#rows.values()].filter(({ removedAt }) => removedAt !== null)
    const tooMany = removed.length - MAX_REMOVED
    const ids: string[] = []
    for (const [index, { wish, revision, removedAt }] of removed.entries()) {
      if (index >= tooMany && wall - (removedAt ?? wall) < FORGET_AFTER_MS) continue
      this.#rows.delete(wish.id)
      this.#forgotten = Math.max(this.#forgotten, revision)
      ids.push(wish.id)
    }
    return ids
  }

  #put(row: HubRow): HubRow {
    const { id } = row.wish
    const before = this.#rows.get(id)
    this.#live += Number(row.removedAt === null) - Number(before !== undefined && before.removedAt === null)
    const numbered = { ...row, revision: ++this.#revision }
    // Deleted first: then it is the last one.
    this.#rows.delete(id)
    this.#rows.set(id, numbered)
    return numbered
  }
}

function isSameStatus(a: WishStatus, b: WishStatus): boolean {
  return a.state === b.state && a.matches === b.matches && a.taken === b.taken && a.reason?.code === b.reason?.code && a.reason?.message === b.reason?.message
}
