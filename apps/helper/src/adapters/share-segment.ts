import { FILE_TYPES, type FileType, fileTypeOf, foldName } from '@harddrive-party/protocol'
import { MAX_TIME_KEY, sizeKeyOf, timeKeyOf } from '../core/search-order.ts'

/**
 * Search segments: the files of many directories, thousands at a time, so that a search runs over few long texts instead of many small ones.
 * Within a segment the largest and newest files come first: a search that has enough good results may leave the rest of it. Reads and writes no
 * database.
 *
 * The text: a line feed before each folded name and one at the end. The columns, each as long as there are entries: f64 size, f64 mtime, u32
 * directory id, u32 number within the directory, u32 end of the folded name in the text, u8 file type; with a head of u32 entries and u32 zero.
 * After them one bit for each pair of bytes: whether a word of any name starts so. Little-endian.
 */
export const SEGMENT_ENTRIES = 16_384

const HEADER_BYTES = 8
const RECORD_BYTES = 29
const TYPE_CODES = new Map<FileType, number>(FILE_TYPES.map((type, i) => [type, i + 1]))

/** Files on their way into a segment, column by column. */
export class SegmentBuilder {
  #names: string[] = []
  #sizes: number[] = []
  #mtimes: number[] = []
  #directories: number[] = []
  #positions: number[] = []

  get count(): number {
    return this.#names.length
  }

  get isFull(): boolean {
    return this.count === SEGMENT_ENTRIES
  }

  /** @param name as it is, or folded already */
  add(name: string, size: number, mtime: number, directoryId: number, position: number): void {
    this.#names.push(name)
    this.#sizes.push(size)
    this.#mtimes.push(mtime)
    this.#directories.push(directoryId)
    this.#positions.push(position)
  }

