/**
 * The order of trees. It reads no index and touches no file.
 *
 * Tree order: two paths are compared part by part, each part bytewise in UTF-8; a directory comes right before its contents. Files and directories
 * of one directory are mixed. Children are listed in the same order, so a recursive listing is a depth-first walk of plain ones.
 * (`compareTreeOrder` of the protocol says the same of whole paths.)
 */

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
