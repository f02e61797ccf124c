import { FILE_TYPES, type FileType, extensionOf, fileTypeOf } from './file-type.ts'
import { foldName } from './fold.ts'

/**
 * What the text of a search means, which entries it fits, and how well. Pure: a peer that is asked uses it on its index, and whoever asked several
 * peers uses it again to put their answers in one order.
 *
 *     beatles abbey            both words, in the name or in a folder's name above it, in any order
 *     "abbey road"             the words as they stand
 *     -live                    not in the name
 *     *.flac   ext:flac,mp3    the end of the name
 *     size:>10MB  size:1MB..2GB
 *     type:audio               audio, video, image, document or folder
 *
 * What is none of these is a word: there are no wrong searches.
 */
export interface SearchQuery {
  /** Folded, each once, in the order typed; all must fit. Phrases contain spaces. */
  readonly words: readonly string[]
  /** Folded; none may be in the name. */
  readonly excluded: readonly string[]
  /** Folded, without the dot; one must fit. Empty = any. */
  readonly extensions: readonly string[]
  readonly types: readonly SearchType[]
  /** Bytes, both inclusive. */
  readonly minSize: number
  readonly maxSize: number
}

export type SearchType = FileType | 'folder'

/** More words than anybody types; those after it are not looked at, so that an answer costs the same whatever is asked. */
export const MAX_SEARCH_WORDS = 16

const TOKEN = /(-?)(?:"([^"]*)"?|([^\s"]+))/gu
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 }
const SIZE = /^(\d{1,15}(?:\.\d{1,6})?)([kmgt]?)i?b?$/u

/** Never fails: what is not understood is searched for as it stands. */
export function parseSearch(text: string): SearchQuery {
  const words = new Set<string>()
  const excluded = new Set<string>()
  const extensions = new Set<string>()
  const types = new Set<SearchType>()
  let minSize = 0
  let maxSize = Number.MAX_SAFE_INTEGER
  for (const [, minus, phrase, plain = ''] of text.matchAll(TOKEN)) {
    const isExcluded = minus === '-'
    const filter = phrase === undefined && !isExcluded ? parseFilter(plain.toLowerCase()) : undefined
    if (filter === undefined) {
      for (const word of phrase === undefined ? wordsOf(plain) : [foldName(phrase).trim().replace(/\s+/gu, ' ')]) {
        if (word === '') continue
        if ((isExcluded ? excluded : words).size < MAX_SEARCH_WORDS) (isExcluded ? excluded : words).add(word)
      }
    } else if ('extensions' in filter) for (const extension of filter.extensions.slice(0, MAX_SEARCH_WORDS - extensions.size)) extensions.add(extension)
    else if ('type' in filter) types.add(filter.type)
    else {
      minSize = Math.max(minSize, filter.min)
      maxSize = Math.min(maxSize, filter.max)
    }
  }
  return { words: [...words], excluded: [...excluded], extensions: [...extensions], types: [...types], minSize, maxSize }
}

/** A star stands between words; dashes between spaces mean nothing. */
function wordsOf(text: string): string[] {
  return foldName(text).split(/[\s*]+/u).filter((word) => !/^-*$/u.test(word))
}

type Filter = { readonly extensions: readonly string[] } | { readonly type: SearchType } | { readonly min: number; readonly max: number }

/** @param token in lower case */
function parseFilter(token: string): Filter | undefined {
  const star = /^\*\.([^*.:/]+)$/u.exec(token)
  if (star?.[1] !== undefined) return { extensions: [foldName(star[1])] }
  const [, key, value = ''] = /^(ext|size|type):(.+)$/u.exec(token) ?? []
  if (key === 'ext') {
    const extensions = value.split(',').map((part) => foldName(part.replace(/^\*?\./u, ''))).filter((part) => part !== '')
    return extensions.length === 0 ? undefined : { extensions }
  }
  if (key === 'type') {
    const type = ([...FILE_TYPES, 'folder'] as const).find((known) => known === value)
    return type === undefined ? undefined : { type }
  }
  return key === 'size' ? parseSizes(value) : undefined
}

