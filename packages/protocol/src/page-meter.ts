import type { Entry } from './entry.ts'
import { MAX_CURSOR_BYTES, MAX_PAGE_ENTRIES, MAX_PAGE_FRAME_BYTES } from './limits.ts'
import { utf8Length } from './text.ts'

/** Tells a server when the page it is filling is full. It estimates from above and encodes nothing. */

/** The map, its keys and two heads, and a cursor of full length. */
const OVERHEAD_BYTES = 64 + MAX_CURSOR_BYTES
/** Beside the path: the list's head, the path's head, two numbers of nine bytes and a flag. */
const ENTRY_OVERHEAD_BYTES = 1 + 3 + 9 + 9 + 1

/** Most bytes that an entry takes in a page. */
export function entryWireBytes(entry: Entry): number {
  return ENTRY_OVERHEAD_BYTES + utf8Length(entry.path)
}

export class PageMeter {
  readonly #maxEntries: number
  #entries = 0
  #bytes = OVERHEAD_BYTES

  /** @param maxEntries the limit that was asked for */
  constructor(maxEntries: number) {
    this.#maxEntries = Math.min(maxEntries, MAX_PAGE_ENTRIES)
  }

  /** Counts an entry in if the page has room for it. @returns false = end the page before this entry */
  admit(entry: Entry): boolean {
    const bytes = this.#bytes + entryWireBytes(entry)
    if (this.#entries === this.#maxEntries || bytes > MAX_PAGE_FRAME_BYTES) return false
    this.#bytes = bytes
    this.#entries += 1
    return true
  }
}
