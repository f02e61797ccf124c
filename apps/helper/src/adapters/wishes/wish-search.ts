import { CodedError, type Entry, type ListRequest, MAX_PAGE_ENTRIES, type PeerId, parseSearch, rankEntry } from '@harddrive-party/protocol'
import { distinctMatches, matchKeyOf } from '../../core/wishes/wish-match.ts'
import type { NetworkApi } from '../../network/network-api.ts'

/** Looks for what a search wish wants among all that one peer shares, and believes only what fits. Remembers nothing. */
export interface WishSearch {
  readonly peerId: PeerId
  readonly text: string
  /** Was found before. */
  readonly isKnown: (key: string) => boolean
}

/** Pages of one search. What is further down fits so badly that nobody would look at it. */
const MAX_PAGES = 300
/** Found anew in one search; the rest in the next one. */
const MAX_FOUND = 1_000

/** @throws CodedError as `NetworkApi.list` @returns what is new; `more`: there is more of it */
export async function searchForWish(
  network: Pick<NetworkApi, 'list'>, { peerId, text, isKnown }: WishSearch, { signal }: { signal: AbortSignal },
): Promise<{ readonly entries: readonly Entry[]; readonly more: boolean }> {
  const query = parseSearch(text)
  const found: Entry[] = []
  let news = 0
  // A folder that was found before still stands for everything in it.
  const outcome = (more: boolean) => ({ entries: distinctMatches(found).filter((entry) => !isKnown(matchKeyOf(entry))), more })
  let cursor: string | undefined
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    if (signal.aborted) throw new CodedError('aborted', 'stopped')
    const request: ListRequest = { search: text, recursive: true, limit: MAX_PAGE_ENTRIES, ...(cursor === undefined ? {} : { cursor }) }
    const page = await network.list({ peerId, request })
    for (const entry of page.entries) {
      if (rankEntry(query, entry) === undefined) continue
      const isNew = !isKnown(matchKeyOf(entry))
      if (!isNew && !entry.isDirectory) continue
      if (isNew && ++news > MAX_FOUND) return outcome(true)
      found.push(entry)
    }
    cursor = page.cursor
    if (cursor === undefined) break
  }
  return outcome(false)
}
