import { COLUMNS, SIGNATURE, type ShareIndexTables, TEXT, indexKey } from './share-index-tables.ts'
import type { SegmentSource } from './share-search-segment.ts'

/**
 * Reads the parts of search segments without making memory for each: a search goes through tens of megabytes, and new memory for them would cost
 * more than looking at them.
 */
export class SegmentReader {
  readonly #tables: ShareIndexTables
  #text: Buffer = Buffer.alloc(0)

  constructor(tables: ShareIndexTables) {
    this.#tables = tables
  }

  segment(generation: number, number: number): SegmentSource {
    return {
      signature: () => this.#view(indexKey(generation, number, SIGNATURE)),
      text: () => {
        const view = this.#view(indexKey(generation, number, TEXT))
        if (view === undefined) return undefined
        if (this.#text.length < view.length) this.#text = Buffer.allocUnsafeSlow(Math.ceil(view.length * 1.25))
        view.copy(this.#text)
        return this.#text.subarray(0, view.length)
      },
      columns: () => this.#view(indexKey(generation, number, COLUMNS)),
    }
  }

  /** Gives the memory back. */
  clear(): void {
    this.#text = Buffer.alloc(0)
  }

  /** Where the database puts whatever it reads next, too. */
  #view(key: Buffer): Buffer | undefined {
    const bytes = this.#tables.segments.getBinaryFast(key)
    // Its own view of it is longer than the value.
    return bytes === undefined ? undefined : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }
}
