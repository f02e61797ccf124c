/** Answers every control method by asking the parts of the helper. Arguments have been checked before; who is asking was decided before, too. */
import { access, constants, mkdir, realpath, stat } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import { CodedError, type PeerId, keyHashOf, parseAnnounceCode } from '@harddrive-party/protocol'
import type { ActivityApi, ControlApi, DeviceRole, DiagnosticsInfo, PeerInfo, VerifyApi } from '@harddrive-party/protocol/control'
import type { NetworkApi } from '../network/network-api.ts'
import type { AccessBook } from './access-book.ts'
import { checkPeers, createAccessService } from './access-service.ts'
import { browseFolders } from './browse-folders.ts'
import { reportHealth } from './doctor.ts'
import type { HelperState } from './helper-state.ts'
import type { LimitsBook } from './limits-book.ts'
import { createLimitsService } from './limits-service.ts'
import { createWishesService } from './wishes-service.ts'
import type { WishBook } from './wish-book.ts'
import type { OffersBook } from './offers-book.ts'
import { createOffersService } from './offers-service.ts'
import { createQueueService } from './queue-service.ts'
import { createPreviewService } from './preview-service.ts'
import { createDevicesService } from './devices-service.ts'
import type { StorageUse } from './storage-use.ts'
import { settingsFor } from './role-view.ts'
import type { AnnounceCodes, Autostart, Devices, Lan, MakePairingLink, PeerBook, SettingsStore, Shares, StatusBook, TopicBook, Transfers } from './services.ts'

/** Each costs a slow key derivation, and messages as long as it lasts. */
const MAX_TOPICS = 32

export interface ControlDeps {
  readonly peerId: PeerId
  readonly network: NetworkApi
  readonly shares: Shares
  readonly transfers: Transfers
  readonly book: PeerBook
  readonly codes: AnnounceCodes
  readonly settings: SettingsStore
  readonly status: StatusBook
  readonly topics: TopicBook
  readonly wishes: WishBook
  readonly devices: Devices
  readonly activity: ActivityApi
  readonly autostart: Autostart
  readonly access: AccessBook
  readonly limits: LimitsBook
  readonly state: HelperState
  readonly verifications: VerifyApi
  readonly offers: OffersBook
  readonly createPairingLink: MakePairingLink
  readonly lan: Lan
  readonly diagnostics: () => DiagnosticsInfo
  readonly storageUse: StorageUse
  /** Begins to stop the helper; must not wait for the asking UI to be gone. */
  readonly shutdown: () => void
}

/** Who is asking. */
export interface ControlSession {
  /** Null for scripts with the API token. */
  readonly deviceId: string | null
  /** Starts its events anew. @returns the number of the last event that a snapshot taken now includes */
  restartEvents(): number
  /** Now; it may change. */
  role(): DeviceRole
  /** The names under which the browser sees us: files are given to it at the same. */
  readonly door: Door
}

/** Null = this machine, over loopback. */
export type Door = { readonly host: string; readonly uiOrigin: string } | null

/** Of whoever holds the API token, and of this program itself. */
export const SCRIPT_SESSION: ControlSession = { deviceId: null, restartEvents: () => 0, role: () => 'admin', door: null }

