import { ACTIVITY_METHODS, type ActivityApi, type ActivityEntry } from './activity-api.ts'
import type { TransferNotice } from './advice.ts'
import { AUTOSTART_METHODS, type AutostartApi } from './autostart-api.ts'
import { ACCESS_METHODS, type AccessApi, type AccessInfo, type Audience } from './access-api.ts'
import { DEVICES_METHODS, type DevicesApi } from './devices-api.ts'
import { LAN_METHODS, type LanApi } from './lan-api.ts'
import type { DeviceRole } from './roles.ts'
import { LIMITS_METHODS, type LimitsApi, type LimitsInfo, type UploadPeerInfo } from './limits-api.ts'
import type { DoctorReport, TopicInfo } from './doctor-report.ts'
import { WISHES_METHODS, type WishesApi, type WishesInfo } from './wishes-api.ts'
import { PREVIEW_METHODS, type PreviewApi } from './preview-api.ts'
import { STORAGE_METHODS, type StorageApi } from './storage-api.ts'
import { VERIFY_METHODS, type VerifyApi } from './verify-api.ts'
import { OFFERS_METHODS, type OffersApi, type OffersInfo } from './offers-api.ts'
import { QUEUE_METHODS, type QueueApi, type QueueInfo, type QueuedInfo, type TransferWait } from './queue-api.ts'
import type { ListPage, NatKind, PeerId, Reason, SharePath, ListRequest } from '../index.ts'

/**
 * The contract between a user interface (app, command line, scripts) and its helper. Plain data in, plain data out: every method takes at most
 * one plain object, every failure rejects with a CodedError. Events travel beside it: a snapshot on connect, then numbered deltas.
 */
export interface ControlApi extends ActivityApi, AccessApi, DevicesApi, LanApi, LimitsApi, AutostartApi, WishesApi, QueueApi, PreviewApi, VerifyApi, OffersApi, StorageApi {
  /** The whole state, and the sequence number of the last event it includes. */
  snapshot(): Promise<ControlSnapshot>

  /** My announce code, as text and as a link that opens this app's page for adding a peer. */
  announceCode(): Promise<AnnounceCodeInfo>
  /** Makes a new code. Holders of the old one who are not known peers are shut out. */
  renewCode(): Promise<AnnounceCodeInfo>

  /** Connects to the owner of a code. Resolves when connected, or pending the other side's approval; rejects with the reason. */
  connect(args: { code: string }): Promise<{ peerId: PeerId; state: PeerState }>
  /** Stays away until `reconnect` or `connect`. */
  disconnect(args: { peerId: PeerId }): Promise<void>
  reconnect(args: { peerId: PeerId }): Promise<void>
  /** Removes a known peer. When it comes back with anything but the current code, I am asked first. */
  forget(args: { peerId: PeerId }): Promise<void>
  block(args: { peerId: PeerId }): Promise<void>
  unblock(args: { peerId: PeerId }): Promise<void>
  /** Answers a peer in state `asks`. */
  answerPeer(args: { peerId: PeerId; accept: boolean }): Promise<void>
  ping(args: { peerId: PeerId }): Promise<PingInfo>

  /** Lists or searches a peer's shares, or with `peerId: null` my own. Page by page. */
  list(args: { peerId: PeerId | null } & ListArguments): Promise<ListPage>

  /** `audience` absent = everyone. */
  addShare(args: { directory: string; name?: string; audience?: Audience }): Promise<ShareInfo>
  removeShare(args: { shareId: string }): Promise<void>
  /** Resolves when it has ended. `quick` looks only where directories say that something came or went. */
  rescanShare(args: { shareId: string; quick?: boolean }): Promise<void>
  /** Stops the scan of a share, if one runs; what was known before stays. */
  cancelScan(args: { shareId: string }): Promise<void>
  /** Directories on the helper's machine, so that a browser can choose one to share. `path` absent = the home directory. */
  browseFolders(args: { path?: string }): Promise<FolderListing>

  /** Asks for a file or directory. The same wish twice is one transfer. `id` makes a wish taken offline idempotent; `follow` as in `followTransfer`. */
  download(args: { peerId: PeerId; path: SharePath; id?: string; follow?: boolean }): Promise<{ transferId: string }>
  cancel(args: { transferId: string }): Promise<void>
  retry(args: { transferId: string }): Promise<void>
  /** Drops finished, failed and cancelled transfers from the list; files stay. */
  clearFinished(): Promise<void>
  /** The files of one transfer, page by page: what a folder wish is made of. */
  transferFiles(args: { transferId: string; cursor?: string; limit: number }): Promise<TransferFilesPage>

  /** A short-lived address on the files origin of a downloaded file (`transferId`, and `path` within it for a folder) … */
  downloadedFileUrl(args: { transferId: string; path?: string }): Promise<{ url: string }>
  /** … or of a peer's file, with `peerId: null` one that I share, fetched range by range while it is read. Nothing is written to disk. */
  remoteFileUrl(args: { peerId: PeerId | null; path: SharePath }): Promise<{ url: string; size: number; mtime: number }>

