import { MAX_READ_BYTES } from '@harddrive-party/protocol'

/** Plans the ranges of one file: which to ask for next, which are on the disk. Fetches and writes nothing itself. */

export interface FileRange {
  readonly index: number
  readonly start: number
  /** One past the last byte. */
  readonly end: number
}

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