export function createControlService(deps: ControlDeps, session: ControlSession): ControlApi {
  const { network, shares, transfers, book, codes, settings, status, topics, access, limits, state } = deps

  const knownPeer = (peerId: PeerId): PeerInfo => {
    const peer = book.info(peerId)
    if (peer === undefined) throw new CodedError('not-found', 'there is no such peer')
    return peer
  }
  /** Leaves the network process to it: what we decided holds whether or not there was a connection to end. */
  const endConnection = async (peerId: PeerId) => {
    try {
      await network.disconnect({ peerId })
    } catch (error) {
      if (!(error instanceof CodedError) || !['offline', 'not-found', 'connection-lost'].includes(error.code)) throw error
    }
  }
  const holder = { deviceId: session.deviceId, door: session.door }
  const publishSettings = async () => {
    await state.publishPolicy()
    await state.publishReach()
  }

  return {
    ...createQueueService({ transfers, knownPeer }),
    snapshot: async () => {
      // Nothing may wait between the number and the state it stands for.
      const seq = session.restartEvents()
      return {
        seq, status: status.info(), peers: book.infos(), transfers: transfers.infos(), uploads: status.uploads(), shares: shares.infos(), settings: settingsFor(session.role(), settings.current()),
        topics: topics.infos(), queue: transfers.queue(), offers: deps.offers.info(), wishes: deps.wishes.info(), uploadPeers: status.uploadPeers(), limits: limits.info(), access: access.info(), role: session.role(),
      }
    },

    announceCode: async () => codes.current(),
    renewCode: async () => {
      const code = await codes.renew()
      await state.publishPolicy()
      return code
    },

    connect: async ({ code: text }) => {
      const parsed = parseAnnounceCode(text)
      if (!parsed.ok) throw new CodedError('bad-request', `code: ${parsed.error.message}`)
      const keyHash = Buffer.from(parsed.value.keyHash).toString('hex')
      const isOwner = (peerId: PeerId) => Buffer.from(keyHashOf(peerId)).toString('hex') === keyHash
      if (isOwner(deps.peerId)) throw new CodedError('bad-request', 'code: this is your own code; send it to somebody else', { detail: { code: 'own-code', values: {} } })
      const known = book.known().find(({ peerId }) => isOwner(peerId))
      if (known?.blocked === true) throw new CodedError('blocked', 'you have blocked the owner of this code; unblock them first', { detail: { code: 'you-blocked', values: {} } })
      if (known !== undefined && !known.wanted) {
        book.setWanted(known.peerId, true)
        await state.publishPolicy()
      }
      const { knockSecret, addresses, natKind, nat } = parsed.value
      return network.connect({ keyHash, knockSecret: Buffer.from(knockSecret).toString('hex'), addresses, natKind, ...(nat && { nat }) })
    },
    disconnect: async ({ peerId }) => {
      knownPeer(peerId)
      book.setWanted(peerId, false)
      await state.publishPolicy()
      await endConnection(peerId)
    },
    reconnect: async ({ peerId }) => {
      if (knownPeer(peerId).state === 'blocked') throw new CodedError('blocked', 'you have blocked this peer; unblock it first', { detail: { code: 'you-blocked', values: {} } })
      book.setWanted(peerId, true)
      await state.publishPolicy()
      await network.reconnect({ peerId })
    },
    forget: async ({ peerId }) => {
      knownPeer(peerId)
      book.setWanted(peerId, false)
      await state.publishPolicy()
      await endConnection(peerId)
      book.forget(peerId)
      await limits.forget(peerId)
      await access.forgetPeer(peerId)
      await deps.offers.forgetPeer(peerId)
      await state.publishPolicy()
      await state.publishShares()
    },
    block: async ({ peerId }) => {
      knownPeer(peerId)
      book.setBlocked(peerId, true)
      await state.publishPolicy()
      await endConnection(peerId)
    },
    unblock: async ({ peerId }) => {
      knownPeer(peerId)
      book.setBlocked(peerId, false)
      await state.publishPolicy()
    },
    answerPeer: async ({ peerId, accept }) => {
      if (knownPeer(peerId).state !== 'asks') throw new CodedError('conflict', 'this peer is not asking', { detail: { code: 'not-asking', values: {} } })
      await network.answerPeer({ peerId, accept })
    },
    ping: async ({ peerId }) => {
      knownPeer(peerId)
      return network.ping({ peerId })
    },

    list: async ({ peerId, ...request }) => {
      // The arguments were checked: a path here is a SharePath.
      const checked = request as Parameters<Shares['list']>[0]
      if (peerId === null) return shares.list(checked)
      knownPeer(peerId)
      return network.list({ peerId, request: checked })
    },

    addShare: async ({ directory, name, audience = 'everyone' }) => {
      if (!isAbsolute(directory)) throw new CodedError('bad-request', 'directory: must be absolute', { detail: { code: 'not-absolute', values: {} } })
      checkPeers(audience, knownPeer)
      const share = await shares.add(directory, name, (shareId) => access.setAudience(shareId, audience))
      await state.publishShares()
      return share
    },
    removeShare: async ({ shareId }) => {
      await shares.remove(shareId)
      await state.publishShares()
      await access.forgetShare(shareId)
    },
    rescanShare: async ({ shareId, quick = false }) => {
      await shares.rescan(shareId, { quick })
      await state.publishShares()
    },
    cancelScan: async ({ shareId }) => shares.cancelScan(shareId),
    browseFolders: ({ path }) => browseFolders(path),

    download: async (wish) => {
      knownPeer(wish.peerId)
      return { transferId: transfers.add(wish).transferId }
    },
    cancel: async ({ transferId }) => transfers.cancel(transferId),
    retry: async ({ transferId }) => transfers.retry(transferId),
    clearFinished: async () => transfers.clearFinished(),
    transferFiles: async ({ transferId, cursor, limit }) => transfers.files(transferId, cursor, limit),

    ...createPreviewService({ network, transfers, shares, ownId: deps.peerId, knownPeer }, holder),

    ...createDevicesService(deps, session.deviceId),

    updateSettings: async (change) => {
      const { downloadDirectory } = change
      if (downloadDirectory === undefined) {
        const next = await settings.update(change)
        await publishSettings()
        return next
      }
      const directory = await openDownloadDirectory(downloadDirectory)
      const next = await settings.update({ ...change, downloadDirectory: directory })
      transfers.setDownloadDirectory(directory)
      await network.setDownloadDirectory({ directory })
      await publishSettings()
      return next
    },
    joinTopic: async ({ topic }) => {
      const { topics: joined } = settings.current()
      if (joined.includes(topic)) return { topic }
      if (joined.length >= MAX_TOPICS) throw new CodedError('too-large', `you are in ${MAX_TOPICS} topics, which is the most; leave one first`, { detail: { code: 'too-many-topics', values: { max: MAX_TOPICS } } })
      await settings.update({ topics: [...joined, topic] })
      await state.publishReach()
      return { topic }
    },
    leaveTopic: async ({ topic }) => {
      const { topics: joined } = settings.current()
      if (!joined.includes(topic)) throw new CodedError('not-found', 'you are not in this topic')
      await settings.update({ topics: joined.filter((other) => other !== topic) })
      await state.publishReach()
    },
    activity: (args) => deps.activity.activity(args),
    clearActivity: () => deps.activity.clearActivity(),
    ...createWishesService({ wishes: deps.wishes, book, now: Date.now }),
    autostart: () => deps.autostart.status(),
    setAutostart: ({ enabled }) => deps.autostart.set(enabled),
    ...createAccessService({ access, shares, knownPeer, publishShares: state.publishShares }),
    ...createLimitsService(limits, knownPeer),
    ...deps.verifications,
    ...createOffersService(deps.offers, knownPeer),
    doctor: async () => reportHealth(await network.reachReport(), { status: status.info(), peers: book.infos() }),
    diagnostics: async () => deps.diagnostics(),
    storage: () => deps.storageUse.look(status.info().freeBytes),
    shutdown: async () => deps.shutdown(),
  }
}

/** Makes it if absent. @returns its real path @throws CodedError `bad-request` */
async function openDownloadDirectory(directory: string): Promise<string> {
  if (!isAbsolute(directory)) throw new CodedError('bad-request', 'downloadDirectory: must be absolute', { detail: { code: 'not-absolute', values: {} } })
  try {
    await mkdir(directory, { recursive: true })
    const real = await realpath(directory)
    if (!(await stat(real)).isDirectory()) throw new CodedError('bad-request', `downloadDirectory: ${directory} is not a directory`, { detail: { code: 'not-a-folder', values: { path: directory } } })
    await access(real, constants.W_OK)
    return real
  } catch (cause) {
    if (cause instanceof CodedError) throw cause
    throw new CodedError('bad-request', `downloadDirectory: files cannot be written to ${directory}`, { cause, detail: { code: 'not-writable', values: { path: directory } } })
  }
}