  updateSettings(args: Partial<Omit<Settings, 'topics'>>): Promise<Settings>
  /** Finds peers who are in the same topic, and lets them find me, until `leaveTopic`. @returns the topic as it is compared: without spaces around it */
  joinTopic(args: { topic: string }): Promise<{ topic: string }>
  leaveTopic(args: { topic: string }): Promise<void>
  /** How I can be reached, how I meet others, and what was tried to reach whom; with advice in words. Asks nobody anything. */
  doctor(): Promise<DoctorReport>
  /** How the helper itself is doing, for benchmarks and bug reports: event-loop delays since the last call, memory now. */
  diagnostics(): Promise<DiagnosticsInfo>
  /** Stops the helper. */
  shutdown(): Promise<void>
}

export type ListArguments = Omit<ListRequest, 'path'> & { readonly path?: string }

export interface ControlSnapshot {
  readonly seq: number
  readonly status: StatusInfo
  readonly peers: readonly PeerInfo[]
  readonly transfers: readonly TransferInfo[]
  readonly uploads: readonly UploadInfo[]
  readonly shares: readonly ShareInfo[]
  readonly settings: Settings
  readonly topics: readonly TopicInfo[]
  readonly wishes: WishesInfo
  readonly uploadPeers: readonly UploadPeerInfo[]
  readonly limits: LimitsInfo
  readonly access: AccessInfo
  readonly queue: QueueInfo
  readonly offers: OffersInfo
  /** What the device that asks may do. */
  readonly role: DeviceRole
}

/** One change. `seq` counts up by one per event to each UI; a gap means asking for a new snapshot. */
export type ControlEvent = { readonly seq: number } & ControlChange
export type ControlChange =
  | { readonly type: 'status'; readonly status: StatusInfo }
  | { readonly type: 'peer'; readonly peer: PeerInfo }
  | { readonly type: 'peer-removed'; readonly peerId: PeerId }
  | { readonly type: 'transfer'; readonly transfer: TransferInfo }
  | { readonly type: 'transfer-removed'; readonly transferId: string }
  | { readonly type: 'uploads'; readonly uploads: readonly UploadInfo[] }
  | { readonly type: 'share'; readonly share: ShareInfo }
  | { readonly type: 'share-removed'; readonly shareId: string }
  | { readonly type: 'settings'; readonly settings: Settings }
  | { readonly type: 'topics'; readonly topics: readonly TopicInfo[] }
  | { readonly type: 'wishes'; readonly wishes: WishesInfo }
  | { readonly type: 'activity'; readonly entry: ActivityEntry }
  | { readonly type: 'activity-cleared' }
  | { readonly type: 'upload-peers'; readonly uploadPeers: readonly UploadPeerInfo[] }
  | { readonly type: 'limits'; readonly limits: LimitsInfo }
  | { readonly type: 'access'; readonly access: AccessInfo }
  | { readonly type: 'queue'; readonly queue: QueueInfo }
  | { readonly type: 'offers'; readonly offers: OffersInfo }

export interface AnnounceCodeInfo {
  readonly code: string
  readonly link: string
}

export interface StatusInfo {
  readonly version: string
  readonly peerId: PeerId
  readonly name: string
  readonly natKind: NatKind
  /** UDP ports we listen on; null where the family is not available. */
  readonly udp: { readonly v4: number | null; readonly v6: number | null }
  /** Addresses where others may reach us, `host:port`. */
  readonly addresses: readonly string[]
  /** The network process: `restarting` after a crash or hang; `unavailable` where this platform has no QUIC binding. */
  readonly network: 'ready' | 'restarting' | 'unavailable'
  readonly downloadDirectory: string
  readonly freeBytes: number | null
  readonly startedAt: number
}

/**
 * - `offline`: known, not connected; the helper keeps trying unless `away`
 * - `dialling`: an attempt is under way
 * - `waiting`: connected, the other person has yet to accept us
 * - `asks`: it holds our code, and we have yet to accept it
 * - `connected`
 * - `away`: disconnected by the user
 * - `blocked`
 * - `nearby`: seen on the local network and not known; `reconnect` asks it for a connection
 */
export type PeerState = 'offline' | 'dialling' | 'waiting' | 'asks' | 'connected' | 'away' | 'blocked' | 'nearby'

export interface PeerInfo {
  readonly peerId: PeerId
  readonly name: string
  readonly fingerprint: string
  readonly state: PeerState
  /** How we are connected, or null. */
  readonly path: PeerPath | null
  /** Why the last attempt failed, for people. */
  readonly lastError: Reason | null
  readonly lastSeenAt: number | null
  /** Sum of the sizes of its shares as last heard; null = not known. */
  readonly sharedBytes: number | null
}

export interface PeerPath {
  readonly transport: 'quic' | 'tcp'
  /** `mapped`: to a port that its router keeps open; `punched`: through a NAT that both sides opened at the same time. */
  readonly kind: 'loopback' | 'lan' | 'ipv6' | 'direct' | 'mapped' | 'punched'
  readonly address: string
  readonly rttMs: number | null
}

export interface PingInfo {
  readonly rttMs: number
  readonly path: PeerPath
  /** Packets that we have sent on this connection, and how many of them were lost and said again; null where nobody counts. */
  readonly packets: { readonly sent: number; readonly lost: number } | null
}

