import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Entry, type PeerId, type SharePath, peerIdFromKey, publicKeyOf, sign } from '@harddrive-party/protocol'
import { type AutostartInfo, type ControlClient, type DeviceKey, type DeviceRole, type LanInfo, deviceKeyFromSeed, openControlClient } from '@harddrive-party/protocol/control'
import { WebSocket } from 'ws'
import type { Autostart, Lan } from '../../src/control/services.ts'
import { createActivityBook } from '../../src/control/activity-book.ts'
import { openDevices } from '../../src/adapters/identity/devices-store.ts'
import { openShares } from '../../src/adapters/shares/shares.ts'
import { openStore } from '../../src/adapters/system/store.ts'
import { createStorageUse } from '../../src/control/storage-use.ts'
import { openTransfers } from '../../src/adapters/transfers/transfers.ts'
import { openWishListStore } from '../../src/adapters/wishes/wish-list-store.ts'
import { createAccessBook } from '../../src/control/access-book.ts'
import { createAnnounceCodes } from '../../src/control/announce-codes.ts'
import { createControlHub } from '../../src/control/control-events.ts'
import { createVerifications } from '../../src/control/verify-service.ts'
import { createControlService } from '../../src/control/control-service.ts'
import { createHelperState } from '../../src/control/helper-state.ts'
import { openOffersBook } from '../../src/control/offers-book.ts'
import { openControlServer } from '../../src/control/http-server.ts'
import { createLimitsBook } from '../../src/control/limits-book.ts'
import { createPeerBook } from '../../src/control/peer-book.ts'
import type { Shares, Transfers } from '../../src/control/services.ts'
import { createSettings, defaultSettings } from '../../src/control/settings.ts'
import { createStatusBook } from '../../src/control/status-book.ts'
import { createTopicBook } from '../../src/control/topic-book.ts'
import { type WishBook, createWishBook } from '../../src/control/wish-book.ts'
import { type FakeNetwork, createFakeNetwork } from './fake-network.ts'

/** A whole helper without its network process: real store, shares, transfers and control door, with one connected peer. */
export type ControlWorld = Awaited<ReturnType<typeof openControlWorld>>

export const API_TOKEN = 'f0'.repeat(32)
export const PEER = 'c1'.repeat(32) as PeerId
export const DIRECTORY = 'Music/Album' as SharePath
export const FILE = 'Music/Album/Song.txt' as SharePath
export const ENDLESS = 'Music/Album/Endless.bin' as SharePath

