import { type ErrorCode, type PeerId, type SharePath, CodedError } from '@harddrive-party/protocol'
import type { ControlChange, PeerInfo, TransferFile, TransferFilesPage, TransferInfo, TransferWait, WaitCause } from '@harddrive-party/protocol/control'
import { type MockNode, filesBelow } from './mock-library.ts'

/** Pretended downloads: they progress with time, wait for peers that are away, and end. */
export interface MockTransfers {
  all(): TransferInfo[]
  /** @param how `start`: the share of it that is there already, 0 to 1; `folder`: below the download folder */
  add(peerId: PeerId, path: SharePath, id?: string, how?: { readonly start?: number; readonly folder?: SharePath | null }): string
  cancel(transferId: string): void
  retry(transferId: string): void
  clearFinished(): void
  files(transferId: string, cursor: string | undefined, limit: number): TransferFilesPage
  /** Throws unless the transfer is done. */
  finished(transferId: string): void
  /** What a person chose for one transfer, as it is shown. */
  change(transferId: string, more: Partial<Pick<TransferInfo, 'held' | 'order' | 'follow'>>): void
  /** A part of it, named by its path there; null = as the rest. */
  choosePart(transferId: string, path: string, choice: 'paused' | 'cancelled' | null): void
  /** Something that holds for several may have changed: looks at each anew. */
  refresh(): void
  advance(ms: number): void
  close(): void
}

interface Surroundings {
  emit(change: ControlChange): void
  node(peerId: PeerId, path: string): MockNode | undefined
  peer(peerId: PeerId): PeerInfo | undefined
  directory(): string
  /** What is paused beyond single transfers. */
  pauseOf(peerId: PeerId): WaitCause | null
}

const TICK_MS = 500

