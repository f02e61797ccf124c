/** Answers the control methods about looking at files: which file is meant, and that it is one. How it is read is the network process's. */
import { dirname } from 'node:path'
import { CodedError, type PeerId, type SharePath } from '@harddrive-party/protocol'
import type { ControlApi, PreviewApi } from '@harddrive-party/protocol/control'
import type { FileGrant, GrantHolder, NetworkApi } from '../network/network-api.ts'
import type { Shares, Transfers } from './services.ts'

export interface PreviewDeps {
  readonly network: Pick<NetworkApi, 'grantFile' | 'list' | 'makesThumbnails' | 'readText'>
  readonly transfers: Pick<Transfers, 'finishedFile' | 'infos'>
  readonly shares: Pick<Shares, 'list'>
  /** Our own, under which the network process serves what is shared here. */
  readonly ownId: PeerId
  /** @throws CodedError `not-found` */
  readonly knownPeer: (peerId: PeerId) => unknown
}

/** @param holder whom addresses are given to */
export function createPreviewService({ network, transfers, shares, ownId, knownPeer }: PreviewDeps, holder: GrantHolder): PreviewApi & Pick<ControlApi, 'downloadedFileUrl' | 'remoteFileUrl'> {
  const downloaded = (transferId: string, path: string | undefined): Extract<FileGrant, { kind: 'local' }> => {
    const file = transfers.finishedFile(transferId, path)
    // Not the setting of today: the transfer may be older.
    const target = transfers.infos().find((transfer) => transfer.transferId === transferId)?.target
    return { kind: 'local', path: file, ...(target == null ? {} : { downloadDirectory: dirname(target) }) }
  }
  const remote = async (peerId: PeerId | null, path: SharePath): Promise<Extract<FileGrant, { kind: 'remote' }>> => {
    if (peerId !== null) knownPeer(peerId)
    const request = { path, recursive: false, limit: 1 }
    const { entries } = peerId === null ? await shares.list(request) : await network.list({ peerId, request })
    const entry = entries.find((found) => found.path === path)
    // A directory's listing names its contents, never itself.
    if (entry === undefined || entry.isDirectory) throw new CodedError('not-found', 'this is not a file')
    return { kind: 'remote', peerId: peerId ?? ownId, path, size: entry.size, mtime: entry.mtime }
  }
  return {
    downloadedFileUrl: async ({ transferId, path }) => network.grantFile({ ...downloaded(transferId, path), holder }),
    remoteFileUrl: async ({ peerId, path }) => {
      const file = await remote(peerId, path)
      const { url } = await network.grantFile({ ...file, holder })
      return { url, size: file.size, mtime: file.mtime }
    },
    thumbnailsUrl: async ({ peerId }) => {
      if (peerId !== null) knownPeer(peerId)
      const owner = peerId ?? ownId
      if (!(await network.makesThumbnails({ peerId: owner }))) return { url: null }
      return network.grantFile({ kind: 'thumbnails', peerId: owner, holder })
    },
    previewText: async (file) => network.readText('transferId' in file ? downloaded(file.transferId, file.path) : await remote(file.peerId, file.path)),
  }
}
