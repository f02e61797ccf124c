import {
  CodedError, type Entry, type ListPage, type ListRequest, PageMeter, type SearchQuery, type SharePath, parseSearch, parseSharePath, rankEntry, sharePathParts,
} from '@harddrive-party/protocol'
import { comparePart } from '../../core/listing.ts'
import type { SharedRoot } from '../../network/network-api.ts'
import { CHUNK_ENTRIES, DirectoryChunk } from './share-chunk.ts'
import { RowReader, type ShareIndexTables, readGeneration } from './share-index-tables.ts'
import { findPosition, locate, pathOf, readChunk } from './share-place.ts'

/**
 * Makes one page of a listing in tree order, plain or recursive; with a search, of one directory's own entries. A cursor is the path that was
 * looked at last: the listing goes on behind it, whether it is still there or not.
 */

/**
 * Work done for one page, in about microseconds: reading a chunk, looking at an entry. It bounds how long one request can hold up the process,
 * whatever is asked.
 */
const PAGE_WORK = 12_000
const CHUNK_WORK = 8
const PATH_WORK = 2
const MATCH_WORK = 1

const CURSOR_MARK = 'n'

/** A directory being walked. */
interface Level {
  readonly directoryId: number
  readonly parent: Level | undefined
  readonly name: string
  path: SharePath | undefined
  /** The entry to look at next; while we are inside one, that one. */
  at: number
  chunk: { readonly index: number; readonly view: DirectoryChunk } | undefined
}

export class TreeListing {
  readonly #tables: ShareIndexTables
  readonly #shares: readonly SharedRoot[]
  readonly #request: ListRequest
  readonly #query: SearchQuery | undefined
  /** What was looked at last: the parts of its path. */
  readonly #after: readonly string[] | undefined
  readonly #entries: Entry[] = []
  readonly #meter: PageMeter
  #workLeft = PAGE_WORK
  /** Where to go on if the page ends now. */
  #last: string

  /** @throws CodedError `bad-request` */
  constructor(tables: ShareIndexTables, shares: readonly SharedRoot[], request: ListRequest) {
    this.#tables = tables
    this.#shares = shares
    this.#request = request
    this.#meter = new PageMeter(request.limit)
    this.#query = request.search === undefined ? undefined : parseSearch(request.search)
    this.#after = request.cursor === undefined ? undefined : parseCursor(request.cursor, request)
    this.#last = request.cursor?.slice(CURSOR_MARK.length) ?? ''
  }

