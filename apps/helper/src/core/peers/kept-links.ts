import type { PeerId } from '@harddrive-party/protocol'
import { type Peer, chosenLink, reserveLink } from './peer-link-state.ts'

/** Decides how long a connection that is not used is kept. */

/** How long the connection that lost is kept: requests under way on it may end. */
export const DUPLICATE_GRACE_MS = 1_000

/** Gives every connection that lost its time; one that is in doubt has until it is probed, and one over QUIC stays beside one over TCP. */
export function keepOrEnd(self: PeerId, peer: Peer, now: number): void {
  const chosen = chosenLink(self, peer)
  const reserve = reserveLink(self, peer)
  for (const link of peer.links) {
    if (link.phase !== 'ready') continue
    if (link === chosen || link === reserve || link.doubted) link.until = undefined
    else link.until ??= now + DUPLICATE_GRACE_MS
  }
}
