import type { Entry } from '@harddrive-party/protocol'

/**
 * Keeps what comes next in directories that somebody pages through in an order of their own, so that not every page has to look at every entry.
 * It knows nothing of the orders.
 */

/** An entry, and what it is compared by. */
export interface Sorted {
  /** Smaller comes first; all of one order are of one type. */
  readonly key: string | number
  /** Which entry of the directory it is, in the order of the index. */
  readonly position: number
  readonly name: string
  readonly entry: Omit<Entry, 'path'>
}

/** Some of an order, without a gap. */
export interface SortedWindow {
  /** The first item is the one that comes next after this. */
  readonly after: Pick<Sorted, 'key' | 'name'>
  readonly items: readonly Sorted[]
  /** Nothing comes after the last one. */
  readonly isWhole: boolean
}

/** Sixteen pages of the largest size; about 4 MB. */
export const WINDOW_ENTRIES = 16_384
/** People who page through large directories at the same time; with more of them, pages are made as the first one is. */
const MAX_WINDOWS = 3
/** Whoever scrolls asks again within seconds. */
const KEEP_MS = 30_000

export class SortedWindows {
  /** The one that was used last is the last one. */
  readonly #kept = new Map<string, SortedWindow>()
  #timer: NodeJS.Timeout | undefined

  /**
   * @param key of a directory as it is now and an order
   * @param use undefined where the window does not help
   */
  find<T>(key: string, use: (window: SortedWindow) => T | undefined): T | undefined {
    const window = this.#kept.get(key)
    const found = window === undefined ? undefined : use(window)
    if (window !== undefined && found !== undefined) this.keep(key, window)
    return found
  }

  keep(key: string, window: SortedWindow): void {
    this.#kept.delete(key)
    this.#kept.set(key, window)
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_WINDOWS) break
      this.#kept.delete(oldest)
    }
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.clear(), KEEP_MS)
    this.#timer.unref()
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#kept.clear()
  }
}
