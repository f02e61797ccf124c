import { CodedError, MAX_PATH_BYTES, MAX_PATH_PARTS, MAX_PATH_PART_BYTES, parsePathPart } from '@harddrive-party/protocol'
import { type Stats, lstatSync, readdirSync, realpathSync } from 'node:fs'
import { sortParts } from '../core/listing.ts'
import { PARTIAL_DIRECTORY } from './download-path.ts'
import { encodeDirectory } from './share-chunk.ts'

/**
 * Walks one shared directory and hands out its index, chunk by chunk. Synchronous, since that is several times faster: it belongs in a worker.
 * It follows no links, writes nothing and knows no database.
 *
 * Listed: regular files and directories whose names are valid path parts. Left out without a word: what NEVER_LISTED names. Left out and counted:
 * links, devices, sockets, pipes, what cannot be read, names that no path can have, and what lies too deep.
 */
export interface ScanOptions {
  /** Absolute and real. */
  readonly directory: string
  /** Absolute directories that are never entered: our own storage. */
  readonly excluded: readonly string[]
  /** Children before their parents; chunks of one directory in order. The root has id 0. */
  onChunk(directoryId: number, index: number, chunk: Buffer): void
  /** Called every few thousand entries. */
  onProgress?(counts: ScanCounts): void
  isAborted?(): boolean
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
 * @throws CodedError `not-found` when the directory is gone or is not the one that was shared, `unreadable`, `aborted`; and what `onChunk` throws
 */
export function scanTree(options: ScanOptions): ScanResult {
  const root = readRoot(options.directory)
  const scan = new Scan(options)
  const bytes = scan.directory(options.directory, 0, 1, MAX_PATH_PART_BYTES)
  if (bytes === undefined) throw new CodedError('unreadable', `${options.directory} cannot be read`)
  return { ...scan.counts(), bytes, mtime: root.mtimeMs }
}

function readRoot(directory: string): Stats {
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

class Scan {
  readonly #options: ScanOptions
  readonly #excluded: ReadonlySet<string>
  #files = 0
  #directories = 0
  #bytes = 0
  #skipped = 0
  #nextId = 1
  #untilReport = PROGRESS_ENTRIES

  constructor(options: ScanOptions) {
    this.#options = options
    this.#excluded = new Set(options.excluded)
  }

  counts(): ScanCounts {
    return { files: this.#files, directories: this.#directories, bytes: this.#bytes, skipped: this.#skipped }
  }

  /**
   * @param depth parts of this directory's path @param pathBytes its length, taking the share's name as long as it may be
   * @returns the sum of sizes below it, undefined if it cannot be read
   */
  directory(path: string, id: number, depth: number, pathBytes: number): number | undefined {
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
        child = this.#nextId++
        const below = this.directory(file, child, depth + 1, pathBytes + 1 + bytes)
        if (below === undefined) {
          this.#skipped++
          continue
        }
        size = below
        this.#directories++
      } else {
        this.#skipped++
        continue
      }
      names.push(name)
      sizes.push(size)
      mtimes.push(stats.mtimeMs)
      children.push(child)
      total += size
    }
    const chunks = encodeDirectory({ names, sizes, mtimes, children })
    for (const [index, chunk] of chunks.entries()) this.#options.onChunk(id, index, chunk)
    return total
  }

  #report(): void {
    this.#untilReport = PROGRESS_ENTRIES
    if (this.#options.isAborted?.() === true) throw new CodedError('aborted', 'the scan was stopped')
    this.#options.onProgress?.(this.counts())
  }
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
