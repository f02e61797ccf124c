import {
  CodedError, type Entry, type ListPage, type ListRequest, MAX_PATH_PARTS, PageMeter, type SharePath, joinSharePath, sharePathParts,
} from '@harddrive-party/protocol'
import { join } from 'node:path'
import { type ListCursor, comparePart, foldName, formatCursor, matchesWords, parseCursor, searchWords } from '../core/listing.ts'
import type { SharedRoot } from '../network/network-api.ts'
import { CHUNK_ENTRIES, DirectoryChunk } from './share-chunk.ts'
import { type Generation, type ShareIndexTables, chunkKey, decodeGeneration, openShareIndexTables } from './share-index-tables.ts'
import type { ShareIndexReader } from './share-index.ts'

/**
 * Work done for one page, in about microseconds: reading a chunk, looking at an entry. It bounds how long one request can hold up the process,
 * whatever is asked.
 */
const PAGE_WORK = 12_000
const CHUNK_WORK = 8
const PATH_WORK = 2

const STALE = 'the shared folder has changed since the last page: start the listing over'

/**
 * Reads the share index that the scan worker writes; any number of processes may.
 * A cursor of it stays good until a scan that found changes: then it is refused with `bad-request`.
 * @param options.shares whose entries to show; an id that was never scanned shows as an empty directory
 * @throws CodedError `disk-error`
 */
