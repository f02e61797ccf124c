import type { ListPage, ListRequest, PeerId, SharePath } from '@harddrive-party/protocol'
import type { ShareInfo, TransferFilesPage, TransferInfo } from '@harddrive-party/protocol/control'
import type { NetworkEvent, SharedRoot } from '../network/network-api.ts'

/** What control-service needs of the shares. Opened by `openShares` in adapters/shares.ts. */
export interface Shares {
  infos(): readonly ShareInfo[]
  roots(): readonly SharedRoot[]
  /** Starts sharing; resolves once registered, the first scan goes on. @throws CodedError `not-found`, `unreadable`, `conflict` */
  add(directory: string, name?: string): Promise<ShareInfo>
  /** @throws CodedError `not-found` */
  remove(shareId: string): Promise<void>
  /** Resolves when the rescan has ended. @throws CodedError `not-found` */
  rescan(shareId: string): Promise<ShareInfo>
  /** @throws CodedError as ShareIndexReader.list */
  list(request: ListRequest): ListPage
  close(): Promise<void>
}

/** What control-service needs of the transfers. Opened by `openTransfers` in adapters/transfers.ts. */
export interface Transfers {
  infos(): readonly TransferInfo[]
  files(transferId: string, cursor: string | undefined, limit: number): TransferFilesPage
  /** The same wish twice (peer and path, not ended) is one transfer. */
  add(wish: { peerId: PeerId; path: SharePath; id?: string }): TransferInfo
  /** @throws CodedError `not-found` */
  cancel(transferId: string): void
  retry(transferId: string): void
  clearFinished(): void
  /** Absolute path of a finished file of a transfer. @throws CodedError `not-found` */
  finishedFile(transferId: string, path?: string): string
  setDownloadDirectory(directory: string): void
  /** Everything the network process says is passed here too; peers coming and going and the outcomes of files matter. */
  onNetworkEvent(event: NetworkEvent): void
  /** The network process was restarted: everything that ran must be asked for again. */
  onNetworkRestart(): void
  close(): Promise<void>
}
