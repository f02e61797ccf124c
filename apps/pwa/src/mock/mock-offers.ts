import { CodedError, type PeerId } from '@harddrive-party/protocol'
import { type ControlChange, type OfferInfo, type OfferRule, type OffersApi, type OffersInfo, type PeerInfo, hasOfferEnded } from '@harddrive-party/protocol/control'

/** Offers to and by pretended peers: nobody answers ours, and somebody asks where the world says so. */
export interface MockOffers {
  info(): OffersInfo
  readonly methods: OffersApi
}

const WEEK_MS = 7 * 86_400_000

export function openMockOffers({ emit, knownPeer, asking }: { emit(change: ControlChange): void; knownPeer(id: string): PeerInfo; asking: PeerInfo | undefined }): MockOffers {
  const offers: OfferInfo[] = []
  const rules = new Map<PeerId, OfferRule>()
  let number = 0
  const info = (): OffersInfo => ({ offers: [...offers], rules: [...rules.values()] })
  const tell = () => emit({ type: 'offers', offers: info() })

  function offer(peer: PeerInfo, more: Pick<OfferInfo, 'direction' | 'name' | 'files' | 'bytes' | 'isDirectory' | 'note'> & Partial<OfferInfo>): OfferInfo {
    const at = Date.now()
    const made: OfferInfo = {
      offerId: (++number).toString(16).padStart(32, '0'), peerId: peer.peerId, peerName: peer.name, state: 'waiting', received: 0, isDelivered: peer.state === 'connected', transferId: null,
      reason: null, at, expiresAt: at + WEEK_MS, endedAt: null, ...more,
    }
    offers.unshift(made)
    return made
  }

  function change(offerId: string, more: Partial<OfferInfo>) {
    const at = offers.findIndex((one) => one.offerId === offerId)
    const found = offers[at]
    if (found === undefined) throw new CodedError('not-found', 'there is no such offer')
    offers[at] = { ...found, ...more }
    tell()
  }

  if (asking !== undefined) {
    offer(asking, { direction: 'out', name: 'Azores + 11', files: 12, bytes: 96_000_000, isDirectory: true, note: null, state: 'accepted', received: 41_000_000 })
    offer(asking, { direction: 'in', name: 'Garden plan.pdf', files: 1, bytes: 2_400_000, isDirectory: false, note: null, state: 'done', received: 2_400_000, endedAt: Date.now() })
    offer(asking, { direction: 'in', name: 'Summer party', files: 148, bytes: 3_200_000_000, isDirectory: true, note: 'The photos from Saturday, as promised!' })
  }

  return {
    info,
    methods: {
      async sendOffer({ peerId, paths = ['/home/robin/Photos'], note }) {
        const name = paths[0]?.slice(paths[0].lastIndexOf('/') + 1) ?? 'Files'
        const { offerId } = offer(knownPeer(peerId), { direction: 'out', name, files: 3, bytes: 7_200_000, isDirectory: true, note: note ?? null })
        tell()
        return { offerId }
      },
      async answerOffer({ offerId, accept }) {
        const found = offers.find((one) => one.offerId === offerId)
        if (found !== undefined && found.state !== 'waiting') throw new CodedError('conflict', 'it was answered already')
        change(offerId, accept ? { state: 'accepted', transferId: `offer-${offerId}` } : { state: 'declined', endedAt: Date.now() })
      },
      async cancelOffer({ offerId }) {
        const mine = offers.find((one) => one.offerId === offerId)?.direction === 'out'
        change(offerId, { state: mine ? 'withdrawn' : 'cancelled', endedAt: Date.now() })
      },
      async clearOffers() {
        const open = offers.filter(({ state }) => !hasOfferEnded(state))
        offers.splice(0, offers.length, ...open)
        tell()
      },
      async setOfferRule({ peerId, ...more }) {
        knownPeer(peerId)
        rules.set(peerId, { autoAcceptBytes: null, muted: false, ...rules.get(peerId), ...more, peerId })
        tell()
      },
      openStaging: async () => ({ stagingId: 'mock', url: '/staging/mock', maxBytes: 34_000_000_000 }),
      closeStaging: async () => undefined,
    },
  }
}