export function openShareIndexReader(options: { readonly directory: string; readonly shares: readonly SharedRoot[] }): ShareIndexReader {
  const tables = openShareIndexTables(options.directory)
  let shares = sortShares(options.shares)
  let closing: Promise<void> | undefined
  return {
    list: async (request, { visible } = {}) => {
      tables.root.resetReadTxn()
      return new Listing(tables, visibleOf(shares, visible), request).page()
    },
    find: (path, { visible } = {}) => {
      tables.root.resetReadTxn()
      const [name = '', ...parts] = sharePathParts(path)
      const root = visibleOf(shares, visible).find((share) => share.name === name)
      if (root === undefined) return undefined
      const generation = readGeneration(tables, root)
      const place = locate(tables, generation, parts)
      if (place === undefined) return undefined
      const { size, mtime } = place
      return { entry: { path, size, mtime, isDirectory: place.directoryId !== undefined }, root, file: join(root.directory, ...parts) }
    },
    setShares: (next) => {
      shares = sortShares(next)
    },
    close: () => (closing ??= tables.root.close()),
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

function readGeneration(tables: ShareIndexTables, root: SharedRoot): Generation | undefined {
  return decodeGeneration(tables.generations.get(root.shareId))
}

interface Place {
  readonly size: number
  readonly mtime: number
  /** Undefined for a file. */
  readonly directoryId: number | undefined
}

/** Goes down from the share's root. @param parts none for the root itself */
function locate(tables: ShareIndexTables, generation: Generation | undefined, parts: readonly string[]): Place | undefined {
  if (generation === undefined) return parts.length === 0 ? { size: 0, mtime: 0, directoryId: 0 } : undefined
  let place: Place = { size: generation.bytes, mtime: generation.mtime, directoryId: 0 }
  for (const part of parts) {
    if (place.directoryId === undefined) return undefined
    const found = findChild(tables, generation.generation, place.directoryId, Buffer.from(part))
    if (found === undefined) return undefined
    place = found
  }
  return place
}

/** Two binary searches: for the chunk, then in it. */
function findChild(tables: ShareIndexTables, generation: number, directoryId: number, name: Buffer): Place | undefined {
  let chunk = readChunk(tables, generation, directoryId, 0)
  let low = 0
  let high = chunk === undefined ? 0 : Math.max(1, Math.ceil(chunk.total / CHUNK_ENTRIES)) - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    const candidate = readChunk(tables, generation, directoryId, middle)
    if (candidate !== undefined && candidate.lastNotAfter(name) >= 0) {
      low = middle
      chunk = candidate
    } else high = middle - 1
  }
  const i = chunk?.lastNotAfter(name) ?? -1
  if (chunk === undefined || i < 0 || chunk.name(i) !== name.toString()) return undefined
  return { size: chunk.size(i), mtime: chunk.mtime(i), directoryId: chunk.child(i) === 0 ? undefined : chunk.child(i) }
}

function readChunk(tables: ShareIndexTables, generation: number, directoryId: number, index: number): DirectoryChunk | undefined {
  const bytes = tables.chunks.get(chunkKey(generation, directoryId, index))
  return bytes === undefined ? undefined : new DirectoryChunk(bytes)
}

/** A directory being walked. */
interface Level {
  readonly directoryId: number
  readonly parent: Level | undefined
  readonly name: string
  path: SharePath | undefined
  /** The entry to look at next; while we are inside one, that one. */
  at: number
  chunk: { readonly index: number; readonly view: DirectoryChunk; readonly matches: ReadonlySet<number> | undefined } | undefined
}

/** Makes one page. */
class Listing {
  readonly #tables: ShareIndexTables
  readonly #shares: readonly SharedRoot[]
  readonly #request: ListRequest
  readonly #words: readonly string[]
  readonly #wordBytes: readonly Buffer[]
  readonly #cursor: ListCursor | undefined
  readonly #entries: Entry[] = []
  readonly #meter: PageMeter
  #workLeft = PAGE_WORK

  constructor(tables: ShareIndexTables, shares: readonly SharedRoot[], request: ListRequest) {
    if (!Number.isInteger(request.limit) || request.limit < 1) throw new CodedError('bad-request', 'a listing wants at least one entry per page')
    this.#tables = tables
    this.#shares = shares
    this.#request = request
    this.#meter = new PageMeter(request.limit)
    this.#words = request.search === undefined ? [] : searchWords(request.search)
    this.#wordBytes = this.#words.map((word) => Buffer.from(word))
    if (request.cursor === undefined) return
    this.#cursor = parseCursor(request.cursor, MAX_PATH_PARTS)
    if (this.#cursor === undefined) throw new CodedError('bad-request', 'this is not a cursor of a listing')
  }

  page(): ListPage {
    const cursor = this.#request.path === undefined ? this.#listRoot() : this.#listPath(this.#request.path)
    return cursor === undefined ? { entries: this.#entries } : { entries: this.#entries, cursor: formatCursor(cursor) }
  }

  /** The shares, and with `recursive` what is in them. @returns where to go on */
  #listRoot(): ListCursor | undefined {
    let from = 0
    let inside: ListCursor | undefined
    if (this.#cursor !== undefined) {
      const { shareId, positions } = this.#cursor
      from = this.#shares.findIndex((share) => share.shareId === shareId)
      if (from === -1) throw new CodedError('bad-request', STALE)
      if (positions.length > 0) inside = this.#cursor
    }
    for (const root of this.#shares.slice(from)) {
      const generation = readGeneration(this.#tables, root)
      const path = pathOf(undefined, root.name)
      if (inside === undefined) {
        const entry = { path, size: generation?.bytes ?? 0, mtime: generation?.mtime ?? 0, isDirectory: true }
        if (this.#workLeft <= 0 || (matchesWords(foldName(root.name), this.#words) && !this.#offer(entry))) {
          return { shareId: root.shareId, generation: generation?.generation ?? 0, positions: [] }
        }
      }
      if (this.#request.recursive) {
        const rest = this.#walk(root, generation, { path, directoryId: 0 }, inside)
        if (rest !== undefined) return rest
      }
      inside = undefined
    }
    return undefined
  }

  #listPath(path: SharePath): ListCursor | undefined {
    const [name = '', ...parts] = sharePathParts(path)
    const root = this.#shares.find((share) => share.name === name)
    const generation = root === undefined ? undefined : readGeneration(this.#tables, root)
    const place = root === undefined ? undefined : locate(this.#tables, generation, parts)
    if (root === undefined || place === undefined) throw new CodedError('not-found', 'there is no such file or directory')
    if (this.#cursor !== undefined && this.#cursor.shareId !== root.shareId) throw new CodedError('bad-request', 'the cursor is of another listing')
    if (place.directoryId !== undefined) return this.#walk(root, generation, { path, directoryId: place.directoryId }, this.#cursor)
    if (this.#cursor !== undefined) throw new CodedError('bad-request', 'the cursor is of another listing')
    const baseName = parts.at(-1) ?? name
    if (matchesWords(foldName(baseName), this.#words)) this.#offer({ path, size: place.size, mtime: place.mtime, isDirectory: false })
    return undefined
  }

  /** Lists what is below a directory, from the cursor on. @returns where to go on, undefined at the end */
  #walk(
    root: SharedRoot, generation: Generation | undefined, base: { path: SharePath; directoryId: number }, cursor: ListCursor | undefined,
  ): ListCursor | undefined {
    if (cursor !== undefined && cursor.generation !== (generation?.generation ?? 0)) throw new CodedError('bad-request', STALE)
    if (generation === undefined) return undefined
    const number = generation.generation
    let level: Level | undefined = { directoryId: base.directoryId, parent: undefined, name: '', path: base.path, at: 0, chunk: undefined }
    for (const [depth, position] of (cursor?.positions ?? []).entries()) {
      if (depth > 0) level = this.#descend(number, level)
      level.at = position
      this.#workLeft -= CHUNK_WORK
    }
    while (level !== undefined) {
      const chunk = this.#chunkAt(number, level)
      const i = level.at % CHUNK_ENTRIES
      if (i >= chunk.view.count) {
        level = level.parent
        if (level !== undefined) level.at++
        continue
      }
      if (chunk.matches === undefined || chunk.matches.has(i)) {
        const path = pathOf(pathOfLevel(level), chunk.view.name(i))
        const entry = { path, size: chunk.view.size(i), mtime: chunk.view.mtime(i), isDirectory: chunk.view.child(i) !== 0 }
        if (!this.#offer(entry)) return { shareId: root.shareId, generation: number, positions: positionsOf(level) }
      }
      if (this.#request.recursive && chunk.view.child(i) !== 0) {
        level = enter(chunk.view, i, level)
      } else level.at = nextAt(level, chunk, this.#request.recursive)
      // After at least one step forward, so that every page makes progress.
      if (--this.#workLeft <= 0) return { shareId: root.shareId, generation: number, positions: positionsOf(level) }
    }
    return undefined
  }

  /** Goes into the directory that a cursor says we are in. */
  #descend(generation: number, level: Level): Level {
    const { view } = this.#chunkAt(generation, level)
    const i = level.at % CHUNK_ENTRIES
    if (!this.#request.recursive || i >= view.count || view.child(i) === 0) throw new CodedError('bad-request', 'the cursor is of another listing')
    return enter(view, i, level)
  }

  #chunkAt(generation: number, level: Level): NonNullable<Level['chunk']> {
    const index = Math.floor(level.at / CHUNK_ENTRIES)
    if (level.chunk?.index === index) return level.chunk
    // Past the end, where the last chunk is full: an empty one stands for it.
    const beyond = level.chunk !== undefined && level.at >= level.chunk.view.total
    const view = beyond ? NO_ENTRIES : this.#read(generation, level, index)
    const matches = this.#wordBytes.length === 0 ? undefined : new Set(view.matches(this.#wordBytes))
    this.#workLeft -= CHUNK_WORK
    return (level.chunk = { index, view, matches })
  }

  #read(generation: number, level: Level, index: number): DirectoryChunk {
    const view = readChunk(this.#tables, generation, level.directoryId, index)
    if (view !== undefined) return view
    // Either a made-up position, the end of a directory of exactly full chunks, or the generation went while we read.
    const first = readChunk(this.#tables, generation, level.directoryId, 0)
    if (first === undefined) throw new CodedError('bad-request', STALE)
    return NO_ENTRIES
  }

  /** @returns false when the page is full without it */
  #offer(entry: Entry): boolean {
    if (!this.#meter.admit(entry)) return false
    this.#entries.push(entry)
    this.#workLeft -= PATH_WORK
    return true
  }
}

const NO_ENTRIES = new DirectoryChunk(Buffer.alloc(8))

function enter(view: DirectoryChunk, i: number, parent: Level): Level {
  return { directoryId: view.child(i), parent, name: view.name(i), path: undefined, at: 0, chunk: undefined }
}

/** The next entry worth looking at: a match, or a directory to go into. */
function nextAt(level: Level, chunk: NonNullable<Level['chunk']>, recursive: boolean): number {
  const { matches, view } = chunk
  if (matches === undefined) return level.at + 1
  const start = chunk.index * CHUNK_ENTRIES
  if (matches.size === 0 && !(recursive && view.hasDirectories)) return start + view.count
  return level.at + 1
}

function positionsOf(level: Level): number[] {
  const positions = []
  for (let at: Level | undefined = level; at !== undefined; at = at.parent) positions.unshift(at.at)
  return positions
}

function pathOfLevel(level: Level): SharePath {
  return (level.path ??= pathOf(level.parent === undefined ? undefined : pathOfLevel(level.parent), level.name))
}

function pathOf(base: SharePath | undefined, name: string): SharePath {
  const joined = joinSharePath(base, name)
  // The scanner lets nothing else in, so this is a damaged index.
  if (!joined.ok) throw new CodedError('internal', `the index holds a bad name: ${joined.error.message}`)
  return joined.value
}
