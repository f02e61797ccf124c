import type { PeerId } from '@harddrive-party/protocol'

/**
 * Decides which of several connections with one peer is used, so that both sides choose the same one without talking about it.
 *
 * 0. TCP wins over QUIC: there it is far the faster, and both sides know what a connection runs on. The best over QUIC is kept beside it.
 * 1. Of connections dialled by different sides, the one whose dialler has the smaller public key wins: both sides see the same keys.
 * 2. Of connections dialled by the same side, the newest wins: nobody dials again while the older one works.
 * 3. Rule 1 must not keep a dead connection alive when the other side has restarted and dials us. Only we can be wrong then, and only if the
 *    winner is one that we dialled: it is doubted until the peer has answered on it.
 */

export type LinkTransport = 'quic' | 'tcp'

export interface Candidate {
  readonly link: number
  readonly role: 'dialler' | 'listener'
  /** Absent = QUIC. */
  readonly transport?: LinkTransport
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
  if (isTcp(a) !== isTcp(b)) return isTcp(a)
  if (a.role !== b.role) return a.role === preferredRole(self, peer)
  return a.order > b.order
}

/** Our role in the connection that wins over one dialled by the other side. */
export function preferredRole(self: PeerId, peer: PeerId): 'dialler' | 'listener' {
  return self < peer ? 'dialler' : 'listener'
}

/** The one kept for the moment at which the chosen one breaks: over QUIC, which finds its way where TCP does not. */
export function chooseReserve<C extends Candidate>(self: PeerId, peer: PeerId, candidates: Iterable<C>): C | undefined {
  return chooseConnection(self, peer, [...candidates].filter((candidate) => !isTcp(candidate)))
}

/** Connections that both sides dialled at the same time over different transports say nothing about each other. */
const CROSSING_MS = 3_000

/** Whether an arriving connection puts an older one in doubt: it says that the peer saw no connection when it dialled. */
export function raisesDoubt(
  self: PeerId, peer: PeerId, older: Pick<Candidate, 'role' | 'transport'>, arriving: Pick<Candidate, 'role' | 'transport'>, olderAgeMs = Infinity,
): boolean {
  // One over TCP comes beside one over QUIC and takes its place; the other way round nobody dials who has one.
  if (isTcp(arriving) !== isTcp(older)) return arriving.role === 'listener' && isTcp(older) && olderAgeMs >= CROSSING_MS
  return arriving.role === 'listener' && older.role === 'dialler' && preferredRole(self, peer) === 'dialler'
}

function isTcp({ transport }: Pick<Candidate, 'transport'>): boolean {
  return transport === 'tcp'
}
