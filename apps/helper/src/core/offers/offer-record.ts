import type { ErrorCode, PeerId } from '@harddrive-party/protocol'

/** What is kept of an offer, and its bounds. Plain data: decides nothing. */

const HOUR_MS = 3_600_000

/** People go on holiday; files that somebody forgot to fetch should not be there for ever. */
export const LIFETIME_MS = 7 * 24 * HOUR_MS
/** What is over is shown for as long. */
export const FORGOTTEN_MS = 30 * 24 * HOUR_MS
/** … but not more of them than anybody looks through. */
export const MAX_ENDED = 100
/** Questions that one peer may have open, so that it cannot fill the screen … */
export const MAX_WAITING_PER_PEER = 5
/** … and all of them together. */
export const MAX_WAITING = 50
/** Somebody who offers and withdraws all the time gets no more attention than this. */
export const MAX_PER_HOUR = 30
/** Our own that are not over. */
export const MAX_SENT = 100
/** How often the sender hears how much has come in. */
export const PROGRESS_MS = 1_000
/** A peer that was busy is told again after this. */
export const RETRY_MS = 60_000

export type OfferState = OfferEnd | 'waiting' | 'accepted' | 'failed'
type OfferEnd = 'declined' | 'done' | 'cancelled' | 'withdrawn' | 'expired'

/** One file or folder on the disk, and its name in the offer. */
export interface OfferItem {
  readonly name: string
  /** Absolute and real. */
  readonly file: string
}

/** Only the machine changes it, and says so with `save`. */
export interface OfferRecord {
  /** 16 bytes, hex. */
  readonly offerId: string
  readonly direction: 'in' | 'out'
  readonly peerId: PeerId
  readonly name: string
  readonly files: number
  readonly bytes: number
  readonly isDirectory: boolean
  readonly note: string | null
  /** Ours only: one is offered as it is, several in a folder with the offer's name. */
  readonly items: readonly OfferItem[]
  readonly stagingId: string | null
  readonly at: number
  expiresAt: number
  endedAt: number | null
  state: OfferState
  received: number
  isDelivered: boolean
  /** Below the download directory; null = the download directory itself. */
  folder: string | null
  reason: { readonly code: ErrorCode; readonly message: string } | null
  /** The peer has yet to hear how it stands. */
  owes: boolean
}

export function hasEnded(state: OfferState): state is OfferEnd {
  return state !== 'waiting' && state !== 'accepted' && state !== 'failed'
}

/** How often something happened within the last hour. */
export class HourlyCount {
  readonly #times: number[] = []

  add(now: number): void {
    this.#times.push(now)
    if (this.#times.length > MAX_PER_HOUR) this.#times.shift()
  }

  isFull(now: number): boolean {
    this.#forget(now)
    return this.#times.length >= MAX_PER_HOUR
  }

  isEmpty(now: number): boolean {
    this.#forget(now)
    return this.#times.length === 0
  }

  /** When the oldest is an hour ago. */
  get nextAt(): number | undefined {
    return this.#times[0] === undefined ? undefined : this.#times[0] + HOUR_MS
  }

  #forget(now: number): void {
    while (this.#times[0] !== undefined && this.#times[0] + HOUR_MS <= now) this.#times.shift()
  }
}
