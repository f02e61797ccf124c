import { foldName } from './fold.ts'

/** The order in which people count: `Track 2` before `Track 10`, without regard to case and accents. The same on every machine. */

/** @returns negative when `a` comes first, 0 when they differ only in case, accents or leading zeros */
export function compareNatural(a: string, b: string): number {
  const left = naturalKey(a)
  const right = naturalKey(b)
  return left < right ? -1 : left > right ? 1 : 0
}

/**
 * What the engine's own comparison of strings puts into that order: for sorting many, each is looked at once. Names joined by line feeds may be
 * given at once; the keys come joined likewise.
 */
export function naturalKey(name: string): string {
  const folded = foldName(name)
  let key = ''
  let copied = 0
  // A loop over code units: several times as fast as a pattern and a function for each match.
  for (let at = 0; at < folded.length; at++) {
    if (!isDigit(folded.charCodeAt(at))) continue
    const first = at
    while (isDigit(folded.charCodeAt(at))) at++
    key += folded.slice(copied, first) + keyOfNumber(folded.slice(first, at))
    copied = at
  }
  return copied === 0 ? folded : key + folded.slice(copied)
}

function isDigit(unit: number): boolean {
  return unit >= 0x30 && unit <= 0x39
}

/** A number of fewer digits is the smaller one. The digit in front keeps numbers where digits are among other characters. */
function keyOfNumber(digits: string): string {
  let zeros = 0
  while (digits.charCodeAt(zeros) === 0x30) zeros++
  const length = Math.min(digits.length - zeros, MAX_LENGTH)
  return `0${String.fromCharCode(FIRST_LENGTH + length)}${zeros === 0 ? digits : digits.slice(zeros)}`
}

/** Lengths are written as characters that are neither digits nor line feeds. */
const FIRST_LENGTH = 0x100
const MAX_LENGTH = 0xffff - FIRST_LENGTH
