import { rankName } from '@harddrive-party/protocol'
import { sizeKeyOf, timeKeyOf } from '../core/search-order.ts'
import { hashBytes } from './share-directories.ts'
import { type SearchedDirectories, markHits } from './share-search-directories.ts'
import type { Search, SearchedShare } from './share-search.ts'
import { SegmentBuilder, SegmentColumns, isBoundary } from './share-segment.ts'

/**
 * The files of one segment in one search. Rare words are found with the engine's own search over the text; once a word turns out to be in many
 * names, byte by byte, which costs the same however many there are. Since large files come first and the results kept are known, most of what a
 * common word finds is left out after a look at one byte.
 */

/** Hits of a word in a segment after which it counts as common. */
const COMMON_HITS = 128
/** Common hits after which it is worked out anew what may still become a result. */
const HITS_PER_LOOK = 16
const LINE_FEED = 0x0a
/** No results of this rank or better are looked for any more. */
const NO_RANK = -1

const NO_COLUMNS = new SegmentColumns(new SegmentBuilder().take().columns)

export class SegmentSearch {
  readonly #share: SearchedShare
  readonly #search: Search
  readonly #below: SearchedDirectories
  /** Words as typed, with what is before every name: finds all names that begin so. */
  readonly #typed: Buffer
  readonly #extensions: readonly Buffer[]
  #number = 0
  /** No name here has a better one. */
  #bestRank = 0
  #text: Buffer = Buffer.alloc(0)
  #columns: SegmentColumns = NO_COLUMNS
  #ends: Uint32Array = new Uint32Array()

  constructor(share: SearchedShare, search: Search, below: SearchedDirectories) {
    this.#share = share
    this.#search = search
    this.#below = below
    this.#typed = Buffer.from(`\n${search.query.words.join(' ')}`)
    this.#extensions = search.query.extensions.map((extension) => Buffer.from(`.${extension}`))
  }

  /** @param columns read only when something was found */
  run(number: number, text: Buffer, columns: () => Buffer | undefined): void {
    const { words } = this.#search
    const inName = this.#rarest(words, text)
    const inPath = this.#below.found === 0 ? null : this.#rarest(this.#onlyInNames(), text)
    if (inName === null && inPath === null) return
    const bytes = columns()
    if (bytes === undefined) return
    this.#number = number
    this.#text = text
    this.#columns = new SegmentColumns(bytes)
    this.#ends = this.#columns.ends
    // The name can only begin with what was typed, or have all words at starts of its words, if there are such starts.
    this.#bestRank = words.every((word) => this.#columns.mayStart(word)) ? 0 : 3
    if (inName === undefined) this.#takeAll()
    else if (inName !== null) this.#findInNames(inName)
    if (inPath !== null && this.#columns.count > 0) this.#findInPaths(inPath)
  }

  /** Words that no directory has in its path: a file's own name must have them. */
  #onlyInNames(): readonly Buffer[] {
    return this.#search.words.filter((_, bit) => (this.#below.found & (1 << bit)) === 0)
  }

