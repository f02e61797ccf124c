import { CodedError, type Entry, type ListPage, type ListRequest, PageMeter, naturalKey, parsePathPart, sharePathParts } from '@harddrive-party/protocol'
import { BestOf } from '../../core/best-of.ts'
import { comparePart } from '../../core/listing.ts'
import type { SharedRoot } from '../../network/network-api.ts'
import { RowReader, type ShareIndexTables, readGeneration, revisionOf } from './share-index-tables.ts'
import { locate, pathOf, readChunk } from './share-place.ts'
import { type Sorted, type SortedWindow, type SortedWindows, WINDOW_ENTRIES } from './share-sorted-windows.ts'

/**
 * Makes one page of a directory's own entries in another order than the index has: by name as people count (directories first), by size, by date.
 * A cursor is where in that order the last page ended, so it stays good when the directory changes. The first page looks at every entry and keeps
 * one page of them; whoever goes on gets the next pages from a window of what follows, for which all are looked at once.
 */
export interface SortedOptions {
  readonly tables: ShareIndexTables
  readonly shares: readonly SharedRoot[]
  readonly request: ListRequest
  readonly sort: 'name' | 'size' | 'date'
  readonly windows: SortedWindows
}

interface Cursor {
  readonly key: Sorted['key']
  readonly name: string
}

/** @throws CodedError `bad-request`, `not-found` */
export function* sortedPage({ tables, shares, request, sort, windows }: SortedOptions): Generator<void, ListPage> {
  if (request.search !== undefined) throw new CodedError('bad-request', 'a search in one directory is not sorted')
  const direction = request.reverse === true ? -1 : 1
  const after = request.cursor === undefined ? undefined : parseCursor(request.cursor, sort)
  const limit = Math.min(request.limit, MAX_SORTED)
  if (request.path === undefined) return pageOf(rootsAfter(tables, shares, sort, direction, after), request, sort)

  const [name = '', ...parts] = sharePathParts(request.path)
  const root = shares.find((share) => share.name === name)
  const generation = root === undefined ? undefined : readGeneration(tables, root)
  const place = root === undefined ? undefined : locate(tables, generation, parts)
  if (root === undefined || place === undefined) throw new CodedError('not-found', 'there is no such file or directory')
  if (place.directoryId === undefined) return { entries: [{ path: request.path, size: place.size, mtime: place.mtime, isDirectory: false }] }
  if (generation === undefined) return { entries: [] }
  const key = [root.shareId, revisionOf(generation), place.directoryId, sort, direction].join(' ')
  const kept = after === undefined ? undefined : windows.find(key, (window) => rest(window, after, direction, limit))
  if (kept !== undefined) return pageOf(kept, request, sort)

  const best = new BestOf<Sorted>(after === undefined ? limit + 1 : Math.max(WINDOW_ENTRIES, limit + 1), (a, b) => compareSorted(a, b, direction))
  yield* offerAll(tables, generation.generation, place.directoryId, sort, direction, after, best)
  const sorted = best.sorted()
  if (after !== undefined) windows.keep(key, { after, items: sorted, isWhole: !best.isFull })
  return pageOf(sorted.slice(0, limit + 1), request, sort)
}

/** Sorting holds this many entries of a page at most, whatever a page may be. */
const MAX_SORTED = 1000

function* offerAll(
  tables: ShareIndexTables, generation: number, directoryId: number, sort: SortedOptions['sort'], direction: number, after: Cursor | undefined, best: BestOf<Sorted>,
): Generator<void> {
  const rows = new RowReader(tables, generation)
  let position = 0
  for (let index = 0; ; index++) {
    const chunk = readChunk(tables, generation, directoryId, index)
    if (chunk === undefined) return
    // All names of a chunk at once: each call into the engine costs more than the letters of a name.
    const text = chunk.text()
    const names = text.split('\n')
    const nameKeys = sort === 'name' ? naturalKey(text).split('\n') : undefined
    for (let i = 0; i < chunk.count; i++, position++) {
      const child = chunk.child(i)
      let row = child === 0 || sort === 'name' ? undefined : rows.row(child)
      const key = nameKeys === undefined
        ? numberKey(sort, row?.size ?? chunk.size(i), row?.mtime ?? chunk.mtime(i))
        : (child === 0 ? FILE : DIRECTORY) + (nameKeys[i] ?? '')
      const { worst } = best
      if (worst !== undefined && compare(key, position, worst, direction) >= 0) continue
      const name = names[i] ?? ''
      if (after !== undefined && compareToCursor(key, name, after, direction) <= 0) continue
      if (child !== 0) row ??= rows.row(child)
      best.offer({ key, position, name, entry: { size: row?.size ?? chunk.size(i), mtime: row?.mtime ?? chunk.mtime(i), isDirectory: child !== 0 } })
    }
    yield
  }
}

