/**
 * The rules of listings: how names are folded for searching, which names a search term finds, the order of trees, and the form of cursors.
 * It reads no index and touches no file.
 *
 * Tree order: two paths are compared part by part, each part bytewise in UTF-8; a directory comes right before its contents. Files and directories
 * of one directory are mixed. Children are listed in the same order, so a recursive listing is a depth-first walk of plain ones.
 * (`compareTreeOrder` of the protocol says the same of whole paths.)
 */

/**
 * A name as searches see it: without regard to case, accents and compatibility forms (`Ærø` stays two letters, `Café` is `cafe`, `ﬁ` is `fi`).
 * Marks of scripts in which they carry the vowel or consonant (Devanagari, kana) are kept, since dropping them would merge different words.
 */
export function foldName(name: string): string {
  if (ASCII.test(name)) return name.toLowerCase()
  // Upper case, so that ß meets SS, and lower case before it, so that ẞ does too; the marks last, since lowering İ makes a new one. A final sigma is a sigma.
  return name.normalize('NFKD').toLowerCase().toUpperCase().toLowerCase().normalize('NFKD').replace(ACCENTS, '').replaceAll('ς', 'σ')
}

// oxlint-disable-next-line no-control-regex -- the whole of ASCII is meant
const ASCII = /^[\u0000-\u007f]*$/
/** Combining diacritics, and the points of Hebrew and Arabic, which are optional in writing. */
// oxlint-disable-next-line no-misleading-character-class -- single marks are meant
const ACCENTS = /[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]/g

/** The words of a search term, folded; a name must contain all of them, in any order. No words = everything matches. */
export function searchWords(term: string): string[] {
  const words = foldName(term).split(/\s+/u).filter((word) => word !== '')
  // The longest first: it rules out the most names.
  return [...new Set(words)].sort((a, b) => b.length - a.length)
}

/** @param folded from `foldName` @param words from `searchWords` */
export function matchesWords(folded: string, words: readonly string[]): boolean {
  return words.every((word) => folded.includes(word))
}

/** Bytewise in UTF-8, which is the order of code points; JavaScript's own order of UTF-16 units puts the astral planes before U+E000. */
export function comparePart(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const left = a.charCodeAt(i)
    const right = b.charCodeAt(i)
    if (left !== right) return orderKey(left) - orderKey(right)
  }
  return a.length - b.length
}

/** Moves surrogates above the rest of the basic plane: then unit order is code point order. */
function orderKey(unit: number): number {
  return unit < 0xd800 ? unit : unit >= 0xe000 ? unit - 0x800 : unit + 0x2000
}

/** Sorts names of one directory in tree order, in place. */
export function sortParts(names: string[]): string[] {
  // The engine's own comparison is several times faster and right for all names below the surrogates.
  const plain = names.every((name) => !ABOVE_SURROGATES.test(name))
  return plain ? names.sort() : names.sort(comparePart)
}

const ABOVE_SURROGATES = /[\ud800-\uffff]/

/**
 * Where a listing goes on. `positions` are entry numbers, one per directory from where the listing starts down to the one being walked;
 * empty = at the share's own entry. Bound to one generation of one share's index: numbers mean nothing in another.
 */
export interface ListCursor {
  readonly shareId: string
  readonly generation: number
  readonly positions: readonly number[]
}

export function formatCursor(cursor: ListCursor): string {
  return [cursor.shareId, cursor.generation.toString(36), ...cursor.positions.map((position) => position.toString(36))].join('.')
}

/** @param maxDepth how many positions a cursor may have @returns undefined for what `formatCursor` cannot have made */
export function parseCursor(text: string, maxDepth: number): ListCursor | undefined {
  if (!CURSOR.test(text)) return undefined
  const [shareId = '', generation = '', ...positions] = text.split('.')
  if (positions.length > maxDepth) return undefined
  const numbers = [generation, ...positions].map((digits) => Number.parseInt(digits, 36))
  if (!numbers.every((number) => number <= MAX_CURSOR_NUMBER)) return undefined
  return { shareId, generation: numbers[0] ?? 0, positions: numbers.slice(1) }
}

/** No quantifier meets another that can match the same text: linear on any input. */
const CURSOR = /^[0-9a-z]{1,32}(?:\.(?:0|[1-9a-z][0-9a-z]{0,6})){1,200}$/
/** Generations and positions are 32-bit numbers in the index. */
const MAX_CURSOR_NUMBER = 0xffff_ffff
