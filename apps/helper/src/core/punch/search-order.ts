/**
 * The one order of search results, and the cursors in it: better rank first, then larger, then newer, then by a hash of the path. It says nothing
 * about where an entry lies in an index, so a cursor stays good when the index changes. It reads no index and knows no words.
 */
export interface SearchPlace {
  /** SearchRank, or 0 for all where rank is not the order. */
  readonly rank: number
  readonly sizeKey: number
  readonly timeKey: number
  readonly hash: number
}

/** Sizes and times are compared about as finely as people see them; segments are sorted by the same keys. */
export function sizeKeyOf(size: number): number {
  return Math.fround(Math.max(0, size))
}

/** 2^38 steps of 8 ms: 69 years around now and more. */
export const MAX_TIME_KEY = 2 ** 38 - 1
const TIME_STEP_MS = 8

export function timeKeyOf(mtime: number): number {
  return Math.min(MAX_TIME_KEY, Math.max(0, Math.floor(mtime / TIME_STEP_MS)))
}

/** Negative: `a` comes first. */
export function compareSearchPlaces(a: SearchPlace, b: SearchPlace): number {
  return a.rank - b.rank || b.sizeKey - a.sizeKey || b.timeKey - a.timeKey || a.hash - b.hash
}

/** Newest first, whatever the rank. */
export function compareByTime(a: SearchPlace, b: SearchPlace): number {
  return b.timeKey - a.timeKey || b.sizeKey - a.sizeKey || a.rank - b.rank || a.hash - b.hash
}

/** Largest first, whatever the rank. */
export function compareBySize(a: SearchPlace, b: SearchPlace): number {
  return b.sizeKey - a.sizeKey || b.timeKey - a.timeKey || a.rank - b.rank || a.hash - b.hash
}

export function formatSearchCursor({ rank, sizeKey, timeKey, hash }: SearchPlace): string {
  return `q${[rank, sizeKey, timeKey, hash].map((number) => number.toString(36)).join('.')}`
}

const CURSOR = /^q([0-4])\.(0|[1-9a-z][0-9a-z]{0,10})\.(0|[1-9a-z][0-9a-z]{0,7})\.(0|[1-9a-z][0-9a-z]{0,6})$/

/** @returns undefined for what `formatSearchCursor` cannot have made */
export function parseSearchCursor(text: string): SearchPlace | undefined {
  const [, ...digits] = CURSOR.exec(text) ?? []
  if (digits.length === 0) return undefined
  const [rank = 0, sizeKey = 0, timeKey = 0, hash = 0] = digits.map((part) => Number.parseInt(part, 36))
  if (sizeKey > 2 ** 53 || sizeKey !== Math.fround(sizeKey) || timeKey > MAX_TIME_KEY || hash > 0xffff_ffff) return undefined
  return { rank, sizeKey, timeKey, hash }
}
