import { sizeKeyOf, timeKeyOf } from '../../core/punch/search-order.ts'
import { hashBytes } from './share-directories.ts'
import type { SearchedDirectories } from './share-search-directories.ts'
import { NameRanker, indexWithin, startsAt } from './share-search-names.ts'
import type { Search, SearchedShare } from './share-search.ts'
import { SegmentBuilder, SegmentColumns } from './share-segment.ts'
import { SegmentSignature, isBoundary } from './share-signature.ts'

/**
 * The files of one segment in one search. Whether it can have a result at all its signature says. Rare words are found with the engine's own search
 * over the text; once a word turns out to be in many names, byte by byte, which costs the same however many there are. Since large files come first
 * and the results kept are known, most of what a common word finds is left out after a look at one byte.
 */
export interface SegmentSource {
  /** Valid until anything else is read. */
  signature(): Buffer | undefined
  /** Valid until another segment's is read. */
  text(): Buffer | undefined
  /** Valid until anything else is read. */
  columns(): Buffer | undefined
}

/** Hits of a word in a segment after which it counts as common. */
const COMMON_HITS = 128
/** Common hits after which it is worked out anew what may still become a result. */
const HITS_PER_LOOK = 16
const LINE_FEED = 0x0a
const DOT = 0x2e
/** No results of this rank or better are looked for any more. */
const NO_RANK = -1

const NO_COLUMNS = new SegmentColumns(new SegmentBuilder().take().columns)

