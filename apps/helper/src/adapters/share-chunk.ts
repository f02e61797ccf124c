/**
 * The form of a directory in the share index: chunks of up to CHUNK_ENTRIES entries, packed so that a search can reject a whole chunk with one
 * scan of bytes and nothing is decoded that is not asked for. Reads and writes no database.
 *
 * A chunk: u32 entries in the whole directory, u16 entries here, u8 flags, u8 zero; per entry f64 size, f64 mtime, u32 directory id (0 = a file),
 * u32 end of its name, u32 end of its folded name; all names; all folded names, each followed by a line feed. Little-endian.
 */

/** Large enough that a million files are two thousand chunks, small enough to be decoded for one entry. */
export const CHUNK_ENTRIES = 512

/** Changes with the layout; an index of another version is built anew. */
export const CHUNK_VERSION = 1

const HEADER_BYTES = 8
const RECORD_BYTES = 28
const HAS_DIRECTORIES = 1
/** No name contains it (control characters are refused), so no match runs over two names. */
const SEPARATOR = 0x0a

/** The entries of one directory, column by column, in tree order. */
export interface DirectoryColumns {
  readonly names: readonly string[]
  readonly folded: readonly string[]
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

function encodeChunk({ names, folded, sizes, mtimes, children }: DirectoryColumns, first: number, count: number): Buffer {
  // A UTF-16 unit is at most three bytes of UTF-8.
  let characters = 0
  for (let i = first; i < first + count; i++) characters += (names[i] ?? '').length + (folded[i] ?? '').length + 1
  const start = HEADER_BYTES + count * RECORD_BYTES
  const chunk = Buffer.allocUnsafe(start + 3 * characters)
  let flags = 0
  let end = start
  for (let i = 0; i < count; i++) {
    end += chunk.write(names[first + i] ?? '', end)
    chunk.writeUInt32LE(end - start, HEADER_BYTES + i * RECORD_BYTES + 20)
  }
  const foldedStart = end
  for (let i = 0; i < count; i++) {
    end += chunk.write(folded[first + i] ?? '', end)
    chunk[end++] = SEPARATOR
    const at = HEADER_BYTES + i * RECORD_BYTES
    const child = children[first + i] ?? 0
    if (child !== 0) flags = HAS_DIRECTORIES
    chunk.writeDoubleLE(sizes[first + i] ?? 0, at)
    chunk.writeDoubleLE(mtimes[first + i] ?? 0, at + 8)
    chunk.writeUInt32LE(child, at + 16)
    chunk.writeUInt32LE(end - foldedStart, at + 24)
  }
  chunk.writeUInt32LE(names.length, 0)
  chunk.writeUInt16LE(count, 4)
  chunk[6] = flags
  chunk[7] = 0
  // A copy of the right size: the database holds on to it until it is written.
  return Buffer.from(chunk.subarray(0, end))
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
    this.#folded = this.#names + (this.count === 0 ? 0 : this.#nameEnd(this.count - 1))
  }

  get hasDirectories(): boolean {
    return ((this.#bytes[6] ?? 0) & HAS_DIRECTORIES) !== 0
  }

  name(i: number): string {
    return this.#bytes.toString('utf8', this.#names + (i === 0 ? 0 : this.#nameEnd(i - 1)), this.#names + this.#nameEnd(i))
  }

  /** Bytes; of a directory the sum of all files below. */
  size(i: number): number {
    return this.#bytes.readDoubleLE(HEADER_BYTES + i * RECORD_BYTES)
  }

  mtime(i: number): number {
    return this.#bytes.readDoubleLE(HEADER_BYTES + i * RECORD_BYTES + 8)
  }

  /** The id of a directory's own chunks, 0 = a file. */
  child(i: number): number {
    return this.#bytes.readUInt32LE(HEADER_BYTES + i * RECORD_BYTES + 16)
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
      const end = this.#folded + this.#foldedEnd(i)
      const start = this.#folded + (i === 0 ? 0 : this.#foldedEnd(i - 1))
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
      const start = this.#names + (middle === 0 ? 0 : this.#nameEnd(middle - 1))
      if (this.#bytes.compare(name, 0, name.length, start, this.#names + this.#nameEnd(middle)) > 0) high = middle
      else low = middle + 1
    }
    return low - 1
  }

  #nameEnd(i: number): number {
    return this.#bytes.readUInt32LE(HEADER_BYTES + i * RECORD_BYTES + 20)
  }

  #foldedEnd(i: number): number {
    return this.#bytes.readUInt32LE(HEADER_BYTES + i * RECORD_BYTES + 24)
  }

  /** Whose folded name has the byte at this offset. */
  #entryAt(offset: number): number {
    let low = 0
    let high = this.count - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#foldedEnd(middle) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }
}

function contains(bytes: Buffer, word: Buffer, start: number, end: number): boolean {
  return bytes.subarray(start, end).includes(word)
}
