import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/**
 * Reads the pages of an lmdb file as far as needed to say whether lmdb can open it and go through it: that every page which is pointed to is there and
 * of the kind that is expected. Values are not looked at. The format is that of lmdb's data version 2, on 64 bits, little-endian.
 */

export interface LmdbFile {
  /** Bytes. */
  readonly size: number
  /** @returns how many bytes were read, less only at the end of the file */
  read(into: Buffer, position: number): number
}

/** Pages begin with their number, a transaction, padding, flags, and where their free space lies or how many pages there are. */
const HEADER_BYTES = 24
const FLAGS_OFFSET = 18
const LOWER_OFFSET = 20
const BRANCH = 0x01
const LEAF = 0x02
const OVERFLOW = 0x04
const META = 0x08
const KINDS = BRANCH | LEAF | OVERFLOW | META

/** What the first page holds, and the middle of it, and the second one: of two transactions, and of the last one known to be on the disk. */
const META_BYTES = 168
const MAGIC_OFFSET = 24
const VERSION_OFFSET = 28
const FREE_OFFSET = 48
const MAIN_OFFSET = 96
const LAST_PAGE_OFFSET = 144
const TRANSACTION_OFFSET = 152
const BOOT_OFFSET = 160
const MAGIC = 0xbeef_c0de
const VERSION = 2
const UNSYNCED = 0x1000
const ENCRYPTED = 0x2000
const MIN_PAGE_BYTES = 512
const MAX_PAGE_BYTES = 65_536

const TREE_BYTES = 48
const NODE_BYTES = 8
const NODE_BIG = 0x01
const NODE_TREE = 0x02
const NODE_DUPLICATES = 0x04
const OVERFLOW_REFERENCE_BYTES = 24
const FREE_KEY_BYTES = 8
/** Kinds of tables that are never made here: keys with several values. */
const DUPLICATE_FLAGS = 0x04 | 0x10 | 0x20 | 0x40
/** lmdb's own bound. */
const MAX_DEPTH = 32
/** A file that is shorter than it says is whole if nothing points to what is missing. One transaction leaves no more than this out. */
const MAX_MISSING_BYTES = 64 * 1024 * 1024
/** A list of free pages is read up to this: two million entries. */
const MAX_LIST_BYTES = 16 * 1024 * 1024
/** Read at most of a file that is as long as it says, so that a start does not take longer with a million files: what lies behind is believed. */
const MAX_PAGES = 4_096

interface Tree {
  readonly flags: number
  readonly depth: number
  readonly root: number
}

interface Meta {
  readonly pageBytes: number
  /** Of the environment. */
  readonly flags: number
  readonly free: Tree
  readonly main: Tree
  readonly lastPage: number
  readonly transaction: bigint
  readonly boot: bigint
}

/** @returns what is wrong, for a person; undefined when lmdb can be let at it */
export function findLmdbDamage(file: LmdbFile, boot: () => bigint = bootId): string | undefined {
  // An empty one is a database that was never written.
  if (file.size === 0) return undefined
  const start = Buffer.alloc(META_BYTES)
  if (file.read(start, 0) < META_BYTES) return 'it is shorter than any database'
  if (start.readUInt32LE(MAGIC_OFFSET) !== MAGIC || start.readUInt16LE(FLAGS_OFFSET) !== META) return 'it is no database'
  if ((start.readUInt32LE(VERSION_OFFSET) & 0xffff) !== VERSION) return 'it is of another version'
  const pageBytes = start.readUInt32LE(FREE_OFFSET)
  if (pageBytes < MIN_PAGE_BYTES || pageBytes > MAX_PAGE_BYTES || (pageBytes & (pageBytes - 1)) !== 0) return 'its pages have no size'
  if (file.size < 2 * pageBytes) return 'its end is missing'
  const [first, synced, second] = [0, pageBytes / 2, pageBytes].map((offset) => {
    const bytes = Buffer.alloc(META_BYTES)
    file.read(bytes, offset)
    return metaOf(bytes)
  }) as [Meta, Meta, Meta]
  const { header, meta } = usedMetas(first, second, synced, boot)
  if ([header, meta, first, second].some((other) => other.pageBytes !== pageBytes)) return 'its pages have two sizes'
  for (const { lastPage } of [header, meta]) if (!(lastPage >= 1) || (lastPage + 1) * pageBytes > 2 * file.size + MAX_MISSING_BYTES) return 'its end is missing'
  if ((first.flags & ENCRYPTED) !== 0) return 'it is encrypted'
  const walk = new PageWalk(file, pageBytes, meta.lastPage)
  return walk.free(meta.free) ?? walk.main(meta.main)
}

