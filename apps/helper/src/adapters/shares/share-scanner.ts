import { CodedError, MAX_PATH_BYTES, MAX_PATH_PARTS, MAX_PATH_PART_BYTES, parsePathPart } from '@harddrive-party/protocol'
import { type Stats, lstatSync, readdirSync, realpathSync } from 'node:fs'
import { sortParts } from '../../core/listing.ts'
import { PARTIAL_DIRECTORY } from '../transfers/download-path.ts'
import type { DirectoryColumns } from './share-chunk.ts'
import { NOBODY } from './share-directories.ts'

/**
 * Reads directories that are shared, one by one or a whole tree, and hands out what the index keeps of each. Synchronous, since that is several times
 * faster: it belongs in a worker. It follows no links, writes nothing and knows no database.
 *
 * Listed: regular files and directories whose names are valid path parts. Left out without a word: what NEVER_LISTED names. Left out and counted:
 * links, devices, sockets, pipes, what cannot be read, names that no path can have, and what lies too deep.
 */
export interface ScanOptions {
  /** Absolute and real. */
  readonly directory: string
  /** Absolute directories that are never entered: our own storage. */
  readonly excluded: readonly string[]
  /** Children before their parents. The root has id 0. */
  onDirectory(directory: ScannedDirectory): void
  /** Called every few thousand entries. */
  onProgress?(counts: ScanCounts): void
  isAborted?(): boolean
}

export interface ScannedDirectory {
  /** Larger than its parent's. */
  readonly id: number
  readonly parent: number
  readonly name: string
  readonly columns: DirectoryColumns
  /** Entries left out. */
  readonly skipped: number
  /** Bytes of all files below. */
  readonly size: number
  readonly mtime: number
  /** Its mtime if any later change must show in it, else 0: what was changed just now may change again without another time. */
  readonly seen: number
}

export interface ScanCounts {
  readonly files: number
  /** Without the root. */
  readonly directories: number
  /** Sum of the sizes of all files. */
  readonly bytes: number
  readonly skipped: number
}

export interface ScanResult extends ScanCounts {
  /** Of the root. */
  readonly mtime: number
}

/** Litter of operating systems, which changes by being looked at, and our own unfinished downloads. */
const NEVER_LISTED = new Set(['.DS_Store', 'Thumbs.db', 'desktop.ini', 'Desktop.ini', 'ehthumbs.db', PARTIAL_DIRECTORY])
const LONGEST_NEVER_LISTED = 16

