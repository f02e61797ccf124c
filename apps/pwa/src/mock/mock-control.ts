import { mockActivity } from './mock-activity.ts'
import { mockAutostart } from './mock-autostart.ts'
import { type AnnounceCode, type PeerId, type SharePath, CodedError, fingerprint, formatAnnounceCode, formatAnnounceLink, keyHashOf } from '@harddrive-party/protocol'
import { CONTROL_METHODS, type ControlApi, type ControlChange, type ControlEvent, type DeviceRole, type PeerInfo, type PeerState, type Settings, type ShareInfo, type StatusInfo, type UploadInfo, type UploadPeerInfo, hasRole, roleFor } from '@harddrive-party/protocol/control'
import { type MockNode, filesBelow, folder, file, listTree, nodeAt } from './mock-library.ts'
import { type MockScenario, MY_ID, NEW_PEER_ID, makeWorld } from './mock-scenarios.ts'
import { checkArguments } from './mock-arguments.ts'
import { openMockDevices } from './mock-devices.ts'
import { openMockOffers } from './mock-offers.ts'
import { openMockQueue } from './mock-queue.ts'
import { openMockReach } from './mock-reach.ts'
import { openMockSharing } from './mock-sharing.ts'
import { openMockTransfers } from './mock-transfers.ts'
import { openMockVerify } from './mock-verify.ts'
import { openMockWishes } from './mock-wishes.ts'

/**
 * The whole ControlApi in memory, for looking at the app without a helper and for tests. Held to the same contract suite as the real helper.
 * Never part of a production build.
 */
export interface MockControl {
  readonly api: ControlApi
  /** As a control client has it: events come once `snapshot` has been called. */
  onEvent(listener: (event: ControlEvent) => void): () => void
  /** Lets transfers move on as if this much time had passed, in milliseconds. */
  advance(ms: number): void
  close(): void
}

const FREE_BYTES = 212_000_000_000

