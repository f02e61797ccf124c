import { CodedError, MAX_PATH_PART_BYTES } from '@harddrive-party/protocol'
import { lstatSync } from 'node:fs'
import { type DirectoryChunk, type DirectoryColumns, encodeDirectory } from './share-chunk.ts'
import { type DirectoryTable, NOBODY } from './share-directories.ts'
import { type Generation, type ShareIndexTables, indexKey } from './share-index-tables.ts'
import { storedChunks } from './share-stored.ts'
import { type DirectoryPlace, type ScanCounts, type ScannedDirectory, TreeScan, readRoot, settledTime } from './share-scanner.ts'

/**
 * Finds out what has changed in a shared tree since its index was made, reading as few directories as is known to suffice. It writes nothing.
 */
export interface RescanOptions {
  readonly tables: ShareIndexTables
  readonly generation: Generation
  readonly table: DirectoryTable
  /** Absolute and real. */
  readonly directory: string
  readonly excluded: readonly string[]
  /**
   * - `quick`: the directories whose own time has changed, which is so when something in them came, went or was renamed, not when a file was
   *   written to in place
   * - `deep`: all of them
   * - or just these, as paths below the share's own directory, `''` being that
   */
  readonly which: 'quick' | 'deep' | readonly string[]
  onProgress?(counts: ScanCounts): void
  isAborted?(): boolean
}

export interface IndexChange {
  /** Directories in which something is different. */
  readonly changed: readonly ChangedDirectory[]
  /** New ones, with ids that were never used. */
  readonly added: readonly ScannedDirectory[]
  /** Those that are gone, without what was below them. */
  readonly removed: readonly number[]
  /** Directories in which nothing is different, but whose times are. */
  readonly touched: readonly { readonly id: number; readonly mtime: number; readonly seen: number }[]
}

export interface ChangedDirectory {
  readonly id: number
  readonly columns: DirectoryColumns
  readonly skipped: number
  readonly mtime: number
  readonly seen: number
}

/** More changed entries than this are not held in memory: a whole scan is cheaper then, and its memory is bounded. */
export const MAX_CHANGED_ENTRIES = 200_000
const ABORT_EVERY = 1024
/** Paths of parents kept while going through their children. */
const KEPT_PATHS = 4096

/**
 * @returns undefined when so much has changed that the whole tree should be scanned
 * @throws CodedError `not-found` when the directory is gone, `unreadable`, `aborted`
 */
export function findChanges(options: RescanOptions): IndexChange | undefined {
  readRoot(options.directory)
  return new Rescan(options).run()
}

class Rescan {
  readonly #options: RescanOptions
  readonly #table: DirectoryTable
  readonly #scan: TreeScan
  readonly #changed: ChangedDirectory[] = []
  readonly #added: ScannedDirectory[] = []
  readonly #removed = new Set<number>()
  readonly #touched: { id: number; mtime: number; seen: number }[] = []
  readonly #paths = new Map<number, { path: string; depth: number; bytes: number }>()
  #entries = 0

