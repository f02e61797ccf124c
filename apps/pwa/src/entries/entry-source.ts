import { type Entry, type ListPage, type ListSort, type PeerId, CodedError, MAX_PAGE_ENTRIES, compareNatural } from '@harddrive-party/protocol'
import type { ControlApi } from '@harddrive-party/protocol/control'
import { formatMoment } from '../format.ts'
import { t } from '../i18n.ts'
import { MAX_SEEN_ENTRIES } from '../state/app-db.ts'
import type { Memory } from '../state/memory.ts'
import { explain } from '../words.ts'
import { type TreeNode, takePage } from './entry-tree.ts'

/** In which order a folder is shown; without a sort as it is shared. */
export interface ListOrder {
  readonly sort: Exclude<ListSort, 'rank'> | null
  /** Against the usual direction: names from A, the largest and the newest first. */
  readonly reverse: boolean
}

/** More in one folder would be too much for a page in a browser, and a stranger could go on for ever. */
export const MAX_FOLDER_ENTRIES = 2_000_000

/** A page may be empty while somebody's helper looks for more; this many one after the other are not. */
export const MAX_BARREN_PAGES = 50

/** Fills a tree: from the peer while it is there, else from what this browser has seen. */
export interface EntrySource {
  readonly peerId: PeerId | null
  readonly api: Pick<ControlApi, 'list'>
  readonly memory: Pick<Memory, 'listing' | 'putListing'>
  /** Whether asking makes sense right now. */
  isLive(): boolean
  order(): ListOrder
}

/** Loads the next page of a folder into its node. Never rejects: the node says how it went. */
export async function loadPage(source: EntrySource, node: TreeNode, now: number): Promise<void> {
  if (node.status === 'loading') return
  if (node.children.length >= MAX_FOLDER_ENTRIES) return fail(node, t('entries.listing.tooLong'))
  const order = source.order()
  node.status = 'loading'
  if (source.isLive()) {
    try {
      const page = await source.api.list({
        peerId: source.peerId, recursive: false, limit: MAX_PAGE_ENTRIES,
        ...(node.path === '' ? {} : { path: node.path }), ...(node.cursor === undefined ? {} : { cursor: node.cursor }),
        ...(order.sort === null ? {} : { sort: order.sort, reverse: order.reverse }),
      })
      const before = node.children.length
      takePage(node, page)
      node.seenAt = null
      if (node.cursor !== undefined && node.barren >= MAX_BARREN_PAGES) {
        node.barren = 0
        return fail(node, t('entries.listing.noEnd'))
      }
      // Later pages of a long folder are not kept, so writing again would change nothing.
      if (before < MAX_SEEN_ENTRIES) await remember(source, node, now)
      return
    } catch (error) {
      node.problem = explain(error)
      if (!isAway(error)) {
        node.status = 'failed'
        return
      }
    }
  }
  await recall(source, node)
}

function fail(node: TreeNode, problem: string): void {
  node.status = 'failed'
  node.problem = problem
}

function isAway(error: unknown): boolean {
  return error instanceof CodedError && (error.code === 'closed' || error.code === 'offline' || error.code === 'connection-lost')
}

async function remember({ memory, peerId }: EntrySource, node: TreeNode, now: number): Promise<void> {
  const entries = node.children.slice(0, MAX_SEEN_ENTRIES + 1).flatMap((child) => child.entry ?? [])
  await memory.putListing(peerId ?? 'mine', node.path, entries, node.cursor === undefined, now).catch(() => undefined)
}

async function recall({ memory, peerId, order }: EntrySource, node: TreeNode): Promise<void> {
  const seen = await memory.listing(peerId ?? 'mine', node.path).catch(() => undefined)
  if (seen === undefined || node.children.length > 0) {
    node.status = 'failed'
    node.problem = t(seen === undefined ? 'entries.notSeen' : 'entries.restLater')
    return
  }
  takePage(node, { entries: inOrder(seen.entries, order()) } satisfies ListPage)
  node.seenAt = seen.seenAt
  if (seen.cut) {
    node.status = 'failed'
    node.problem = t('entries.part', { moment: formatMoment(seen.seenAt) })
  }
}

function inOrder(entries: readonly Entry[], { sort, reverse }: ListOrder): readonly Entry[] {
  if (sort === null) return entries
  const compare = {
    name: (a: Entry, b: Entry) => Number(b.isDirectory) - Number(a.isDirectory) || compareNatural(a.path, b.path),
    size: (a: Entry, b: Entry) => b.size - a.size,
    date: (a: Entry, b: Entry) => b.mtime - a.mtime,
  }[sort]
  return entries.toSorted(reverse ? (a, b) => compare(b, a) : compare)
}
