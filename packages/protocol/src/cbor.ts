import { Encoder } from 'cbor-x'
import { type Fault, type Result, refuse, succeed } from './result.ts'

/**
 * CBOR as this protocol uses it (RFC 8949): definite lengths, text and byte strings, numbers, true, false, null, arrays, and maps with text keys. No tags.
 * The bytes are walked once before the library sees them, so that none of its extensions (records, references, packed values, dates, big numbers)
 * can be reached from outside. What a message means is not decided here.
 */

/** Arrays and maps within each other; our own messages need three levels, later ones may need a few more. */
export const MAX_CBOR_DEPTH = 8
/** Keys in one map: several times what any message has. */
export const MAX_CBOR_KEYS = 64

/** Items in one message, keys and all that is inside arrays and maps counted: a full page has some 5,000, and a stranger's page must not cost more than one. */
export const MAX_CBOR_ITEMS = 16_384

export type CborMap = { readonly [key: string]: unknown }

let encoder: Encoder | undefined

/** On first use and not at import, so that a bundle without peer messages leaves the library out. */
function codec(): Encoder {
  encoder ??= new Encoder({ useRecords: false, mapsAsObjects: true, variableMapSize: true, tagUint8Array: false, int64AsNumber: true } as object)
  return encoder
}

/** @param map plain values only: our own messages */
export function encodeCbor(map: CborMap): Uint8Array {
  return codec().encode(map)
}

/** @returns the outermost map. Byte strings in it are views of `bytes`; numbers may be anything, NaN and infinities included. */
export function decodeCbor(bytes: Uint8Array): Result<CborMap, Fault<'bad-cbor'>> {
  const walk = new Walk(bytes)
  const keys = walk.wholeMap()
  if (keys === undefined) return refuse('bad-cbor', `not well-formed at byte ${walk.at}, or of a kind not used here`)
  let value: unknown
  try {
    value = codec().decode(bytes)
  } catch {
    return refuse('bad-cbor', 'not decodable')
  }
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== keys) return refuse('bad-cbor', 'a key appears twice')
  return succeed(value as CborMap)
}

/** Major types that are treated apart. */
const NEGATIVE = 1
const BYTES = 2
const TEXT = 3
const ARRAY = 4
const MAP = 5
const TAG = 6
const SIMPLE = 7

/** Steps through the bytes once. Nothing is thrown: it answers with false and leaves `at` where it stopped. */
class Walk {
  readonly #bytes: Uint8Array
  #at = 0
  #items = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get at(): number {
    return this.#at
  }

  /** Number of keys of the one map that fills the bytes exactly, or undefined. */
  wholeMap(): number | undefined {
    const first = this.#bytes[0]
    if (first === undefined || first >> 5 !== MAP) return undefined
    if (!this.#item(0) || this.#at !== this.#bytes.length) return undefined
    this.#at = 0
    return this.#head()
  }

  #item(depth: number): boolean {
    const first = this.#bytes[this.#at]
    if (first === undefined || ++this.#items > MAX_CBOR_ITEMS) return false
    const major = first >> 5
    if (major === SIMPLE) return this.#simple(first & 0x1f)
    // The library decodes negative integers of eight bytes wrongly; such numbers travel as floats.
    if (major === TAG || (major === NEGATIVE && (first & 0x1f) === 27)) return false
    const argument = this.#head()
    if (argument === undefined) return false
    switch (major) {
      case BYTES:
        this.#at += argument
        return this.#at <= this.#bytes.length
      case TEXT:
        return this.#text(argument)
      case ARRAY:
        // Every element takes a byte or more: a count beyond what is left cannot be met.
        if (depth === MAX_CBOR_DEPTH || argument > this.#bytes.length - this.#at) return false
        for (let i = 0; i < argument; i++) if (!this.#item(depth + 1)) return false
        return true
      case MAP:
        return this.#map(argument, depth)
      default:
        return true
    }
  }

  #map(keys: number, depth: number): boolean {
    if (depth === MAX_CBOR_DEPTH || keys > MAX_CBOR_KEYS) return false
    for (let i = 0; i < keys; i++) {
      const key = this.#bytes[this.#at]
      if (key === undefined || key >> 5 !== TEXT) return false
      if (!this.#item(depth + 1) || !this.#item(depth + 1)) return false
    }
    return true
  }

  /** Reads a head and its argument: the value of an integer, the length of all else. */
  #head(): number | undefined {
    const bytes = this.#bytes
    const info = (bytes[this.#at] ?? 0) & 0x1f
    this.#at += 1
    if (info < 24) return info
    if (info > 27) return undefined
    const size = 1 << (info - 24)
    const end = this.#at + size
    if (end > bytes.length) return undefined
    let value = 0
    for (; this.#at < end; this.#at++) value = value * 256 + (bytes[this.#at] ?? 0)
    return value
  }

  /** false, true, null and the three sizes of float. */
  #simple(info: number): boolean {
    if (info < 20 || info > 27 || info === 23 || info === 24) return false
    this.#at += info < 24 ? 1 : 1 + (1 << (info - 24))
    return this.#at <= this.#bytes.length
  }

  /** UTF-8 without overlong forms, surrogates and code points beyond Unicode (RFC 3629). */
  #text(length: number): boolean {
    const bytes = this.#bytes
    const end = this.#at + length
    if (end > bytes.length) return false
    let at = this.#at
    while (at < end) {
      const lead = bytes[at] ?? 0
      if (lead < 0x80) {
        at += 1
        continue
      }
      const size = lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0
      if (size === 0 || at + size > end || !isSecond(lead, bytes[at + 1] ?? 0)) return this.#stop(at)
      for (let i = 2; i < size; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return this.#stop(at)
      at += size
    }
    this.#at = end
    return true
  }

  #stop(at: number): false {
    this.#at = at
    return false
  }
}

/** Some lead bytes narrow what may follow, to keep out overlong forms, surrogates and what is above U+10FFFF. */
function isSecond(lead: number, second: number): boolean {
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  return second >= low && second <= high
}
