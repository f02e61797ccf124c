import type { ListPage, ListRequest, PeerId, SharePath } from '@harddrive-party/protocol'
import type {
  AutostartInfo,
  AnnounceCodeInfo, DeviceInfo, DeviceRole, LanInfo, DownloadPreview, PeerInfo, QueueInfo, Settings, ShareInfo, StatusInfo, TopicInfo, TransferFilesPage, TransferInfo, TransferScope, UploadInfo, UploadPeerInfo,
} from '@harddrive-party/protocol/control'
import type { KnownPeer, NetworkEvent, SharedRoot } from '../network/network-api.ts'

/** What control-service needs of the shares. Opened by `openShares` in adapters/shares/shares.ts. */
export interface Shares {
  infos(): readonly ShareInfo[]
  roots(): readonly SharedRoot[]
  /**
   * Starts sharing; resolves once registered, the first scan goes on.
   * @param prepare is done before the share is kept: who may see it must be known before it is there. What it throws ends the whole
   * @throws CodedError `not-found`, `unreadable`, `conflict`
   */
  add(directory: string, name?: string, prepare?: (shareId: string) => Promise<void>): Promise<ShareInfo>
  /** @throws CodedError `not-found` */
  remove(shareId: string): Promise<void>
  /** Resolves when the rescan has ended. @throws CodedError `not-found` */
  /** @param options.quick look only where directories have changed */
  rescan(shareId: string, options?: { readonly quick?: boolean }): Promise<ShareInfo>
  /** Stops a scan; what was known before stays. @throws CodedError `not-found` */
  cancelScan(shareId: string): void
  /** @throws CodedError as ShareIndexReader.list */
  list(request: ListRequest): Promise<ListPage>
  close(): Promise<void>
}

export type QueueChange = 'pause' | 'resume' | 'cancel' | 'retry'

/** What control-service needs of the transfers. Opened by `openTransfers` in adapters/transfers/transfers.ts. */
export interface Transfers {
  infos(): readonly TransferInfo[]
  files(transferId: string, cursor: string | undefined, limit: number): TransferFilesPage
  /**
   * The same wish twice (peer and path, not ended) is one transfer. `folder`: below the download directory, where it lands.
   * @throws CodedError `bad-path` for a folder that is not below it
   */
  add(wish: { peerId: PeerId; path: SharePath; id?: string; follow?: boolean; folder?: string }): TransferInfo
  /** @throws CodedError `not-found` */
  cancel(transferId: string): void
  retry(transferId: string): void
  /** @throws CodedError `not-found`, `too-large` when too many parts were chosen one by one */
  change(change: QueueChange, scope: TransferScope): void
  /** @throws CodedError `not-found`, `conflict` for one that has ended */
  move(transferId: string, to: 'top' | 'up' | 'down' | 'bottom' | { readonly before: string }): void
  follow(transferId: string, follow: boolean): void
  fetchAgain(transferId: string): void
  queue(): QueueInfo
  /** @throws CodedError as `list` of the network */
  preview(wish: { peerId: PeerId; path: SharePath }): Promise<DownloadPreview>
  clearFinished(): void
  /** Absolute path of a finished file of a transfer. @throws CodedError `not-found` */
  finishedFile(transferId: string, path?: string): string
  /** Local paths of what is called otherwise at the source, by its path there; both below the transfer's own. @throws CodedError `not-found` */
  renamed(transferId: string): Promise<ReadonlyMap<string, string>>
  setDownloadDirectory(directory: string): void
  /** Everything the network process says is passed here too; peers coming and going and the outcomes of files matter. */
  onNetworkEvent(event: NetworkEvent): void
  /** The network process was restarted: everything that ran must be asked for again. */
  onNetworkRestart(): void
  close(): Promise<void>
}

/** Whom we know and what they are doing. Made by `createPeerBook` in control/peer-book.ts. */
export interface PeerBook {
  /** Known peers, and those who are here without being known (asking, waiting, being dialled). */
  infos(): readonly PeerInfo[]
  info(peerId: PeerId): PeerInfo | undefined
  nameOf(peerId: PeerId): string
  /** What the network process should know of them. */
  known(): readonly KnownPeer[]
  /** Whether to try to be connected. Peers that are not known stay so. */
  setWanted(peerId: PeerId, wanted: boolean): void
  /** Blocking remembers a peer, known before or not. */
  setBlocked(peerId: PeerId, blocked: boolean): void
  forget(peerId: PeerId): void
  heardSharedBytes(peerId: PeerId, bytes: number): void
  onNetworkEvent(event: NetworkEvent): void
}

/** My announce code and the secrets behind it. Made by `createAnnounceCodes` in control/announce-codes.ts. */
export interface AnnounceCodes {
  current(): AnnounceCodeInfo
  renew(): Promise<AnnounceCodeInfo>
  /** 16 bytes each, hex. */
  secrets(): { readonly codeSecret: string; readonly knownSecret: string }
  /** Ports and addresses decide what the code says. */
  onNetworkEvent(event: NetworkEvent): void
}

/** The topics we are in and who was met there. Made by `createTopicBook` in control/topic-book.ts. */
export interface TopicBook {
  infos(): readonly TopicInfo[]
  /** What the settings say may have changed. */
  refresh(): void
  onNetworkEvent(event: NetworkEvent): void
  onNetworkDown(): void
}

export interface SettingsStore {
  current(): Settings
  update(change: Partial<Settings>): Promise<Settings>
}

/** The helper's own state as UIs see it. Made by `createStatusBook` in control/status-book.ts. */
export interface StatusBook {
  info(): StatusInfo
  uploads(): readonly UploadInfo[]
  /** The same by peer, with those that wait. */
  uploadPeers(): readonly UploadPeerInfo[]
  onNetworkEvent(event: NetworkEvent): void
  onNetworkDown(): void
  close(): void
}

/** Starting at login. Opened by `openAutostart` in adapters/system/autostart.ts. */
export interface Autostart {
  status(): Promise<AutostartInfo>
  /** @throws CodedError `unsupported`, `bad-request`, `internal` */
  set(enabled: boolean): Promise<AutostartInfo>
}

/** Paired browsers and the command line. Opened by `openDevices` in adapters/identity/devices-store.ts. */
export interface Devices {
  list(): readonly StoredDevice[]
  find(deviceId: string): StoredDevice | undefined
  /** @throws CodedError `busy` when there are too many */
  add(device: { deviceId: string; name: string; kind: DeviceInfo['kind']; role: DeviceRole }): Promise<StoredDevice>
  /** @throws CodedError `not-found` */
  change(deviceId: string, change: { name?: string; role?: DeviceRole }): Promise<void>
  /** Notes that it was just used. */
  touch(deviceId: string): void
  /** @returns false when there is none */
  remove(deviceId: string): Promise<boolean>
  /** Called when a device was removed, before `remove` resolves. @returns unsubscribe */
  onRemoved(listener: (deviceId: string) => void): () => void
  /** Called when a device may do more or less than before, before `change` resolves. @returns unsubscribe */
  onRoleChanged(listener: (deviceId: string) => void): () => void
}

export type StoredDevice = Omit<DeviceInfo, 'current'>

/** Serving the app on the local network. Opened by `openLan` in control/lan.ts. */
export interface Lan {
  info(): LanInfo
  /** Kept. @throws CodedError `disk-error` */
  set(enabled: boolean): Promise<LanInfo>
}

/** @throws CodedError `conflict` when a link for the local network is wanted and it is not served */
export type MakePairingLink = (wish: { readonly lan: boolean; readonly role: DeviceRole }) => { url: string; expiresAt: number }
