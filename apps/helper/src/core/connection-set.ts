import type { PeerId } from '@harddrive-party/protocol'

/**
 * Decides which of several connections with one peer is used, so that both sides choose the same one without talking about it.
 *
 * 1. Of connections dialled by different sides, the one whose dialler has the smaller public key wins: both sides see the same keys.
 * 2. Of connections dialled by the same side, the newest wins: nobody dials again while the older one works.
 * 3. Rule 1 must not keep a dead connection alive when the other side has restarted and dials us. Only we can be wrong then, and only if the
 *    winner is one that we dialled: it is doubted until the peer has answered on it.
 */

export interface Candidate {
  readonly link: number
  readonly role: 'dialler' | 'listener'
  /** Counts up by one per connection that became ready. */
  readonly order: number
  /** Whether it has to prove first that the peer still has it. */
  readonly doubted: boolean
}

/** @returns the one to use now; undefined when there is none */
export function chooseConnection<C extends Candidate>(self: PeerId, peer: PeerId, candidates: Iterable<C>): C | undefined {
  let best: C | undefined
  for (const candidate of candidates) {
    if (best === undefined || beats(self, peer, candidate, best)) best = candidate
  }
  return best
}

function beats(self: PeerId, peer: PeerId, a: Candidate, b: Candidate): boolean {
  if (a.doubted !== b.doubted) return b.doubted
  if (a.role !== b.role) return a.role === preferredRole(self, peer)
  return a.order > b.order
}

/** Our role in the connection that wins over one dialled by the other side. */
export function preferredRole(self: PeerId, peer: PeerId): 'dialler' | 'listener' {
  return self < peer ? 'dialler' : 'listener'
}

/** Whether an arriving connection puts an older one in doubt: it says that the peer saw no connection when it dialled. */
export function raisesDoubt(self: PeerId, peer: PeerId, older: Pick<Candidate, 'role'>, arriving: Pick<Candidate, 'role'>): boolean {
  return arriving.role === 'listener' && older.role === 'dialler' && preferredRole(self, peer) === 'dialler'
}
