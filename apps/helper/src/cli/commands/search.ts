/**
 * Searches what all connected peers share, or one of them. A person sees what each peer finds as soon as it answers, its best first; in an order that
 * was asked for, or as JSON, it is one list of what all of them found. The same file is printed once.
 */
import { type FoundGroup, type PeerFound, type SearchOrder, MAX_PAGE_ENTRIES, mergeResults } from '@harddrive-party/protocol'
import type { PeerInfo } from '@harddrive-party/protocol/control'
import { type HelperSession, peerCalled } from '../helper-session.ts'
import { escapeName, formatBytes, formatTime } from '../text-format.ts'
import { displayName } from './peers.ts'

export interface SearchCommandOptions {
  readonly peer?: string
  /** Absent = as they come; best first with --json. */
  readonly sort?: SearchOrder
  /** Results in all. */
  readonly limit: number
}

export async function searchFiles(session: HelperSession, words: readonly string[], options: SearchCommandOptions): Promise<void> {
  const { api, output } = session
  const search = words.join(' ')
  const { peers } = await api.snapshot()
  const asked = options.peer === undefined ? peers.filter(({ state }) => state === 'connected') : [await peerCalled(session, options.peer)]
  if (asked.length === 0) output.note('Nobody is connected.')
  if (options.sort === undefined && !output.json) return printAsTheyCome(session, asked, search, options)
  const found: PeerFound[] = []
  await Promise.all(asked.map((peer) => searchPeer(session, peer, search, options, async (page) => {
    found.push(...page)
    return true
  })))
  for (const group of mergeResults(found, search, options.sort ?? 'rank').slice(0, options.limit)) await output.line(output.json ? jsonOf(group) : lineOf(group))
}

async function printAsTheyCome(session: HelperSession, asked: readonly PeerInfo[], search: string, options: SearchCommandOptions): Promise<void> {
  const { output } = session
  const printed = new Set<string>()
  let repeated = 0
  let turn = Promise.resolve()
  const print = async (page: readonly PeerFound[]) => {
    for (const group of mergeResults(page, search, 'rank')) {
      if (printed.size >= options.limit) return
      const key = keyOf(group)
      if (printed.has(key)) repeated++
      else {
        printed.add(key)
        await output.line(lineOf(group))
      }
    }
  }
  await Promise.all(asked.map((peer) => searchPeer(session, peer, search, options, async (page) => {
    // Pages of several peers come at once; their lines do not mix.
    turn = turn.then(() => print(page))
    await turn
    return printed.size < options.limit
  })))
  if (repeated > 0) output.note(`${repeated === 1 ? 'One of these is' : `${repeated} of these are`} at another peer too: --sort rank shows where.`)
}

/**
 * The best results of one peer, page by page. One that does not answer is said to, and does not spoil the others.
 * @param onPage whether more are wanted
 */
async function searchPeer(
  { api, output }: HelperSession, peer: PeerInfo, search: string, { sort, limit }: SearchCommandOptions, onPage: (page: readonly PeerFound[]) => Promise<boolean>,
): Promise<void> {
  let left = limit
  let cursor: string | undefined
  do {
    let found: PeerFound[]
    try {
      const page = await api.list({
        peerId: peer.peerId, recursive: true, search, limit: Math.min(MAX_PAGE_ENTRIES, left), ...(sort === 'size' || sort === 'date' ? { sort } : {}),
        ...(cursor === undefined ? {} : { cursor }),
      })
      found = page.entries.map((entry) => ({ peerId: peer.peerId, peerName: displayName(peer), entry }))
      cursor = page.cursor
    } catch (error) {
      output.note(`${displayName(peer)}: ${error instanceof Error ? error.message : String(error)}`)
      return
    }
    left -= found.length
    if (!(await onPage(found))) return
  } while (cursor !== undefined && left > 0)
}

/** As `mergeResults` tells files apart. */
function keyOf({ peerId, entry: { path, size, isDirectory } }: PeerFound): string {
  return isDirectory ? `${peerId}\n${path}` : `${path.slice(path.lastIndexOf('/') + 1)}\n${size}`
}

function jsonOf({ peerName, entry: { path, size, isDirectory, mtime }, also }: FoundGroup): string {
  return JSON.stringify({ peer: peerName, path, size, isDirectory, mtime, also: also.map((other) => ({ peer: other.peerName, path: other.entry.path })) })
}

function lineOf({ peerName, entry: { path, size, isDirectory, mtime }, also }: FoundGroup): string {
  const elsewhere = [...new Set(also.map((other) => other.peerName))].filter((name) => name !== peerName)
  const where = elsewhere.length === 0 ? '' : `  (also ${elsewhere.map(escapeName).join(', ')})`
  return `${formatBytes(size).padStart(8)}  ${formatTime(mtime).padEnd(16)}  ${escapeName(`${peerName}/${path}`)}${isDirectory ? '/' : ''}${where}`
}
