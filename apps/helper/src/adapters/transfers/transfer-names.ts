import { setImmediate as nextTurn } from 'node:timers/promises'
import type { WishPage, WishRecord } from '../../core/wishes/wish.ts'

/** Finds what of a transfer is called otherwise here than at its source. Reads only what it is handed, page by page, and lets others in between. */

/** @returns paths here by paths there, both below the transfer's own */
export async function renamedFiles({ pages, isDirectory }: WishRecord, pageOf: (number: number) => WishPage | undefined): Promise<Map<string, string>> {
  const renamed = new Map<string, string>()
  // A single file has its name in the transfer's target.
  if (isDirectory !== true) return renamed
  for (let number = 0; number < pages; number++) {
    const page = pageOf(number)
    for (const [index, { remote, local }] of page?.rows.entries() ?? []) {
      const name = page?.names.get(index)
      const put = name === undefined ? local : local.slice(0, local.lastIndexOf('/') + 1) + name
      if (put !== remote) renamed.set(remote, put)
    }
    await nextTurn()
  }
  return renamed
}