function metaOf(bytes: Buffer): Meta {
  return {
    pageBytes: bytes.readUInt32LE(FREE_OFFSET),
    flags: bytes.readUInt16LE(FREE_OFFSET + 4),
    free: treeOf(bytes.subarray(FREE_OFFSET)),
    main: treeOf(bytes.subarray(MAIN_OFFSET)),
    lastPage: numberAt(bytes, LAST_PAGE_OFFSET),
    transaction: bytes.readBigUInt64LE(TRANSACTION_OFFSET),
    boot: bytes.readBigInt64LE(BOOT_OFFSET),
  }
}

function treeOf(bytes: Buffer): Tree {
  return { flags: bytes.readUInt16LE(4), depth: bytes.readUInt16LE(6), root: bytes.readBigInt64LE(40) === -1n ? NO_PAGE : numberAt(bytes, 40) }
}

/** Exact as far as files go; above that it is only known to be too large. */
function numberAt(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * 2 ** 32
}

/**
 * What lmdb goes by when it is the first to open the file: `header` for measures and the number of the transaction, `meta` for everything else. After a
 * power cut that is not what was written last, but what is known to be on the disk.
 */
function usedMetas(first: Meta, second: Meta, synced: Meta, boot: () => bigint): { readonly header: Meta; readonly meta: Meta } {
  const latest = first.transaction >= second.transaction ? first : second
  if (process.platform === 'win32') return { header: latest, meta: latest }
  const pick = (a: Meta, b: Meta) => {
    if (b.transaction === 0n) return a
    const newer = a.transaction >= b.transaction ? a : b
    if ((newer.flags & UNSYNCED) === 0 || (newer.boot !== 0n && newer.boot === boot())) return newer
    return a.transaction > b.transaction ? b : a
  }
  const header = pick(pick(first, synced), second)
  const safe = pick(pick(first, second), synced)
  // It goes back to that one where it differs from the latest, and else finds its place by the number.
  const meta = latest.transaction !== safe.transaction ? safe : header.transaction % 2n === 0n ? first : second
  return { header, meta }
}

/** As lmdb has it: the first digits of what the system calls this run of the machine; 0 where it has none. */
function bootId(): bigint {
  let id = ''
  try {
    if (process.platform === 'linux') id = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1')
    else if (process.platform === 'darwin') id = execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'latin1', timeout: 5_000 })
  } catch {
    // A machine that does not say is treated as freshly started.
  }
  const [digits = '0'] = /^[0-9a-f]+/i.exec(id.trim()) ?? []
  return BigInt(`0x${digits}`)
}

/** Follows every pointer from the root of a tree. No page may be met twice: what is free and used at once would be written over. */
class PageWalk {
  readonly #file: LmdbFile
  readonly #pageBytes: number
  readonly #lastPage: number
  /** A bit for each page. */
  readonly #met: Uint8Array
  #left: number

  constructor(file: LmdbFile, pageBytes: number, lastPage: number) {
    this.#file = file
    this.#pageBytes = pageBytes
    this.#lastPage = lastPage
    this.#met = new Uint8Array(Math.ceil((lastPage + 1) / 8))
    this.#left = (lastPage + 1) * pageBytes > file.size ? Infinity : MAX_PAGES
  }

