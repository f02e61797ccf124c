import { createHmac } from 'node:crypto'
import { CHANGES_CAPABILITY, type ChangedRequest, CodedError, type PeerAnswer, type PeerId, REVISION_BYTES } from '@harddrive-party/protocol'
import { ChangeNotices, type NoticeEffect, type NoticeInput } from '../../core/peers/change-notices.ts'
import { TokenBucket } from '../../core/token-bucket.ts'
import type { NetworkEvent } from '../../network/network-api.ts'
import { type Clock, type Driven, drive, systemClock } from '../system/drive.ts'
import { requestNotice } from '../peers/peer-requests.ts'
import type { PeerConnection } from '../peers/transport.ts'

/** Tells connected peers when what they see of our shares has changed, and hears it from them. What follows from it is decided elsewhere. */
export interface ShareChanges {
  /** For the session layer; null = it is not connected any more. */
  onPresence(peerId: PeerId, capabilities: readonly string[] | null): void
  /** Our shares, or who may see them, may have changed. */
  sharesChanged(): void
  /** For the peer service. @throws CodedError `busy` */
  answer(peerId: PeerId, request: ChangedRequest): PeerAnswer
  /** Idempotent. */
  close(): void
}

export interface ShareChangesOptions {
  /** Makes revisions that say nothing to others, and the same ones after a restart. */
  readonly secret: Uint8Array
  connection(peerId: PeerId): PeerConnection | undefined
  /** Any text that is another one when what this peer sees of the shares has changed. */
  stateFor(peerId: PeerId): string
  emit(event: Extract<NetworkEvent, { type: 'peer-changed' }>): void
  log(message: string, details?: Record<string, unknown>): void
  readonly clock?: Clock
}

/** Notices taken of one peer: a few at once, then one a second, which is more than any helper sends. */
const NOTICES_AT_ONCE = 5
const NOTICE_INTERVAL_MS = 1_000

interface KnownPeer {
  readonly bucket: TokenBucket
  /** What it was told last over this connection, and what it has told us. */
  told: string | null
  heard: string | null
}

export function openShareChanges(options: ShareChangesOptions): ShareChanges {
  const clock = options.clock ?? systemClock
  const ended = new AbortController()
  const peers = new Map<PeerId, KnownPeer>()
  const notices: Driven<Exclude<NoticeInput, { type: 'tick' }>> = drive<Exclude<NoticeInput, { type: 'tick' }>, NoticeEffect>(new ChangeNotices(), ({ peerId }) => void tell(peerId), clock)

  async function tell(peerId: PeerId): Promise<void> {
    const peer = peers.get(peerId)
    const connection = options.connection(peerId)
    if (peer === undefined || connection === undefined) return
    const revision = createHmac('sha256', options.secret).update(`shares seen by ${peerId}\0${options.stateFor(peerId)}`).digest().subarray(0, REVISION_BYTES)
    const text = revision.toString('hex')
    if (peer.told === text) return
    peer.told = text
    try {
      await requestNotice(connection, { type: 'changed', revision: new Uint8Array(revision) }, { signal: ended.signal })
    } catch (error) {
      if (!(error instanceof CodedError)) throw error
      // It will be told with the next change, or when it is back.
      peer.told = null
      options.log('a peer did not take the notice of a change', { peerId, error: error.message })
    }
  }

  return {
    onPresence: (peerId, capabilities) => {
      if (capabilities === null) {
        peers.delete(peerId)
        return notices.input({ type: 'disconnected', peerId })
      }
      peers.set(peerId, { bucket: peers.get(peerId)?.bucket ?? new TokenBucket(NOTICES_AT_ONCE, NOTICE_INTERVAL_MS), told: null, heard: null })
      notices.input({ type: 'connected', peerId, listens: capabilities.includes(CHANGES_CAPABILITY) })
    },
    sharesChanged: () => notices.input({ type: 'shares' }),
    answer: (peerId, { revision }) => {
      const peer = peers.get(peerId)
      if (peer === undefined || !peer.bucket.take(clock.now())) throw new CodedError('busy', 'too many notices')
      const text = Buffer.from(revision).toString('hex')
      if (peer.heard !== text) {
        peer.heard = text
        options.emit({ type: 'peer-changed', peerId, revision: text })
      }
      return { type: 'noted' }
    },
    close: () => {
      ended.abort()
      notices.close()
    },
  }
}
