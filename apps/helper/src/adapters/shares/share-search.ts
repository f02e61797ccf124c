import {
  CodedError, type Entry, type FileType, type ListPage, type ListRequest, MAX_PAGE_ENTRIES, PageMeter, type SearchQuery, type SharePath, parseSearch, sharePathParts,
} from '@harddrive-party/protocol'
import { BestOf } from '../../core/best-of.ts'
import { type SearchPlace, compareBySize, compareByTime, compareSearchPlaces, formatSearchCursor, parseSearchCursor, sizeKeyOf, timeKeyOf } from '../../core/punch/search-order.ts'
import type { SharedRoot } from '../../network/network-api.ts'
import { CHUNK_ENTRIES } from './share-chunk.ts'
import type { DirectoryTable } from './share-directories.ts'
import { type Generation, type ShareIndexTables, readGeneration } from './share-index-tables.ts'
import { locate, pathOf, readChunk } from './share-place.ts'
import { SearchedDirectories } from './share-search-directories.ts'
import { SegmentSearch } from './share-search-segment.ts'
import type { SegmentReader } from './share-segment-reader.ts'
import { typeCodesOf } from './share-signature.ts'

/**
 * Makes one page of a search through everything below a directory, or through all shares: the best results behind the cursor, best first. It goes
 * through the whole index for each page, in steps of a few milliseconds at most, and keeps one page of results in memory.
 */
export interface SearchOptions {
  readonly tables: ShareIndexTables
  readonly shares: readonly SharedRoot[]
  readonly request: ListRequest
  readonly sort: 'rank' | 'size' | 'date'
  readonly directories: (shareId: string, generation: Generation) => DirectoryTable
  readonly segments: SegmentReader
}

/** A result, and where its path can be found. */
export interface Found extends SearchPlace {
  readonly share: SearchedShare
  /** Of the directory itself, or of the one that the file is in. */
  readonly directory: number
  /** Which entry of the directory; -1 for the directory itself. */
  readonly position: number
  readonly size: number
  readonly mtime: number
}

export interface SearchedShare {
  readonly root: SharedRoot
  readonly generation: Generation
  readonly table: DirectoryTable
}

/** What both halves of a search, directories and files, are told. */
export interface Search {
  readonly query: SearchQuery
  /** Of `query.words`, in UTF-8. */
  readonly words: readonly Buffer[]
  readonly typeCodes: ReadonlySet<number>
  readonly sort: SearchOptions['sort']
  readonly best: BestOf<Found>
  /** Whether something of this rank at best may still become a result. */
  mayEnter(rank: number, size: number, mtime: number): boolean
  /** Takes a result unless it is before the cursor. */
  offer(found: Found): void
}

/** @throws CodedError `bad-request`, `not-found` */
export function* searchShares({ tables, shares, request, sort, directories, segments }: SearchOptions): Generator<void, ListPage> {
  const query = parseSearch(request.search ?? '')
  const after = request.cursor === undefined ? undefined : parseSearchCursor(request.cursor)
  if (request.cursor !== undefined && after === undefined) throw new CodedError('bad-request', 'this is not a cursor of this search')
  const compare = sort === 'rank' ? compareSearchPlaces : sort === 'size' ? compareBySize : compareByTime
  const best = new BestOf<Found>(Math.min(request.limit, MAX_PAGE_ENTRIES) + 1, compare)
  const search: Search = {
    query,
    words: query.words.map((word) => Buffer.from(word)),
    typeCodes: typeCodesOf(query.types.filter((type): type is FileType => type !== 'folder')),
    sort,
    best,
    mayEnter: (rank, size, mtime) => {
      const { worst } = best
      if (worst === undefined) return true
      if (sort === 'rank' && rank !== worst.rank) return rank < worst.rank
      if (sort === 'date') return timeKeyOf(mtime) >= worst.timeKey
      const sizeKey = sizeKeyOf(size)
      return sizeKey > worst.sizeKey || (sizeKey === worst.sizeKey && timeKeyOf(mtime) >= worst.timeKey)
    },
    offer: (found) => {
      if (after === undefined || compare(found, after) > 0) best.offer(found)
    },
  }
  const [name, ...parts] = request.path === undefined ? [] : sharePathParts(request.path)
  const base = name === undefined ? undefined : shares.find((share) => share.name === name)
  if (name !== undefined && base === undefined) throw new CodedError('not-found', 'there is no such file or directory')
  for (const root of base === undefined ? shares : [base]) {
    const generation = readGeneration(tables, root)
    const place = base === undefined ? undefined : locate(tables, generation, parts)
    if (base !== undefined && place === undefined) throw new CodedError('not-found', 'there is no such file or directory')
    // Below a file there is nothing, and in what was never scanned nothing is known.
    if (generation === undefined || (place !== undefined && place.directoryId === undefined)) continue
    yield* searchShare(segments, { root, generation, table: directories(root.shareId, generation) }, search, place?.directoryId)
  }
  return pageOf(tables, best.sorted(), request)
}

function* searchShare(reader: SegmentReader, share: SearchedShare, search: Search, base: number | undefined): Generator<void> {
  const below = new SearchedDirectories(share, search, base)
  yield* below.run()
  const { types } = search.query
  // Only folders were asked for.
  if (types.length > 0 && search.typeCodes.size === 0) return
  const segments = new SegmentSearch(share, search, below)
  const { generation } = share.generation
  for (const number of share.generation.live) {
    // One that went while we waited for our turn has nothing: what took its place is for the next search.
    segments.run(number, reader.segment(generation, number))
    yield
  }
}

function pageOf(tables: ShareIndexTables, results: readonly Found[], request: ListRequest): ListPage {
  const meter = new PageMeter(request.limit)
  const entries: Entry[] = []
  let last: Found | undefined
  for (const found of results) {
    const path = pathOfResult(tables, found)
    if (path !== undefined) {
      const entry: Entry = { path, size: found.size, mtime: found.mtime, isDirectory: found.position === -1 }
      if (!meter.admit(entry)) return { entries, ...(last === undefined ? {} : { cursor: formatSearchCursor(last) }) }
      entries.push(entry)
    }
    last = found
  }
  return { entries }
}

/** @returns undefined when it is gone by now */
function pathOfResult(tables: ShareIndexTables, { share: { root, generation, table }, directory, position }: Found): SharePath | undefined {
  const path = table.parts(directory).reduce<SharePath>((above, part) => pathOf(above, part), pathOf(undefined, root.name))
  if (position === -1) return path
  const chunk = readChunk(tables, generation.generation, directory, Math.floor(position / CHUNK_ENTRIES))
  const i = position % CHUNK_ENTRIES
  return chunk === undefined || i >= chunk.count || chunk.child(i) !== 0 ? undefined : pathOf(path, chunk.name(i))
}
