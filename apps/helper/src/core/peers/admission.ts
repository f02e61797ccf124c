import type { PeerId } from '@harddrive-party/protocol'
import type { LinkPolicy } from './peer-link-messages.ts'
import { isStranger } from './peer-link-state.ts'
import type { Link } from './peer-link-state.ts'

/** Decides who is let in, who is put before the person, and who is turned away. Does not know how that is said. */

/** Incoming connections of peers that we do not know and have not let in: the only ones a holder of the code can make at will. */
export const MAX_STRANGERS = 48
/** Incoming connections of one peer that have not said hello: a restart or two in a row. */
export const MAX_ARRIVALS_PER_PEER = 3
/** People waiting for our answer: more than anybody reads through. */
export const MAX_ASKS = 16
/** After a no, the same stranger is turned away without asking the person again. */
export const DECLINED_MS = 10 * 60_000
/** Strangers remembered as declined, the oldest forgotten first. */
const MAX_DECLINED = 1024

export type Verdict = 'admit' | 'ask' | 'refused' | 'blocked'

export class Admission {
  policy: LinkPolicy = { codeSecret: '', askBeforeAccepting: true, peers: [] }
  readonly #declined = new Map<PeerId, number>()

  /** @param links all of them, for the bounds */
  verdict(now: number, link: Link, links: Iterable<Link>): Verdict {
    const { peer } = link
    if (peer.policy?.blocked) return 'blocked'
    if (peer.away) return 'refused'
    // Who asked for a peer's connection has accepted it.
    if (!isStranger(peer)) return 'admit'
    if ((this.#declined.get(peer.peerId) ?? -Infinity) > now) return 'refused'
    if (link.knock === 'code' && !this.policy.askBeforeAccepting) return 'admit'
    let asks = 0
    for (const other of links) if (other.phase === 'asks' && other.peer !== peer) asks++
    return asks < MAX_ASKS ? 'ask' : 'refused'
  }

  decline(now: number, peerId: PeerId): void {
    this.#declined.delete(peerId)
    this.#declined.set(peerId, now + DECLINED_MS)
    const [oldest] = this.#declined.keys()
    if (this.#declined.size > MAX_DECLINED && oldest !== undefined) this.#declined.delete(oldest)
  }

  /** Whether there are so many strangers that one more is turned away unheard. */
  isFullOfStrangers(links: Iterable<Link>): boolean {
    let count = 0
    for (const link of links) if (link.role === 'listener' && isStranger(link.peer)) count++
    return count >= MAX_STRANGERS
  }
}
