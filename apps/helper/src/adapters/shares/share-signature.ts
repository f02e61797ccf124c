import { FILE_TYPES, type FileType, fileTypeOf } from '@harddrive-party/protocol'

/**
 * What a search segment can be asked before any of it is read: which letters follow each other in its names, how they begin, which kinds and sizes of
 * files there are. A no is certain, a yes is not. Reads and writes no database.
 *
 * Bytes, little-endian: f64 smallest and largest size, u32 entries, u32 file types (a bit each); then bits, each at a hash: 256 for extensions, 256
 * for bytes that words start with, 65,536 for beginnings of names of up to three bytes, 131,072 for each three bytes in a row, where all that
 * separates words counts as one.
 */
const TYPE_CODES = new Map<FileType, number>(FILE_TYPES.map((type, i) => [type, i + 1]))

const EXTENSIONS_AT = 24
const STARTS_AT = EXTENSIONS_AT + 32
const BEGINNINGS_AT = STARTS_AT + 32
const TRIGRAMS_AT = BEGINNINGS_AT + 0x1_0000 / 8
const SIGNATURE_BYTES = TRIGRAMS_AT + 0x2_0000 / 8

const BEGINNING_BYTES = 3
const SEPARATOR = 0x20

/** What separates words, as the protocol's ranks have it, in bytes. */
export function isBoundary(byte: number): boolean {
  return byte < 0x30 || (byte > 0x39 && byte < 0x61) || (byte > 0x7a && byte < 0x80)
}

const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) => (isBoundary(byte) ? SEPARATOR : byte))

/** As columns have it; 0 = none of the types. @param extension in lower case, without the dot */
export function typeCodeOf(extension: string): number {
  const type = extension === '' ? undefined : fileTypeOf(`_.${extension}`)
  return type === undefined ? 0 : (TYPE_CODES.get(type) ?? 0)
}

export function typeCodesOf(types: readonly FileType[]): ReadonlySet<number> {
  return new Set(types.flatMap((type) => TYPE_CODES.get(type) ?? []))
}

/**
 * @param text a line feed before each folded name and one at the end
 * @param ends of the names in it
 * @param extensions of all names
 */
export function encodeSignature({ text, ends, sizes, extensions }: {
  readonly text: Uint8Array; readonly ends: ArrayLike<number>; readonly sizes: readonly number[]; readonly extensions: ReadonlySet<string>
}): Buffer {
  const signature = Buffer.alloc(SIGNATURE_BYTES)
  signature.writeDoubleLE(sizes.reduce((least, size) => Math.min(least, size), Infinity), 0)
  signature.writeDoubleLE(sizes.reduce((most, size) => Math.max(most, size), 0), 8)
  signature.writeUInt32LE(ends.length, 16)
  let types = 0
  for (const extension of extensions) {
    types |= 1 << typeCodeOf(extension)
    mark(signature, EXTENSIONS_AT, hashText(extension))
  }
  signature.writeUInt32LE(types, 20)
  let last = 0
  let start = 1
  for (let i = 0; i < ends.length; i++) {
    const end = ends[i] ?? 0
    let beginning = 0
    for (let at = start; at < Math.min(end, start + BEGINNING_BYTES); at++) mark(signature, BEGINNINGS_AT, hashBeginning((beginning = (beginning << 8) | (text[at] ?? 0)), at - start))
    start = end + 1
  }
  for (let at = 0; at < text.length; at++) {
    const byte = PLAIN[text[at] ?? 0] ?? 0
    last = ((last << 8) | byte) & 0xff_ffff
    const bit = hashTrigram(last)
    const slot = TRIGRAMS_AT + (bit >>> 3)
    signature[slot] = (signature[slot] ?? 0) | (1 << (bit & 7))
    if ((last & 0xff00) === SEPARATOR << 8) signature[STARTS_AT + (byte >>> 3)] = (signature[STARTS_AT + (byte >>> 3)] ?? 0) | (1 << (byte & 7))
  }
  return signature
}

/** A signature, being read. It keeps a view: the bytes must stay as they are. */
export class SegmentSignature {
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get count(): number {
    return this.#bytes.readUInt32LE(16)
  }

  get smallest(): number {
    return this.#bytes.readDoubleLE(0)
  }

  get largest(): number {
    return this.#bytes.readDoubleLE(8)
  }

  hasType(code: number): boolean {
    return (this.#bytes.readUInt32LE(20) & (1 << code)) !== 0
  }

  /** @param extension in lower case, without the dot */
  mayHaveExtension(extension: string): boolean {
    return this.#has(EXTENSIONS_AT, hashText(extension))
  }

  mayContain(word: Uint8Array): boolean {
    return this.#hasAll(word, 0, 0)
  }

  /** Whether a word in some name may start like this. */
  mayStart(word: Uint8Array): boolean {
    return this.#has(STARTS_AT, PLAIN[word[0] ?? 0] ?? 0) && this.#hasAll(word, SEPARATOR, 1)
  }

  /** Whether some name may begin like this. */
  mayBegin(typed: Uint8Array): boolean {
    const length = Math.min(typed.length, BEGINNING_BYTES)
    let beginning = 0
    for (let at = 0; at < length; at++) beginning = (beginning << 8) | (typed[at] ?? 0)
    return length === 0 || (this.#has(BEGINNINGS_AT, hashBeginning(beginning, length - 1)) && this.#hasAll(typed, SEPARATOR, 1))
  }

  /** @param known how many bytes before the word are looked at too */
  #hasAll(word: Uint8Array, before: number, known: number): boolean {
    let last = before
    for (let at = 0; at < word.length; at++) {
      last = ((last << 8) | (PLAIN[word[at] ?? 0] ?? 0)) & 0xff_ffff
      if (at + known >= 2 && !this.#has(TRIGRAMS_AT, hashTrigram(last))) return false
    }
    return true
  }

  #has(from: number, bit: number): boolean {
    return ((this.#bytes[from + (bit >>> 3)] ?? 0) & (1 << (bit & 7))) !== 0
  }
}

function mark(into: Uint8Array, from: number, bit: number): void {
  into[from + (bit >>> 3)] = (into[from + (bit >>> 3)] ?? 0) | (1 << (bit & 7))
}

function hashTrigram(bytes: number): number {
  return Math.imul(bytes, 0x9e37_79b1) >>> 15
}

function hashBeginning(bytes: number, index: number): number {
  return Math.imul(bytes + index, 0x85eb_ca6b) >>> 16
}

function hashText(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193)
  return (hash ^ (hash >>> 11)) & 0xff
}