  /** Starts anew. */
  take(): { text: Buffer; columns: Buffer } {
    const count = this.count
    const order = sortLargestFirst(this.#sizes, this.#mtimes)
    const names: string[] = []
    for (const i of order) names.push(this.#names[i] ?? '')
    let text = `\n${names.join('\n')}${count === 0 ? '' : '\n'}`
    const plain = ASCII.test(text)
    const folded = plain ? names : names.map(foldName)
    text = plain ? text.toLowerCase() : `\n${folded.join('\n')}\n`
    // Not from the pool: the columns must be aligned.
    const columns = Buffer.from(new ArrayBuffer(HEADER_BYTES + count * RECORD_BYTES + STARTS_BYTES))
    columns.writeUInt32LE(count, 0)
    const doubles = new Float64Array(columns.buffer, columns.byteOffset + HEADER_BYTES, count * 2)
    const words = new Uint32Array(columns.buffer, columns.byteOffset + HEADER_BYTES + count * 16, count * 3)
    const types = columns.subarray(HEADER_BYTES + count * 28, HEADER_BYTES + count * RECORD_BYTES)
    let end = 0
    for (let at = 0; at < count; at++) {
      const i = order[at] ?? 0
      const name = folded[at] ?? ''
      end += 1 + (plain ? name.length : Buffer.byteLength(name))
      doubles[at] = this.#sizes[i] ?? 0
      doubles[count + at] = this.#mtimes[i] ?? 0
      words[at] = this.#directories[i] ?? 0
      words[count + at] = this.#positions[i] ?? 0
      words[2 * count + at] = end
      const type = fileTypeOf(name)
      types[at] = type === undefined ? 0 : (TYPE_CODES.get(type) ?? 0)
    }
    this.#names = []
    this.#sizes = []
    this.#mtimes = []
    this.#directories = []
    this.#positions = []
    const bytes = Buffer.from(text, plain ? 'latin1' : 'utf8')
    markStarts(bytes, columns.subarray(HEADER_BYTES + count * RECORD_BYTES))
    return { text: bytes, columns }
  }
}

/** What separates words, as the protocol's ranks have it, in bytes. */
export function isBoundary(byte: number): boolean {
  return byte < 0x30 || (byte > 0x39 && byte < 0x61) || (byte > 0x7a && byte < 0x80)
}

const STARTS_BYTES = 0x1_0000 / 8

function markStarts(text: Uint8Array, into: Uint8Array): void {
  for (let at = 1; at < text.length - 1; at++) {
    if (!isBoundary(text[at - 1] ?? 0)) continue
    const pair = ((text[at] ?? 0) << 8) | (text[at + 1] ?? 0)
    into[pair >> 3] = (into[pair >> 3] ?? 0) | (1 << (pair & 7))
  }
}

// oxlint-disable-next-line no-control-regex -- the whole of ASCII is meant
const ASCII = /^[\u0000-\u007f]*$/

/** Numbers sort natively, several times faster than anything with a function of ours: so the index rides in the low bits. */
function sortLargestFirst(sizes: readonly number[], mtimes: readonly number[]): Uint32Array {
  const count = sizes.length
  const floats = new Float32Array(count)
  for (let i = 0; i < count; i++) floats[i] = sizeKeyOf(sizes[i] ?? 0)
  // The bits of positive floats are in the order of the floats.
  const bits = new Uint32Array(floats.buffer)
  const keys = new Float64Array(count)
  for (let i = 0; i < count; i++) keys[i] = (ALL_BITS - (bits[i] ?? 0)) * SLOTS + i
  keys.sort()
  for (let start = 0; start < count;) {
    const size = Math.floor((keys[start] ?? 0) / SLOTS)
    let end = start + 1
    while (end < count && Math.floor((keys[end] ?? 0) / SLOTS) === size) end++
    for (let at = start; at < end; at++) {
      const i = (keys[at] ?? 0) % SLOTS
      keys[at] = (MAX_TIME_KEY - timeKeyOf(mtimes[i] ?? 0)) * SLOTS + i
    }
    if (end - start > 1) keys.subarray(start, end).sort()
    start = end
  }
  return Uint32Array.from(keys, (key) => key % SLOTS)
}

const SLOTS = SEGMENT_ENTRIES
const ALL_BITS = 0xffff_ffff

/** A segment's columns, being read. It keeps a view: the bytes must stay as they are, and begin at a multiple of eight. */
export class SegmentColumns {
  readonly count: number
  readonly #doubles: Float64Array
  readonly #words: Uint32Array
  readonly #types: Uint8Array
  readonly #starts: Uint8Array

  constructor(bytes: Buffer) {
    // What the database hands out may lie anywhere in its memory.
    const aligned = bytes.byteOffset % 8 === 0 ? bytes : Buffer.from(new Uint8Array(bytes).buffer)
    this.count = aligned.readUInt32LE(0)
    const start = aligned.byteOffset + HEADER_BYTES
    this.#doubles = new Float64Array(aligned.buffer, start, this.count * 2)
    this.#words = new Uint32Array(aligned.buffer, start + this.count * 16, this.count * 3)
    this.#types = new Uint8Array(aligned.buffer, start + this.count * 28, this.count)
    this.#starts = new Uint8Array(aligned.buffer, start + this.count * RECORD_BYTES, STARTS_BYTES)
  }

  size(i: number): number {
    return this.#doubles[i] ?? 0
  }

  mtime(i: number): number {
    return this.#doubles[this.count + i] ?? 0
  }

  directory(i: number): number {
    return this.#words[i] ?? 0
  }

  /** Which of its directory's entries it is. */
  position(i: number): number {
    return this.#words[this.count + i] ?? 0
  }

  /** Ends of the folded names in the text. */
  get ends(): Uint32Array {
    return this.#words.subarray(2 * this.count)
  }

  /** Whether some name may have a word that starts like this; surely not, if false. */
  mayStart(word: Uint8Array): boolean {
    const [first = 0, second] = word
    if (second === undefined) return this.#starts.subarray(first << 5, (first + 1) << 5).some((bits) => bits !== 0)
    const pair = (first << 8) | second
    return ((this.#starts[pair >> 3] ?? 0) & (1 << (pair & 7))) !== 0
  }

  /** As `typeCodes` has them; 0 = none of these. */
  typeCode(i: number): number {
    return this.#types[i] ?? 0
  }
}

export function typeCodesOf(types: readonly FileType[]): ReadonlySet<number> {
  return new Set(types.flatMap((type) => TYPE_CODES.get(type) ?? []))
}
