/**
 * Holds what has arrived of one direction of a stream and was not read yet, in blocks of our own: however small the pieces in which a peer sends, memory
 * stays near what they contain.
 */

import { copyBytes } from '../system/part-memory.ts'

const SMALL_BLOCK_BYTES = 4 * 1024
const BLOCK_BYTES = 64 * 1024

interface Block {
  readonly bytes: Uint8Array
  from: number
  to: number
}

/** Bytes without a gap. */
class Run {
  end: number
  readonly blocks: Block[] = []

  constructor(start: number) {
    this.end = start
  }

  append(piece: Uint8Array): void {
    let rest = piece
    while (rest.length > 0) {
      let last = this.blocks.at(-1)
      if (last === undefined || last.to === last.bytes.length) {
        const isLarge = last !== undefined || rest.length > SMALL_BLOCK_BYTES
        last = { bytes: Buffer.allocUnsafeSlow(isLarge ? BLOCK_BYTES : SMALL_BLOCK_BYTES), from: 0, to: 0 }
        this.blocks.push(last)
      }
      const part = rest.subarray(0, last.bytes.length - last.to)
      last.bytes.set(part, last.to)
      last.to += part.length
      rest = rest.subarray(part.length)
    }
    this.end += piece.length
  }
}

export class ReceivedBytes {
  /** How far it was read. */
  read = 0
  readonly #front = new Run(0)
  /** When a stream moves to another lane its later bytes may overtake the earlier ones; there is never more than one gap. */
  #ahead: { readonly start: number; readonly run: Run } | null = null

  /** Bytes that can be read now. */
  get available(): number {
    return this.#front.end - this.read
  }

  /** Where the next byte without a gap belongs. */
  get end(): number {
    return this.#front.end
  }

  /** @returns false for bytes that an honest peer does not send: twice, or with a second gap */
  push(offset: number, piece: Uint8Array): boolean {
    if (offset === this.#front.end) {
      if (this.#ahead !== null && offset + piece.length > this.#ahead.start) return false
      this.#front.append(piece)
      return this.#close()
    }
    if (offset < this.#front.end) return false
    this.#ahead ??= { start: offset, run: new Run(offset) }
    if (offset !== this.#ahead.run.end) return false
    this.#ahead.run.append(piece)
    return true
  }

  /** Bytes that come in order and go straight to a reader: they are not kept. @returns as `push` */
  pass(count: number): boolean {
    if (this.available > 0) return false
    this.read += count
    this.#front.end += count
    if (this.#ahead !== null && this.#front.end > this.#ahead.start) return false
    return this.#close()
  }

  /** @returns how many bytes were put into `into` */
  take(into: Uint8Array): number {
    let filled = 0
    const { blocks } = this.#front
    let block = blocks[0]
    while (block !== undefined && filled < into.length) {
      const part = block.bytes.subarray(block.from, Math.min(block.to, block.from + into.length - filled))
      copyBytes(part, into, filled)
      filled += part.length
      block.from += part.length
      if (block.from === block.to) blocks.shift()
      block = blocks[0]
    }
    this.read += filled
    return filled
  }

  /** Nobody will read the rest. */
  discard(): void {
    this.#front.blocks.length = 0
    this.read = this.#front.end
    this.#ahead = null
  }

  /** Joins what came ahead once the gap is filled. */
  #close(): true {
    const ahead = this.#ahead
    if (ahead === null || ahead.start !== this.#front.end) return true
    this.#front.blocks.push(...ahead.run.blocks)
    this.#front.end = ahead.run.end
    this.#ahead = null
    return true
  }
}
