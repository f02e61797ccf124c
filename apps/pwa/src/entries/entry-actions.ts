import { computed } from 'vue'
import type { Entry, PeerId } from '@harddrive-party/protocol'
import { lastPart } from '../format.ts'
import { isEnded, useHelper } from '../state/helper-store.ts'
import { useToasts } from '../state/toasts.ts'
import { useWishes } from '../state/wish-store.ts'
import { openInTab } from '../ui/open-in-tab.ts'

/** What can be done with somebody's entry, from a tree or from search results: download it, or look at it without keeping it. */
export function useEntryActions() {
  const helper = useHelper()
  const wishes = useWishes()
  const toasts = useToasts()

  /** Entries that are wanted or here already, by peer and path. */
  const known = computed(() => {
    const states = new Map<string, 'wanted' | 'done'>()
    for (const transfer of helper.transfers.values()) {
      if (transfer.state === 'done') states.set(keyOf(transfer.peerId, transfer.path), 'done')
      else if (!isEnded(transfer)) states.set(keyOf(transfer.peerId, transfer.path), 'wanted')
    }
    for (const wish of wishes.queued) states.set(keyOf(wish.peerId, wish.path), 'wanted')
    return states
  })

  async function download(peerId: PeerId, peerName: string, entry: Entry) {
    const name = lastPart(entry.path)
    await toasts.attempt(async () => {
      const where = await wishes.want({ peerId, peerName, path: entry.path, isDirectory: entry.isDirectory, size: entry.size })
      toasts.show(where === 'sent' ? `“${name}” is on its way.` : `“${name}” is on your wishlist until the helper is back.`)
    })
  }

  async function preview(peerId: PeerId, entry: Entry) {
    await toasts.attempt(() => openInTab(async () => (await helper.api.remoteFileUrl({ peerId, path: entry.path })).url))
  }

  return {
    download, preview,
    stateOf: (peerId: PeerId, path: string) => known.value.get(keyOf(peerId, path)) ?? null,
  }
}

function keyOf(peerId: string, path: string): string {
  return `${peerId}\n${path}`
}