export function openMockTransfers({ emit, node, peer, directory, pauseOf }: Surroundings): MockTransfers {
  const transfers = new Map<string, TransferInfo>()
  const byWish = new Map<string, string>()
  const folders = new Map<string, SharePath>()
  const parts = new Map<string, Map<string, 'paused' | 'cancelled'>>()
  let count = 0
  const timer = setInterval(() => advance(TICK_MS), TICK_MS)

  function put(transfer: TransferInfo, quietly = false) {
    transfers.set(transfer.transferId, transfer)
    if (!quietly) emit({ type: 'transfer', transfer })
  }

  function mustHave(transferId: string): TransferInfo {
    const transfer = transfers.get(transferId)
    if (transfer === undefined) throw new CodedError('not-found', 'there is no such transfer')
    return transfer
  }

  function moved(transfer: TransferInfo, bytes: number): TransferInfo {
    const files = filesBelow(node(transfer.peerId, transfer.path) ?? { name: '', size: 0, mtime: 0, children: [] })
    let left = bytes
    let done = 0
    for (const { size } of files) {
      if (left < size) break
      left -= size
      done += 1
    }
    const ended = bytes >= (transfer.total ?? Number.POSITIVE_INFINITY)
    return { ...transfer, bytes, files: { done: ended ? files.length : done, failed: 0, total: files.length }, ...(ended ? { state: 'done' as const, bytesPerSecond: 0, reason: null, endedAt: Date.now() } : {}) }
  }

  function begin(transfer: TransferInfo): TransferInfo {
    const owner = peer(transfer.peerId)
    const pause = pauseOf(transfer.peerId) ?? (transfer.held ? 'paused' : null)
    if (pause !== null) return { ...transfer, state: 'paused', bytesPerSecond: 0, reason: null, wait: { cause: pause } }
    if (owner?.state !== 'connected') {
      return { ...transfer, state: 'waiting', bytesPerSecond: 0, reason: { code: 'offline', message: 'the peer is not connected' }, wait: { cause: 'offline' } }
    }
    const source = node(transfer.peerId, transfer.path)
    if (source === undefined) return ended(transfer, 'failed', 'not-found', 'it is not there any more')
    const running: TransferInfo = {
      ...transfer, state: 'running', reason: null, wait: null, total: source.size, isDirectory: source.children !== null,
      target: `${directory()}/${folders.get(transfer.transferId) ?? owner.name}/${source.name}`, bytesPerSecond: 9_000_000 + (source.size % 7) * 1_400_000,
    }
    return moved(running, transfer.bytes)
  }

  function advance(ms: number) {
    for (const transfer of transfers.values()) {
      if (transfer.state === 'waiting' && peer(transfer.peerId)?.state === 'connected') put(begin(transfer))
      else if (transfer.state === 'running') {
        const step = (transfer.bytesPerSecond * ms) / 1000
        put(moved(transfer, Math.min(transfer.total ?? 0, Math.round(transfer.bytes + step))))
      }
    }
  }

  function fileState(transfer: TransferInfo, path: string, isDone: boolean, isBegun: boolean): { state: TransferFile['state']; wait: TransferWait | null } {
    if (isDone) return { state: 'done', wait: null }
    for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
      const choice = parts.get(transfer.transferId)?.get(at)
      if (choice !== undefined) return { state: choice, wait: choice === 'paused' ? { cause: 'paused' } : null }
    }
    if (transfer.endedAt !== null) return { state: 'cancelled', wait: null }
    if (transfer.state !== 'running') return { state: transfer.state, wait: transfer.wait }
    return isBegun ? { state: 'running', wait: null } : { state: 'queued', wait: { cause: 'turn' } }
  }

  return {
    change(transferId, more) {
      const changed = { ...mustHave(transferId), ...more }
      put(changed.endedAt === null ? begin(changed) : changed)
    },
    choosePart(transferId, path, choice) {
      const transfer = mustHave(transferId)
      const known = parts.get(transferId) ?? new Map<string, 'paused' | 'cancelled'>()
      parts.set(transferId, known)
      for (const other of known.keys()) if (other === path || other.startsWith(`${path}/`)) known.delete(other)
      if (choice !== null) known.set(path, choice)
      put({ ...transfer, skippedFiles: [...known.values()].filter((one) => one === 'cancelled').length })
    },
    refresh() {
      for (const transfer of transfers.values()) if (transfer.endedAt === null) put(begin(transfer))
    },
    all: () => [...transfers.values()],
    add(peerId, path, id, { start = 0, folder = null } = {}) {
      const known = id === undefined ? undefined : byWish.get(id)
      if (known !== undefined) return known
      const twin = [...transfers.values()].find((other) => other.peerId === peerId && other.path === path && other.endedAt === null)
      if (twin !== undefined) return twin.transferId
      count += 1
      const transferId = id ?? `transfer-${count}`
      if (id !== undefined) byWish.set(id, transferId)
      if (folder !== null) folders.set(transferId, folder)
      const source = node(peerId, path)
      put(begin({
        transferId, peerId, peerName: peer(peerId)?.name ?? '', path, isDirectory: null, state: 'queued', reason: null, bytes: Math.round((source?.size ?? 0) * start),
        total: source?.size ?? null, files: { done: 0, failed: 0, total: null }, bytesPerSecond: 0, target: null, notices: [], addedAt: Date.now() + count, endedAt: null,
        wait: { cause: 'turn' }, order: count, held: false, follow: false, skippedFiles: 0,
      }))
      return transferId
    },
    cancel(transferId) {
      const transfer = mustHave(transferId)
      if (transfer.endedAt === null) put(ended(transfer, 'cancelled'))
    },
    retry(transferId) {
      const transfer = mustHave(transferId)
      if (transfer.state === 'failed' || transfer.state === 'cancelled') put(begin({ ...transfer, endedAt: null, held: false }))
    },
    clearFinished() {
      for (const transfer of transfers.values()) {
        if (transfer.endedAt === null || transfer.follow) continue
        transfers.delete(transfer.transferId)
        emit({ type: 'transfer-removed', transferId: transfer.transferId })
      }
    },
    files(transferId, cursor, limit) {
      const transfer = mustHave(transferId)
      const source = node(transfer.peerId, transfer.path)
      const start = Number(cursor ?? 0)
      const files = source === undefined ? [] : filesBelow(source)
      let before = files.slice(0, start).reduce((sum, { size }) => sum + size, 0)
      const page = files.slice(start, start + limit).map(({ path, size }) => {
        const bytes = Math.min(size, Math.max(0, transfer.bytes - before))
        before += size
        return { path, source: source?.children === null ? '' : path, size, bytes, reason: null, ...fileState(transfer, path, bytes === size && transfer.bytes >= before, bytes > 0) }
      })
      return start + limit < files.length ? { files: page, cursor: String(start + limit) } : { files: page }
    },
    finished(transferId) {
      if (mustHave(transferId).state !== 'done') throw new CodedError('not-found', 'this transfer is not finished')
    },
    advance,
    close: () => clearInterval(timer),
  }
}

function ended(transfer: TransferInfo, state: 'failed' | 'cancelled', code?: ErrorCode, message = ''): TransferInfo {
  return { ...transfer, state, bytesPerSecond: 0, wait: null, endedAt: Date.now(), reason: code === undefined ? null : { code, message } }
}