export function openMockControl(scenario: MockScenario = 'default'): MockControl {
  const world = makeWorld(scenario)
  const listeners = new Set<(event: ControlEvent) => void>()
  const activity = mockActivity((change) => emit(change))
  const peers = new Map(world.peers.map(({ info }) => [info.peerId, info]))
  const libraries = new Map(world.peers.map(({ info, shares }) => [info.peerId, shares]))
  const mine = new Map<string, { info: ShareInfo; node: MockNode }>()
  const startedAt = Date.now()
  let seq = 0
  let closed = false
  let codeNumber = 1
  let shareNumber = 0
  let settings: Settings = {
    askBeforeAccepting: false, downloadDirectory: '/home/robin/Downloads/harddrive-party', topics: world.topics, localDiscovery: true, portMapping: true, passMeOn: true,
    introductions: true, mqttBrokers: ['mqtts://broker.example:8883', 'mqtts://meet.example:8883'],
  }
  const devices = openMockDevices(startedAt)
  let uploads: readonly UploadInfo[] = []
  let uploadPeers: readonly UploadPeerInfo[] = []

  function emit(change: ControlChange) {
    seq += 1
    for (const listener of listeners) listener({ seq, ...change })
    wishes.onChange(change)
    activity.hear(change)
  }

  const { info: queueInfo, pauseOf, ...queue } = openMockQueue({
    emit,
    transfers: () => transfers,
    node: (id, path) => nodeAt(libraries.get(id) ?? [], path),
    mustKnow: knownPeer,
    mustBeHere: (id) => {
      if (knownPeer(id).state !== 'connected') throw new CodedError('offline', 'this peer is not connected')
    },
    directory: () => settings.downloadDirectory,
    freeBytes: FREE_BYTES,
  })
  const transfers = openMockTransfers({
    emit,
    node: (id, path) => nodeAt(libraries.get(id) ?? [], path),
    peer: (id) => peers.get(id),
    directory: () => settings.downloadDirectory,
    pauseOf,
  })

  const wishes = openMockWishes({
    emit,
    peers: () => [...peers.values()],
    search: (id, text) => (world.failing ? [] : listTree(libraries.get(id) ?? [], { search: text, recursive: true, limit: 50 }).entries.filter(({ isDirectory }) => !isDirectory)),
    download: (id, path, wishId, folder) => void transfers.add(id, path, wishId, { folder }),
    cancel: transfers.cancel,
    isRunning: (id) => transfers.all().some(({ transferId, state }) => transferId === id && !['done', 'failed', 'cancelled'].includes(state)),
  })

  const reach = openMockReach({
    strict: world.strict,
    emit,
    status,
    peers: () => [...peers.values()],
    settings: () => settings,
    setTopics: (topics) => {
      settings = { ...settings, topics }
    },
  })

  const sharing = openMockSharing({
    emit, knownPeer, ownShare,
    groups: world.peers.length < 2 ? [] : [{ groupId: 'family', name: 'Family', members: world.peers.slice(0, 2).map(({ info }) => info.peerId) }],
  })

  const offers = openMockOffers({ emit, knownPeer, asking: scenario === 'offers' ? world.peers[0]?.info : undefined })

  for (const node of world.shares) share(`/home/robin/${node.name}`, node)
  if (world.busy) startBusy()

  function startBusy() {
    const [first, second] = world.peers
    if (first === undefined || second === undefined) return
    transfers.add(first.info.peerId, 'Films/Sintel (2010).mkv' as SharePath, undefined, { start: 0.42 })
    transfers.add(first.info.peerId, 'Music/Lena Okafor' as SharePath, undefined, { start: 0.68 })
    transfers.add(second.info.peerId, 'Films/Super 8 transfers' as SharePath, undefined, { start: 0.1 })
    transfers.add(first.info.peerId, 'Photos/2026 Workshop' as SharePath, undefined, { start: 1 })
    const away = world.peers[3]
    if (away !== undefined) transfers.add(away.info.peerId, 'Music/Mixtape for the long drive.mp3' as SharePath, undefined, { start: 0.2 })
    uploads = [
      { peerId: first.info.peerId, peerName: first.info.name, path: 'Photos/2025 Azores/IMG_12.jpg' as SharePath, bytes: 3_100_000, bytesPerSecond: 4_100_000 },
      { peerId: second.info.peerId, peerName: second.info.name, path: 'Music/Mixtape for the long drive.mp3' as SharePath, bytes: 41_000_000, bytesPerSecond: 900_000 },
    ]
    uploadPeers = [
      { peerId: first.info.peerId, peerName: first.info.name, bytesPerSecond: 4_100_000, sending: 8, waiting: 0, place: null, limit: null, isLimited: false },
      { peerId: second.info.peerId, peerName: second.info.name, bytesPerSecond: 900_000, sending: 2, waiting: 6, place: 2, limit: 1_000_000, isLimited: true },
    ]
  }

  function share(directory: string, node: MockNode): ShareInfo {
    const shareId = `share-${++shareNumber}`
    const files = filesBelow(node)
    const taken = new Set([...mine.values()].map(({ info }) => info.name))
    let name = node.name
    for (let n = 2; taken.has(name); n++) name = `${node.name} (${n})`
    const info: ShareInfo = {
      shareId, name, directory, state: 'ready', files: files.length, directories: 1 + new Set(files.map(({ path }) => path.split('/').slice(0, -1).join('/'))).size,
      bytes: node.size, skipped: 0, scannedAt: Date.now(),
    }
    mine.set(shareId, { info, node: { ...node, name } })
    return info
  }

  function status(): StatusInfo {
    return {
      version: '0.1.0', peerId: MY_ID, name: 'Plucky Marten', natKind: world.strict ? 'random' : 'consistent', udp: { v4: 41641, v6: world.strict ? null : 41641 },
      addresses: ['192.168.1.20:41641', '198.51.100.7:41641'], network: 'ready', downloadDirectory: settings.downloadDirectory,
      freeBytes: FREE_BYTES, startedAt,
    }
  }

  function knownPeer(id: string): PeerInfo {
    const peer = peers.get(id as PeerInfo['peerId'])
    if (peer === undefined) throw new CodedError('not-found', 'there is no such peer')
    return peer
  }

  function setPeer(id: string, state: PeerState) {
    const path: PeerInfo['path'] = state === 'connected' ? { transport: 'quic', kind: 'lan', address: '192.168.1.23:41641', rttMs: 2.4 } : null
    const peer: PeerInfo = { ...knownPeer(id), state, path, lastError: null, lastSeenAt: Date.now() }
    peers.set(peer.peerId, peer)
    emit({ type: 'peer', peer })
  }

  function code() {
    const knockSecret = new Uint8Array(16).fill(codeNumber)
    const facts: AnnounceCode = { version: 1, name: 'Plucky Marten', keyHash: keyHashOf(MY_ID), knockSecret, addresses: [{ host: '192.168.1.20', port: 41641 }, { host: '198.51.100.7', port: 41641 }], natKind: 'consistent' }
    return { code: formatAnnounceCode(facts), link: formatAnnounceLink('http://127.0.0.1:3030/', facts) }
  }

  /** A file of a peer, or with null one of mine. */
  function fileAt(peerId: PeerId | null, path: SharePath): MockNode {
    if (peerId !== null) knownPeer(peerId)
    const node = nodeAt(peerId === null ? [...mine.values()].map((share) => share.node) : (libraries.get(peerId) ?? []), path)
    if (node === undefined || node.children !== null) throw new CodedError('not-found', 'there is no such file')
    return node
  }

  function mustWork() {
    if (world.failing) throw new CodedError('timed-out', 'no answer in time')
  }

  function ownShare(shareId: string) {
    const found = mine.get(shareId)
    if (found === undefined) throw new CodedError('not-found', 'there is no such share')
    return found
  }

  const methods: ControlApi = {
    snapshot: async () => ({
      seq, status: status(), peers: [...peers.values()], transfers: transfers.all(), uploads, shares: [...mine.values()].map(({ info }) => info), settings, topics: reach.topics(), queue: queueInfo(), offers: offers.info(), wishes: wishes.info(),
      uploadPeers, limits: sharing.limits(), access: sharing.access(), role: devices.role(),
    }),
    announceCode: async () => code(),
    async renewCode() {
      codeNumber += 1
      return code()
    },
    async connect({ code: text }) {
      if (text === code().code) throw new CodedError('bad-request', 'this is your own code')
      mustWork()
      if (!peers.has(NEW_PEER_ID)) {
        peers.set(NEW_PEER_ID, {
          peerId: NEW_PEER_ID, name: 'Sunny Gecko', fingerprint: fingerprint(NEW_PEER_ID), state: 'connected', lastError: null, lastSeenAt: null, path: null, sharedBytes: null,
        })
        libraries.set(NEW_PEER_ID, [folder('Recipes', [file('Plum cake.pdf', 120_000)])])
      }
      setPeer(NEW_PEER_ID, 'connected')
      return { peerId: NEW_PEER_ID, state: 'connected' }
    },
    disconnect: async ({ peerId }) => setPeer(peerId, 'away'),
    async reconnect({ peerId }) {
      if (knownPeer(peerId).state === 'blocked') throw new CodedError('blocked', 'this peer is blocked')
      mustWork()
      setPeer(peerId, 'connected')
    },
    async forget({ peerId }) {
      knownPeer(peerId)
      peers.delete(peerId)
      sharing.forget(peerId)
      emit({ type: 'peer-removed', peerId })
    },
    block: async ({ peerId }) => setPeer(peerId, 'blocked'),
    unblock: async ({ peerId }) => setPeer(peerId, 'offline'),
    async answerPeer({ peerId, accept }) {
      if (knownPeer(peerId).state !== 'asks') throw new CodedError('conflict', 'this peer is not asking')
      if (accept) return setPeer(peerId, 'connected')
      peers.delete(peerId)
      emit({ type: 'peer-removed', peerId })
    },
    async ping({ peerId }) {
      const { path } = knownPeer(peerId)
      if (path === null) throw new CodedError('offline', 'this peer is not connected')
      return { rttMs: path.rttMs ?? 1, path, packets: { sent: 120, lost: 0 } }
    },
    async list({ peerId, ...request }) {
      if (peerId === null) return listTree([...mine.values()].map(({ node }) => node), request)
      if (knownPeer(peerId).state !== 'connected') throw new CodedError('offline', 'this peer is not connected')
      mustWork()
      return listTree(libraries.get(peerId) ?? [], request)
    },
    async addShare({ directory, name, audience = 'everyone' }) {
      if ([...mine.values()].some(({ info }) => info.directory === directory)) throw new CodedError('conflict', 'this folder is shared already')
      const info = share(directory, folder(name ?? directory.slice(directory.lastIndexOf('/') + 1), [file('Hello.txt', 1200)]))
      sharing.setAudience(info.shareId, audience)
      emit({ type: 'share', share: info })
      return info
    },
    async removeShare({ shareId }) {
      ownShare(shareId)
      mine.delete(shareId)
      emit({ type: 'share-removed', shareId })
    },
    async rescanShare({ shareId }) {
      const found = ownShare(shareId)
      emit({ type: 'share', share: { ...found.info, state: 'scanning' } })
      found.info = { ...found.info, scannedAt: Date.now() }
      emit({ type: 'share', share: found.info })
    },
    async cancelScan({ shareId }) {
      ownShare(shareId)
    },
    async browseFolders({ path = '/home/robin' }) {
      if (path !== '/' && path !== '/home' && !path.startsWith('/home/robin')) throw new CodedError('not-found', 'there is no such folder')
      const names = path.split('/').length > 4 ? [] : ['Documents', 'Music', 'Pictures', 'Projects', 'Videos']
      return { path, parent: path === '/' ? null : path.slice(0, path.lastIndexOf('/')) || '/', folders: names.map((name) => ({ name, path: `${path === '/' ? '' : path}/${name}` })) }
    },
    ...queue,
    async download({ peerId, path, id, follow }) {
      knownPeer(peerId)
      mustWork()
      const transferId = transfers.add(peerId, path, id)
      if (follow === true) transfers.change(transferId, { follow })
      return { transferId }
    },
    cancel: async ({ transferId }) => transfers.cancel(transferId),
    retry: async ({ transferId }) => transfers.retry(transferId),
    clearFinished: async () => transfers.clearFinished(),
    transferFiles: async ({ transferId, cursor, limit }) => transfers.files(transferId, cursor, limit),
    async downloadedFileUrl({ transferId }) {
      transfers.finished(transferId)
      return { url: 'about:blank#downloaded' }
    },
    async remoteFileUrl({ peerId, path }) {
      const node = fileAt(peerId, path)
      return { url: 'about:blank#remote', size: node.size, mtime: node.mtime }
    },
    async thumbnailsUrl({ peerId }) {
      if (peerId !== null) knownPeer(peerId)
      return { url: null }
    },
    async previewText(file) {
      if ('transferId' in file) transfers.finished(file.transferId)
      else fileAt(file.peerId, file.path)
      return { text: 'Side A\n\n1. Opening (3:12)\n2. The long way home (5:47)\n', encoding: 'utf-8', cut: false }
    },
    ...activity.api,
    ...mockAutostart(),
    ...devices.methods,
    async updateSettings(changes) {
      settings = { ...settings, ...changes }
      emit({ type: 'settings', settings })
      return settings
    },
    ...wishes.api,
    joinTopic: async ({ topic }) => reach.join(topic),
    leaveTopic: async ({ topic }) => reach.leave(topic),
    ...sharing.methods,
    ...offers.methods,
    ...openMockVerify((id) => transfers.all().find(({ transferId }) => transferId === id)),
    doctor: async () => {
      mustWork()
      return reach.report()
    },
    storage: async () => ({
      freeBytes: status().freeBytes, downloads: { bytes: 38_400_000_000, files: 1_204 }, unfinishedBytes: transfers.all().reduce((sum, { bytes, endedAt }) => sum + (endedAt === null ? bytes : 0), 0),
      indexBytes: 48_000_000, thumbnailBytes: 6_200_000, stagedBytes: 0, isComplete: true,
    }),
    diagnostics: async () => ({ control: { pid: 1, rssBytes: 64_000_000, eventLoopP99Ms: 1 }, network: null }),
    async shutdown() {
      close()
    },
  }

  function close() {
    closed = true
    transfers.close()
    listeners.clear()
  }

  return { api: answering(methods, world.latencyMs, () => closed, devices.role), advance: transfers.advance, close, onEvent: (listener) => subscribe(listeners, listener) }
}

function subscribe<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Every call as it would come over a socket: later, copied, and refused once closed. */
function answering(methods: ControlApi, latencyMs: number, isClosed: () => boolean, role: () => DeviceRole): ControlApi {
  const entries = CONTROL_METHODS.map((method) => [method, async (args?: unknown) => {
    if (latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, latencyMs))
    if (isClosed()) throw new CodedError('closed', 'the connection to the helper ended')
    checkArguments(method, args)
    const needed = roleFor(method, args)
    if (!hasRole(role(), needed)) throw new CodedError('not-allowed', `this takes a device with the role "${needed}"; this one has "${role()}"`)
    const answer = await (methods[method] as (args: unknown) => Promise<unknown>)(args ?? {})
    return answer === undefined ? undefined : structuredClone(answer)
  }])
  return Object.fromEntries(entries) as ControlApi
}