const PROGRESS_ENTRIES = 4096
const KIND_MASK = 0o170000
const FILE = 0o100000
const DIRECTORY = 0o040000
/** Names, joined by slashes, of letters, digits and signs that mean nothing to any system. */
const SIMPLE_NAMES = /^[\w/ ().,&'+-]*$/
/** What may be a device on Windows, and needs the whole check. */
const DEVICE_START = /^(?:con|prn|aux|nul|com|lpt|clock)/i
const DOT = 0x2e
const SPACE = 0x20

/**
 * @throws CodedError `not-found` when the directory is gone or is not the one that was shared, `unreadable`, `aborted`; and what `onDirectory` throws
 */
export function scanTree(options: ScanOptions): ScanResult {
  const root = readRoot(options.directory)
  const scan = new TreeScan(options)
  const place = { path: options.directory, id: 0, parent: NOBODY, name: '', depth: 1, pathBytes: MAX_PATH_PART_BYTES, mtime: root.mtimeMs }
  const bytes = scan.tree(place)
  if (bytes === undefined) throw new CodedError('unreadable', `${options.directory} cannot be read`)
  return { ...scan.counts(), bytes, mtime: root.mtimeMs }
}

/** @throws CodedError `not-found` */
export function readRoot(directory: string): Stats {
  try {
    if (realpathSync(directory) === directory) {
      const stats = lstatSync(directory)
      if (stats.isDirectory()) return stats
    }
  } catch (cause) {
    throw new CodedError('not-found', `${directory} is not there`, { cause })
  }
  throw new CodedError('not-found', `${directory} is not a directory any more`)
}

/** Where a directory lies. */
export interface DirectoryPlace {
  /** On the disk. */
  readonly path: string
  readonly id: number
  readonly parent: number
  readonly name: string
  /** Parts of its share path. */
  readonly depth: number
  /** The length of its share path, taking the share's name as long as it may be. */
  readonly pathBytes: number
  readonly mtime: number
}

/** What becomes of a directory that was found: its id and the bytes below it, undefined to leave it out. */
export type EnterDirectory = (place: Omit<DirectoryPlace, 'id'>) => { readonly child: number; readonly size: number } | undefined

export interface TreeScanOptions extends Omit<ScanOptions, 'directory'> {
  /** The id of the first directory below. */
  readonly firstId?: number
}

/** Reads directories and counts what it sees. */
export class TreeScan {
  readonly #options: TreeScanOptions
  readonly #excluded: ReadonlySet<string>
  #files = 0
  #directories = 0
  #bytes = 0
  #skipped = 0
  #nextId: number
  #untilReport = PROGRESS_ENTRIES

  constructor(options: TreeScanOptions) {
    this.#options = options
    this.#excluded = new Set(options.excluded)
    this.#nextId = options.firstId ?? 1
  }

  counts(): ScanCounts {
    return { files: this.#files, directories: this.#directories, bytes: this.#bytes, skipped: this.#skipped }
  }

  /** An id that nothing has, larger than all before it. */
  takeId(): number {
    return this.#nextId++
  }

  /** Hands out a directory and everything below it. @returns the sum of sizes below it, undefined if it cannot be read */
  tree(place: DirectoryPlace): number | undefined {
    const readAt = Date.now()
    const read = this.read(place, (found) => {
      const id = this.takeId()
      const size = this.tree({ ...found, id })
      if (size === undefined) return undefined
      this.#directories++
      return { child: id, size }
    })
    if (read === undefined) return undefined
    const { id, parent, name, mtime } = place
    this.#options.onDirectory({ id, parent, name, mtime, seen: settledTime(mtime, readAt), ...read })
    return read.size
  }

  /** Reads one directory. @returns undefined if it cannot be read */
  read({ path, id, depth, pathBytes }: DirectoryPlace, enter: EnterDirectory): { columns: DirectoryColumns; size: number; skipped: number } | undefined {
    let found: string[]
    try {
      found = readdirSync(path)
    } catch {
      return undefined
    }
    const names: string[] = []
    const sizes: number[] = []
    const mtimes: number[] = []
    const children: number[] = []
    let total = 0
    let skipped = 0
    let previous: string | undefined
    const base = path.endsWith('/') ? path : `${path}/`
    // One look at all names: nearly always none of them needs another.
    const simple = SIMPLE_NAMES.test(found.join('/'))
    for (const name of simple ? found.sort() : sortParts(found)) {
      if (--this.#untilReport === 0) this.#report()
      if (name.length <= LONGEST_NEVER_LISTED && NEVER_LISTED.has(name)) continue
      const file = base + name
      const plain = simple && isPlain(name)
      const bytes = plain ? name.length : Buffer.byteLength(name)
      const fits = depth < MAX_PATH_PARTS && pathBytes + 1 + bytes <= MAX_PATH_BYTES && (plain || parsePathPart(name).ok)
      // Names that are not UTF-8 are read with replacement characters: two may come out the same, and only one can be meant.
      const stats = fits && name !== previous ? tryStat(file) : undefined
      previous = name
      const kind = stats === undefined ? 0 : stats.mode & KIND_MASK
      let size = 0
      let child = 0
      if (stats !== undefined && kind === FILE) {
        size = stats.size
        this.#files++
        this.#bytes += size
      } else if (stats !== undefined && kind === DIRECTORY) {
        if (this.#excluded.has(file)) continue
        const below = enter({ path: file, parent: id, name, depth: depth + 1, pathBytes: pathBytes + 1 + bytes, mtime: stats.mtimeMs })
        if (below === undefined) {
          skipped++
          continue
        }
        ;({ child, size } = below)
      } else {
        skipped++
        continue
      }
      names.push(name)
      sizes.push(size)
      mtimes.push(stats.mtimeMs)
      children.push(child)
      total += size
    }
    this.#skipped += skipped
    return { columns: { names, sizes, mtimes, children }, size: total, skipped }
  }

  #report(): void {
    this.#untilReport = PROGRESS_ENTRIES
    if (this.#options.isAborted?.() === true) throw new CodedError('aborted', 'the scan was stopped')
    this.#options.onProgress?.(this.counts())
  }
}

/** Some file systems tell times in steps of two seconds, and a clock may have been set a little: within these, a second change may not show. */
const UNSETTLED_MS = 3_000

/** @returns the time if every change after `readAt` will show as another one, else 0 */
export function settledTime(mtime: number, readAt: number): number {
  return mtime < readAt - UNSETTLED_MS ? mtime : 0
}

/** For names that match SIMPLE_NAMES: surely a valid part of a path, without asking further. */
function isPlain(name: string): boolean {
  const last = name.charCodeAt(name.length - 1)
  return name.length <= MAX_PATH_PART_BYTES && last !== DOT && last !== SPACE && !DEVICE_START.test(name)
}

function tryStat(file: string): Stats | undefined {
  try {
    return lstatSync(file, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}
