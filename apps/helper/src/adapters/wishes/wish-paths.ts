import { type SharePath, compareTreeOrder } from '@harddrive-party/protocol'
import type { WishPage, WishRecord } from '../../core/wishes/wish.ts'
import { isWithin } from '../../core/wishes/wish-choices.ts'

/** Finds a file or folder among the pages of a wish, which are in tree order. Reads a few pages, changes none. */

/** @param path below the wish's path @returns whether there is such a file, or something in such a folder */
export function findInPages({ id, base, pages }: WishRecord, path: SharePath, pageOf: (id: string, number: number) => WishPage | undefined): boolean {
  let [low, high] = [base, pages - 1]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    const first = pageOf(id, middle)?.rows[0]?.remote
    if (first !== undefined && compareTreeOrder(first as SharePath, path) <= 0) low = middle
    else high = middle - 1
  }
  // What is in a folder may begin on the page after.
  return [low, low + 1].some((number) => number < pages && pageOf(id, number)?.rows.some(({ remote }) => isWithin(remote, path)) === true)
}