export async function openControlWorld(options: { now?: () => number } = {}) {
  const now = options.now ?? Date.now
  const base = await realpath(await mkdtemp(join(tmpdir(), 'control-')))
  const pwaDirectory = join(base, 'pwa')
  const downloadDirectory = join(base, 'downloads')
  const shareDirectory = join(base, 'to share')
  for (const directory of [join(pwaDirectory, 'assets'), downloadDirectory, shareDirectory, join(base, 'storage')]) await mkdir(directory, { recursive: true })
  await writeFile(join(pwaDirectory, 'index.html'), '<!doctype html><title>app</title>')
  await writeFile(join(pwaDirectory, 'assets', 'app-1a2b3c.js'), 'export {}')
  await writeFile(join(base, 'secret.txt'), 'secret')
  await writeFile(join(shareDirectory, 'shared.txt'), 'shared')

  const seed = randomBytes(32)
  const peerId = peerIdFromKey(publicKeyOf(seed))
  const identity = { peerId, name: 'Test Helper', sign: (bytes: Uint8Array) => sign(bytes, seed) }
  const store = openStore(join(base, 'storage', 'db'))
  const errors: unknown[] = []
  const onError = (error: unknown) => errors.push(error)
  const logs: string[] = []
  const hub = createControlHub((change) => activity.hear(change))
  const activity = createActivityBook({ store, now, onChange: hub.push, onError })
  const settings = createSettings({ store, defaults: defaultSettings(downloadDirectory), onChange: hub.push })
  const book = createPeerBook({ store, now, onChange: hub.push, onError })
  const status = createStatusBook({ version: '0.0.0', peerId, name: identity.name, startedAt: now(), downloadDirectory: () => settings.current().downloadDirectory, nameOf: book.nameOf, onChange: hub.push })
  const topics = createTopicBook({ topics: () => settings.current().topics, onChange: hub.push })
  const access = createAccessBook({ store, onChange: hub.push })
  const limits = createLimitsBook({ store, now: () => new Date(now()), onChange: hub.push, publish: () => void state.publishLimits() })
  const devices = openDevices({ store, now, onError })
  const codes = await createAnnounceCodes({ store, peerId, appUrl: () => 'http://127.0.0.1:3030' })
  const network: FakeNetwork = createFakeNetwork({ peerId: PEER, library: LIBRARY, endless: new Set(['Endless.bin']), emit: (event) => state.onNetworkEvent(event) })
  const shares: Shares = await openShares({
    indexDirectory: join(base, 'storage', 'index'), store, workerUrl: new URL('./share-scan-worker.mjs', import.meta.url),
    onChange: (change) => (change.type === 'share' ? state.onShare(change.share) : state.onShareRemoved(change.shareId)),
  })
  let wishes: WishBook | undefined
  const transfers: Transfers = await openTransfers({
    store, network, downloadDirectory, peerName: book.nameOf,
    onChange: (transfer) => {
      hub.push({ type: 'transfer', transfer })
      wishes?.onTransfer(transfer)
    },
    onRemoved: (transferId) => {
      hub.push({ type: 'transfer-removed', transferId })
      wishes?.onTransferRemoved(transferId)
    },
    onQueue: (queue) => hub.push({ type: 'queue', queue }),
  })
  const wishBook = createWishBook({ kept: await openWishListStore(store), network, transfers, peers: book, now, onChange: hub.push, note: activity.note, onError })
  wishes = wishBook
  const offers = await openOffersBook({
    store, network, transfers, nameOf: book.nameOf, storage: join(base, 'storage'), stagingDirectory: join(base, 'storage', 'staging'), onChange: hub.push, note: activity.note, onError, now,
  })
  const state = createHelperState({ network: () => network, shares: () => shares, transfers: () => transfers, wishes: () => wishes, book, codes, settings, status, topics, access, limits: () => limits, onChange: hub.push, onError })
  let stopped = false
  const server = await openControlServer({
    uiAddress: 'http://127.0.0.1:0', identity, devices, hub, apiToken: API_TOKEN, pwaDirectory, now, staging: offers.staging, log: (_level, message) => logs.push(message),
    service: (session) => createControlService({
      peerId, network, shares, transfers, wishes: wishBook, book, codes, settings, status, topics, devices, access, limits, activity, autostart: fakeAutostart(), state,
      verifications: createVerifications({ network, book, transfers, settings }),
      lan: fakeLan(),
      offers,
      createPairingLink: ({ role }) => server.createPairingLink(role),
      storageUse: createStorageUse({ downloads: () => settings.current().downloadDirectory, index: join(base, 'storage', 'index'), thumbnails: join(base, 'storage', 'thumbnails'), staging: join(base, 'storage', 'staging') }),
      diagnostics: () => ({ control: { pid: process.pid, rssBytes: 1, eventLoopP99Ms: 0 }, network: null }),
      shutdown: () => {
        stopped = true
      },
    }, session),
  })
  state.onNetworkEvent({ type: 'ready', udp: { v4: 4433, v6: null }, filesOrigin: 'http://127.0.0.1:1' })
  state.onNetworkEvent({ type: 'addresses', addresses: ['192.168.1.20:4433'], natKind: 'unknown' })
  state.onNetworkEvent({ type: 'peer-known', peerId: PEER, knockSecret: '0a'.repeat(16), addresses: ['192.168.1.23:4433'] })
  network.online(PEER)

  const clients: ControlClient[] = []
  const openSocket = (headers: Record<string, string> = {}) => new WebSocket(`${server.url.replace('http', 'ws')}/control`, { headers })
  const addDevice = async (kind: 'browser' | 'cli' = 'browser', role: DeviceRole = 'admin'): Promise<DeviceKey> => {
    const key = deviceKeyFromSeed(randomBytes(32))
    await devices.add({ deviceId: key.deviceId, name: `a ${kind}`, kind, role })
    return key
  }
  return {
    offers, base, pwaDirectory, downloadDirectory, shareDirectory, peerId, identity, store, hub, settings, book, status, devices, codes, network, shares, transfers, state, server, errors, logs,
    isStopped: () => stopped,
    openSocket,
    addDevice,
    connect: async (device: DeviceKey): Promise<ControlClient> => {
      const client = await openControlClient({ socket: openSocket(), device, deviceName: 'test device', origin: server.url, helperKey: peerId })
      clients.push(client)
      return client
    },
    close: async () => {
      for (const client of clients) client.close()
      await server.close()
      await wishBook.close()
      await transfers.close()
      await shares.close()
      status.close()
      limits.close()
      await store.close()
      await rm(base, { recursive: true, force: true })
    },
  }
}

const LIBRARY: readonly Entry[] = [
  directory('Music', 2_000_015), directory('Music/Album', 2_000_012), file('Music/Album/Endless.bin', 2_000_000), directory('Music/Album/Sleeve', 0),
  file('Music/Album/Song.txt', 12), file('Music/Readme.txt', 3),
]

function directory(path: string, size: number): Entry {
  return { path: path as SharePath, size, mtime: 1_700_000_000_000, isDirectory: true }
}

function file(path: string, size: number): Entry {
  return { path: path as SharePath, size, mtime: 1_700_000_000_000.5, isDirectory: false }
}

/** The suite must not change how this machine starts. */
function fakeLan(): Lan {
  let enabled = false
  const info = (): LanInfo => ({ enabled, urls: enabled ? ['https://192.168.1.5:3443'] : [], problem: null, authority: null })
  return {
    info,
    set: async (next) => {
      enabled = next
      return info()
    },
  }
}

function fakeAutostart(): Autostart {
  let enabled = false
  const info = (): AutostartInfo => ({ kind: 'systemd', enabled, file: '/nowhere/harddrive-party.service', note: null })
  return {
    status: async () => info(),
    set: async (next) => {
      enabled = next
      return info()
    },
  }
}
