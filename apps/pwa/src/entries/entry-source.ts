import { type ListPage, type PeerId, CodedError, MAX_PAGE_ENTRIES } from '@harddrive-party/protocol'
import type { ControlApi } from '@harddrive-party/protocol/control'
import { formatMoment } from '../format.ts'
import { t } from '../i18n.ts'
import { MAX_SEEN_ENTRIES } from '../state/app-db.ts'
import type { Memory } from '../state/memory.ts'
import { explain } from '../words.ts'
import { type TreeNode, takePage } from './entry-tree.ts'

/** Fills a tree: from the peer while it is there, else from what this browser has seen. */
export interface EntrySource {
  readonly peerId: PeerId | null
  readonly api: Pick<ControlApi, 'list'>
  readonly memory: Pick<Memory, 'listing' | 'putListing'>
  /** Whether asking makes sense right now. */
  isLive(): boolean
}

/** Loads the next page of a folder into its node. Never rejects: the node says how it went. */
export async function loadPage(source: EntrySource, node: TreeNode, now: number): Promise<void> {
  if (node.status === 'loading') return
  node.status = 'loading'
  if (source.isLive()) {
    try {
      const page = await source.api.list({
        peerId: source.peerId, recursive: false, limit: MAX_PAGE_ENTRIES,
        ...(node.path === '' ? {} : { path: node.path }), ...(node.cursor === undefined ? {} : { cursor: node.cursor }),
      })
      const before = node.children.length
      takePage(node, page)
      node.seenAt = null
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

function isAway(error: unknown): boolean {
  return error instanceof CodedError && (error.code === 'closed' || error.code === 'offline' || error.code === 'connection-lost')
}

async function remember({ memory, peerId }: EntrySource, node: TreeNode, now: number): Promise<void> {
  const entries = node.children.slice(0, MAX_SEEN_ENTRIES + 1).flatMap((child) => child.entry ?? [])
  await memory.putListing(peerId ?? 'mine', node.path, entries, node.cursor === undefined, now).catch(() => undefined)
}

async function recall({ memory, peerId }: EntrySource, node: TreeNode): Promise<void> {
  const seen = await memory.listing(peerId ?? 'mine', node.path).catch(() => undefined)
  if (seen === undefined || node.children.length > 0) {
    node.status = 'failed'
    node.problem = t(seen === undefined ? 'entries.notSeen' : 'entries.restLater')
    return
  }
  takePage(node, { entries: seen.entries } satisfies ListPage)
  node.seenAt = seen.seenAt
  if (seen.cut) {
    node.status = 'failed'
    node.problem = t('entries.part', { moment: formatMoment(seen.seenAt) })
  }
}
