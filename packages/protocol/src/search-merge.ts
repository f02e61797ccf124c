import type { Entry } from './entry.ts'
import { compareNatural } from './natural-order.ts'
import type { PeerId } from './peer-id.ts'
import { parseSearch, rankEntry } from './search-query.ts'

/** Makes one list of what several peers found: the same file once, in the order asked for. Pure. */

/** A result, and whose it is. */
export interface PeerFound {
  readonly peerId: PeerId
  readonly peerName: string
  readonly entry: Entry
}

/** One file or folder, wherever it is: a file of the same name and size is taken for the same. */
export interface FoundGroup extends PeerFound {
  /** At whom else it is. */
  readonly also: readonly PeerFound[]
}

export const SEARCH_ORDERS = ['rank', 'name', 'size', 'date', 'peer'] as const
export type SearchOrder = (typeof SEARCH_ORDERS)[number]

interface Ranked extends PeerFound {
  readonly rank: number
}

/** @param term what was searched for, to rank by what all names are, whoever sent them */
export function mergeResults(found: readonly PeerFound[], term: string, order: SearchOrder): readonly FoundGroup[] {
  const query = parseSearch(term)
  const groups = new Map<string, Ranked[]>()
  for (const one of found) {
    const { entry } = one
    // Folders of one name may hold anything: each stands for itself.
    const key = entry.isDirectory ? `${one.peerId}\n${entry.path}` : `${nameOf(entry.path)}\n${entry.size}`
    // A peer with another idea of what fits is believed, and comes last.
    const ranked = { ...one, rank: rankEntry(query, entry) ?? WORST_RANK }
    const same = groups.get(key)
    if (same === undefined) groups.set(key, [ranked])
    else same.push(ranked)
  }
  const merged = [...groups.values()].map((same) => {
    const [best, ...also] = same.toSorted(byRank)
    if (best === undefined) throw new TypeError('a group has somebody in it')
    return { ...best, also }
  })
  return merged.sort(COMPARE[order])
}

const WORST_RANK = 5

function byRank(a: Ranked, b: Ranked): number {
  return a.rank - b.rank || b.entry.size - a.entry.size || b.entry.mtime - a.entry.mtime || byName(a, b)
}

function byName(a: Ranked, b: Ranked): number {
  return compareNatural(nameOf(a.entry.path), nameOf(b.entry.path)) || compareNatural(a.entry.path, b.entry.path)
}

const COMPARE: Record<SearchOrder, (a: Ranked, b: Ranked) => number> = {
  rank: byRank,
  name: byName,
  size: (a, b) => b.entry.size - a.entry.size || byRank(a, b),
  date: (a, b) => b.entry.mtime - a.entry.mtime || byRank(a, b),
  peer: (a, b) => compareNatural(a.peerName, b.peerName) || byRank(a, b),
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