  /** @throws CodedError `not-found` */
  page(): ListPage {
    const isWhole = this.#request.path === undefined ? this.#listRoot() : this.#listPath(this.#request.path)
    return isWhole ? { entries: this.#entries } : { entries: this.#entries, cursor: CURSOR_MARK + this.#last }
  }

  /** The shares, and with `recursive` what is in them. @returns whether that was all */
  #listRoot(): boolean {
    const [name, ...inside] = this.#after ?? []
    for (const root of this.#shares) {
      const order = name === undefined ? 1 : comparePart(root.name, name)
      if (order < 0) continue
      const path = pathOf(undefined, root.name)
      if (order > 0) {
        const generation = readGeneration(this.#tables, root)
        const row = generation === undefined ? undefined : new RowReader(this.#tables, generation.generation).row(0)
        const entry = { path, size: row?.size ?? 0, mtime: row?.mtime ?? 0, isDirectory: true }
        if (this.#workLeft <= 0 || !this.#offer(entry, root.name)) return false
      }
      if (this.#request.recursive && !this.#walk(root, { path, directoryId: 0 }, order === 0 ? inside : [])) return false
    }
    return true
  }

  #listPath(path: SharePath): boolean {
    const [name = '', ...parts] = sharePathParts(path)
    const root = this.#shares.find((share) => share.name === name)
    const place = root === undefined ? undefined : locate(this.#tables, readGeneration(this.#tables, root), parts)
    if (root === undefined || place === undefined) throw new CodedError('not-found', 'there is no such file or directory')
    if (place.directoryId !== undefined) return this.#walk(root, { path, directoryId: place.directoryId }, (this.#after ?? []).slice(parts.length + 1))
    if (this.#after === undefined) this.#offer({ path, size: place.size, mtime: place.mtime, isDirectory: false }, parts.at(-1) ?? name)
    return true
  }

  /** Lists what is below a directory. @param after parts below it of what was looked at last; none = from the start @returns whether that was all */
  #walk(root: SharedRoot, base: { path: SharePath; directoryId: number }, after: readonly string[]): boolean {
    const generation = readGeneration(this.#tables, root)?.generation
    if (generation === undefined) return true
    const rows = new RowReader(this.#tables, generation)
    let level: Level | undefined = this.#seek(generation, { directoryId: base.directoryId, parent: undefined, name: '', path: base.path, at: 0, chunk: undefined }, after)
    while (level !== undefined) {
      const { view, index } = this.#chunkAt(generation, level)
      const i = level.at - index * CHUNK_ENTRIES
      if (i >= view.count) {
        level = level.parent
        if (level !== undefined) level.at++
        continue
      }
      const name = view.name(i)
      const child = view.child(i)
      const path = pathOf(pathOfLevel(level), name)
      const row = child === 0 ? undefined : rows.row(child)
      const entry = { path, size: row?.size ?? view.size(i), mtime: row?.mtime ?? view.mtime(i), isDirectory: child !== 0 }
      if (!this.#offer(entry, name)) return false
      if (this.#request.recursive && child !== 0) level = { directoryId: child, parent: level, name, path, at: 0, chunk: undefined }
      else level.at++
      // After at least one step forward, so that every page makes progress.
      if (this.#workLeft <= 0) return false
    }
    return true
  }

  /** Goes to what comes after a path, which may be gone. */
  #seek(generation: number, start: Level, after: readonly string[]): Level {
    let level = start
    for (const [depth, part] of after.entries()) {
      const { index, entry } = findPosition(this.#tables, generation, level.directoryId, Buffer.from(part))
      this.#workLeft -= CHUNK_WORK
      const child = entry === undefined ? 0 : entry.chunk.child(entry.i)
      const isEntered = this.#request.recursive && child !== 0
      level.at = isEntered ? index : index + 1
      if (!isEntered) return level
      level = { directoryId: child, parent: level, name: part, path: undefined, at: 0, chunk: undefined }
      if (depth === after.length - 1) return level
    }
    return level
  }

  #chunkAt(generation: number, level: Level): NonNullable<Level['chunk']> {
    const index = Math.floor(level.at / CHUNK_ENTRIES)
    if (level.chunk?.index === index) return level.chunk
    this.#workLeft -= CHUNK_WORK
    // Past the end, where the last chunk is full, there is none: an empty one stands for it.
    return (level.chunk = { index, view: readChunk(this.#tables, generation, level.directoryId, index) ?? NO_ENTRIES })
  }

  /** @returns false when the page is full without it */
  #offer(entry: Entry, name: string): boolean {
    this.#workLeft -= MATCH_WORK
    const fits = this.#query === undefined || rankEntry(this.#query, { ...entry, path: name }) !== undefined
    if (fits) {
      if (!this.#meter.admit(entry)) return false
      this.#entries.push(entry)
      this.#workLeft -= PATH_WORK
    }
    this.#last = entry.path
    return true
  }
}

const NO_ENTRIES = new DirectoryChunk(Buffer.alloc(8))

/** @returns the parts of the path in it @throws CodedError `bad-request` */
function parseCursor(text: string, { path, recursive }: ListRequest): readonly string[] {
  const parsed = text.startsWith(CURSOR_MARK) ? parseSharePath(text.slice(CURSOR_MARK.length)) : undefined
  const parts = parsed?.ok === true ? sharePathParts(parsed.value) : undefined
  const base = path === undefined ? [] : sharePathParts(path)
  const below = parts === undefined ? 0 : parts.length - base.length
  if (parts === undefined || below < 1 || (!recursive && below > 1) || !base.every((part, i) => part === parts[i])) {
    throw new CodedError('bad-request', 'this is not a cursor of this listing')
  }
  return parts
}

function pathOfLevel(level: Level): SharePath {
  return (level.path ??= pathOf(level.parent === undefined ? undefined : pathOfLevel(level.parent), level.name))
}
