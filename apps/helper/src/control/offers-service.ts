/** The methods of the control API that are about offers. */
import { CodedError, type PeerId } from '@harddrive-party/protocol'
import type { OffersApi, PeerInfo } from '@harddrive-party/protocol/control'
import { MAX_STAGED_BYTES } from '../adapters/offers/staging.ts'
import type { OffersBook } from './offers-book.ts'
import { STAGING_PREFIX } from './staging-door.ts'

export function createOffersService(offers: OffersBook, knownPeer: (peerId: PeerId) => PeerInfo): OffersApi {
  return {
    sendOffer: async (wish) => {
      if (knownPeer(wish.peerId).state === 'blocked') throw new CodedError('blocked', 'you have blocked this peer; unblock it first', { detail: { code: 'you-blocked', values: {} } })
      return offers.send(wish)
    },
    answerOffer: async (answer) => offers.answer(answer),
    cancelOffer: async ({ offerId }) => offers.cancel(offerId),
    clearOffers: async () => offers.clear(),
    setOfferRule: async (change) => {
      knownPeer(change.peerId)
      await offers.setRule(change)
    },
    openStaging: async () => {
      const stagingId = await offers.staging.open()
      return { stagingId, url: `${STAGING_PREFIX}/${stagingId}`, maxBytes: MAX_STAGED_BYTES }
    },
    closeStaging: async ({ stagingId }) => offers.staging.drop(stagingId),
  }
}
