import { defineStore } from 'pinia'
import { computed, shallowReactive, shallowRef, ref } from 'vue'
import type { PeerId } from '@harddrive-party/protocol'
import { DEFAULT_LIMITS, NO_OFFERS, hasRole } from '@harddrive-party/protocol/control'
import type { AccessInfo, ControlApi, ControlChange, ControlSnapshot, DeviceRole, LimitsInfo, OffersInfo, PeerInfo, QueueInfo, Settings, ShareInfo, StatusInfo, TopicInfo, TransferInfo, UploadInfo, UploadPeerInfo, WishesInfo } from '@harddrive-party/protocol/control'
import { type HelperLink, type LinkStatus, type OpenSession, forwardingApi, openLink } from './link.ts'
import { type Memory, memoryInRam } from './memory.ts'

/** The helper as this app last heard of it: its state, live, and the door for asking it things. Every feature reads from here; none keeps a copy. */

/** Peers remembered for the offline view. */
const MAX_REMEMBERED_PEERS = 200

/** Peers change with every measured round trip; the offline view needs none of that. */
const REMEMBER_EVERY_MS = 2000

export const useHelper = defineStore('helper', () => {
  const link = ref<LinkStatus>('connecting')
  const everOpen = ref(false)
  /** Of this device. Until the helper has said so nothing looks forbidden; it decides anyway. */
  const role = ref<DeviceRole>('admin')
  const status = shallowRef<StatusInfo | null>(null)
  const settings = shallowRef<Settings | null>(null)
  const topics = shallowRef<readonly TopicInfo[]>([])
  const wishes = shallowRef<WishesInfo | null>(null)
  const queue = shallowRef<QueueInfo>({ paused: false, pausedPeers: [] })
  const offers = shallowRef<OffersInfo>(NO_OFFERS)
  const uploads = shallowRef<readonly UploadInfo[]>([])
  const uploadPeers = shallowRef<readonly UploadPeerInfo[]>([])
  const limits = shallowRef<LimitsInfo>({ settings: DEFAULT_LIMITS, peers: [], now: { up: null, down: null, rule: null } })
  const access = shallowRef<AccessInfo>({ groups: [], audiences: [] })
  const peers = shallowReactive(new Map<PeerId, PeerInfo>())
  const transfers = shallowReactive(new Map<string, TransferInfo>())
  const shares = shallowReactive(new Map<string, ShareInfo>())
  const listeners = new Set<(change: ControlChange) => void>()
  let memory: Memory = memoryInRam()
  let helperLink: HelperLink | null = null
  let attached: ControlApi | undefined

  const api = forwardingApi(() => helperLink?.api ?? attached)

  function takeSnapshot(snapshot: ControlSnapshot) {
    status.value = snapshot.status
    role.value = snapshot.role
    settings.value = snapshot.settings
    uploads.value = snapshot.uploads
    uploadPeers.value = snapshot.uploadPeers
    limits.value = snapshot.limits
    access.value = snapshot.access
    topics.value = snapshot.topics
    wishes.value = snapshot.wishes
    queue.value = snapshot.queue
    offers.value = snapshot.offers
    refill(peers, snapshot.peers, (peer) => peer.peerId)
    refill(transfers, snapshot.transfers, (transfer) => transfer.transferId)
    refill(shares, snapshot.shares, (share) => share.shareId)
    remember()
  }

  /** @returns unsubscribe */
  function onChange(listener: (change: ControlChange) => void): () => void {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  function takeChange(change: ControlChange) {
    for (const listener of listeners) listener(change)
    switch (change.type) {
      case 'status':
        status.value = change.status
        break
      case 'settings':
        settings.value = change.settings
        break
      case 'topics':
        topics.value = change.topics
        break
      case 'wishes':
        wishes.value = change.wishes
        break
      case 'upload-peers':
        uploadPeers.value = change.uploadPeers
        break
      case 'limits':
        limits.value = change.limits
        break
      case 'access':
        access.value = change.access
        break
      case 'queue':
        queue.value = change.queue
        break
      case 'offers':
        offers.value = change.offers
        break
      case 'uploads':
        uploads.value = change.uploads
        break
      case 'peer':
        peers.set(change.peer.peerId, change.peer)
        remember()
        break
      case 'peer-removed':
        peers.delete(change.peerId)
        remember()
        break
      case 'transfer':
        transfers.set(change.transfer.transferId, change.transfer)
        break
      case 'transfer-removed':
        transfers.delete(change.transferId)
        break
      case 'share':
        shares.set(change.share.shareId, change.share)
        break
      case 'share-removed':
        shares.delete(change.shareId)
        break
    }
  }

  let remembering: ReturnType<typeof setTimeout> | undefined
  /** At once, then no more often than a person could notice. Failing to remember is not worth a word to them. */
  function remember() {
    if (remembering !== undefined) return
    writePeers()
    remembering = setTimeout(() => {
      remembering = undefined
      writePeers()
    }, REMEMBER_EVERY_MS)
  }

  function writePeers() {
    memory.putPeers([...peers.values()].filter(isKnown).slice(0, MAX_REMEMBERED_PEERS)).catch(() => undefined)
  }

  /** Peers of an earlier visit, until the helper says who there is now. */
  async function recall() {
    const seen = await memory.peers().catch(() => [])
    if (link.value === 'open') return
    for (const peer of seen) if (!peers.has(peer.peerId)) peers.set(peer.peerId, asOffline(peer))
  }

  function become(next: LinkStatus) {
    link.value = next
    if (next === 'open') everOpen.value = true
    else {
      // Without the helper nobody is connected and nothing moves: say so instead of showing the last frame.
      for (const peer of peers.values()) {
        if (isKnown(peer)) peers.set(peer.peerId, asOffline(peer))
        else peers.delete(peer.peerId)
      }
      for (const transfer of transfers.values()) transfers.set(transfer.transferId, { ...transfer, bytesPerSecond: 0 })
      uploads.value = []
      uploadPeers.value = []
      topics.value = topics.value.map(({ topic }) => ({ topic, members: [] }))
    }
  }

  /** Starts the link; the app calls it once it is paired. @returns closes it. */
  function start(open: OpenSession, use: Memory): HelperLink {
    helperLink?.close()
    memory = use
    link.value = 'connecting'
    void recall()
    helperLink = openLink({ open, onStatus: become, listener: { onSnapshot: takeSnapshot, onChange: takeChange } })
    return helperLink
  }

  /** No helper knows this browser; whatever was seen before stays readable. */
  function stop(next: 'unpaired' | 'refused') {
    helperLink?.close()
    helperLink = null
    become(next)
  }

  /** For tests: a ready api without a link. */
  function attach(ready: ControlApi) {
    attached = ready
    become('open')
  }

  const isOpen = computed(() => link.value === 'open')

  function mayAs(needed: DeviceRole): boolean {
    return hasRole(role.value, needed)
  }

  const connectedPeers = computed(() => [...peers.values()].filter((peer) => peer.state === 'connected'))
  const askingPeers = computed(() => [...peers.values()].filter((peer) => peer.state === 'asks'))
  const activeTransfers = computed(() => [...transfers.values()].filter((transfer) => !isEnded(transfer)))

  function wake() {
    helperLink?.wake()
  }

  return {
    link, isOpen, everOpen, role, hasRole: mayAs, status, settings, uploads, uploadPeers, limits, access, topics, wishes, peers, transfers, shares, connectedPeers, askingPeers, activeTransfers, api,
    queue, offers,
    start, stop, attach, wake, takeSnapshot, takeChange, onChange,
  }
})

export function isEnded({ state }: Pick<TransferInfo, 'state'>): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled'
}

/** Not a stranger at the door or next to it. */
function isKnown({ state }: PeerInfo): boolean {
  return state !== 'asks' && state !== 'nearby'
}

/** How a peer looks when our own helper is away. */
export function asOffline(peer: PeerInfo): PeerInfo {
  const lasting = peer.state === 'away' || peer.state === 'blocked'
  return { ...peer, state: lasting ? peer.state : 'offline', path: null }
}

function refill<K, V>(map: Map<K, V>, values: readonly V[], keyOf: (value: V) => K) {
  const keep = new Set(values.map(keyOf))
  for (const key of map.keys()) if (!keep.has(key)) map.delete(key)
  for (const value of values) map.set(keyOf(value), value)
}
