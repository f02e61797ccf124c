import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import { type Entry, MAX_PAGE_ENTRIES, type PeerId, parentOf } from '@harddrive-party/protocol'
import type { TransferInfo } from '@harddrive-party/protocol/control'
import { lastPart } from '../../format.ts'
import { useHelper } from '../../state/helper-store.ts'
import { type PreviewKind, previewKind } from '../../ui/preview-kind.ts'

/** What is being looked at, and what lies beside it in its folder. Nothing of it is kept. */

export type ViewerSource =
  | { readonly type: 'remote'; /** Null = I share it. */ readonly peerId: PeerId | null; readonly peerName: string; readonly entry: Entry }
  | { readonly type: 'done'; readonly transfer: TransferInfo; readonly path?: string }

export interface ViewerItem {
  readonly key: string
  readonly name: string
  readonly kind: PreviewKind
  readonly source: ViewerSource
}

/** Of a folder, so much is gone through; who has more pictures in one folder sees the first of them. */
const MAX_PAGES = 5

export const useViewer = defineStore('viewer', () => {
  const helper = useHelper()
  const items = shallowRef<readonly ViewerItem[]>([])
  const index = ref(-1)
  const item = computed(() => items.value[index.value] ?? null)

  function show(first: ViewerItem, beside: () => Promise<readonly ViewerItem[]>) {
    items.value = [first]
    index.value = 0
    void beside().then((found) => {
      // Closed meanwhile, or something else is looked at.
      if (item.value?.key !== first.key) return
      const at = found.findIndex(({ key }) => key === first.key)
      if (at === -1) return
      items.value = found
      index.value = at
    }, () => undefined)
  }

  function openRemote(peerId: PeerId | null, peerName: string, entry: Entry) {
    const first = remoteItem(peerId, peerName, entry)
    if (first === null) return
    const folder = parentOf(entry.path)
    show(first, async () => {
      const found: ViewerItem[] = []
      let cursor: string | undefined
      if (folder === undefined) return found
      for (let page = 0; page < MAX_PAGES; page++) {
        const answer = await helper.api.list({ peerId, path: folder, recursive: false, sort: 'name', limit: MAX_PAGE_ENTRIES, ...(cursor === undefined ? {} : { cursor }) })
        found.push(...answer.entries.flatMap((one) => remoteItem(peerId, peerName, one) ?? []))
        cursor = answer.cursor
        if (cursor === undefined) break
      }
      return found
    })
  }

  /** @param path of a file in a folder that was downloaded */
  function openDone(transfer: TransferInfo, path?: string) {
    const first = doneItem(transfer, path)
    if (first === null) return
    show(first, async () => {
      const found: ViewerItem[] = []
      let cursor: string | undefined
      if (path === undefined) return found
      for (let page = 0; page < MAX_PAGES; page++) {
        const answer = await helper.api.transferFiles({ transferId: transfer.transferId, limit: MAX_PAGE_ENTRIES, ...(cursor === undefined ? {} : { cursor }) })
        found.push(...answer.files.flatMap((file) => (file.state === 'done' ? (doneItem(transfer, file.path) ?? []) : [])))
        cursor = answer.cursor
        if (cursor === undefined) break
      }
      return found
    })
  }

  return {
    items, index, item, openRemote, openDone,
    /** @param kinds only to one of these @returns whether there is one */
    go(step: 1 | -1, kinds?: readonly PreviewKind[]): boolean {
      for (let at = index.value + step; at >= 0 && at < items.value.length; at += step) {
        const next = items.value[at]
        if (next === undefined || (kinds !== undefined && !kinds.includes(next.kind))) continue
        index.value = at
        return true
      }
      return false
    },
    close() {
      items.value = []
      index.value = -1
    },
    /** An address that its content can be read from, range by range. */
    async addressOf({ source }: ViewerItem): Promise<string> {
      if (source.type === 'remote') return (await helper.api.remoteFileUrl({ peerId: source.peerId, path: source.entry.path })).url
      const { transfer: { transferId }, path } = source
      return (await helper.api.downloadedFileUrl({ transferId, ...(path === undefined ? {} : { path }) })).url
    },
    textOf({ source }: ViewerItem) {
      if (source.type === 'remote') return helper.api.previewText({ peerId: source.peerId, path: source.entry.path })
      const { transfer: { transferId }, path } = source
      return helper.api.previewText({ transferId, ...(path === undefined ? {} : { path }) })
    },
  }
})

function remoteItem(peerId: PeerId | null, peerName: string, entry: Entry): ViewerItem | null {
  const name = lastPart(entry.path)
  const kind = entry.isDirectory ? null : previewKind(name)
  return kind && { key: `${peerId ?? ''}\n${entry.path}`, name, kind, source: { type: 'remote', peerId, peerName, entry } }
}

function doneItem(transfer: TransferInfo, path: string | undefined): ViewerItem | null {
  const name = lastPart(path ?? transfer.path)
  const kind = previewKind(name)
  return kind && { key: `${transfer.transferId}\n${path ?? ''}`, name, kind, source: { type: 'done', transfer, ...(path === undefined ? {} : { path }) } }
}
