import { type SyncedWish, completeWish, editWish, isSameWish, mergeWishes, newSyncedWish, restampWish, stampsOf, type WishValues } from './synced-wish.ts'
import { MAX_CLOCK_DRIFT_MS, WishClock, stampTime } from './wish-stamp.ts'
import { FORGET_AFTER_MS } from './wish-hub.ts'
import { MAX_SYNCED_BYTES, MAX_SYNCED_CHANGES, type WishStatus, type WishSyncPage, type WishSyncRequest } from './wishes-api.ts'

/**
 * One browser's copy of the wishes: takes changes whether or not the helper is there, knows which of them the helper has yet to hear of, and follows the
 * helper's list page by page. Talks to nobody and stores nothing by itself, reads no clock.
 */
export interface CopyRow {
  readonly wish: SyncedWish
  /** The helper has had it: where it is not there any more, it was removed and forgotten. */
  readonly known: boolean
  /** Changed here since the helper heard of it. */
  readonly changed: boolean
  /** As the helper last said; null = it never did. */
  readonly status: WishStatus | null
}

/** How far this copy has read. */
export interface CopyPlace {
  /** Null = never. */
  readonly store: string | null
  readonly cursor: number
  /** How far the browser's clock is ahead of the helper's, milliseconds; 0 where they agree well enough. */
  readonly skewMs: number
}

export const NEW_PLACE: CopyPlace = { store: null, cursor: 0, skewMs: 0 }

/** What has to be stored. */
export interface CopyChange {
  readonly put: readonly CopyRow[]
  readonly removed: readonly string[]
  readonly place: CopyPlace
}

/** A whole reading under way. */
interface Reading {
  readonly store: string
  readonly forgotten: number
  readonly seen: Set<string>
}

export class WishCopy {
  readonly #newWriter: () => string
  #clock: WishClock
  readonly #rows = new Map<string, CopyRow>()
  #place: CopyPlace
  #reading: Reading | undefined

  /** @param newWriter 16 hexadecimal digits, random at every call: no two pages ever write the same stamp */
  constructor(newWriter: () => string, kept: { readonly rows: readonly CopyRow[]; readonly place: CopyPlace }) {
    this.#newWriter = newWriter
    this.#clock = new WishClock(newWriter())
    this.#place = kept.place
    this.absorb(kept.rows)
  }

  get place(): CopyPlace {
    return this.#place
  }

