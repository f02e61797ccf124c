/** Searches what all connected peers share, or one of them, and prints one list: best first, the same file once. */
import { type PeerFound, type SearchOrder, MAX_PAGE_ENTRIES, mergeResults } from '@harddrive-party/protocol'
import type { PeerInfo } from '@harddrive-party/protocol/control'
import { type HelperSession, peerCalled } from '../helper-session.ts'
import { escapeName, formatBytes, formatTime } from '../text-format.ts'
import { displayName } from './peers.ts'

export interface SearchCommandOptions {
  readonly peer?: string
  readonly sort: SearchOrder
  /** Results in all. */
  readonly limit: number
}

export async function searchFiles(session: HelperSession, words: readonly string[], options: SearchCommandOptions): Promise<void> {
  const { api, output } = session
  const search = words.join(' ')
  const { peers } = await api.snapshot()
  const asked = options.peer === undefined ? peers.filter(({ state }) => state === 'connected') : [await peerCalled(session, options.peer)]
  if (asked.length === 0) output.note('Nobody is connected.')
  const found = await Promise.all(asked.map((peer) => searchPeer(session, peer, search, options)))
  for (const { peerName, entry, also } of mergeResults(found.flat(), search, options.sort).slice(0, options.limit)) {
    const { path, size, isDirectory, mtime } = entry
    const elsewhere = [...new Set(also.map((other) => other.peerName))].filter((name) => name !== peerName)
    const line = output.json
      ? JSON.stringify({ peer: peerName, path, size, isDirectory, mtime, also: also.map((other) => ({ peer: other.peerName, path: other.entry.path })) })
      : `${formatBytes(size).padStart(8)}  ${formatTime(mtime).padEnd(16)}  ${escapeName(`${peerName}/${path}`)}${isDirectory ? '/' : ''}${elsewhere.length === 0 ? '' : `  (also ${elsewhere.map(escapeName).join(', ')})`}`
    await output.line(line)
  }
}

/** The best results of one peer. One that does not answer is said to, and does not spoil the others. */
async function searchPeer({ api, output }: HelperSession, peer: PeerInfo, search: string, { sort, limit }: SearchCommandOptions): Promise<PeerFound[]> {
  const found: PeerFound[] = []
  let cursor: string | undefined
  try {
    do {
      const page = await api.list({
        peerId: peer.peerId, recursive: true, search, limit: Math.min(MAX_PAGE_ENTRIES, limit - found.length), ...(sort === 'size' || sort === 'date' ? { sort } : {}),
        ...(cursor === undefined ? {} : { cursor }),
      })
      for (const entry of page.entries) found.push({ peerId: peer.peerId, peerName: displayName(peer), entry })
      cursor = page.cursor
    } while (cursor !== undefined && found.length < limit)
  } catch (error) {
    output.note(`${displayName(peer)}: ${error instanceof Error ? error.message : String(error)}`)
  }
  return found
}
