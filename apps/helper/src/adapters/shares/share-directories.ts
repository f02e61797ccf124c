import { foldName } from '@harddrive-party/protocol'

/**
 * The directories of one share's index as rows, in blocks: what each measures, when it changed, where it hangs. Reads and writes no database.
 * Ids are given once: parents have smaller ones than what is in them, and the root is 0.
 */

export interface DirectoryRow {
  /** NOBODY for the root, and for a row whose directory is gone. */
  readonly parent: number
  /** Entries of this directory count only in search segments from this number on; GONE = the directory is gone. */
  readonly since: number
  /** Of the whole path, to tell entries apart that are alike in everything else. */
  readonly hash: number
  /** Entries left out. */
  readonly skipped: number
  /** Bytes of all files below. */
  readonly size: number
  readonly mtime: number
  /** Its mtime when it was last read, if a change since then must show in it; else 0. */
  readonly seen: number
}

export const NOBODY = 0xffff_ffff
export const GONE = 0xffff_ffff

/** Rows that are written together: a change rewrites this much for each level of the tree. */
export const BLOCK_ROWS = 512
const ROW_BYTES = 40
const ROW_WORDS = ROW_BYTES / 4
const ROW_DOUBLES = ROW_BYTES / 8

export function encodeRow(row: DirectoryRow, into: Buffer, offset: number): void {
  into.writeUInt32LE(row.parent, offset)
  into.writeUInt32LE(row.since, offset + 4)
  into.writeUInt32LE(row.hash, offset + 8)
  into.writeUInt32LE(row.skipped, offset + 12)
  into.writeDoubleLE(row.size, offset + 16)
  into.writeDoubleLE(row.mtime, offset + 24)
  into.writeDoubleLE(row.seen, offset + 32)
}

export function decodeRow(block: Buffer, offset: number): DirectoryRow {
  return {
    parent: block.readUInt32LE(offset), since: block.readUInt32LE(offset + 4), hash: block.readUInt32LE(offset + 8), skipped: block.readUInt32LE(offset + 12),
    size: block.readDoubleLE(offset + 16), mtime: block.readDoubleLE(offset + 24), seen: block.readDoubleLE(offset + 32),
  }
}

/** The row of an id in its block. */
export function rowIn(block: Buffer, id: number): DirectoryRow | undefined {
  const offset = (id % BLOCK_ROWS) * ROW_BYTES
  return offset + ROW_BYTES <= block.length ? decodeRow(block, offset) : undefined
}

export function encodeRows(rows: readonly DirectoryRow[]): Buffer {
  const block = Buffer.allocUnsafe(rows.length * ROW_BYTES)
  for (const [i, row] of rows.entries()) encodeRow(row, block, i * ROW_BYTES)
  return block
}

/** Names of one block: u32 end of the name, u32 end of the folded name, for each; then names, then folded names, each with a line feed before it. */
export function encodeNames(names: readonly string[]): Buffer {
  const folded = names.map(foldName)
  const head = Buffer.allocUnsafe(4 + names.length * 8)
  head.writeUInt32LE(names.length, 0)
  let end = 0
  let foldedEnd = 0
  for (const [i, name] of names.entries()) {
    end += 1 + Buffer.byteLength(name)
    foldedEnd += 1 + Buffer.byteLength(folded[i] ?? '')
    head.writeUInt32LE(end, 4 + 8 * i)
    head.writeUInt32LE(foldedEnd, 8 + 8 * i)
  }
  return Buffer.concat([head, Buffer.from(names.map((name) => `\n${name}`).join('')), Buffer.from(folded.map((name) => `\n${name}`).join(''))])
}

/** Names of one block, being read. */
export class NameBlock {
  readonly #bytes: Buffer
  readonly count: number
  readonly #names: number
  /** The folded names, each with a line feed before it and one after the last. */
  readonly folded: Buffer
  /** Where each folded name ends in `folded`. */
  readonly foldedEnds: Uint32Array

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.count = bytes.readUInt32LE(0)
    this.#names = 4 + this.count * 8
    const folded = this.#names + (this.count === 0 ? 0 : bytes.readUInt32LE(4 + 8 * (this.count - 1)))
    this.folded = Buffer.concat([bytes.subarray(folded), LINE_FEED])
    this.foldedEnds = Uint32Array.from({ length: this.count }, (_, i) => bytes.readUInt32LE(8 + 8 * i))
  }

  name(i: number): string {
    const start = i === 0 ? 0 : this.#bytes.readUInt32LE(4 + 8 * (i - 1))
    return this.#bytes.toString('utf8', this.#names + start + 1, this.#names + this.#bytes.readUInt32LE(4 + 8 * i))
  }
}

const LINE_FEED = Buffer.from('\n')

/** All directories of a share in memory, forty bytes and a name each: for whoever looks at most of them. */
export class DirectoryTable {
  readonly count: number
  readonly blocks: readonly NameBlock[]
  readonly #words: Uint32Array
  readonly #doubles: Float64Array

  constructor(rows: readonly Buffer[], names: readonly NameBlock[]) {
    const bytes = rows.reduce((sum, block) => sum + block.length, 0)
    const all = new Uint8Array(bytes)
    let at = 0
    for (const block of rows) {
      all.set(block, at)
      at += block.length
    }
    this.count = bytes / ROW_BYTES
    this.blocks = names
    // Every platform that Node has is little-endian.
    this.#words = new Uint32Array(all.buffer)
    this.#doubles = new Float64Array(all.buffer)
  }

  parent(id: number): number {
    return this.#words[id * ROW_WORDS] ?? NOBODY
  }

  since(id: number): number {
    return this.#words[id * ROW_WORDS + 1] ?? GONE
  }

  hash(id: number): number {
    return this.#words[id * ROW_WORDS + 2] ?? 0
  }

  skipped(id: number): number {
    return this.#words[id * ROW_WORDS + 3] ?? 0
  }

  size(id: number): number {
    return this.#doubles[id * ROW_DOUBLES + 2] ?? 0
  }

  mtime(id: number): number {
    return this.#doubles[id * ROW_DOUBLES + 3] ?? 0
  }

  seen(id: number): number {
    return this.#doubles[id * ROW_DOUBLES + 4] ?? 0
  }

  isLive(id: number): boolean {
    return this.since(id) !== GONE
  }

  name(id: number): string {
    return this.blocks[Math.floor(id / BLOCK_ROWS)]?.name(id % BLOCK_ROWS) ?? ''
  }

  row(id: number): DirectoryRow {
    return {
      parent: this.parent(id), since: this.since(id), hash: this.hash(id), skipped: this.skipped(id), size: this.size(id), mtime: this.mtime(id), seen: this.seen(id),
    }
  }

  /** Names from the share's own entry down, without it; empty for the root. */
  parts(id: number): string[] {
    const parts = []
    for (let at = id; at !== 0 && at !== NOBODY; at = this.parent(at)) parts.push(this.name(at))
    return parts.toReversed()
  }
}

/** 32 bits over a parent's hash and a name (FNV-1a). Tells paths apart; protects nothing. */
export function hashName(parent: number, name: string): number {
  let hash = (parent ^ 0x811c_9dc5) >>> 0
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x0100_0193)
  return hash >>> 0
}

/** The same over bytes of UTF-8. */
export function hashBytes(parent: number, bytes: Uint8Array, start: number, end: number): number {
  let hash = (parent ^ 0x811c_9dc5) >>> 0
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x0100_0193)
  return hash >>> 0
}
