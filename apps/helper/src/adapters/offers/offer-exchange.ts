import { CodedError, OFFER_CAPABILITY, type OfferNewsRequest, type OfferRequest, type PeerAnswer, type PeerId } from '@harddrive-party/protocol'
import { TokenBucket } from '../../core/token-bucket.ts'
import type { NetworkEvent, OfferMessage, OffersPolicy } from '../../network/network-api.ts'
import { type Clock, systemClock } from '../system/drive.ts'
import { requestNotice } from '../peers/peer-requests.ts'
import type { PeerConnection } from '../peers/transport.ts'

/** Carries offers and news of them between us and connected peers, and holds off those who send too many. What follows from them is decided elsewhere. */
export interface OfferExchange {
  /** For the session layer; null = it is not connected any more. */
  onPresence(peerId: PeerId, capabilities: readonly string[] | null): void
  /** For the peer service. @throws CodedError `busy`, `not-allowed`, `not-found` */
  answer(peerId: PeerId, request: OfferRequest | OfferNewsRequest): PeerAnswer
  /** @throws CodedError `offline`, what the peer answered */
  tell(peerId: PeerId, message: OfferMessage): Promise<void>
  setPolicy(policy: OffersPolicy): void
  /** Idempotent. */
  close(): void
}

export interface OfferExchangeOptions {
  connection(peerId: PeerId): PeerConnection | undefined
  /** Whether this is offered to this peer now. */
  has(peerId: PeerId, offerId: string): boolean
  emit(event: Extract<NetworkEvent, { type: 'takes-offers' | 'offer-heard' | 'offer-news' }>): void
  readonly clock?: Clock
}

/** People offer a few things in a row, and not for hours. */
const OFFERS_AT_ONCE = 10
const OFFER_INTERVAL_MS = 10_000
/** Of all offers of one peer together; each tells of its progress once a second at most. */
const NEWS_AT_ONCE = 60
const NEWS_INTERVAL_MS = 100

export function openOfferExchange(options: OfferExchangeOptions): OfferExchange {
  const { clock = systemClock, emit } = options
  const ended = new AbortController()
  const takers = new Set<PeerId>()
  /** Of those who have sent any; kept over reconnects, or coming back would be a way around. */
  const buckets = new Map<PeerId, { readonly offers: TokenBucket; readonly news: TokenBucket }>()
  let muted = new Set<PeerId>()
  let full = new Set<PeerId>()

  function bucketsOf(peerId: PeerId) {
    const own = buckets.get(peerId) ?? { offers: new TokenBucket(OFFERS_AT_ONCE, OFFER_INTERVAL_MS), news: new TokenBucket(NEWS_AT_ONCE, NEWS_INTERVAL_MS) }
    buckets.set(peerId, own)
    return own
  }

  return {
    onPresence: (peerId, capabilities) => {
      const takes = capabilities?.includes(OFFER_CAPABILITY) === true
      if (takes) takers.add(peerId)
      else if (!takers.delete(peerId)) return
      emit({ type: 'takes-offers', peerId, takes })
    },
    answer: (peerId, request) => {
      const offerId = Buffer.from(request.offerId).toString('hex')
      const { offers, news } = bucketsOf(peerId)
      if (request.type === 'offer-news') {
        if (!news.take(clock.now())) throw new CodedError('busy', 'too much news')
        if (request.state === 'accepted' && !options.has(peerId, offerId)) throw new CodedError('not-found', 'this is not offered any more')
        const { state, bytes } = request
        emit({ type: 'offer-news', peerId, offerId, state, ...(bytes === undefined ? {} : { bytes }) })
        return { type: 'noted' }
      }
      if (muted.has(peerId)) throw new CodedError('not-allowed', 'no offers are wanted')
      if (full.has(peerId) || !offers.take(clock.now())) throw new CodedError('busy', 'too many offers')
      const { name, files, bytes, isDirectory, note = null } = request
      emit({ type: 'offer-heard', offer: { offerId, peerId, name, files, bytes, isDirectory, note } })
      return { type: 'noted' }
    },
    tell: async (peerId, { offerId, ...message }) => {
      const connection = options.connection(peerId)
      if (connection === undefined) throw new CodedError('offline', 'this peer is not connected')
      await requestNotice(connection, { ...message, offerId: new Uint8Array(Buffer.from(offerId, 'hex')) }, { signal: ended.signal })
    },
    setPolicy: (policy) => {
      muted = new Set(policy.muted)
      full = new Set(policy.full)
    },
    close: () => ended.abort(),
  }
}
