/** Answers the control methods about the order and the pace of downloads. Arguments have been checked before. */
import type { PeerId } from '@harddrive-party/protocol'
import type { PeerInfo, QueueApi } from '@harddrive-party/protocol/control'
import type { Transfers } from './services.ts'

interface QueueDeps {
  readonly transfers: Transfers
  /** @throws CodedError `not-found` */
  readonly knownPeer: (peerId: PeerId) => PeerInfo
}

export function createQueueService({ transfers, knownPeer }: QueueDeps): QueueApi {
  const changing = (change: Parameters<Transfers['change']>[0]): QueueApi['pauseTransfers'] => async (scope) => {
    if ('peerId' in scope) knownPeer(scope.peerId)
    transfers.change(change, scope)
  }
  return {
    pauseTransfers: changing('pause'),
    resumeTransfers: changing('resume'),
    cancelTransfers: changing('cancel'),
    retryTransfers: changing('retry'),
    moveTransfer: async ({ transferId, ...where }) => transfers.move(transferId, 'to' in where ? where.to : where),
    followTransfer: async ({ transferId, follow }) => transfers.follow(transferId, follow),
    fetchAgain: async ({ transferId }) => transfers.fetchAgain(transferId),
    previewDownload: async ({ peerId, path }) => {
      knownPeer(peerId)
      return transfers.preview({ peerId, path })
    },
  }
}
