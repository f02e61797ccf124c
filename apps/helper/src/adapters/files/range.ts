/** Reads the Range header of a request (RFC 9110, 14). One range only: several, or what is no range, count as none, as the RFC allows. */

/** A header that names more digits than any file has. */
const RANGE = /^bytes=(\d{0,15})-(\d{0,15})$/

/** @param size of the whole file @returns bytes [start, end) */
export function parseRange(header: string | undefined, size: number): { readonly start: number; readonly end: number } | 'none' | 'unsatisfiable' {
  const [, first, last] = RANGE.exec(header ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'none'
  if (first === '') {
    // The last n bytes.
    const count = Number(last)
    return count === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(0, size - count), end: size }
  }
  const start = Number(first)
  const end = last === '' ? size : Math.min(Number(last) + 1, size)
  if (last !== '' && Number(last) < start) return 'none'
  return start >= size ? 'unsatisfiable' : { start, end }
}