export interface ShareInfo {
  readonly shareId: string
  /** Display name: the directory's own, made distinct where two would be the same. */
  readonly name: string
  readonly directory: string
  readonly state: 'scanning' | 'ready' | 'missing'
  readonly files: number
  readonly directories: number
  readonly bytes: number
  /** Entries that could not be read, skipped. */
  readonly skipped: number
  readonly scannedAt: number | null
  /** What the scan that runs has seen so far; null while none runs. */
  readonly progress?: { readonly files: number; readonly directories: number; readonly bytes: number } | null
  /**
   * How changes are noticed: `on` = as they happen; `preparing` = not yet; `rescans` = every few minutes only, since the system has no room for so
   * many watches.
   */
  readonly watching?: 'on' | 'preparing' | 'rescans'
}

export interface FolderListing {
  readonly path: string
  readonly parent: string | null
  readonly folders: readonly { readonly name: string; readonly path: string }[]
}

/**
 * - `queued`: its turn comes
 * - `listing`: a directory's contents are being asked for
 * - `running`
 * - `waiting`: something must happen first; `wait` and `reason` say what
 * - `paused`: by you; `wait` says what of
 * - `done`, `failed`, `cancelled`: ended
 */
export type TransferState = 'queued' | 'listing' | 'running' | 'waiting' | 'paused' | 'done' | 'failed' | 'cancelled'

export interface TransferInfo extends QueuedInfo {
  readonly transferId: string
  readonly peerId: PeerId
  readonly peerName: string
  readonly path: SharePath
  readonly isDirectory: boolean | null
  readonly state: TransferState
  /** Why it waits or failed. */
  readonly reason: Reason | null
  /** Bytes on disk and verified. */
  readonly bytes: number
  /** Bytes in all; null until known. */
  readonly total: number | null
  readonly files: { readonly done: number; readonly failed: number; readonly total: number | null }
  readonly bytesPerSecond: number
  /** Where it lands (a file or a directory), once known. */
  readonly target: string | null
  /** Things the person should know. */
  readonly notices: readonly TransferNotice[]
  readonly addedAt: number
  readonly endedAt: number | null
}

export interface TransferFile {
  /** Where it is below the transfer's target … */
  readonly path: string
  /** … and below the transfer's path at the peer: what a scope names it by. Empty for a transfer that is one file. */
  readonly source: string
  readonly size: number
  readonly bytes: number
  readonly state: TransferState
  readonly reason: Reason | null
  readonly wait: TransferWait | null
}

export interface TransferFilesPage {
  readonly files: readonly TransferFile[]
  readonly cursor?: string
}

export interface UploadInfo {
  readonly peerId: PeerId
  readonly peerName: string
  readonly path: SharePath
  readonly bytesPerSecond: number
  readonly bytes: number
}

export interface Settings {
  /** Ask me before somebody who holds my code, and whom I do not know yet, may connect. */
  readonly askBeforeAccepting: boolean
  readonly downloadDirectory: string
  /** Topics we are in; `joinTopic` and `leaveTopic` change them. */
  readonly topics: readonly string[]
  /** Look for peers on the local network, and be seen there. */
  readonly localDiscovery: boolean
  /** Ask the router for an open port. */
  readonly portMapping: boolean
  /** Let connected peers tell others how to reach me. */
  readonly passMeOn: boolean
  /** Help peers that we are connected to find each other. */
  readonly introductions: boolean
  /** Brokers over which topics are announced, `mqtts://host:port`; none is contacted while there is no topic. */
  readonly mqttBrokers: readonly string[]
}

export interface DiagnosticsInfo {
  readonly control: ProcessFigures
  /** Null while it is restarting. */
  readonly network: ProcessFigures | null
}

export interface ProcessFigures {
  readonly pid: number
  readonly rssBytes: number
  /** 99th percentile of the event loop's delay, milliseconds. */
  readonly eventLoopP99Ms: number
}

/** The only names a control endpoint admits. */
export const CONTROL_METHODS = [
  ...QUEUE_METHODS,
  'snapshot', 'announceCode', 'renewCode', 'connect', 'disconnect', 'reconnect', 'forget', 'block', 'unblock', 'answerPeer', 'ping', 'list',
  'addShare', 'removeShare', 'rescanShare', 'cancelScan', 'browseFolders', 'download', 'cancel', 'retry', 'clearFinished', 'transferFiles',
  'downloadedFileUrl', 'remoteFileUrl', 'updateSettings', 'joinTopic', 'leaveTopic', 'doctor', 'diagnostics', 'shutdown', ...DEVICES_METHODS, ...LAN_METHODS, ...ACCESS_METHODS, ...LIMITS_METHODS, ...ACTIVITY_METHODS, ...AUTOSTART_METHODS, ...WISHES_METHODS, ...VERIFY_METHODS, ...OFFERS_METHODS, ...PREVIEW_METHODS, ...STORAGE_METHODS,
] as const satisfies readonly (keyof ControlApi)[]

export type ControlMethod = (typeof CONTROL_METHODS)[number]