/** The shares themselves, which are few. */
function rootsAfter(tables: ShareIndexTables, shares: readonly SharedRoot[], sort: SortedOptions['sort'], direction: number, after: Cursor | undefined): Sorted[] {
  return shares
    .map((root, position): Sorted => {
      const generation = readGeneration(tables, root)
      const row = generation === undefined ? undefined : new RowReader(tables, generation.generation).row(0)
      const entry = { size: row?.size ?? 0, mtime: row?.mtime ?? 0, isDirectory: true }
      return { key: sort === 'name' ? DIRECTORY + naturalKey(root.name) : numberKey(sort, entry.size, entry.mtime), position, name: root.name, entry }
    })
    .filter(({ key, name }) => after === undefined || compareToCursor(key, name, after, direction) > 0)
    .sort((a, b) => compareSorted(a, b, direction))
}

/** @returns what of a window comes behind the cursor, a page of it and one more if there is; undefined where the window does not say */
function rest({ after, items, isWhole }: SortedWindow, cursor: Cursor, direction: number, limit: number): readonly Sorted[] | undefined {
  if (compareToCursor(cursor.key, cursor.name, after, direction) < 0) return undefined
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const item = items[middle]
    if (item !== undefined && compareToCursor(item.key, item.name, cursor, direction) <= 0) low = middle + 1
    else high = middle
  }
  return isWhole || items.length - low > limit ? items.slice(low, low + limit + 1) : undefined
}

function pageOf(sorted: readonly Sorted[], request: ListRequest, sort: SortedOptions['sort']): ListPage {
  const meter = new PageMeter(Math.min(request.limit, MAX_SORTED))
  const entries: Entry[] = []
  let last: Sorted | undefined
  for (const item of sorted) {
    const entry = { path: pathOf(request.path, item.name), ...item.entry }
    if (!meter.admit(entry)) return { entries, ...(last === undefined ? {} : { cursor: formatCursor(last, sort) }) }
    entries.push(entry)
    last = item
  }
  return { entries }
}

/** Directories come before files. */
const DIRECTORY = '0'
const FILE = '1'

function numberKey(sort: SortedOptions['sort'], size: number, mtime: number): number {
  return sort === 'size' ? -size : -Math.floor(mtime)
}

/** Of one directory: among equals, its own order, which is that of their names. */
function compare(key: Sorted['key'], position: number, other: Sorted, direction: number): number {
  if (key !== other.key) return key < other.key ? -direction : direction
  return direction * (position - other.position)
}

function compareSorted(a: Sorted, b: Sorted, direction: number): number {
  return compare(a.key, a.position, b, direction)
}

/** The same, where it may be of a directory as it was. */
function compareToCursor(key: Sorted['key'], name: string, cursor: Cursor, direction: number): number {
  if (key !== cursor.key) return key < cursor.key ? -direction : direction
  return direction * comparePart(name, cursor.name)
}

/** By name: whether it is a file, and the name; else the number. */
function formatCursor({ key, name, entry }: Sorted, sort: SortedOptions['sort']): string {
  return `o${sort === 'name' ? (entry.isDirectory ? DIRECTORY : FILE) : key}/${name}`
}

/** @throws CodedError `bad-request` */
function parseCursor(text: string, sort: SortedOptions['sort']): Cursor {
  const [, digits = '', name] = /^o(-?(?:0|[1-9]\d{0,15}))\/([^]+)$/u.exec(text) ?? []
  const number = Number(digits)
  const fits = sort === 'name' ? digits === DIRECTORY || digits === FILE : Number.isSafeInteger(number)
  if (name === undefined || !fits || !parsePathPart(name).ok) throw new CodedError('bad-request', 'this is not a cursor of this listing')
  return { key: sort === 'name' ? digits + naturalKey(name) : number, name }
}
