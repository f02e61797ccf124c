import type { SearchQuery, SearchRank } from '@harddrive-party/protocol'
import { isBoundary } from './share-signature.ts'

/**
 * What the protocol's `rankName` says, over folded names that lie as bytes in a long text: a search that looks at a million names makes no string of
 * any. Decides no order.
 */
export class NameRanker {
  readonly #words: readonly Uint8Array[]
  readonly #excluded: readonly Uint8Array[]
  readonly #typed: Uint8Array

  constructor({ words, excluded }: Pick<SearchQuery, 'words' | 'excluded'>) {
    this.#words = words.map((word) => Buffer.from(word))
    this.#excluded = excluded.map((word) => Buffer.from(word))
    this.#typed = Buffer.from(words.join(' '))
  }

  isExcluded(text: Uint8Array, start: number, end: number): boolean {
    for (const word of this.#excluded) if (indexWithin(text, start, end, word) !== -1) return true
    return false
  }

  /** @param worst ranks worse than this are of no interest @returns undefined when a word is not in the name, or for those */
  rank(text: Uint8Array, start: number, end: number, worst: number): Exclude<SearchRank, 4> | undefined {
    if (this.#words.length === 0) return 0
    // The phrase contains every word.
    if (startsAt(text, start, end, this.#typed)) {
      const rest = start + this.#typed.length
      return rest === end || isLastExtension(text, rest, end) ? 0 : 1
    }
    if (worst < 2) return undefined
    let isAtStarts = true
    for (const word of this.#words) {
      let at = indexWithin(text, start, end, word)
      if (at === -1) return undefined
      if (!isAtStarts) continue
      while (at !== -1 && at !== start && !isBoundary(text[at - 1] ?? 0)) at = indexWithin(text, at + 1, end, word)
      if (at !== -1) continue
      if (worst < 3) return undefined
      isAtStarts = false
    }
    return isAtStarts ? 2 : 3
  }
}

const DOT = 0x2e

/** A dot and no other. */
function isLastExtension(text: Uint8Array, start: number, end: number): boolean {
  if (text[start] !== DOT) return false
  for (let at = start + 1; at < end; at++) if (text[at] === DOT) return false
  return true
}

/** Where a word is in a part of a text; -1 if it is not. */
export function indexWithin(text: Uint8Array, start: number, end: number, word: Uint8Array): number {
  const first = word[0]
  const last = end - word.length
  for (let at = start; at <= last; at++) {
    if (text[at] !== first) continue
    let same = 1
    while (same < word.length && text[at + same] === word[same]) same++
    if (same === word.length) return at
  }
  return -1
}

export function startsAt(text: Uint8Array, at: number, end: number, word: Uint8Array): boolean {
  if (at + word.length > end) return false
  for (let i = 0; i < word.length; i++) if (text[at + i] !== word[i]) return false
  return true
}
