/**
 * The form of a directory's listing in the share index: chunks of up to CHUNK_ENTRIES entries, packed so that nothing is decoded that is not asked
 * for. Reads and writes no database. What a directory below measures and when it changed is not here but in its own row (`share-directories.ts`),
 * so that a change deep in a tree rewrites one chunk and a few rows, not a chunk at each level.
 *
 * A chunk: u32 entries in the whole directory, u32 entries here; then column by column, each as long as there are entries: f64 size, f64 mtime
 * (both 0 for directories), u32 directory id (0 = a file), u32 end of the name; then all names, each followed by a line feed, which the ends
 * include. Little-endian.
 */

/** Large enough that a million files are two thousand chunks, small enough to be decoded for one entry. */
export const CHUNK_ENTRIES = 512

/** Changes with the layout of anything in the index; an index of another version is built anew. */
export const CHUNK_VERSION = 4

const HEADER_BYTES = 8
const RECORD_BYTES = 24
/** No name contains it (control characters are refused). */
const SEPARATOR = '\n'
// oxlint-disable-next-line no-control-regex -- the whole of ASCII is meant
const ASCII = /^[\u0000-\u007f]*$/

/** The entries of one directory, column by column, in tree order. */
export interface DirectoryColumns {
  readonly names: readonly string[]
  readonly sizes: readonly number[]
  readonly mtimes: readonly number[]
  /** Directory ids; 0 = a file (the share's root is nobody's entry). */
  readonly children: readonly number[]
}

/** @returns at least one chunk, also for an empty directory */
export function encodeDirectory(columns: DirectoryColumns): Buffer[] {
  const total = columns.names.length
  const chunks = []
  for (let first = 0; first === 0 || first < total; first += CHUNK_ENTRIES) {
    chunks.push(encodeChunk(columns, first, Math.min(CHUNK_ENTRIES, total - first)))
  }
  return chunks
}

function encodeChunk(columns: DirectoryColumns, first: number, count: number): Buffer {
  const names = columns.names.length === count ? columns.names : columns.names.slice(first, first + count)
  // Strings of a whole chunk at once: each call into the engine costs more than the bytes of a name.
  const text = count === 0 ? '' : names.join(SEPARATOR) + SEPARATOR
  const plain = ASCII.test(text)
  const start = HEADER_BYTES + count * RECORD_BYTES
  const chunk = Buffer.allocUnsafe(start + (plain ? text.length : Buffer.byteLength(text)))
  chunk.write(text, start, plain ? 'latin1' : 'utf8')
  const view = new DataView(chunk.buffer, chunk.byteOffset, start)
  let nameEnd = 0
  for (let i = 0; i < count; i++) {
    const name = names[i] ?? ''
    const child = columns.children[first + i] ?? 0
    nameEnd += 1 + (plain ? name.length : Buffer.byteLength(name))
    view.setFloat64(HEADER_BYTES + 8 * i, child === 0 ? (columns.sizes[first + i] ?? 0) : 0, true)
    view.setFloat64(HEADER_BYTES + 8 * (count + i), child === 0 ? (columns.mtimes[first + i] ?? 0) : 0, true)
    view.setUint32(HEADER_BYTES + 16 * count + 4 * i, child, true)
    view.setUint32(HEADER_BYTES + 20 * count + 4 * i, nameEnd, true)
  }
  view.setUint32(0, columns.names.length, true)
  view.setUint32(4, count, true)
  return chunk
}

/** A chunk being read. It keeps a view: the bytes must stay as they are. */
export class DirectoryChunk {
  readonly #bytes: Buffer
  readonly count: number
  /** Of the whole directory. */
  readonly total: number
  readonly #names: number

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.total = bytes.readUInt32LE(0)
    this.count = bytes.readUInt32LE(4)
    this.#names = HEADER_BYTES + this.count * RECORD_BYTES
  }

  name(i: number): string {
    return this.#bytes.toString('utf8', this.#names + this.#nameStart(i), this.#names + this.#nameStart(i + 1) - 1)
  }

  /** All names, each followed by a line feed. */
  text(): string {
    return this.#bytes.toString('utf8', this.#names, this.#names + this.#nameStart(this.count))
  }

  /** Bytes of a file. */
  size(i: number): number {
    return this.#bytes.readDoubleLE(HEADER_BYTES + 8 * i)
  }

  /** Of a file. */
  mtime(i: number): number {
    return this.#bytes.readDoubleLE(HEADER_BYTES + 8 * (this.count + i))
  }

  /** The id of a directory, 0 = a file. */
  child(i: number): number {
    return this.#bytes.readUInt32LE(HEADER_BYTES + 16 * this.count + 4 * i)
  }

  /** The last entry whose name is not after `name`, -1 if all are. @param name in UTF-8 */
  lastNotAfter(name: Buffer): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      const start = this.#names + this.#nameStart(middle)
      if (this.#bytes.compare(name, 0, name.length, start, this.#names + this.#nameStart(middle + 1) - 1) > 0) high = middle
      else low = middle + 1
    }
    return low - 1
  }

  /** Where an entry's name starts, which is where the one before it ends. */
  #nameStart(i: number): number {
    return i === 0 ? 0 : this.#bytes.readUInt32LE(HEADER_BYTES + 20 * this.count + 4 * (i - 1))
  }
}