  /** The word that first appears last, which is a good guess. @returns undefined for no words, null when one of them is not in the text at all */
  #rarest(words: readonly Buffer[], text: Buffer): Buffer | undefined | null {
    let rarest: Buffer | undefined
    let last = -1
    for (const word of words) {
      const at = text.indexOf(word)
      if (at === -1) return null
      if (at > last) {
        last = at
        rarest = word
      }
    }
    return rarest
  }

  #takeAll(): void {
    for (let i = 0; i < this.#columns.count; i++) {
      if (this.#search.sort !== 'date' && !this.#canEnter(0, i)) return
      this.#consider(i, 0)
    }
  }

  #findInNames(word: Buffer): void {
    const text = this.#text
    const ends = this.#ends
    let hits = 0
    let from = 0
    for (let at = text.indexOf(word); at !== -1; at = text.indexOf(word, from)) {
      if (++hits > COMMON_HITS) {
        this.#findCommon(word, from)
        return
      }
      const i = entryAt(ends, at)
      this.#consider(i, 0)
      from = ends[i] ?? text.length
    }
  }

  /** @param from where to begin: the end of a name */
  #findCommon(word: Buffer, from: number): void {
    const text = this.#text
    const ends = this.#ends
    const [first = 0, second = LINE_FEED] = word
    const isLong = word.length > 1
    const last = text.length - word.length
    let i = entryAt(ends, from)
    let most = this.#worstRank(i)
    if (most < this.#bestRank) return
    let untilLook = HITS_PER_LOOK
    for (let at = from; at <= last; at++) {
      if (text[at] !== first || (isLong && text[at + 1] !== second)) continue
      const before = text[at - 1] ?? LINE_FEED
      const rank = this.#bestRank === 3 ? 3 : before === LINE_FEED ? 0 : isBoundary(before) ? 2 : 3
      if (rank > most && most < 2) {
        // Only names that begin with what was typed are of interest by now.
        this.#findPrefixes(at)
        return
      }
      if (rank > most || !startsAt(text, word, at)) continue
      while ((ends[i] ?? Infinity) <= at) i++
      // It only ever falls, so an old one costs a look and no result.
      if (--untilLook <= 0) {
        untilLook = HITS_PER_LOOK
        most = this.#worstRank(i)
        if (most < this.#bestRank) return
        if (rank > most) continue
      }
      this.#consider(i, rank)
      at = (ends[i] ?? text.length) - 1
    }
  }

  #findPrefixes(from: number): void {
    for (let at = this.#text.indexOf(this.#typed, from); at !== -1; at = this.#text.indexOf(this.#typed, at + 1)) {
      const i = entryAt(this.#ends, at)
      if (this.#worstRank(i) === NO_RANK) return
      this.#consider(i, 0)
    }
  }

  /** The worst rank with which this entry, or one behind it, may still become a result: entries behind it are smaller or older. */
  #worstRank(i: number): number {
    const { best, sort } = this.#search
    const { worst } = best
    if (worst === undefined || sort === 'date') return 3
    if (sort === 'size') return this.#canEnter(0, i) ? 3 : NO_RANK
    return Math.min(3, this.#canEnter(worst.rank, i) ? worst.rank : worst.rank - 1)
  }

  /** Whether an entry of this rank at best could still become a result. */
  #canEnter(rank: number, i: number): boolean {
    const { best, sort } = this.#search
    const { worst } = best
    if (worst === undefined) return true
    const sizeKey = sizeKeyOf(this.#columns.size(i))
    const timeKey = timeKeyOf(this.#columns.mtime(i))
    if (sort === 'date') return timeKey >= worst.timeKey
    if (sort === 'rank' && rank !== worst.rank) return rank < worst.rank
    return sizeKey > worst.sizeKey || (sizeKey === worst.sizeKey && timeKey >= worst.timeKey)
  }

  /** Files whose path has words that their name has not. @param word one that the name must have; undefined = none must */
  #findInPaths(word: Buffer | undefined): void {
    const { masks, isInside } = this.#below
    if (word === undefined) {
      let names: Uint32Array | undefined
      for (let i = 0, looked = 0; i < this.#columns.count; i++) {
        const directory = this.#columns.directory(i)
        const mask = masks[directory] ?? 0
        if (mask === 0 || isInside[directory] === 0) continue
        if (this.#search.sort !== 'date' && !this.#canEnter(4, i)) return
        // Often a few are enough; only for the rest is it worth knowing which names have which words.
        if (++looked > COMMON_HITS) names ??= this.#wordsInNames()
        if (names !== undefined && (mask | (names[i] ?? 0)) !== this.#below.all) continue
        this.#considerPath(i)
      }
      return
    }
    for (let at = this.#text.indexOf(word); at !== -1;) {
      const i = entryAt(this.#ends, at)
      if (this.#search.sort !== 'date' && !this.#canEnter(4, i)) return
      if (masks[this.#columns.directory(i)] !== 0) this.#considerPath(i)
      at = this.#text.indexOf(word, this.#ends[i])
    }
  }

  /** Bit by bit which words are in each name, of the words that are missing in the path of any; the others count as there. */
  #wordsInNames(): Uint32Array {
    const { masks, all } = this.#below
    let missing = 0
    for (let i = 0; i < this.#columns.count; i++) {
      const mask = masks[this.#columns.directory(i)] ?? 0
      if (mask !== 0) missing |= all & ~mask
    }
    const found = new Uint32Array(this.#columns.count).fill(all & ~missing)
    for (const [bit, word] of this.#search.words.entries()) if ((missing & (1 << bit)) !== 0) markHits(this.#text, this.#ends, word, 1 << bit, found, 0)
    return found
  }

  #considerPath(i: number): void {
    if (!this.#fits(i)) return
    const { query } = this.#search
    const mask = this.#below.masks[this.#columns.directory(i)] ?? 0
    const name = this.#name(i)
    if (query.excluded.some((word) => name.includes(word))) return
    let isAllInName = true
    for (const [bit, word] of query.words.entries()) {
      if (name.includes(word)) continue
      if ((mask & (1 << bit)) === 0) return
      isAllInName = false
    }
    // Those were found by their names.
    if (!isAllInName) this.#offer(i, 4)
  }

  /** @param rank at best */
  #consider(i: number, rank: number): void {
    if (!this.#canEnter(rank, i) || !this.#fits(i)) return
    const { query } = this.#search
    if (query.words.length === 0 && query.excluded.length === 0) {
      this.#offer(i, 0)
      return
    }
    const name = this.#name(i)
    if (query.excluded.some((word) => name.includes(word))) return
    const found = rankName(query, name)
    if (found !== undefined) this.#offer(i, found)
  }

  #name(i: number): string {
    return this.#text.toString('utf8', this.#start(i), this.#ends[i])
  }

  #start(i: number): number {
    return (i === 0 ? 0 : (this.#ends[i - 1] ?? 0)) + 1
  }

  /** Everything but words. */
  #fits(i: number): boolean {
    const { query, typeCodes } = this.#search
    const directory = this.#columns.directory(i)
    if (this.#below.isInside[directory] !== 1 || this.#share.table.since(directory) > this.#number) return false
    const size = this.#columns.size(i)
    if (size < query.minSize || size > query.maxSize) return false
    if (query.types.length > 0 && !typeCodes.has(this.#columns.typeCode(i))) return false
    if (this.#extensions.length === 0) return true
    const end = this.#ends[i] ?? 0
    const start = this.#start(i)
    // One byte of a name must be left before the dot.
    return this.#extensions.some((extension) => end - extension.length > start && startsAt(this.#text, extension, end - extension.length))
  }

  #offer(i: number, rank: number): void {
    const directory = this.#columns.directory(i)
    const size = this.#columns.size(i)
    const mtime = this.#columns.mtime(i)
    this.#search.offer({
      share: this.#share, directory, position: this.#columns.position(i), size, mtime, rank, sizeKey: sizeKeyOf(size), timeKey: timeKeyOf(mtime),
      hash: hashBytes(this.#share.table.hash(directory), this.#text, this.#start(i), this.#ends[i] ?? 0),
    })
  }
}

/** The entry that has the byte at this offset. */
function entryAt(ends: Uint32Array, offset: number): number {
  let low = 0
  let high = ends.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ends[middle] ?? 0) <= offset) low = middle + 1
    else high = middle
  }
  return low
}

function startsAt(text: Uint8Array, word: Uint8Array, at: number): boolean {
  for (let i = 0; i < word.length; i++) if (text[at + i] !== word[i]) return false
  return true
}
