import type { PeerId, Reason, SharePath } from '../index.ts'
import type { VerifyDetail } from './advice.ts'

/** Comparing what is on this machine with its source: sizes first, then the hash of every part. Nothing is fetched and nothing is changed. */
export interface VerifyApi {
  /**
   * Begins to compare. Either a transfer, with what it put on the disk; or a peer's file or folder with a local one (`local` is absolute; absent = where a
   * download of it would be).
   */
  startVerify(args: VerifyRequest): Promise<{ verifyId: string }>
  /** How far it is, and what was found; findings come page by page. Kept for a while after the end. */
  verifyReport(args: { verifyId: string; cursor?: number }): Promise<VerifyReport>
  /** Stops it; what was found stays. */
  cancelVerify(args: { verifyId: string }): Promise<void>
}

export type VerifyRequest =
  | { readonly transferId: string; readonly quick?: boolean }
  /** `quick`: sizes and times only, no hashes. */
  | { readonly peerId: PeerId; readonly path: SharePath; readonly local?: string; readonly quick?: boolean }

/** - `listing`: it is not known yet how much there is; what is known is compared meanwhile */
export type VerifyState = 'listing' | 'comparing' | 'done' | 'failed' | 'cancelled'

export interface VerifyReport {
  readonly verifyId: string
  readonly state: VerifyState
  /** Why it failed. */
  readonly reason: Reason | null
  readonly peerId: PeerId
  readonly path: SharePath
  /** What the source is compared with, absolute. */
  readonly local: string
  readonly files: { readonly done: number; readonly total: number }
  readonly bytes: { readonly done: number; readonly total: number }
  readonly counts: Readonly<Record<VerifyKind, number>>
  /** Everything but what is the same. */
  readonly findings: readonly VerifyFinding[]
  /** For the findings after these; null = there are no more so far. */
  readonly cursor: number | null
}

/**
 * - `same`: every byte; with `quick`, size and time
 * - `different`: size or content (with `quick`, time)
 * - `missing`: only at the source
 * - `extra`: only here
 * - `unreadable`: could not be compared
 */
export type VerifyKind = 'same' | 'different' | 'missing' | 'extra' | 'unreadable'

export interface VerifyFinding {
  readonly kind: Exclude<VerifyKind, 'same'>
  /** Below what is compared; empty = that file itself. */
  readonly path: string
  readonly detail: VerifyDetail
}

export const VERIFY_METHODS = ['startVerify', 'verifyReport', 'cancelVerify'] as const satisfies readonly (keyof VerifyApi)[]
