import { CodedError, MAX_QUEUE_PLACE, type PeerId, type SharePath } from '@harddrive-party/protocol'
import { PieceSize } from '../../core/transfers/piece-size.ts'
import { slotsUnder } from '../../core/transfers/transfer-bounds.ts'
import { UploadMeter } from '../../core/transfers/upload-meter.ts'
import { type UploadInput, type UploadLimits, UploadScheduler } from '../../core/transfers/upload-scheduler.ts'
import type { UploadPeerStatus, UploadStatus } from '../../network/network-api.ts'
import { type Clock, drive } from '../system/drive.ts'
import { isLocalTo } from '../files/local-path.ts'
import type { Pacer } from './pacer.ts'
import type { PeerConnection, PeerStream } from '../peers/transport.ts'

/**
 * Has peers wait for their turns and their bytes for the limits, tells them their place meanwhile, and counts what they take. Whose turn it is decides
 * `core/transfers/upload-scheduler.ts`, and when bytes may pass `core/transfers/bandwidth.ts`.
 */
export interface UploadTurns {
  /** Resolves when it is this read's turn. @throws CodedError `busy` (the peer has asked for too much), `aborted` */
  take(read: WaitingRead, cut: AbortController): Promise<UploadTurn>
  /** Replaces the bounds; holds for those who wait, too. The pacer has limits of its own. */
  setBounds(limits: UploadLimits): void
  /** Tells who gets what now, if anybody does. */
  report(): void
  /** Idempotent. */
  close(): void
}

export interface WaitingRead {
  readonly connection: PeerConnection
  readonly path: SharePath
  /** Tells the peer its place; absent where it does not understand that. */
  readonly tell?: (place: number) => Promise<void>
}

export interface UploadTurn {
  /** Hands bytes to a stream as the limits let them pass; `onPiece` is called with each piece while it is on its way. */
  send(stream: PeerStream, bytes: Uint8Array, onPiece?: (piece: Uint8Array) => void): Promise<void>
  /** Counts bytes that were sent, for what people see. */
  sent(path: SharePath, bytes: number): void
  end(): void
}

export interface UploadTurnsOptions {
  readonly limits: UploadLimits
  readonly pacer: Pacer
  readonly clock: Clock
  readonly onUploads: (uploads: readonly UploadStatus[], peers: readonly UploadPeerStatus[]) => void
}

export const UPLOADS_INTERVAL_MS = 500
/** A place that passes as quickly as this is of no interest. */
const TELL_AFTER_MS = 1_000
/** Often enough to be a sign of life for who gives up after 20 s. */
const TELL_INTERVAL_MS = 5_000

interface Pending {
  readonly granted: () => void
  readonly cut: AbortController
}

interface PeerReads {
  reads: number
  isLocal: boolean
}