function parseSizes(value: string): { min: number; max: number } | undefined {
  const [, sign = '', rest = ''] = /^(>=|<=|>|<|=)?(.*)$/u.exec(value) ?? []
  const [from = '', to] = rest.split('..', 2)
  const low = parseSize(from)
  if (to !== undefined) {
    const high = parseSize(to)
    return sign !== '' || low === undefined || high === undefined ? undefined : { min: low, max: high }
  }
  if (low === undefined) return undefined
  switch (sign) {
    case '>':
      return { min: low + 1, max: Number.MAX_SAFE_INTEGER }
    case '<':
      return { min: 0, max: low - 1 }
    case '<=':
      return { min: 0, max: low }
    case '=':
      return { min: low, max: low }
    default:
      return { min: low, max: Number.MAX_SAFE_INTEGER }
  }
}

function parseSize(text: string): number | undefined {
  const [, number, unit = ''] = SIZE.exec(text) ?? []
  if (number === undefined) return undefined
  return Math.min(Number.MAX_SAFE_INTEGER, Math.floor(Number(number) * (UNITS[unit] ?? 1)))
}

/**
 * How well a name fits the words, best first:
 * 0 the name, with or without its extension, is what was typed; 1 it begins so; 2 every word is the start of a word in it; 3 every word is
 * somewhere in it; 4 some words are only in the folders above.
 */
export type SearchRank = 0 | 1 | 2 | 3 | 4

export interface SearchedEntry {
  readonly path: string
  readonly size: number
  readonly isDirectory: boolean
}

/** @param base folders down to here do not count @returns undefined for what does not fit */
export function rankEntry(query: SearchQuery, entry: SearchedEntry, base = ''): SearchRank | undefined {
  const slash = entry.path.lastIndexOf('/')
  const name = entry.path.slice(slash + 1)
  if (!fitsFilters(query, name, entry)) return undefined
  const folded = foldName(name)
  if (query.excluded.some((word) => folded.includes(word))) return undefined
  const rank = rankName(query, folded)
  if (rank !== undefined) return rank
  const above = foldName(entry.path.slice(base === '' ? 0 : base.length + 1, Math.max(slash, 0))).split('/')
  return query.words.every((word) => folded.includes(word) || above.some((part) => part.includes(word))) ? 4 : undefined
}

function fitsFilters({ extensions, types, minSize, maxSize }: SearchQuery, name: string, { size, isDirectory }: SearchedEntry): boolean {
  if (size < minSize || size > maxSize) return false
  if (extensions.length > 0 && (isDirectory || !extensions.includes(foldName(extensionOf(name))))) return false
  if (types.length === 0) return true
  const type = isDirectory ? 'folder' : fileTypeOf(name)
  return type !== undefined && types.includes(type)
}

/** @param folded a name @returns undefined when a word is not in it */
export function rankName({ words }: SearchQuery, folded: string): Exclude<SearchRank, 4> | undefined {
  if (words.length === 0) return 0
  if (!words.every((word) => folded.includes(word))) return undefined
  const typed = words.join(' ')
  if (folded.startsWith(typed)) {
    const rest = folded.slice(typed.length)
    return rest === '' || /^\.[^.]*$/u.test(rest) ? 0 : 1
  }
  return words.every((word) => startsWord(folded, word)) ? 2 : 3
}

function startsWord(folded: string, word: string): boolean {
  for (let at = folded.indexOf(word); at !== -1; at = folded.indexOf(word, at + 1)) if (at === 0 || isBoundary(folded.charCodeAt(at - 1))) return true
  return false
}

/** ASCII that is neither letter nor digit: everything else may be part of a word. */
function isBoundary(unit: number): boolean {
  return unit < 0x30 || (unit > 0x39 && unit < 0x61) || (unit > 0x7a && unit < 0x80)
}
