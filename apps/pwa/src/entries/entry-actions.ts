import { computed, shallowRef } from 'vue'
import type { Entry, PeerId } from '@harddrive-party/protocol'
import { lastPart } from '../format.ts'
import { isolate, t } from '../i18n.ts'
import { isEnded, useHelper } from '../state/helper-store.ts'
import { useToasts } from '../state/toasts.ts'
import { useWishes } from '../state/wish-store.ts'
import { useViewer } from '../features/viewer/viewer-store.ts'
import { openInTab } from '../ui/open-in-tab.ts'
import { previewKind } from '../ui/preview-kind.ts'

/** What can be done with somebody's entry, or looked at of my own (`peerId` null), from a tree or from search results: download it, or look at it without keeping it. */
export function useEntryActions() {
  const helper = useHelper()
  const wishes = useWishes()
  const toasts = useToasts()
  const viewer = useViewer()

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

  /** The folder whose download is being looked at beforehand. */
  const looking = shallowRef<{ readonly peerId: PeerId; readonly peerName: string; readonly entry: Entry } | null>(null)

  async function download(peerId: PeerId, peerName: string, entry: Entry, follow = false) {
    const name = lastPart(entry.path)
    await toasts.attempt(async () => {
      const where = await wishes.want({ peerId, peerName, path: entry.path, isDirectory: entry.isDirectory, size: entry.size })
      if (follow) await followLatest(peerId, entry.path)
      toasts.show(t(where === 'sent' ? 'entries.onItsWay' : 'entries.wished', { name: isolate(name) }))
    })
  }

  /** The wish was taken just now: its transfer is the one that has not ended. */
  async function followLatest(peerId: PeerId, path: string) {
    const { transfers } = await helper.api.snapshot()
    const taken = transfers.find((transfer) => transfer.peerId === peerId && transfer.path === path && transfer.endedAt === null)
    if (taken !== undefined) await helper.api.followTransfer({ transferId: taken.transferId, follow: true })
  }

  async function preview(peerId: PeerId | null, entry: Entry, peerName = '') {
    if (entry.isDirectory) {
      if (peerId === null) return
      looking.value = { peerId, peerName, entry }
      return
    }
    if (previewKind(lastPart(entry.path)) !== null) viewer.openRemote(peerId, peerName === '' && peerId !== null ? (helper.peers.get(peerId)?.name ?? '') : peerName, entry)
    else await toasts.attempt(() => openInTab(async () => (await helper.api.remoteFileUrl({ peerId, path: entry.path })).url))
  }

  return {
    download, preview, looking,
    downloadLooked(follow: boolean) {
      const looked = looking.value
      looking.value = null
      if (looked !== null) void download(looked.peerId, looked.peerName, looked.entry, follow)
    },
    stateOf: (peerId: PeerId, path: string) => known.value.get(keyOf(peerId, path)) ?? null,
  }
}

function keyOf(peerId: string, path: string): string {
  return `${peerId}\n${path}`
}