export function openUploadTurns({ limits, pacer, clock, onUploads }: UploadTurnsOptions): UploadTurns {
  let bounds = limits
  const scheduler = new UploadScheduler(limits)
  const meter = new UploadMeter()
  const pending = new Map<number, Pending>()
  const peers = new Map<PeerId, PeerReads>()
  let peerSlots = new Map<string, number>()
  let nextId = 1
  let cancelReport: (() => void) | undefined
  let wasBusy = false
  let closed = false
  const slots = drive<Exclude<UploadInput, { type: 'tick' }>, { type: 'grant' | 'evict'; id: number }>(
    scheduler,
    ({ type, id }) => {
      const read = pending.get(id)
      if (type === 'grant') read?.granted()
      else read?.cut.abort()
    },
    clock,
  )

  /** A narrow line is shared out in few, quick parts. Whether it is narrow depends on where the peer is. */
  function setPeerSlots(): void {
    const next = new Map<string, number>()
    for (const [peer, { isLocal }] of peers) {
      const most = slotsUnder(pacer.limitOf(peer, isLocal))
      if (most !== undefined && most < bounds.perPeer) next.set(peer, most)
    }
    if (next.size === peerSlots.size && [...next].every(([peer, most]) => peerSlots.get(peer) === most)) return
    peerSlots = next
    slots.input({ type: 'limits', limits: { ...bounds, peerSlots } })
  }

  function joined(connection: PeerConnection): PeerReads {
    const reads = peers.get(connection.peerId) ?? { reads: 0, isLocal: false }
    reads.reads++
    reads.isLocal = isLocalTo(connection)
    peers.set(connection.peerId, reads)
    setPeerSlots()
    return reads
  }

  async function take({ connection, path, tell }: WaitingRead, cut: AbortController): Promise<UploadTurn> {
    const { peerId } = connection
    if (scheduler.isFull(peerId)) throw new CodedError('busy', 'too many parts of files were asked for at once')
    if (cut.signal.aborted || closed) throw new CodedError('aborted', 'cut off')
    const id = nextId++
    const reads = joined(connection)
    let ended = false
    const end = () => {
      if (ended) return
      ended = true
      pending.delete(id)
      slots.input({ type: 'end', id })
      if (--reads.reads === 0) peers.delete(peerId)
    }
    const places = tell === undefined ? undefined : openPlaceTeller(clock, () => scheduler.place(peerId), tell)
    try {
      await new Promise<void>((resolve, reject) => {
        const stop = () => reject(new CodedError('aborted', 'cut off'))
        cut.signal.addEventListener('abort', stop, { once: true })
        pending.set(id, {
          granted: () => {
            cut.signal.removeEventListener('abort', stop)
            resolve()
          },
          cut,
        })
        slots.input({ type: 'ask', id, peer: peerId, file: path })
        report()
      })
    } catch (error) {
      end()
      throw error
    } finally {
      await places?.close()
    }
    meter.reading(clock.now(), peerId, path, 1)
    return {
      send: async (stream, bytes, onPiece) => {
        // Taking a piece is the progress that keeps a slot.
        const size = new PieceSize()
        for (let from = 0; from < bytes.length; ) {
          reads.isLocal = isLocalTo(connection)
          const length = Math.min(size.bytes, pacer.pieceBytes(peerId, reads.isLocal) ?? size.bytes)
          const piece = bytes.subarray(from, from + length)
          if (pacer.limitOf(peerId, reads.isLocal) !== null) {
            slots.input({ type: 'pause', id })
            await pacer.pass(peerId, piece.length, reads.isLocal, { signal: cut.signal })
            slots.input({ type: 'progress', id })
          }
          const began = clock.now()
          const written = stream.write(piece)
          onPiece?.(piece)
          await written
          size.took(clock.now() - began)
          slots.input({ type: 'progress', id })
          from += piece.length
        }
      },
      sent: (of, bytes) => meter.sent(clock.now(), peerId, of, bytes),
      end: () => {
        if (!ended) meter.reading(clock.now(), peerId, path, -1)
        end()
      },
    }
  }

  function report(): void {
    if (closed || cancelReport !== undefined) return
    cancelReport = clock.wakeAfter(UPLOADS_INTERVAL_MS, () => {
      cancelReport = undefined
      const list = meter.list(clock.now()).map(({ peer, path, bytes, bytesPerSecond }) => ({ peerId: peer as PeerId, path: path as SharePath, bytes, bytesPerSecond }))
      const isBusy = list.length + peers.size > 0
      if (isBusy || wasBusy) onUploads(list, statuses(list))
      wasBusy = isBusy
      if (isBusy) report()
    })
  }

  function statuses(uploads: readonly UploadStatus[]): UploadPeerStatus[] {
    const all = new Set([...peers.keys(), ...uploads.map(({ peerId }) => peerId)])
    return [...all].map((peerId) => {
      const isLocal = peers.get(peerId)?.isLocal ?? false
      const bytesPerSecond = uploads.reduce((sum, upload) => sum + (upload.peerId === peerId ? upload.bytesPerSecond : 0), 0)
      return {
        peerId, bytesPerSecond, sending: scheduler.held(peerId), waiting: scheduler.waiting(peerId), place: scheduler.place(peerId) ?? null,
        limit: pacer.limitOf(peerId, isLocal), isLimited: pacer.isHeldUp(peerId),
      }
    })
  }

  return {
    take,
    report,
    setBounds: (next) => {
      bounds = next
      slots.input({ type: 'limits', limits: { ...bounds, peerSlots } })
      setPeerSlots()
    },
    close: () => {
      closed = true
      slots.close()
      cancelReport?.()
    },
  }
}

/** Tells a peer its place every so often until it is closed; `close` resolves when nothing of it is being written any more. */
function openPlaceTeller(clock: Clock, place: () => number | undefined, tell: (place: number) => Promise<void>): { close(): Promise<void> } {
  let telling = Promise.resolve()
  let cancel: () => void
  let closed = false
  const tellNow = async () => {
    const now = place()
    // Whoever cannot be told is noticed by the read itself.
    if (now !== undefined) await tell(Math.min(now, MAX_QUEUE_PLACE)).catch(() => {})
    if (!closed) arm(TELL_INTERVAL_MS)
  }
  const arm = (ms: number) => {
    cancel = clock.wakeAfter(ms, () => {
      telling = tellNow()
    })
  }
  arm(TELL_AFTER_MS)
  return {
    close: () => {
      closed = true
      cancel()
      return telling
    },
  }
}
