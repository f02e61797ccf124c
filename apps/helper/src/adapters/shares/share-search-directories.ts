import { foldName } from '@harddrive-party/protocol'
import { sizeKeyOf, timeKeyOf } from '../../core/punch/search-order.ts'
import { BLOCK_ROWS, NOBODY } from './share-directories.ts'
import { NameRanker, indexWithin } from './share-search-names.ts'
import type { Search, SearchedShare } from './share-search.ts'

/**
 * The directories of one share in one search: it offers those that are results themselves, and knows which words are in the path of each, for the
 * files in them.
 */
export class SearchedDirectories {
  readonly #share: SearchedShare
  readonly #search: Search
  readonly #base: number | undefined
  readonly #ranker: NameRanker
  /** Bit by bit which words are in its path below the base. */
  readonly masks: Uint32Array
  /** Whether its files are searched at all. */
  readonly isInside: Uint8Array
  /** The mask of all words. */
  readonly all: number
  /** Words that are in the path of some directory. */
  found = 0

  /** @param base where the search starts; undefined = with the share itself */
  constructor(share: SearchedShare, search: Search, base: number | undefined) {
    this.#share = share
    this.#search = search
    this.#base = base
    this.#ranker = new NameRanker(search.query)
    this.masks = new Uint32Array(share.table.count)
    this.isInside = new Uint8Array(share.table.count)
    this.all = 2 ** search.words.length - 1
  }

  *run(): Generator<void> {
    const { table, root } = this.#share
    const own = new Uint32Array(table.count)
    for (const [number, block] of table.blocks.entries()) {
      for (const [bit, word] of this.#search.words.entries()) markHits(block.folded, block.foldedEnds, word, 1 << bit, own, number * BLOCK_ROWS)
      yield
    }
    // The share's own name is not in the table, since it may be called something else tomorrow.
    const rootName = foldName(root.name)
    own[0] = this.#search.query.words.reduce((mask, word, bit) => (rootName.includes(word) ? mask | (1 << bit) : mask), 0)
    const { masks, isInside } = this
    for (let id = 0; id < table.count; id++) {
      if (!table.isLive(id)) continue
      const parent = table.parent(id)
      if (id === this.#base) isInside[id] = 1
      else if (parent === NOBODY ? this.#base === undefined : isInside[parent] === 1) {
        isInside[id] = 1
        masks[id] = (own[id] ?? 0) | (parent === NOBODY ? 0 : (masks[parent] ?? 0))
        this.found |= masks[id] ?? 0
        if (masks[id] === this.all) this.#offer(id, own[id] === this.all, rootName)
      }
      if (id % BLOCK_ROWS === 0) yield
    }
  }

  /** @param isInName all words are in its own name */
  #offer(id: number, isInName: boolean, rootName: string): void {
    const { query, offer, mayEnter } = this.#search
    const { table } = this.#share
    const size = table.size(id)
    const mtime = table.mtime(id)
    if (size < query.minSize || size > query.maxSize || query.extensions.length > 0 || !mayEnter(isInName ? 0 : 4, size, mtime)) return
    if (query.types.length > 0 && !query.types.includes('folder')) return
    const block = table.blocks[Math.floor(id / BLOCK_ROWS)]
    if (block === undefined) return
    const text = id === 0 ? Buffer.from(rootName) : block.folded
    const start = id === 0 ? 0 : (id % BLOCK_ROWS === 0 ? 0 : (block.foldedEnds[(id % BLOCK_ROWS) - 1] ?? 0)) + 1
    const end = id === 0 ? text.length : (block.foldedEnds[id % BLOCK_ROWS] ?? 0)
    if (this.#ranker.isExcluded(text, start, end)) return
    const rank = isInName ? this.#ranker.rank(text, start, end, 3) : 4
    if (rank === undefined) return
    offer({
      share: this.#share, directory: id, position: -1, size, mtime, rank, sizeKey: sizeKeyOf(size), timeKey: timeKeyOf(mtime), hash: table.hash(id),
    })
  }
}

/** Calls into the engine cost more than a look at the names, once a word is in many. */
const COMMON_HITS = 16

/** Sets a bit for each name that contains the word. @param ends of the names in the text */
function markHits(text: Buffer, ends: Uint32Array, word: Buffer, bit: number, into: Uint32Array, first: number): void {
  let entry = 0
  let hits = 0
  for (let at = text.indexOf(word); at !== -1;) {
    while (entry < ends.length && (ends[entry] ?? 0) <= at) entry++
    if (entry >= ends.length) return
    into[first + entry] = (into[first + entry] ?? 0) | bit
    const next = ends[entry] ?? text.length
    at = ++hits < COMMON_HITS ? text.indexOf(word, next) : indexWithin(text, next, text.length, word)
  }
}
