import type { PeerId, SharePath } from '../index.ts'

/** The part of the control contract that is about the order and the pace of downloads. */
export interface QueueApi {
  /** Stops what is in scope until `resumeTransfers`; what is there of it stays. A peer and everything are switches of their own beside those of single transfers. */
  pauseTransfers(args: TransferScope): Promise<void>
  resumeTransfers(args: TransferScope): Promise<void>
  /** Removes unfinished data. With `path`, only that part of the transfer is not wanted any more. */
  cancelTransfers(args: TransferScope): Promise<void>
  /** What failed, or waits for another try, is tried now. With `path`, a part that was cancelled is wanted again. */
  retryTransfers(args: TransferScope): Promise<void>
  /** Among those that have not ended. Of one peer's downloads the first gets most turns; peers do not wait for each other. */
  moveTransfer(args: { transferId: string } & ({ to: 'top' | 'up' | 'down' | 'bottom' } | { before: string })): Promise<void>
  /** While on, new files at the source are fetched too: it is looked at when its peer comes, and every ten minutes or less often. */
  followTransfer(args: { transferId: string; follow: boolean }): Promise<void>
  /** Looks at the source of an ended transfer again and fetches what is missing, new or changed there. */
  fetchAgain(args: { transferId: string }): Promise<void>
  /** What `download` would do now. Asks the peer for its listing; fetches nothing. */
  previewDownload(args: { peerId: PeerId; path: SharePath }): Promise<DownloadPreview>
}

/** One transfer, or with `path` one file or folder of it, named below the transfer's path at the peer; everything of a peer; everything. */
export type TransferScope = { readonly transferId: string; readonly path?: SharePath } | { readonly peerId: PeerId } | { readonly all: true }

/** What is paused as a whole. */
export interface QueueInfo {
  readonly paused: boolean
  readonly pausedPeers: readonly PeerId[]
}

/**
 * Why nothing comes in:
 * - `turn`: others come first
 * - `offline`: the peer is not connected
 * - `place`: the peer serves others first; `place` says how many, 1 = next
 * - `limit`: a rate limit of ours
 * - `disk`: it is full
 * - `source`: the file changed there, and is given time
 * - `peer`: the peer is left alone for a while after something went wrong
 * - `retry`: it is tried again later
 * - `paused`, `peer-paused`, `all-paused`: by you, and what of
 */
export type WaitCause = 'turn' | 'offline' | 'place' | 'limit' | 'disk' | 'source' | 'peer' | 'retry' | 'paused' | 'peer-paused' | 'all-paused'

export interface TransferWait {
  readonly cause: WaitCause
  readonly place?: number
  /** When it is tried again. */
  readonly until?: number
}

/** What a transfer tells of its place in the queue. */
export interface QueuedInfo {
  /** While nothing comes in; null otherwise. */
  readonly wait: TransferWait | null
  /** Smaller comes first. Only its relation to others means something. */
  readonly order: number
  /** Paused by itself, whatever holds for its peer and for everything. */
  readonly held: boolean
  readonly follow: boolean
  /** Files that are not wanted; they do not count in `files` and `total`. */
  readonly skippedFiles: number
}

export interface DownloadPreview {
  readonly isDirectory: boolean
  /** All of it, without entries whose names are not allowed. */
  readonly files: number
  readonly bytes: number
  /** Of these, what is here from an earlier download of the same. */
  readonly here: { readonly files: number; readonly bytes: number }
  /** Files that get another name, since one that is not of this download, or a newer one, has theirs. */
  readonly clashes: number
  /** Entries whose names are not allowed: left out. */
  readonly rejected: number
  /** Where it would land, absolute. It has another name than at the source when that is taken. */
  readonly target: string
  readonly isRenamed: boolean
  readonly freeBytes: number | null
  /** With what is kept free for the system; null where the system does not say. */
  readonly fits: boolean | null
  /** False when counting took too long: there is more than this. */
  readonly isComplete: boolean
  /** The transfer that fetches it already. */
  readonly transferId: string | null
}

export const QUEUE_METHODS = [
  'pauseTransfers', 'resumeTransfers', 'cancelTransfers', 'retryTransfers', 'moveTransfer', 'followTransfer', 'fetchAgain', 'previewDownload',
] as const satisfies readonly (keyof QueueApi)[]
