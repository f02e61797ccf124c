import type { PeerId } from '../index.ts'
import type { Reason } from '../errors.ts'

/** What happened while nobody looked. */
export interface ActivityApi {
  /** Newest first. `before`: an id; only what happened before it. `limit` at most MAX_ACTIVITY. */
  activity(args: { before?: number; limit: number }): Promise<{ entries: readonly ActivityEntry[] }>
  clearActivity(): Promise<void>
}

export const ACTIVITY_METHODS = ['activity', 'clearActivity'] as const satisfies readonly (keyof ActivityApi)[]

/** As many as are kept: some weeks of ordinary use. */
export const MAX_ACTIVITY = 500

/** One thing that happened. `id` counts up by one. */
export type ActivityEntry = { readonly id: number; readonly at: number } & ActivityFact

export type ActivityFact =
  /** A download ended well. `failed`: files of it that could not be had. */
  | { readonly type: 'download-done'; readonly peerId: PeerId; readonly peerName: string; readonly transferId: string; readonly path: string; readonly bytes: number; readonly failed: number }
  | { readonly type: 'download-failed'; readonly peerId: PeerId; readonly peerName: string; readonly transferId: string; readonly path: string; readonly reason: Reason | null }
  /** Connected for the first time. */
  | { readonly type: 'peer-new'; readonly peerId: PeerId; readonly peerName: string }
  /** Holds our code and waits to be accepted. */
  | { readonly type: 'peer-asks'; readonly peerId: PeerId; readonly peerName: string }
  /** The folder of a share is no longer there. */
  | { readonly type: 'share-missing'; readonly shareId: string; readonly name: string }
  /** A wish for a search found something. */
  | { readonly type: 'wish-fired'; readonly wishId: string; readonly peerId: PeerId; readonly peerName: string; readonly words: string; readonly count: number }
  /** Somebody would like to send something. */
  | { readonly type: 'offer'; readonly offerId: string; readonly peerId: PeerId; readonly peerName: string; readonly name: string; readonly bytes: number }