  constructor(options: RescanOptions) {
    this.#options = options
    this.#table = options.table
    this.#scan = new TreeScan({
      excluded: options.excluded,
      firstId: options.generation.ids,
      onDirectory: (directory) => {
        this.#added.push(directory)
        this.#entries += directory.columns.names.length
        if (this.#entries > MAX_CHANGED_ENTRIES) throw new TooMuch()
      },
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress.bind(options) }),
      ...(options.isAborted === undefined ? {} : { isAborted: options.isAborted.bind(options) }),
    })
  }

  run(): IndexChange | undefined {
    try {
      for (const id of this.#toRead()) {
        this.#checkAborted()
        this.#readOne(id)
        if (this.#entries > MAX_CHANGED_ENTRIES) return undefined
      }
    } catch (error) {
      if (error instanceof TooMuch) return undefined
      throw error
    }
    return { changed: this.#changed, added: this.#added, removed: [...this.#removed], touched: this.#touched }
  }

  /** Parents before what is in them. */
  #toRead(): number[] {
    const { which } = this.#options
    const all = Array.from({ length: this.#table.count }, (_, id) => id).filter((id) => this.#table.isLive(id))
    if (which === 'deep') return all
    const found = new Set<number>()
    if (which === 'quick') {
      for (const [i, id] of all.entries()) {
        if (i % ABORT_EVERY === 0) this.#checkAborted()
        const stats = tryStat(this.#pathOf(id).path)
        if (stats === undefined) found.add(this.#table.parent(id))
        else if (stats !== this.#table.seen(id)) found.add(id)
      }
      found.delete(NOBODY)
    } else for (const path of which) found.add(this.#nearest(path))
    return [...found].sort((a, b) => a - b)
  }

  /** The directory at a path, or the nearest one above it that the index knows. */
  #nearest(path: string): number {
    let id = 0
    for (const part of path.split(/[/\\]/u).filter((name) => name !== '')) {
      const child = this.#children(id).get(part)
      if (child === undefined) return id
      id = child
    }
    return id
  }

  #children(id: number): Map<string, number> {
    const found = new Map<string, number>()
    for (const chunk of this.#stored(id)) for (let i = 0; i < chunk.count; i++) if (chunk.child(i) !== 0) found.set(chunk.name(i), chunk.child(i))
    return found
  }

  #stored(id: number): Generator<DirectoryChunk> {
    return storedChunks(this.#options.tables, this.#options.generation.generation, id)
  }

  #readOne(id: number): void {
    if (this.#isRemoved(id)) return
    const { path, depth, bytes: pathBytes } = this.#pathOf(id)
    const readAt = Date.now()
    const mtime = tryStat(path)
    // Whoever took it away changed its parent too, which will be read for that.
    if (mtime === undefined) return
    const before = this.#children(id)
    const place: DirectoryPlace = { path, id, parent: this.#table.parent(id), name: '', depth, pathBytes, mtime }
    const read = this.#scan.read(place, (found) => {
      const known = before.get(found.name)
      if (known !== undefined) {
        before.delete(found.name)
        return { child: known, size: 0 }
      }
      const child = this.#scan.takeId()
      return this.#scan.tree({ ...found, id: child }) === undefined ? undefined : { child, size: 0 }
    })
    // Unreadable now: what is known of it is kept, as for a disk that is away.
    if (read === undefined) return
    const seen = settledTime(mtime, readAt)
    const chunks = encodeDirectory(read.columns)
    if (this.#isSame(id, chunks) && read.skipped === this.#table.skipped(id)) {
      if (mtime !== this.#table.mtime(id) || seen !== this.#table.seen(id)) this.#touched.push({ id, mtime, seen })
      return
    }
    for (const gone of before.values()) this.#removed.add(gone)
    this.#entries += read.columns.names.length
    this.#changed.push({ id, columns: read.columns, skipped: read.skipped, mtime, seen })
  }

  #isSame(id: number, chunks: readonly Buffer[]): boolean {
    const { tables, generation } = this.#options
    return chunks.every((chunk, index) => tables.chunks.get(indexKey(generation.generation, id, index))?.equals(chunk) === true)
      && !tables.chunks.doesExist(indexKey(generation.generation, id, chunks.length))
  }

  #isRemoved(id: number): boolean {
    for (let at = id; at !== NOBODY; at = this.#table.parent(at)) if (this.#removed.has(at)) return true
    return false
  }

  #pathOf(id: number): { path: string; depth: number; bytes: number } {
    const parent = this.#table.parent(id)
    if (id === 0 || parent === NOBODY) return { path: this.#options.directory, depth: 1, bytes: MAX_PATH_PART_BYTES }
    let above = this.#paths.get(parent)
    if (above === undefined) {
      above = this.#pathOf(parent)
      if (this.#paths.size >= KEPT_PATHS) this.#paths.clear()
      this.#paths.set(parent, above)
    }
    const name = this.#table.name(id)
    return { path: above.path.endsWith('/') ? above.path + name : `${above.path}/${name}`, depth: above.depth + 1, bytes: above.bytes + 1 + Buffer.byteLength(name) }
  }

  #checkAborted(): void {
    if (this.#options.isAborted?.() === true) throw new CodedError('aborted', 'the scan was stopped')
  }
}

class TooMuch extends Error {}

/** @returns the mtime of a directory, undefined for anything else */
function tryStat(path: string): number | undefined {
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    return stats?.isDirectory() === true ? stats.mtimeMs : undefined
  } catch {
    return undefined
  }
}
