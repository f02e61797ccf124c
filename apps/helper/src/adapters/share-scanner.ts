import { CodedError, MAX_PATH_BYTES, MAX_PATH_PARTS, MAX_PATH_PART_BYTES, parsePathPart } from '@harddrive-party/protocol'
import { type Stats, lstatSync, readdirSync, realpathSync } from 'node:fs'
import { foldName, sortParts } from '../core/listing.ts'
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
const NEVER_LISTED = new Set(['.DS_Store', 'Thumbs.db', 'desktop.ini', 'Desktop.ini', 'ehthumbs.db', '.harddrive-party'])
const PARTIAL_SUFFIX = '.hdp-partial'

const PROGRESS_ENTRIES = 4096
const KIND_MASK = 0o170000
const FILE = 0o100000
const DIRECTORY = 0o040000
/** Names that need no closer look: most of them. No dot at the end, no colon, and not short enough to be a device. */
const PLAIN_NAME = /^[\w-][\w ().,&'+-]{3,78}[\w)-]$/
const DEVICE_START = /^(?:con|prn|aux|nul|com|lpt|clock)/i
const ASCII = /^[\u0020-\u007e]*$/

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
    const folded: string[] = []
    const sizes: number[] = []
    const mtimes: number[] = []
    const children: number[] = []
    let total = 0
    let previous: string | undefined
    const base = path.endsWith('/') ? path : `${path}/`
    for (const name of sortParts(found)) {
      if (--this.#untilReport === 0) this.#report()
      if (NEVER_LISTED.has(name) || name.endsWith(PARTIAL_SUFFIX)) continue
      const file = base + name
      const bytes = ASCII.test(name) ? name.length : Buffer.byteLength(name)
      // Names that are not UTF-8 are read with replacement characters: two may come out the same, and only one can be meant.
      const stats = name !== previous && isListable(name, depth, pathBytes + 1 + bytes) ? tryStat(file) : undefined
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
      folded.push(foldName(name))
      sizes.push(size)
      mtimes.push(stats.mtimeMs)
      children.push(child)
      total += size
    }
    const chunks = encodeDirectory({ names, folded, sizes, mtimes, children })
    for (const [index, chunk] of chunks.entries()) this.#options.onChunk(id, index, chunk)
    return total
  }

  #report(): void {
    this.#untilReport = PROGRESS_ENTRIES
    if (this.#options.isAborted?.() === true) throw new CodedError('aborted', 'the scan was stopped')
    this.#options.onProgress?.(this.counts())
  }
}

function isListable(name: string, depth: number, pathBytes: number): boolean {
  if (depth >= MAX_PATH_PARTS || pathBytes > MAX_PATH_BYTES) return false
  return (PLAIN_NAME.test(name) && !DEVICE_START.test(name)) || parsePathPart(name).ok
}

function tryStat(file: string): Stats | undefined {
  try {
    return lstatSync(file, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}
