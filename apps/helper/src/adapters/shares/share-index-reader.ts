import { CodedError, type ListPage, type ListRequest, sharePathParts } from '@harddrive-party/protocol'
import { join } from 'node:path'
import { comparePart } from '../../core/listing.ts'
import type { SharedRoot } from '../../network/network-api.ts'
import type { DirectoryTable } from './share-directories.ts'
import { type Generation, type ShareIndexTables, loadDirectories, openShareIndexTables, readGeneration, revisionOf } from './share-index-tables.ts'
import type { ListOptions, ShareIndexReader } from './share-index.ts'
import { TreeListing } from './share-listing.ts'
import { locate } from './share-place.ts'
import { searchShares } from './share-search.ts'
import { SegmentReader } from './share-segment-reader.ts'
import { sortedPage } from './share-sorted.ts'
import { SortedWindows } from './share-sorted-windows.ts'
import { runSliced } from '../system/slices.ts'

/** Directories kept in memory after a search, for those that follow: typing is many searches. */
const KEEP_DIRECTORIES_MS = 30_000

/**
 * Reads the share index that the scan worker writes; any number of processes may.
 * Cursors say what was seen last, not where it was: they stay good when the index changes.
 * @param options.shares whose entries to show; an id that was never scanned shows as an empty directory
 * @throws CodedError `disk-error`
 */
export function openShareIndexReader(options: { readonly directory: string; readonly shares: readonly SharedRoot[] }): ShareIndexReader {
  const tables = openShareIndexTables(options.directory)
  const directories = new DirectoryCache(tables)
  const windows = new SortedWindows()
  let shares = sortShares(options.shares)
  let closing: Promise<void> | undefined
  const list = async (request: ListRequest, { visible, signal }: ListOptions): Promise<ListPage> => {
    if (!Number.isInteger(request.limit) || request.limit < 1) throw new CodedError('bad-request', 'a listing wants at least one entry per page')
    const seen = visibleOf(shares, visible)
    tables.root.resetReadTxn()
    if (request.recursive && request.search !== undefined) {
      const { sort = 'rank', reverse = false } = request
      if (sort === 'name' || reverse) throw new CodedError('bad-request', 'a search is not sorted like this')
      const work = searchShares({ tables, shares: seen, request, sort, directories: directories.of.bind(directories), segments: directories.segments })
      return runSliced(work, { onResume: () => tables.root.resetReadTxn(), signal })
    }
    if (request.sort === 'rank') throw new CodedError('bad-request', 'only a search has ranks')
    if (request.sort !== undefined && request.recursive) throw new CodedError('bad-request', 'a recursive listing has one order')
    if (request.sort !== undefined) {
      return runSliced(sortedPage({ tables, shares: seen, request, sort: request.sort, windows }), { onResume: () => tables.root.resetReadTxn(), signal })
    }
    return new TreeListing(tables, seen, request).page()
  }
  return {
    list: (request, listOptions = {}) => list(request, listOptions),
    find: (path, { visible } = {}) => {
      tables.root.resetReadTxn()
      const [name = '', ...parts] = sharePathParts(path)
      const root = visibleOf(shares, visible).find((share) => share.name === name)
      if (root === undefined) return undefined
      const place = locate(tables, readGeneration(tables, root), parts)
      if (place === undefined) return undefined
      const { size, mtime } = place
      return { entry: { path, size, mtime, isDirectory: place.directoryId !== undefined }, root, file: join(root.directory, ...parts) }
    },
    state: ({ visible } = {}) => {
      tables.root.resetReadTxn()
      const states = visibleOf(shares, visible).map((root) => ({ root, generation: readGeneration(tables, root) }))
      return JSON.stringify(states.map(({ root, generation }) => [root.shareId, root.name, generation?.generation, generation?.revision]))
    },
    directories: function* (shareId) {
      tables.root.resetReadTxn()
      const generation = readGeneration(tables, { shareId })
      if (generation === undefined) return
      const table = loadDirectories(tables, generation)
      for (let id = 0; id < table.count; id++) if (table.isLive(id)) yield table.parts(id).join('/')
    },
    setShares: (next) => {
      shares = sortShares(next)
    },
    close: () => {
      directories.clear()
      windows.clear()
      return (closing ??= tables.root.close())
    },
  }
}

function sortShares(shares: readonly SharedRoot[]): readonly SharedRoot[] {
  return [...shares].sort((a, b) => comparePart(a.name, b.name))
}

function visibleOf(shares: readonly SharedRoot[], visible: ReadonlyMap<string, string> | undefined): readonly SharedRoot[] {
  if (visible === undefined) return shares
  return sortShares(shares.flatMap((share) => {
    const name = visible.get(share.shareId)
    return name === undefined ? [] : [{ ...share, name }]
  }))
}

/** What is kept for the next search: the directories of shares, and memory for a segment. */
class DirectoryCache {
  readonly #tables: ShareIndexTables
  readonly #kept = new Map<string, { readonly key: string; readonly table: DirectoryTable }>()
  readonly segments: SegmentReader
  #timer: NodeJS.Timeout | undefined

  constructor(tables: ShareIndexTables) {
    this.#tables = tables
    this.segments = new SegmentReader(tables)
  }

  of(shareId: string, generation: Generation): DirectoryTable {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.clear(), KEEP_DIRECTORIES_MS)
    this.#timer.unref()
    const key = revisionOf(generation)
    const kept = this.#kept.get(shareId)
    if (kept?.key === key) return kept.table
    const table = loadDirectories(this.#tables, generation)
    this.#kept.set(shareId, { key, table })
    return table
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#kept.clear()
    this.segments.clear()
  }
}
