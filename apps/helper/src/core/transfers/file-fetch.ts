import { type HashRange, MAX_READ_BYTES } from '@harddrive-party/protocol'

/** Plans the ranges of one file: which to ask for next, which are on the disk. Fetches and writes nothing itself. */

export interface FileRange {
  readonly index: number
  readonly start: number
  /** One past the last byte. */
  readonly end: number
}

/** What is compared when a transfer goes on: whole ranges, and places in the others with the bytes of each. */
const SAMPLED_LAST = 2
const SAMPLED_PLACES = 48
const SAMPLED_BYTES = 64 * 1024

const WANTED = 0
const FLYING = 1
const WRITTEN = 2

export function rangeCount(size: number): number {
  return Math.ceil(size / MAX_READ_BYTES)
}

/** Bytes in a bitmap of all ranges of a file of this size. */
export function bitmapLength(size: number): number {
  return Math.ceil(rangeCount(size) / 8)
}

export class FileFetch {
  readonly size: number
  readonly #states: Uint8Array
  #bytes = 0
  #left: number
  /** No range below it is to do. */
  #lowest = 0

  /** @param written a bitmap of ranges already on the disk, lowest bit first; bits and bytes too many are ignored */
  constructor(size: number, written?: Uint8Array) {
    this.size = size
    const count = rangeCount(size)
    this.#states = new Uint8Array(count)
    this.#left = count
    if (written === undefined) return
    for (let index = 0; index < count; index++) {
      if (((written[index >> 3] ?? 0) >> (index & 7)) & 1) this.#finish(index)
    }
  }

  /** Bytes on the disk. */
  get bytes(): number {
    return this.#bytes
  }

  get complete(): boolean {
    return this.#left === 0
  }

  /** The next range to ask for, which is then in flight; undefined when all are in flight or written. */
  next(): FileRange | undefined {
    while (this.#lowest < this.#states.length && this.#states[this.#lowest] !== WANTED) this.#lowest++
    if (this.#lowest >= this.#states.length) return undefined
    this.#states[this.#lowest] = FLYING
    return this.#range(this.#lowest)
  }

  /** A range in flight is on the disk. */
  written(index: number): void {
    if (this.#states[index] === FLYING) this.#finish(index)
  }

  /** A range in flight did not come: it is to do again. */
  release(index: number): void {
    if (this.#states[index] !== FLYING) return
    this.#states[index] = WANTED
    this.#lowest = Math.min(this.#lowest, index)
  }

  /** What is on the disk, one bit per range, lowest bit first. */
  bitmap(): Uint8Array {
    const bitmap = new Uint8Array(bitmapLength(this.size))
    for (const [index, state] of this.#states.entries()) {
      if (state === WRITTEN) bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7))
    }
    return bitmap
  }

  /** One past the last byte of the highest range written: what the file on disk must at least have. */
  writtenEnd(): number {
    const last = this.#states.lastIndexOf(WRITTEN)
    return last === -1 ? 0 : this.#range(last).end
  }

  /**
   * Parts of what is on the disk by which to tell whether it is still what the source has: the last ranges, which a crash may have met, and random places
   * all over the rest. Within the bounds of one `hashes`.
   * @param random from 0 to 1
   */
  sample(random: () => number): HashRange[] {
    const written = [...this.#states.keys()].filter((index) => this.#states[index] === WRITTEN)
    const sample = written.splice(-SAMPLED_LAST).map((index) => this.#range(index))
    // One place in each of as many parts of equal length: chance must not leave a large one out.
    for (let part = 0; written.length > 0 && part < SAMPLED_PLACES; part++) {
      const index = written[Math.floor(((part + random()) * written.length) / SAMPLED_PLACES)] ?? 0
      const start = index * MAX_READ_BYTES + Math.floor(random() * (MAX_READ_BYTES / SAMPLED_BYTES)) * SAMPLED_BYTES
      sample.push({ index, start, end: start + SAMPLED_BYTES })
    }
    return sample.map(({ start, end }) => ({ start, end })).toSorted((a, b) => a.start - b.start)
  }

  #finish(index: number): void {
    this.#states[index] = WRITTEN
    this.#left--
    const { start, end } = this.#range(index)
    this.#bytes += end - start
  }

  #range(index: number): FileRange {
    const start = index * MAX_READ_BYTES
    return { index, start, end: Math.min(this.size, start + MAX_READ_BYTES) }
  }
}
