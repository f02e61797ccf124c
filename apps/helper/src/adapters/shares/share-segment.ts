import { extensionOf, foldName } from '@harddrive-party/protocol'
import { MAX_TIME_KEY, sizeKeyOf, timeKeyOf } from '../../core/punch/search-order.ts'
import { encodeSignature, typeCodeOf } from './share-signature.ts'

/**
 * Search segments: the files of many directories, thousands at a time, so that a search runs over few long texts instead of many small ones.
 * Within a segment the largest and newest files come first: a search that has enough good results may leave the rest of it. Reads and writes no
 * database.
 *
 * The text: a line feed before each folded name and one at the end. The columns, each as long as there are entries: f64 size, f64 mtime, u32
 * directory id, u32 number within the directory, u32 end of the folded name in the text, u8 file type; with a head of u32 entries and u32 zero.
 * Little-endian. What can be asked before reading any of this is in the signature (`share-signature.ts`).
 */
export const SEGMENT_ENTRIES = 16_384

const HEADER_BYTES = 8
const RECORD_BYTES = 29

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
  take(): { text: Buffer; columns: Buffer; signature: Buffer } {
    const count = this.count
    const order = sortLargestFirst(this.#sizes, this.#mtimes)
    const names: string[] = []
    for (const i of order) names.push(this.#names[i] ?? '')
    let text = `\n${names.join('\n')}${count === 0 ? '' : '\n'}`
    const plain = ASCII.test(text)
    const folded = plain ? names : names.map(foldName)
    text = plain ? text.toLowerCase() : `\n${folded.join('\n')}\n`
    // Not from the pool: the columns must be aligned.
    const columns = Buffer.from(new ArrayBuffer(HEADER_BYTES + count * RECORD_BYTES))
    columns.writeUInt32LE(count, 0)
    const doubles = new Float64Array(columns.buffer, columns.byteOffset + HEADER_BYTES, count * 2)
    const words = new Uint32Array(columns.buffer, columns.byteOffset + HEADER_BYTES + count * 16, count * 3)
    const types = columns.subarray(HEADER_BYTES + count * 28, HEADER_BYTES + count * RECORD_BYTES)
    const codes = new Map<string, number>()
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
      const extension = extensionOf(name)
      let code = codes.get(extension)
      if (code === undefined) codes.set(extension, (code = typeCodeOf(extension)))
      types[at] = code
    }
    const bytes = Buffer.from(text, plain ? 'latin1' : 'utf8')
    const signature = encodeSignature({ text: bytes, ends: words.subarray(2 * count), sizes: this.#sizes, extensions: new Set(codes.keys()) })
    this.#names = []
    this.#sizes = []
    this.#mtimes = []
    this.#directories = []
    this.#positions = []
    return { text: bytes, columns, signature }
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

  constructor(bytes: Buffer) {
    // What the database hands out may lie anywhere in its memory.
    const aligned = bytes.byteOffset % 8 === 0 ? bytes : Buffer.from(new Uint8Array(bytes).buffer)
    this.count = aligned.readUInt32LE(0)
    const start = aligned.byteOffset + HEADER_BYTES
    this.#doubles = new Float64Array(aligned.buffer, start, this.count * 2)
    this.#words = new Uint32Array(aligned.buffer, start + this.count * 16, this.count * 3)
    this.#types = new Uint8Array(aligned.buffer, start + this.count * 28, this.count)
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

  /** As `typeCodes` has them; 0 = none of these. */
  typeCode(i: number): number {
    return this.#types[i] ?? 0
  }
}