  /** The pages that may be used again. */
  free(tree: Tree): string | undefined {
    return this.#tree(tree, (_flags, keyBytes, length, read) => {
      // A longer one is believed.
      const isGood = keyBytes === FREE_KEY_BYTES && (length > MAX_LIST_BYTES || this.#isFree(read()))
      return isGood ? undefined : 'its list of free pages is broken'
    })
  }

  /** How many entries follow, then each: 0 for none, a page, or a negative count of pages and the first of them. */
  #isFree(list: Buffer): boolean {
    const count = list.length < 8 ? -1 : numberAt(list, 0)
    if (count < 0 || (count + 1) * 8 > list.length) return false
    for (let i = 1; i <= count; i++) {
      const entry = Number(list.readBigInt64LE(i * 8))
      // A list that goes on elsewhere may end with a count.
      if (entry === 0 || (entry < 0 && i === count)) continue
      const isMet = entry > 0 ? this.#meet(entry, 1) : this.#meet(numberAt(list, ++i * 8), -entry)
      if (!isMet) return false
    }
    return true
  }

  /** The tables by their names, and all of them. */
  main(tree: Tree): string | undefined {
    return this.#tree(tree, (flags, _keyBytes, length, read) => {
      if ((flags & NODE_TREE) === 0 || length !== TREE_BYTES) return 'its list of tables is broken'
      return this.#tree(treeOf(read()), () => undefined)
    })
  }

  #tree({ flags, depth, root }: Tree, onNode: OnNode): string | undefined {
    if ((flags & DUPLICATE_FLAGS) !== 0) return 'a table is of another kind'
    if (root === NO_PAGE) return depth === 0 ? undefined : 'a table has lost its beginning'
    if (depth === 0 || depth > MAX_DEPTH) return 'a table has no end'
    return this.#page(root, depth, onNode)
  }

  /** @param depth levels from here down, 1 = this is a leaf */
  #page(number: number, depth: number, onNode: OnNode): string | undefined {
    if (this.#left-- <= 0) return undefined
    if (!this.#isThere(number, 1)) return 'a part of it is missing'
    if (!this.#meet(number, 1)) return 'a page has two uses'
    const page = this.#read(number)
    const lower = page.readUInt16LE(LOWER_OFFSET)
    const count = lower >> 1
    if ((page.readUInt16LE(FLAGS_OFFSET) & KINDS) !== (depth === 1 ? LEAF : BRANCH) || numberAt(page, 0) !== number) return 'a page is of another kind'
    if (count === 0 || (lower & 1) !== 0 || HEADER_BYTES + lower > page.length || (depth > 1 && count < 2)) return 'a page is broken'
    for (let i = 0; i < count; i++) {
      const at = HEADER_BYTES + page.readUInt16LE(HEADER_BYTES + 2 * i)
      if (at < HEADER_BYTES + lower || at + NODE_BYTES > page.length) return 'a page is broken'
      const words = [0, 2, 4, 6].map((offset) => page.readUInt16LE(at + offset)) as [number, number, number, number]
      const found = depth === 1 ? this.#leaf(page, at, words, onNode) : this.#branch(page, at, words, depth, onNode)
      if (found !== undefined) return found
    }
    return undefined
  }

  #branch(page: Buffer, at: number, [low, middle, high, keyBytes]: [number, number, number, number], depth: number, onNode: OnNode): string | undefined {
    if (at + NODE_BYTES + keyBytes > page.length) return 'a page is broken'
    return this.#page(low + middle * 2 ** 16 + high * 2 ** 32, depth - 1, onNode)
  }

  #leaf(page: Buffer, at: number, [low, high, flags, keyBytes]: [number, number, number, number], onNode: OnNode): string | undefined {
    const length = low + high * 2 ** 16
    const start = at + NODE_BYTES + keyBytes
    const isBig = (flags & NODE_BIG) !== 0
    if ((flags & NODE_DUPLICATES) !== 0 || start + (isBig ? OVERFLOW_REFERENCE_BYTES : length) > page.length) return 'a page is broken'
    if (!isBig) return onNode(flags, keyBytes, length, () => page.subarray(start, start + length))
    const number = numberAt(page, start)
    const pages = Math.floor((HEADER_BYTES - 1 + length) / this.#pageBytes) + 1
    if (numberAt(page, start + 16) < pages || !this.#isThere(number, pages)) return 'a part of it is missing'
    if (!this.#meet(number, pages)) return 'a page has two uses'
    if (this.#left-- <= 0) return undefined
    const first = this.#read(number)
    if ((first.readUInt16LE(FLAGS_OFFSET) & KINDS) !== OVERFLOW || numberAt(first, 0) !== number) return 'a page is of another kind'
    return onNode(flags, keyBytes, length, () => this.#read(number, pages).subarray(HEADER_BYTES, HEADER_BYTES + length))
  }

  /** @returns false for one that was met already or cannot be */
  #meet(number: number, pages: number): boolean {
    if (number < 2 || number + pages - 1 > this.#lastPage) return false
    for (let page = number; page < number + pages; page++) {
      const bit = 1 << (page & 7)
      if (((this.#met[page >>> 3] ?? 0) & bit) !== 0) return false
      this.#met[page >>> 3] = (this.#met[page >>> 3] ?? 0) | bit
    }
    return true
  }

  /** Pages that are there. What the disk does not give after all reads as zeros, which nothing takes for a page. */
  #read(number: number, pages = 1): Buffer {
    const bytes = Buffer.alloc(this.#pageBytes * pages)
    this.#file.read(bytes, number * this.#pageBytes)
    return bytes
  }

  #isThere(number: number, pages: number): boolean {
    return number >= 2 && number + pages - 1 <= this.#lastPage && (number + pages) * this.#pageBytes <= this.#file.size
  }
}

/** The root of an empty tree. */
const NO_PAGE = Infinity

/** @returns what is wrong with a value */
type OnNode = (flags: number, keyBytes: number, length: number, read: () => Buffer) => string | undefined