export class SegmentSearch {
  readonly #share: SearchedShare
  readonly #search: Search
  readonly #below: SearchedDirectories
  readonly #ranker: NameRanker
  /** Words as typed. */
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
    this.#ranker = new NameRanker(search.query)
    this.#typed = Buffer.from(search.query.words.join(' '))
    this.#extensions = search.query.extensions.map((extension) => Buffer.from(`.${extension}`))
  }

  run(number: number, source: SegmentSource): void {
    const { words } = this.#search
    const bytes = source.signature()
    if (bytes === undefined) return
    const signature = new SegmentSignature(bytes)
    if (!this.#mayFit(signature)) return
    // Words that no directory has in its path: a file's own name must have them.
    const { found } = this.#below
    let possible = 0
    for (const [bit, word] of words.entries()) if (signature.mayContain(word)) possible |= 1 << bit
    const mayBeNames = possible === this.#below.all
    const mayBePaths = found !== 0 && (possible | found) === this.#below.all
    if (!mayBeNames && !mayBePaths) return
    // The name can only begin with what was typed, or have all words at starts of its words, if there are such starts.
    this.#bestRank = !words.every((word) => signature.mayStart(word)) ? 3 : signature.mayBegin(this.#typed) ? 0 : 2
    // A segment's first entry is the largest.
    const { worst } = this.#search.best
    const least = mayBeNames ? this.#bestRank : 4
    if (worst !== undefined && this.#search.sort === 'rank' && (least > worst.rank || (least === worst.rank && sizeKeyOf(signature.largest) < worst.sizeKey))) return
    const text = source.text()
    if (text === undefined) return
    const columns = source.columns()
    if (columns === undefined) return
    this.#number = number
    this.#text = text
    this.#columns = new SegmentColumns(columns)
    this.#ends = this.#columns.ends
    if (words.length === 0) this.#takeAll()
    else if (mayBeNames) this.#findInNames()
    if (mayBePaths) this.#findInPaths(possible)
  }

  #mayFit(signature: SegmentSignature): boolean {
    const { query, typeCodes } = this.#search
    if (signature.largest < query.minSize || signature.smallest > query.maxSize) return false
    if (query.types.length > 0 && ![...typeCodes].some((code) => signature.hasType(code))) return false
    return query.extensions.length === 0 || query.extensions.some((extension) => signature.mayHaveExtension(extension))
  }

  #takeAll(): void {
    for (let i = 0; i < this.#columns.count; i++) {
      if (this.#isOver(0, i)) return
      this.#consider(i, 0)
    }
  }

  #findInNames(): void {
    const word = this.#rarest()
    if (word === undefined) return
    const most = this.#worstRank(0)
    if (most < this.#bestRank) return
    if (most < 2) {
      this.#findBeginnings(0)
      return
    }
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
      if (this.#isTooSmall(i)) return
      this.#consider(i, 0)
      from = ends[i] ?? text.length
    }
  }

  /** The word that first appears last, which is a good guess. @returns undefined when one of them is not in the text at all */
  #rarest(): Buffer | undefined {
    let rarest: Buffer | undefined
    let last = -1
    for (const word of this.#search.words) {
      const at = this.#text.indexOf(word)
      if (at === -1) return undefined
      if (at > last) {
        last = at
        rarest = word
      }
    }
    return rarest
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
        this.#findBeginnings(entryAt(ends, at))
        return
      }
      if (rank > most || !startsAt(text, at, text.length, word)) continue
      while ((ends[i] ?? Infinity) <= at) i++
      // It only ever falls, so an old one costs a look and no result.
      if (--untilLook <= 0) {
        untilLook = HITS_PER_LOOK
        if (this.#isTooSmall(i)) return
        most = this.#worstRank(i)
        if (most < this.#bestRank) return
        if (rank > most) continue
      }
      // Here it may be in the middle of a word, and further on at the start of one.
      this.#consider(i, this.#bestRank)
      at = (ends[i] ?? text.length) - 1
    }
  }

  /** Only names that begin with what was typed. @param from the first of them */
  #findBeginnings(from: number): void {
    const text = this.#text
    const ends = this.#ends
    const typed = this.#typed
    const [first = 0] = typed
    let start = this.#start(from)
    let most = this.#worstRank(from)
    let untilLook = HITS_PER_LOOK
    for (let i = from; i < ends.length; i++) {
      const end = ends[i] ?? 0
      const at = start
      start = end + 1
      if (text[at] !== first || !startsAt(text, at, end, typed)) continue
      // By now only those that are what was typed, but for an extension.
      if (most === 0 && text[at + typed.length] !== DOT && at + typed.length !== end) continue
      this.#consider(i, 0)
      if (--untilLook > 0) continue
      untilLook = HITS_PER_LOOK
      if ((most = this.#worstRank(i)) === NO_RANK || this.#isTooSmall(i)) return
    }
  }

  /** The worst rank with which this entry, or one behind it, may still become a result: entries behind it are smaller or older. */
  #worstRank(i: number): number {
    const { best, sort } = this.#search
    const { worst } = best
    if (worst === undefined || sort === 'date') return 3
    if (sort === 'size') return this.#mayEnter(0, i) ? 3 : NO_RANK
    return Math.min(3, this.#mayEnter(worst.rank, i) ? worst.rank : worst.rank - 1)
  }

  /** Whether an entry of this rank at best could still become a result. */
  #mayEnter(rank: number, i: number): boolean {
    return this.#search.mayEnter(rank, this.#columns.size(i), this.#columns.mtime(i))
  }

  /** Whether neither this entry nor one behind it can become a result any more. @param rank at best */
  #isOver(rank: number, i: number): boolean {
    return this.#search.sort !== 'date' && (this.#isTooSmall(i) || !this.#mayEnter(rank, i))
  }

  /** Sizes are in order but for what they are rounded. */
  #isTooSmall(i: number): boolean {
    return sizeKeyOf(this.#columns.size(i)) < sizeKeyOf(this.#search.query.minSize)
  }

  /** Files whose path has words that their name has not. @param possible words that may be in names here */
  #findInPaths(possible: number): void {
    if (this.#isOver(4, 0)) return
    const { masks, found } = this.#below
    const { count } = this.#columns
    let known = 0
    const inNames = new Uint32Array(count)
    for (const [index, word] of this.#search.words.entries()) {
      const bit = 1 << index
      const hits = (possible & bit) === 0 ? [] : this.#fewHits(word)
      if (hits === undefined) continue
      if ((found & bit) === 0) {
        // Nothing else can fit.
        for (const i of hits) this.#considerPath(i)
        return
      }
      known |= bit
      for (const i of hits) inNames[i] = (inNames[i] ?? 0) | bit
    }
    for (let i = 0; i < count; i++) {
      const mask = masks[this.#columns.directory(i)] ?? 0
      if (mask === 0 || (known & ~(mask | (inNames[i] ?? 0))) !== 0) continue
      if (this.#isOver(4, i)) return
      this.#considerPath(i)
    }
  }

  /** The entries whose names have a word; undefined if they are many. */
  #fewHits(word: Buffer): number[] | undefined {
    const hits: number[] = []
    for (let at = this.#text.indexOf(word); at !== -1; at = this.#text.indexOf(word, this.#ends[hits.at(-1) ?? 0])) {
      if (hits.length === COMMON_HITS) return undefined
      hits.push(entryAt(this.#ends, at))
    }
    return hits
  }

  #considerPath(i: number): void {
    if (!this.#mayEnter(4, i) || !this.#fits(i)) return
    const mask = this.#below.masks[this.#columns.directory(i)] ?? 0
    if (mask === 0) return
    const start = this.#start(i)
    const end = this.#ends[i] ?? 0
    let isAllInName = true
    for (const [bit, word] of this.#search.words.entries()) {
      if (indexWithin(this.#text, start, end, word) !== -1) continue
      if ((mask & (1 << bit)) === 0) return
      isAllInName = false
    }
    // Those were found by their names.
    if (!isAllInName && !this.#ranker.isExcluded(this.#text, start, end)) this.#offer(i, 4)
  }

  /** @param rank at best */
  #consider(i: number, rank: number): void {
    if (!this.#mayEnter(rank, i) || !this.#fits(i)) return
    const start = this.#start(i)
    const end = this.#ends[i] ?? 0
    if (this.#ranker.isExcluded(this.#text, start, end)) return
    const found = this.#ranker.rank(this.#text, start, end, this.#worstRank(i))
    if (found !== undefined && this.#mayEnter(found, i)) this.#offer(i, found)
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
    return this.#extensions.some((extension) => end - extension.length > start && startsAt(this.#text, end - extension.length, end, extension))
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
