import { foldName } from './fold.ts'

/** The order in which people count: `Track 2` before `Track 10`, without regard to case and accents. The same on every machine. */

/** @returns negative when `a` comes first, 0 when they differ only in case, accents or leading zeros */
export function compareNatural(a: string, b: string): number {
  const left = foldName(a)
  const right = foldName(b)
  let i = 0
  let j = 0
  while (i < left.length && j < right.length) {
    if (isDigit(left.charCodeAt(i)) && isDigit(right.charCodeAt(j))) {
      const leftEnd = endOfDigits(left, i)
      const rightEnd = endOfDigits(right, j)
      const order = compareDigits(left.slice(i, leftEnd), right.slice(j, rightEnd))
      if (order !== 0) return order
      i = leftEnd
      j = rightEnd
    } else {
      const order = left.charCodeAt(i++) - right.charCodeAt(j++)
      if (order !== 0) return order
    }
  }
  return left.length - i - (right.length - j)
}

function isDigit(unit: number): boolean {
  return unit >= 0x30 && unit <= 0x39
}

function endOfDigits(text: string, from: number): number {
  let end = from
  while (end < text.length && isDigit(text.charCodeAt(end))) end++
  return end
}

/** As numbers of any length. */
function compareDigits(a: string, b: string): number {
  const left = a.replace(/^0+/u, '')
  const right = b.replace(/^0+/u, '')
  if (left.length !== right.length) return left.length - right.length
  return left < right ? -1 : left > right ? 1 : 0
}
