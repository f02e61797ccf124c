import { onScopeDispose, ref, shallowRef, watch, type Ref } from 'vue'
import type { PeerId } from '@harddrive-party/protocol'
import type { ControlApi } from '@harddrive-party/protocol/control'
import { type Found, type SearchWish, type SearchedPeer, replacePeer, searchPeers, searchTerm } from './entry-search.ts'

/** A search that follows the typing: waits for a pause, drops what is under way, and collects what streams in. */
const PAUSE_MS = 220

export function useSearch(api: Pick<ControlApi, 'list'>, text: Ref<string>, targets: () => readonly { readonly peerId: PeerId; readonly name: string }[], sort: () => SearchWish['sort'] = () => undefined) {
  const status = ref<'idle' | 'loading' | 'ready'>('idle')
  const found = shallowRef<readonly Found[]>([])
  const peers = shallowRef<readonly SearchedPeer[]>([])
  let running = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined

  function cancel() {
    clearTimeout(timer)
    running.abort()
  }

  async function run() {
    cancel()
    const term = searchTerm(text.value)
    found.value = []
    peers.value = []
    if (term === null) {
      status.value = 'idle'
      return
    }
    status.value = 'loading'
    running = new AbortController()
    const { signal } = running
    const order = sort()
    await searchPeers(api, targets(), { search: term, ...(order === undefined ? {} : { sort: order }) }, {
      onFound: (more) => {
        found.value = [...found.value, ...more]
      },
      onPeer: (peer) => {
        peers.value = replacePeer(peers.value, peer)
      },
    }, { signal })
    if (!signal.aborted) status.value = 'ready'
  }

  watch(text, () => {
    clearTimeout(timer)
    if (searchTerm(text.value) === null) void run()
    else {
      status.value = 'loading'
      timer = setTimeout(() => void run(), PAUSE_MS)
    }
  })
  onScopeDispose(cancel)

  return { status, found, peers, run }
}
