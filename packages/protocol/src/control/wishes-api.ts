import type { Reason } from '../errors.ts'
import type { PeerId } from '../peer-id.ts'
import type { SharePath } from '../share-path.ts'
import type { SyncedWish, WishPriority, WishTarget, WishValues } from './synced-wish.ts'

/** The part of the control contract about wishes: what the person wants, kept in every paired browser and in the helper, which acts on it. */
export interface WishesApi {
  /**
   * Brings a browser's copy and the helper's together. Changes are taken first, then one page of whatever the helper has that is newer than `since`;
   * asked again until there is no `more`. With `reset` nothing was taken: the copy has to read everything from the start (`whole`) first.
   */
  syncWishes(args: WishSyncRequest): Promise<WishSyncPage>
  /** All wishes that are not removed, without what syncing needs: for scripts. In the order in which they were added. */
  wishes(args: { cursor?: string; limit: number }): Promise<{ readonly wishes: readonly WishInfo[]; readonly cursor?: string }>
  /** The same `id` twice is one wish. */
  addWish(args: { id?: string } & NewWish): Promise<{ wishId: string }>
  /** Absent fields stay as they are. */
  editWish(args: { wishId: string } & WishChange): Promise<WishInfo>
  /** Ends its transfer too, where it has one that has not ended. */
  removeWish(args: { wishId: string }): Promise<void>
  /** What a search has found and the person has not answered yet. */
  wishMatches(args: { wishId: string; cursor?: string; limit: number }): Promise<{ readonly matches: readonly WishMatch[]; readonly cursor?: string }>
  /** Downloads matches, or drops them for good; without `matchIds` all of them. @returns how many */
  answerMatches(args: { wishId: string; accept: boolean; matchIds?: readonly string[] }): Promise<{ answered: number }>
}

export const WISHES_METHODS = ['syncWishes', 'wishes', 'addWish', 'editWish', 'removeWish', 'wishMatches', 'answerMatches'] as const satisfies readonly (keyof WishesApi)[]

export type NewWish = { readonly what: WishTarget } & WishChange

export interface WishChange {
  /** Of a search. */
  readonly what?: WishTarget
  readonly paused?: boolean
  readonly priority?: WishPriority
  readonly repeat?: boolean
  readonly automatic?: boolean
  /** Where it lands, below the download folder. */
  readonly folder?: SharePath | null
}

export interface WishSyncRequest {
  /** Whose revisions `since` counts: from the last page; absent = this copy is new. */
  readonly store?: string
  /** The cursor of the last page; 0 = from the start. */
  readonly since: number
  /** Everything is being read, from the start on; no changes may come with it. */
  readonly whole?: boolean
  readonly changes?: readonly SyncedWish[]
}

export interface WishSyncPage {
  /** Names the helper's list; another one means that the old list is gone, and that what this copy has is news to it. */
  readonly store: string
  readonly reset: boolean
  /** In the order of their last change. Removed ones too, for a while. */
  readonly rows: readonly WishSyncRow[]
  readonly cursor: number
  readonly more: boolean
  /** Removed wishes with changes up to here have been forgotten. While reading everything it must stay the same, or start again. */
  readonly forgotten: number
  /** The helper's clock, milliseconds since 1970. */
  readonly now: number
  /** Changes that were not taken, by wish; `too-late`: written by a clock that is far ahead, to be written again. */
  readonly refused: readonly { readonly wishId: string; readonly why: 'too-late' | 'too-many' }[]
}

export interface WishSyncRow {
  readonly wish: SyncedWish
  readonly status: WishStatus
}

/**
 * What the helper makes of a wish; nobody else writes it.
 * - `waiting`: nothing was done about it yet
 * - `transfer`: the transfer with its id carries it out
 * - `refused`: it cannot be carried out; `reason` says why
 * - `watching`: the search looks through what connected peers share, now and whenever that changes
 * - `found`: the search was found, and does not go on
 * - `full`: the search has found so much that it does not go on
 */
export interface WishStatus {
  readonly state: 'waiting' | 'transfer' | 'refused' | 'watching' | 'found' | 'full'
  readonly reason: Reason | null
  /** Found, and to be answered by the person. */
  readonly matches: number
  /** Found and downloaded, or on the way. */
  readonly taken: number
}

export type WishInfo = Omit<WishValues, 'removed'> & { readonly wishId: string; readonly addedAt: number; readonly status: WishStatus }

export interface WishMatch {
  readonly matchId: string
  readonly peerId: PeerId
  readonly peerName: string
  readonly path: SharePath
  readonly isDirectory: boolean
  readonly size: number
  readonly foundAt: number
}

/** In every snapshot, and as an event whenever it changes. */
export interface WishesInfo {
  /** Goes up with every change: a copy that has read up to another one has something to ask for. */
  readonly revision: number
  /** Over all searches. */
  readonly matches: number
}

/** Wishes that are not removed. More are a mistake; each costs memory in every browser. */
export const MAX_WISHES = 5_000
/** Changes in one call, which has to fit in a message with whatever else it carries. */
export const MAX_SYNCED_CHANGES = 50
export const MAX_SYNCED_BYTES = 40_000
