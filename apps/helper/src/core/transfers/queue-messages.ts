import type { ErrorCode, PeerId } from '@harddrive-party/protocol'
import type { LookAgain, Reason, WishPage, WishRecord } from '../wishes/wish.ts'
import type { MoveTo } from '../wishes/wish-order.ts'

/** What the transfer queue is told, and what it wants done. Plain data. */

export type QueueInput =
  /** A new wish, or one from the store: `hasEnded` ones are only remembered. */
  | { readonly type: 'add'; readonly wish: WishRecord }
  | { readonly type: 'peer'; readonly peerId: PeerId; readonly connected: boolean }
  | { readonly type: 'listed'; readonly id: string } & Listed
  | { readonly type: 'list-failed'; readonly id: string; readonly code: ErrorCode; readonly message: string }
  /** A page that was asked for with `load`, undefined if it is gone. The queue changes its states, reasons and names from then on. */
  | { readonly type: 'page'; readonly id: string; readonly number: number; readonly page: WishPage | undefined }
  | { readonly type: 'file-progress'; readonly jobId: string; readonly bytes: number; readonly bytesPerSecond: number }
  /** Its turn at the peer comes later (`place`, 1 = next), or a limit of ours lets nothing in (`null`). */
  | { readonly type: 'file-waiting'; readonly jobId: string; readonly place: number | null }
  | { readonly type: 'file-done'; readonly jobId: string; readonly name: string; readonly restarted: boolean }
  | { readonly type: 'file-failed'; readonly jobId: string; readonly code: ErrorCode; readonly message: string; readonly now?: { readonly size: number; readonly mtime: number } }
  | { readonly type: 'network-restart' }
  | { readonly type: 'pause' | 'resume' | 'cancel' | 'retry'; readonly scope: QueueScope }
  /** What was paused when the program ended, before any wish is added. */
  | { readonly type: 'pauses'; readonly all: boolean; readonly peers: readonly PeerId[] }
  | { readonly type: 'move'; readonly id: string; readonly to: MoveTo }
  | { readonly type: 'follow'; readonly id: string; readonly follow: boolean }
  /** Looks at the source of an ended wish again, and fetches what is missing. */
  | { readonly type: 'look-again'; readonly id: string }
  | { readonly type: 'clear' }
  | { readonly type: 'tick' }

/** One file or folder of a wish (`path` below it, `''` = all of it), everything of a peer, or everything. */
export type QueueScope = { readonly id: string; readonly path: string } | { readonly peerId: PeerId } | { readonly all: true }

/** What a wish is made of. Of one that is looked at again, some is here already; `fresh` files are to be fetched. */
export interface Listed {
  readonly isDirectory: boolean
  readonly target: string
  readonly base: number
  readonly pages: number
  readonly files: number
  readonly bytes: number
  readonly renamed: number
  readonly rejected: number
  readonly fresh: number
  readonly doneFiles: number
  readonly doneBytes: number
  readonly failedFiles: number
  readonly skippedFiles: number
  readonly skippedBytes: number
  /** Why the first of those that failed did. */
  readonly failure: Reason | null
}

export type QueueEffect =
  /** Ask what the wish is made of and choose its target; answered by `listed` or `list-failed`. `again`: compare with the pages that are there. */
  | { readonly type: 'list'; readonly id: string; readonly again: LookAgain | null }
  | { readonly type: 'stop-listing'; readonly id: string }
  | { readonly type: 'load'; readonly id: string; readonly number: number }
  /** Starts with the same `batch`, which come one after the other, are of one peer and small: they are to be fetched together. */
  | { readonly type: 'start'; readonly id: string; readonly jobId: string; readonly row: JobRow; readonly batch: number }
  | { readonly type: 'stop'; readonly jobId: string; readonly discard: boolean }
  /** Remove unfinished data of a file that does not run. */
  | { readonly type: 'drop'; readonly id: string; readonly jobId: string; readonly row: JobRow }
  /** Keep for the next start what is paused as a whole. */
  | { readonly type: 'keep-pauses'; readonly all: boolean; readonly peers: readonly PeerId[] }
  /** Remove unfinished data of every file of the wish. */
  | { readonly type: 'discard'; readonly id: string }
  /** The wish changed; with `page`, that page's states, reasons and names too; with `rows`, its rows as well. */
  | { readonly type: 'save'; readonly id: string; readonly number?: number; readonly page?: WishPage; readonly rows?: true; readonly soon: boolean }
  /** What is shown of the wish changed; `state`: not only numbers. */
  | { readonly type: 'changed'; readonly id: string; readonly state: boolean }
  | { readonly type: 'removed'; readonly record: WishRecord }

export interface JobRow {
  readonly remote: string
  readonly local: string
  readonly size: number
  readonly mtime: number
}

export type QueueState = 'queued' | 'listing' | 'running' | 'waiting' | 'paused' | 'done' | 'failed' | 'cancelled'

/**
 * Why nothing of a wish or file comes in:
 * - `turn`: others come first
 * - `offline`: the peer is not connected
 * - `place`: the peer serves others first
 * - `limit`: a rate limit of ours
 * - `disk`: it is full
 * - `source`: the file changed there and is given time
 * - `peer`: the peer is left alone for a while after something went wrong
 * - `retry`: this file or listing is tried again later
 * - `paused`, `peer-paused`, `all-paused`: by the person, and what of
 */
export type WaitCause = 'turn' | 'offline' | 'place' | 'limit' | 'disk' | 'source' | 'peer' | 'retry' | 'paused' | 'peer-paused' | 'all-paused'

export interface Wait {
  readonly cause: WaitCause
  /** In the peer's queue, 1 = next. */
  readonly place?: number
  /** When it is tried again, in the clock of `now`. */
  readonly until?: number
}
