import type { SignedPeerRecord } from '@harddrive-party/protocol'
import { type OwnPlace, sortCandidates } from '../../core/peers/dial-candidates.ts'
import { keyHashText } from '../../core/peers/peer-link-state.ts'
import { type Clock, systemClock } from '../system/drive.ts'
import type { Punching } from './punching.ts'

/**
 * Opens our NAT to somebody who may come and ask, and whom we do not dial: our person has not said yes. Whether anybody may is decided before.
 */

/** Whoever was let through has connected by then; a socket that carries a connection lasts as long as that. */
const COMING_MS = 15_000

/** @returns once the way is open, or cannot be opened */
export async function openWay(
  punching: Pick<Punching, 'punch' | 'stop'>, place: OwnPlace, { record }: SignedPeerRecord, { signal, clock = systemClock }: { signal: AbortSignal; clock?: Clock },
): Promise<void> {
  const claimed = record.addresses.map(({ endpoint }) => ({ endpoint, source: 'record' }) as const)
  const candidates = sortCandidates(claimed, record, place).punch
  if (candidates.length === 0) return
  const keyHash = keyHashText(record.peerId)
  const outcome = await punching.punch({ keyHash, candidates, nat: record, eager: true, knockSecret: record.knockSecret }, { signal })
  if (outcome.type === 'path') clock.wakeAfter(COMING_MS, () => outcome.path.release())
  // It was here at that moment or not at all: nothing goes on towards somebody whom nobody here knows.
  else punching.stop(keyHash)
}
