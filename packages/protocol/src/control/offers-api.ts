import type { PeerId, Reason } from '../index.ts'

/** The part of the control contract that is about sending something to a peer, and being asked by one. */
export interface OffersApi {
  /**
   * Offers files and folders to a peer: `paths` of the helper's machine, or what was put into a staging. It is told when it is there, and its person
   * is asked. Resolves when everything was counted.
   */
  sendOffer(args: { peerId: PeerId; paths?: readonly string[]; stagingId?: string; note?: string }): Promise<{ offerId: string }>
  /** Answers an offer that waits. The first answer holds. `folder`: where it lands, below the download directory; made if absent. */
  answerOffer(args: { offerId: string; accept: boolean; folder?: string }): Promise<void>
  /** Withdraws an offer of mine, or stops fetching one of somebody else. */
  cancelOffer(args: { offerId: string }): Promise<void>
  /** Drops those that have ended from the list; files stay. */
  clearOffers(): Promise<void>
  /** What is absent stays as it is. */
  setOfferRule(args: { peerId: PeerId; autoAcceptBytes?: number | null; muted?: boolean }): Promise<void>
  /**
   * A place on the helper for files that only a browser has. They are put there piece by piece, with
   * `PUT {url}?path={path}&offset={bytes there}`, each piece at most MAX_STAGED_PIECE bytes; the answer says how many bytes are there.
   */
  openStaging(): Promise<{ stagingId: string; url: string; maxBytes: number }>
  /** Removes it with what is in it, unless it was offered. */
  closeStaging(args: { stagingId: string }): Promise<void>
}

export const OFFERS_METHODS = [
  'sendOffer', 'answerOffer', 'cancelOffer', 'clearOffers', 'setOfferRule', 'openStaging', 'closeStaging',
] as const satisfies readonly (keyof OffersApi)[]

/** Files and folders chosen at once. */
export const MAX_OFFERED_PATHS = 1_000
/** Little enough to be sent again, and to be through before a slow disk makes anybody wait. */
export const MAX_STAGED_PIECE = 4 * 1024 * 1024

/**
 * - `waiting`: for the peer to come, or for its person's answer
 * - `accepted`: being fetched
 * - `failed`: fetching it failed; it may be tried again
 * - the others are ends
 */
export type OfferState = 'waiting' | 'accepted' | 'failed' | 'declined' | 'done' | 'cancelled' | 'withdrawn' | 'expired'

export interface OfferInfo {
  readonly offerId: string
  readonly direction: 'in' | 'out'
  readonly peerId: PeerId
  readonly peerName: string
  readonly name: string
  readonly files: number
  readonly bytes: number
  readonly isDirectory: boolean
  readonly note: string | null
  readonly state: OfferState
  /** Bytes that have arrived. */
  readonly received: number
  /** Of mine: the peer's helper knows of it. */
  readonly isDelivered: boolean
  /** The transfer that fetches it, of somebody else's. */
  readonly transferId: string | null
  readonly reason: Reason | null
  readonly at: number
  readonly expiresAt: number
  readonly endedAt: number | null
}

/** For one peer. */
export interface OfferRule {
  readonly peerId: PeerId
  /** Offers of up to so many bytes are accepted without asking; null = every one is asked about. */
  readonly autoAcceptBytes: number | null
  /** Offers of this peer are declined without asking. */
  readonly muted: boolean
}

export interface OffersInfo {
  /** Newest first. */
  readonly offers: readonly OfferInfo[]
  readonly rules: readonly OfferRule[]
}

export const NO_OFFERS: OffersInfo = { offers: [], rules: [] }

export function hasOfferEnded(state: OfferState): boolean {
  return state !== 'waiting' && state !== 'accepted' && state !== 'failed'
}
