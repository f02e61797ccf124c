import { CodedError, type PeerId, type SharePath } from '@harddrive-party/protocol'
import type { ControlChange, DownloadPreview, QueueApi, QueueInfo, TransferInfo, TransferScope, WaitCause } from '@harddrive-party/protocol/control'
import { type MockNode, filesBelow } from './mock-library.ts'
import type { MockTransfers } from './mock-transfers.ts'

/** The order and the pace of pretended downloads. */
export interface MockQueue extends QueueApi {
  info(): QueueInfo
}

interface Surroundings {
  emit(change: ControlChange): void
  transfers(): MockTransfers
  node(peerId: PeerId, path: string): MockNode | undefined
  /** Throws `not-found`, and `offline` for one that is away. */
  mustBeHere(peerId: PeerId): void
  mustKnow(peerId: PeerId): void
  directory(): string
  freeBytes: number
}

export function openMockQueue({ emit, transfers, node, mustBeHere, mustKnow, directory, freeBytes }: Surroundings): MockQueue & { pauseOf(peerId: PeerId): WaitCause | null } {
  let paused = false
  const pausedPeers = new Set<PeerId>()
  const info = (): QueueInfo => ({ paused, pausedPeers: [...pausedPeers] })

  function setPaused(scope: Exclude<TransferScope, { transferId: string }>, on: boolean) {
    if ('all' in scope) paused = on
    else {
      mustKnow(scope.peerId)
      if (on) pausedPeers.add(scope.peerId)
      else pausedPeers.delete(scope.peerId)
    }
    emit({ type: 'queue', queue: info() })
    transfers().refresh()
  }

  function one(transferId: string): TransferInfo {
    const found = transfers().all().find((transfer) => transfer.transferId === transferId)
    if (found === undefined) throw new CodedError('not-found', 'there is no such transfer')
    return found
  }

  function inScope(scope: Exclude<TransferScope, { transferId: string }>): TransferInfo[] {
    if ('peerId' in scope) mustKnow(scope.peerId)
    return transfers().all().filter(({ peerId }) => 'all' in scope || peerId === scope.peerId)
  }

  function mustHavePart({ peerId, path }: TransferInfo, part: string) {
    if (node(peerId, `${path}/${part}`) === undefined) throw new CodedError('not-found', 'there is nothing at this path in the transfer')
  }

  function choosePart(scope: TransferScope, choice: 'paused' | 'cancelled' | null): boolean {
    if (!('transferId' in scope) || scope.path === undefined) return false
    mustHavePart(one(scope.transferId), scope.path)
    transfers().choosePart(scope.transferId, scope.path, choice)
    return true
  }

  function hold(scope: TransferScope, on: boolean) {
    if (choosePart(scope, on ? 'paused' : null)) return
    if ('transferId' in scope) transfers().change(one(scope.transferId).transferId, { held: on })
    else setPaused(scope, on)
  }

  function place(moved: TransferInfo, where: { to: 'top' | 'up' | 'down' | 'bottom' } | { before: string }): number {
    const line = transfers().all().filter(({ endedAt, transferId }) => endedAt === null && transferId !== moved.transferId).sort((a, b) => a.order - b.order)
    const at = line.filter(({ order }) => order < moved.order).length
    const target = 'before' in where ? line.findIndex(({ transferId }) => transferId === where.before)
      : { top: 0, up: Math.max(0, at - 1), down: Math.min(line.length, at + 1), bottom: line.length }[where.to]
    const before = line[target - 1]
    const after = line[target]
    if (before === undefined) return (after?.order ?? 1) - 1
    return after === undefined ? before.order + 1 : (before.order + after.order) / 2
  }

  return {
    info,
    pauseOf: (peerId) => (paused ? 'all-paused' : pausedPeers.has(peerId) ? 'peer-paused' : null),
    pauseTransfers: async (scope) => hold(scope, true),
    resumeTransfers: async (scope) => hold(scope, false),
    async cancelTransfers(scope) {
      if (choosePart(scope, 'cancelled')) return
      if ('transferId' in scope) transfers().cancel(scope.transferId)
      else for (const { transferId } of inScope(scope)) transfers().cancel(transferId)
    },
    async retryTransfers(scope) {
      if (choosePart(scope, null)) return
      if ('transferId' in scope) transfers().retry(scope.transferId)
      else for (const { transferId, state } of inScope(scope)) if (state === 'failed') transfers().retry(transferId)
    },
    async moveTransfer({ transferId, ...where }) {
      const moved = one(transferId)
      const others = 'before' in where ? [one(where.before)] : []
      if ([moved, ...others].some(({ endedAt }) => endedAt !== null)) throw new CodedError('conflict', 'a transfer that has ended is in no line')
      transfers().change(transferId, { order: place(moved, where) })
    },
    async followTransfer({ transferId, follow }) {
      if (follow && one(transferId).isDirectory === false) throw new CodedError('conflict', 'only a folder can be followed')
      transfers().change(one(transferId).transferId, { follow })
    },
    async fetchAgain({ transferId }) {
      if (one(transferId).endedAt === null) throw new CodedError('conflict', 'it is still being fetched')
      transfers().change(transferId, {})
    },
    previewDownload: async ({ peerId, path }) => {
      mustBeHere(peerId)
      return preview(peerId, path)
    },
  }

  function preview(peerId: PeerId, path: SharePath): DownloadPreview {
    const source = node(peerId, path)
    if (source === undefined) throw new CodedError('not-found', 'there is no such entry')
    const known = transfers().all().findLast((other) => other.peerId === peerId && other.path === path)
    const files = filesBelow(source)
    const bytes = files.reduce((sum, { size }) => sum + size, 0)
    const here = { files: known?.files.done ?? 0, bytes: known?.bytes ?? 0 }
    return {
      isDirectory: source.children !== null, files: files.length, bytes, here, clashes: 0, rejected: 0, target: known?.target ?? `${directory()}/${source.name}`, isRenamed: false,
      freeBytes, fits: bytes - here.bytes < freeBytes, isComplete: true, transferId: known?.endedAt === null ? known.transferId : null,
    }
  }
}
