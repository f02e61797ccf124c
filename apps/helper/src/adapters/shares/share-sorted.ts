import { CodedError, type Entry, type ListPage, type ListRequest, PageMeter, compareNatural, parsePathPart, sharePathParts } from '@harddrive-party/protocol'
import { BestOf } from '../../core/best-of.ts'
import { comparePart } from '../../core/listing.ts'
import type { SharedRoot } from '../../network/network-api.ts'
import { RowReader, type ShareIndexTables, readGeneration } from './share-index-tables.ts'
import { locate, pathOf, readChunk } from './share-place.ts'

/**
 * Makes one page of a directory's own entries in another order than the index has: by name as people count (directories first), by size, by date.
 * A cursor is where in that order the last page ended, so it stays good when the directory changes. It looks at every entry for each page and
 * keeps one page of them.
 */
export interface SortedOptions {
  readonly tables: ShareIndexTables
  readonly shares: readonly SharedRoot[]
  readonly request: ListRequest
  readonly sort: 'name' | 'size' | 'date'
}

interface Sorted {
  /** What is compared first; smaller comes first. */
  readonly key: number
  readonly name: string
  readonly entry: Omit<Entry, 'path'> | undefined
}

/** @throws CodedError `bad-request`, `not-found` */
export function* sortedPage({ tables, shares, request, sort }: SortedOptions): Generator<void, ListPage> {
  if (request.search !== undefined) throw new CodedError('bad-request', 'a search in one directory is not sorted')
  const direction = request.reverse === true ? -1 : 1
  const compare = (a: Sorted, b: Sorted) => direction * (a.key - b.key || (sort === 'name' ? compareNatural(a.name, b.name) : 0) || comparePart(a.name, b.name))
  const after = request.cursor === undefined ? undefined : parseCursor(request.cursor)
  const best = new BestOf<Sorted>(Math.min(request.limit, MAX_SORTED) + 1, compare)
  const offer = (name: string, entry: Omit<Entry, 'path'>) => {
    const item = { key: keyOf(entry, sort), name, entry }
    if (after === undefined || compare(item, after) > 0) best.offer(item)
  }
  if (request.path === undefined) {
    for (const root of shares) {
      const generation = readGeneration(tables, root)
      const row = generation === undefined ? undefined : new RowReader(tables, generation.generation).row(0)
      offer(root.name, { size: row?.size ?? 0, mtime: row?.mtime ?? 0, isDirectory: true })
    }
  } else {
    const [name = '', ...parts] = sharePathParts(request.path)
    const root = shares.find((share) => share.name === name)
    const generation = root === undefined ? undefined : readGeneration(tables, root)
    const place = root === undefined ? undefined : locate(tables, generation, parts)
    if (place === undefined) throw new CodedError('not-found', 'there is no such file or directory')
    if (place.directoryId === undefined) return { entries: [{ path: request.path, size: place.size, mtime: place.mtime, isDirectory: false }] }
    if (generation !== undefined) {
      const rows = new RowReader(tables, generation.generation)
      for (let index = 0; ; index++) {
        const chunk = readChunk(tables, generation.generation, place.directoryId, index)
        if (chunk === undefined) break
        for (let i = 0; i < chunk.count; i++) {
          const row = chunk.child(i) === 0 ? undefined : rows.row(chunk.child(i))
          offer(chunk.name(i), { size: row?.size ?? chunk.size(i), mtime: row?.mtime ?? chunk.mtime(i), isDirectory: chunk.child(i) !== 0 })
        }
        yield
      }
    }
  }
  return pageOf(best.sorted(), request)
}

/** Sorting holds this many entries at most, whatever a page may be. */
const MAX_SORTED = 1000

function pageOf(sorted: readonly Sorted[], request: ListRequest): ListPage {
  const meter = new PageMeter(Math.min(request.limit, MAX_SORTED))
  const entries: Entry[] = []
  let last: Sorted | undefined
  for (const item of sorted) {
    if (item.entry === undefined) continue
    const entry = { path: pathOf(request.path, item.name), ...item.entry }
    if (!meter.admit(entry)) return { entries, ...(last === undefined ? {} : { cursor: formatCursor(last) }) }
    entries.push(entry)
    last = item
  }
  return { entries }
}

function keyOf({ size, mtime, isDirectory }: Omit<Entry, 'path'>, sort: SortedOptions['sort']): number {
  if (sort === 'name') return isDirectory ? 0 : 1
  return sort === 'size' ? -size : -Math.floor(mtime)
}

function formatCursor({ key, name }: Sorted): string {
  return `o${key}/${name}`
}

/** @throws CodedError `bad-request` */
function parseCursor(text: string): Sorted {
  const [, digits, name] = /^o(-?(?:0|[1-9]\d{0,15}))\/([^]+)$/u.exec(text) ?? []
  const key = Number(digits)
  if (name === undefined || !Number.isSafeInteger(key) || !parsePathPart(name).ok) throw new CodedError('bad-request', 'this is not a cursor of this listing')
  return { key, name, entry: undefined }
}