  /** Whether the helper has yet to hear of something. */
  get hasChanges(): boolean {
    for (const { changed } of this.#rows.values()) if (changed) return true
    return false
  }

  row(id: string): CopyRow | undefined {
    return this.#rows.get(id)
  }

  rows(): CopyRow[] {
    return [...this.#rows.values()]
  }

  /** Takes in what another page of the same browser has stored. */
  absorb(rows: readonly CopyRow[]): void {
    for (const kept of rows) {
      const row = { ...kept, wish: completeWish(kept.wish) }
      const mine = this.#rows.get(row.wish.id)
      this.#see(row.wish)
      if (mine === undefined) this.#rows.set(row.wish.id, row)
      else {
        const wish = mergeWishes(mine.wish, row.wish)
        const changed = (mine.changed && !isCovered(mine.wish, row)) || (row.changed && !isCovered(row.wish, mine))
        this.#rows.set(wish.id, { wish, known: mine.known || row.known, changed, status: row.status ?? mine.status })
      }
    }
  }

  add(id: string, values: Pick<WishValues, 'what'> & Partial<WishValues>, wall: number): CopyRow {
    const now = this.#wall(wall)
    return this.#put({ wish: newSyncedWish(id, now, values, this.#clock.tick(now)), known: false, changed: true, status: null })
  }

  /** @returns undefined when there is no such wish, or when it says so already */
  edit(id: string, values: Partial<WishValues>, wall: number): CopyRow | undefined {
    const row = this.#rows.get(id)
    if (row === undefined) return undefined
    const wish = editWish(row.wish, values, this.#clock, this.#wall(wall))
    return wish === row.wish ? undefined : this.#put({ ...row, wish, changed: true })
  }

  /** Drops what was removed long ago: the helper has forgotten it by then, too. @returns their ids */
  forget(wall: number): string[] {
    const since = this.#wall(wall) - FORGET_AFTER_MS
    const gone = this.rows().filter(({ wish: { fields: { removed } }, known, changed }) => removed.value && known && !changed && stampTime(removed.at) < since)
    for (const { wish } of gone) this.#rows.delete(wish.id)
    return gone.map(({ wish }) => wish.id)
  }

  /** What to ask the helper next. */
  request(): WishSyncRequest {
    const { store, cursor } = this.#place
    if (this.#reading !== undefined) return { store: this.#reading.store, since: cursor, whole: true }
    const changes: SyncedWish[] = []
    let room = MAX_SYNCED_BYTES
    // What the helper has already first: a removal makes room for what is new.
    for (const { wish } of [...this.#rows.values()].filter(({ changed }) => changed).sort((a, b) => Number(b.known) - Number(a.known))) {
      room -= JSON.stringify(wish).length
      if (changes.length > 0 && (room < 0 || changes.length >= MAX_SYNCED_CHANGES)) break
      changes.push(wish)
    }
    return { ...(store === null ? {} : { store }), since: cursor, ...(changes.length === 0 ? {} : { changes }) }
  }

  /** Takes the answer to `request`, whatever happened here in between. @returns what to store, and whether to ask again */
  take(asked: WishSyncRequest, page: WishSyncPage, wall: number): CopyChange & { readonly again: boolean } {
    const skew = wall - page.now
    const skewMs = Math.abs(skew) > MAX_CLOCK_DRIFT_MS ? skew : 0
    const put = new Map<string, CopyRow>()
    const removed: string[] = []
    if (page.reset || (this.#reading !== undefined && (page.forgotten !== this.#reading.forgotten || page.store !== this.#reading.store))) {
      this.#startReading(page, put)
      this.#place = { store: page.store, cursor: 0, skewMs }
      return { put: [...put.values()], removed, place: this.#place, again: true }
    }
    // An answer that was overtaken by a newer one, or by a reading that began: its rows are good, its place is not ours any more.
    const isNext = asked.since === this.#place.cursor && (asked.whole === true) === (this.#reading !== undefined)
    const refused = new Map(page.refused.map(({ wishId, why }) => [wishId, why]))
    if ([...refused.values()].includes('too-late')) this.#setBack(page.now, put)
    for (const sent of asked.changes ?? []) {
      const row = this.#rows.get(sent.id)
      if (row === undefined) continue
      if (!refused.has(sent.id)) keep(put, this.#put({ ...row, known: true, changed: row.changed && !isSameWish(row.wish, sent) }))
    }
    for (const { wish, status } of page.rows) {
      this.#see(wish)
      this.#reading?.seen.add(wish.id)
      const mine = this.#rows.get(wish.id)
      const merged = mine === undefined ? wish : mergeWishes(mine.wish, wish)
      keep(put, this.#put({ wish: merged, known: true, changed: mine?.changed === true && !isSameWish(merged, wish), status }))
    }
    this.#place = { store: page.store, cursor: isNext ? page.cursor : this.#place.cursor, skewMs }
    if (!page.more && isNext && this.#reading !== undefined) {
      removed.push(...this.#dropForgotten(this.#reading))
      this.#reading = undefined
    }
    // What was refused for another reason than its clock would be refused again.
    const stuck = page.refused.some(({ why }) => why === 'too-many') && (asked.changes ?? []).every(({ id }) => refused.has(id))
    return { put: [...put.values()].filter(({ wish }) => !removed.includes(wish.id)), removed, place: this.#place, again: page.more || (this.hasChanges && !stuck) }
  }

  /** Our clock was far ahead: what it wrote and nobody took is written again, by the helper's time. The values stay. */
  #setBack(now: number, put: Map<string, CopyRow>): void {
    const horizon = now + MAX_CLOCK_DRIFT_MS
    this.#clock = new WishClock(this.#newWriter())
    for (const { wish } of this.#rows.values()) {
      for (const stamp of stampsOf(wish)) if (stampTime(stamp) <= horizon) this.#clock.see(stamp)
    }
    for (const row of this.#rows.values()) {
      const wish = restampWish(row.wish, horizon, this.#clock, now)
      if (wish !== row.wish) keep(put, this.#put({ ...row, wish, changed: true }))
    }
  }

  #startReading({ store, forgotten }: WishSyncPage, put: Map<string, CopyRow>): void {
    // Another list than the one we know, or an older state of it, put back: what is here is news to it, and the only copy there may be.
    const isBehind = this.#reading === undefined && this.#place.cursor >= forgotten
    if (store !== this.#place.store || isBehind) {
      for (const row of this.#rows.values()) keep(put, this.#put({ ...row, known: false, changed: true, status: null }))
    }
    this.#reading = { store, forgotten, seen: new Set() }
  }

  #dropForgotten({ seen }: Reading): string[] {
    const gone = [...this.#rows.values()].filter(({ wish, known }) => known && !seen.has(wish.id)).map(({ wish }) => wish.id)
    for (const id of gone) this.#rows.delete(id)
    return gone
  }

  #put(row: CopyRow): CopyRow {
    this.#rows.set(row.wish.id, row)
    return row
  }

  #see(wish: SyncedWish): void {
    for (const stamp of stampsOf(wish)) this.#clock.see(stamp)
  }

  #wall(wall: number): number {
    return wall - this.#place.skewMs
  }
}

/** Whether the helper has heard of all that is in `wish`, going by what another page stored. */
function isCovered(wish: SyncedWish, { wish: other, changed, known }: CopyRow): boolean {
  return known && !changed && isSameWish(mergeWishes(wish, other), other)
}

function keep(put: Map<string, CopyRow>, row: CopyRow): void {
  put.set(row.wish.id, row)
}
