import { foldName } from '../core/listing.ts'

/**
 * The form of a directory in the share index: chunks of up to CHUNK_ENTRIES entries, packed so that a search can reject a whole chunk with one
 * scan of bytes and nothing is decoded that is not asked for. Reads and writes no database.
 *
 * A chunk: u32 entries in the whole directory, u16 entries here, u8 flags, u8 zero; then column by column, each as long as there are entries:
 * f64 size, f64 mtime, u32 directory id (0 = a file), u32 end of the name, u32 end of the folded name; then all names, then all folded names, each
 * followed by a line feed, which the ends include. Little-endian.
 */

/** Large enough that a million files are two thousand chunks, small enough to be decoded for one entry. */
export const CHUNK_ENTRIES = 512

/** Changes with the layout; an index of another version is built anew. */
export const CHUNK_VERSION = 1

const HEADER_BYTES = 8
const RECORD_BYTES = 28
const HAS_DIRECTORIES = 1
/** No name contains it (control characters are refused), so no match runs over two names. */
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
  const folded = plain ? names : names.map(foldName)
  const foldedText = plain ? text.toLowerCase() : count === 0 ? '' : folded.join(SEPARATOR) + SEPARATOR
  const textBytes = plain ? text.length : Buffer.byteLength(text)
  const start = HEADER_BYTES + count * RECORD_BYTES
  const chunk = Buffer.allocUnsafe(start + textBytes + (plain ? textBytes : Buffer.byteLength(foldedText)))
  const encoding = plain ? 'latin1' : 'utf8'
  chunk.write(text, start, encoding)
  chunk.write(foldedText, start + textBytes, encoding)
  const view = new DataView(chunk.buffer, chunk.byteOffset, start)
  let flags = 0
  let nameEnd = 0
  let foldedEnd = 0
  for (let i = 0; i < count; i++) {
    const name = names[i] ?? ''
    const child = columns.children[first + i] ?? 0
    if (child !== 0) flags = HAS_DIRECTORIES
    nameEnd += 1 + (plain ? name.length : Buffer.byteLength(name))
    foldedEnd = plain ? nameEnd : foldedEnd + 1 + Buffer.byteLength(folded[i] ?? '')
    view.setFloat64(HEADER_BYTES + 8 * i, columns.sizes[first + i] ?? 0, true)
    view.setFloat64(HEADER_BYTES + 8 * (count + i), columns.mtimes[first + i] ?? 0, true)
    view.setUint32(HEADER_BYTES + 16 * count + 4 * i, child, true)
    view.setUint32(HEADER_BYTES + 20 * count + 4 * i, nameEnd, true)
    view.setUint32(HEADER_BYTES + 24 * count + 4 * i, foldedEnd, true)
  }
  view.setUint32(0, columns.names.length, true)
  view.setUint16(4, count, true)
  view.setUint8(6, flags)
  view.setUint8(7, 0)
  return chunk
}

/** A chunk being read. It keeps a view: the bytes must stay as they are. */
export class DirectoryChunk {
  readonly #bytes: Buffer
  readonly count: number
  /** Of the whole directory. */
  readonly total: number
  readonly #names: number
  readonly #folded: number

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.total = bytes.readUInt32LE(0)
    this.count = bytes.readUInt16LE(4)
    this.#names = HEADER_BYTES + this.count * RECORD_BYTES
    this.#folded = this.#names + this.#nameStart(this.count)
  }

  get hasDirectories(): boolean {
    return ((this.#bytes[6] ?? 0) & HAS_DIRECTORIES) !== 0
  }

  name(i: number): string {
    return this.#bytes.toString('utf8', this.#names + this.#nameStart(i), this.#names + this.#nameStart(i + 1) - 1)
  }

  /** Bytes; of a directory the sum of all files below. */
  size(i: number): number {
    return this.#bytes.readDoubleLE(HEADER_BYTES + 8 * i)
  }

  mtime(i: number): number {
    return this.#bytes.readDoubleLE(HEADER_BYTES + 8 * (this.count + i))
  }

  /** The id of a directory's own chunks, 0 = a file. */
  child(i: number): number {
    return this.#bytes.readUInt32LE(HEADER_BYTES + 16 * this.count + 4 * i)
  }

  /** @param words folded, in UTF-8 @returns the entries that contain them all, ascending */
  matches(words: readonly Buffer[]): number[] {
    const found: number[] = []
    const [first, ...rest] = words
    if (first === undefined) return Array.from({ length: this.count }, (_, i) => i)
    if (rest.some((word) => this.#bytes.indexOf(word, this.#folded) === -1)) return found
    let at = this.#bytes.indexOf(first, this.#folded)
    while (at !== -1) {
      const i = this.#entryAt(at - this.#folded)
      const start = this.#folded + this.#foldedStart(i)
      const end = this.#folded + this.#foldedStart(i + 1)
      if (rest.every((word) => contains(this.#bytes, word, start, end))) found.push(i)
      at = this.#bytes.indexOf(first, end)
    }
    return found
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

  #foldedStart(i: number): number {
    return i === 0 ? 0 : this.#bytes.readUInt32LE(HEADER_BYTES + 24 * this.count + 4 * (i - 1))
  }

  /** Whose folded name has the byte at this offset. */
  #entryAt(offset: number): number {
    let low = 0
    let high = this.count - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#foldedStart(middle + 1) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }
}

function contains(bytes: Buffer, word: Buffer, start: number, end: number): boolean {
  return bytes.subarray(start, end).includes(word)
}
