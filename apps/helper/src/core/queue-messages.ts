import type { ErrorCode, PeerId } from '@harddrive-party/protocol'
import type { WishPage, WishRecord } from './wish.ts'

/** What the transfer queue is told, and what it wants done. Plain data. */

export type QueueInput =
  /** A new wish, or one from the store: `hasEnded` ones are only remembered. */
  | { readonly type: 'add'; readonly wish: WishRecord }
  | { readonly type: 'peer'; readonly peerId: PeerId; readonly connected: boolean }
  | { readonly type: 'listed'; readonly id: string; readonly isDirectory: boolean; readonly target: string; readonly pages: number; readonly files: number; readonly bytes: number; readonly renamed: number; readonly rejected: number }
  | { readonly type: 'list-failed'; readonly id: string; readonly code: ErrorCode; readonly message: string }
  /** A page that was asked for with `load`, undefined if it is gone. The queue changes its states, reasons and names from then on. */
  | { readonly type: 'page'; readonly id: string; readonly number: number; readonly page: WishPage | undefined }
  /** The answer to `rearm`: nothing is FAILED any more, and this is DONE. */
  | { readonly type: 'rearmed'; readonly id: string; readonly doneFiles: number; readonly doneBytes: number }
  | { readonly type: 'file-progress'; readonly jobId: string; readonly bytes: number; readonly bytesPerSecond: number }
  | { readonly type: 'file-done'; readonly jobId: string; readonly name: string; readonly restarted: boolean }
  | { readonly type: 'file-failed'; readonly jobId: string; readonly code: ErrorCode; readonly message: string; readonly now?: { readonly size: number; readonly mtime: number } }
  | { readonly type: 'network-restart' }
  | { readonly type: 'cancel'; readonly id: string }
  | { readonly type: 'retry'; readonly id: string }
  | { readonly type: 'clear' }
  | { readonly type: 'tick' }

export type QueueEffect =
  /** Ask what the wish is made of and choose its target; answered by `listed` or `list-failed`. */
  | { readonly type: 'list'; readonly id: string }
  | { readonly type: 'stop-listing'; readonly id: string }
  | { readonly type: 'load'; readonly id: string; readonly number: number }
  | { readonly type: 'rearm'; readonly id: string }
  /** Starts with the same `batch`, which come one after the other, are of one peer and small: they are to be fetched together. */
  | { readonly type: 'start'; readonly id: string; readonly jobId: string; readonly row: JobRow; readonly batch: number }
  | { readonly type: 'stop'; readonly jobId: string; readonly discard: boolean }
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

export type QueueState = 'queued' | 'listing' | 'running' | 'waiting' | 'done' | 'failed' | 'cancelled'
