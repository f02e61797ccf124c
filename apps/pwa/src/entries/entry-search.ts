import { type Entry, type PeerFound, type PeerId, MAX_SEARCH_BYTES } from '@harddrive-party/protocol'
import type { ControlApi, ListArguments } from '@harddrive-party/protocol/control'
import { explain } from '../words.ts'

/** Searches several peers at once and merges what comes. Holds no state between searches. */

export type Found = PeerFound

export interface SearchedPeer {
  readonly peerId: PeerId
  readonly name: string
  readonly status: 'loading' | 'ready' | 'failed'
  readonly count: number
  /** There is more than is shown. */
  readonly cut: boolean
  readonly problem: string
}

/** Enough to find something; who needs more needs a better word. */
export const MAX_RESULTS_PER_PEER = 2000

/** A peer may answer with empty pages for ever; this many in all, and we stop listening. */
const MAX_PAGES_PER_PEER = 500
const PAGE_LIMIT = 200

/** @returns the term as it may be sent, or null when there is nothing to search for. */
export function searchTerm(text: string): string | null {
  const term = text.trim()
  if (term === '') return null
  return new TextEncoder().encode(term).length <= MAX_SEARCH_BYTES ? term : null
}

/** What is asked of each peer. */
export type SearchWish = Pick<ListArguments, 'sort'> & { readonly search: string }

export interface SearchListener {
  onFound(found: readonly Found[]): void
  onPeer(peer: SearchedPeer): void
}

/** Asks every peer at the same time; resolves when all have ended. Nothing is reported after `signal` aborts. */
export async function searchPeers(api: Pick<ControlApi, 'list'>, peers: readonly { readonly peerId: PeerId; readonly name: string }[], wish: SearchWish, listener: SearchListener, { signal }: { signal: AbortSignal }): Promise<void> {
  await Promise.all(peers.map((peer) => searchPeer(api, peer, wish, listener, signal)))
}

async function searchPeer(api: Pick<ControlApi, 'list'>, { peerId, name }: { readonly peerId: PeerId; readonly name: string }, wish: SearchWish, listener: SearchListener, signal: AbortSignal): Promise<void> {
  const seen = new Set<string>()
  let cursor: string | undefined
  const report = (status: SearchedPeer['status'], more: Partial<SearchedPeer> = {}) => {
    if (!signal.aborted) listener.onPeer({ peerId, name, status, count: seen.size, cut: false, problem: '', ...more })
  }
  report('loading')
  try {
    for (let pages = 0; pages < MAX_PAGES_PER_PEER; pages++) {
      const page = await api.list({ peerId, ...wish, recursive: true, limit: PAGE_LIMIT, ...(cursor === undefined ? {} : { cursor }) })
      if (signal.aborted) return
      const fresh: Entry[] = []
      for (const entry of page.entries) {
        if (seen.has(entry.path) || seen.size >= MAX_RESULTS_PER_PEER) continue
        seen.add(entry.path)
        fresh.push(entry)
      }
      if (fresh.length > 0) listener.onFound(fresh.map((entry) => ({ peerId, peerName: name, entry })))
      cursor = page.cursor
      if (cursor === undefined) return report('ready')
      if (seen.size >= MAX_RESULTS_PER_PEER) break
      report('loading')
    }
    report('ready', { cut: true })
  } catch (error) {
    report('failed', { problem: explain(error) })
  }
}

export function replacePeer(peers: readonly SearchedPeer[], peer: SearchedPeer): SearchedPeer[] {
  return peers.some(({ peerId }) => peerId === peer.peerId) ? peers.map((other) => (other.peerId === peer.peerId ? peer : other)) : [...peers, peer]
}
