import type { ErrorCode, PeerId, SharePath } from '@harddrive-party/protocol'
import type { Choices } from './wish-choices.ts'
import type { WishRow } from './wish-listing.ts'

/** What is kept of a wish, and of the files it is made of. Plain data: decides nothing. */

/**
 * - `list`: what it is made of is not known yet, or looked at again
 * - `fetch`: its files are being fetched
 * - the others are ends
 */
export type WishPhase = 'list' | 'fetch' | WishEnd
export type WishEnd = 'done' | 'failed' | 'cancelled'

export interface Reason {
  readonly code: ErrorCode
  readonly message: string
}

/** `missing`: fetch whatever is not here; `new`: only what the source did not have before, so that what was moved away does not come back. */
export type LookAgain = 'missing' | 'new'

/** One wish as it is stored. Only the transfer queue changes it, and says so with `save`. */
export interface WishRecord {
  readonly id: string
  readonly peerId: PeerId
  readonly path: SharePath
  /** Milliseconds since 1970. */
  readonly addedAt: number
  /** Files put at the target since then are this wish's own: earlier than `addedAt` when it continues an older, ended wish. */
  readonly since: number
  /** Absolute; the wish stays with it when the setting changes. */
  readonly downloadDirectory: string
  /** Below that, where it lands; null = there. */
  readonly folder: string | null
  endedAt: number | null
  phase: WishPhase
  reason: Reason | null
  isDirectory: boolean | null
  /** Absolute; once chosen it stays. */
  target: string | null
  total: number | null
  totalFiles: number | null
  doneFiles: number
  failedFiles: number
  doneBytes: number
  /** Its pages have the numbers from `base` up to, not including, `pages`: each time the source is looked at again they get new ones. */
  base: number
  pages: number
  /** Files on all pages before this one have ended. */
  firstPage: number
  /** Files that are not wanted, as far as they were come across. */
  skippedFiles: number
  skippedBytes: number
  /** Its place among all wishes: smaller comes first. */
  order: number
  /** What is paused of it. */
  readonly holds: Choices
  /** What is not wanted of it. */
  readonly skips: Choices
  /** Failed files below these are tried again as their pages come up; empty once all have. */
  rearm: string[]
  /** When it has ended its source is looked at from time to time, and what is new there is fetched. */
  follow: boolean
  /** In `list` and `fetch`: its source is being looked at again, and how it had ended before. */
  again: { readonly how: LookAgain; readonly ended: WishEnd } | null
  /** Files that changed at the source while being fetched, that had unfinished data of another version, and that were named anew. */
  changed: number
  restarted: number
  renamed: number
  /** Entries of the listing with names that break the rules. */
  rejected: number
  /** Bytes on the disk of files that have begun and not ended, by job: what was there counts while nothing comes in, and after a restart. */
  begun: Record<string, number>
}

/** States of a row. */
export const QUEUED = 0
export const BEGUN = 1
export const DONE = 2
export const FAILED = 3
/** Not wanted. */
export const SKIPPED = 4

/** Some of a wish's files. Rows change only when a source does. */
export interface WishPage {
  readonly rows: WishRow[]
  /** One per row; directories are DONE from the start. */
  readonly states: Uint8Array
  readonly reasons: Map<number, Reason>
  /** The name a file got, where it is not the one of its row. */
  readonly names: Map<number, string>
}

export function hasEnded(phase: WishPhase): phase is WishEnd {
  return phase === 'done' || phase === 'failed' || phase === 'cancelled'
}

type NewWish = Pick<WishRecord, 'id' | 'peerId' | 'path' | 'addedAt' | 'since' | 'downloadDirectory' | 'target'> & Partial<Pick<WishRecord, 'order' | 'follow' | 'folder'>>

export function newWish({ order = 0, follow = false, folder = null, ...fields }: NewWish): WishRecord {
  return {
    ...fields, order, follow, folder, endedAt: null, phase: 'list', reason: null, isDirectory: null, total: null, totalFiles: null, doneFiles: 0, failedFiles: 0,
    doneBytes: 0, base: 0, pages: 0, firstPage: 0, skippedFiles: 0, skippedBytes: 0, holds: new Map(), skips: new Map(), rearm: [], again: null,
    changed: 0, restarted: 0, renamed: 0, rejected: 0, begun: {},
  }
}

/** Things the person should know. */
export interface WishNotice {
  readonly code: 'changed' | 'restarted' | 'renamed' | 'rejected' | 'skipped'
  readonly values: { readonly count: number }
}

/** What the person should know of it, and of how many files or entries. */
export function noticesOf({ changed, restarted, renamed, rejected, skippedFiles: skipped }: WishRecord): WishNotice[] {
  const counts = { changed, restarted, renamed, rejected, skipped }
  return (Object.keys(counts) as WishNotice['code'][]).flatMap((code) => (counts[code] > 0 ? [{ code, values: { count: counts[code] } }] : []))
}
