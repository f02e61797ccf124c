import type { ReachCandidate } from '@harddrive-party/protocol'
import type { DialMeans } from './dial-candidates.ts'
import type { Dialling, Diallings } from './diallings.ts'
import type { LinkFault } from './peer-link-messages.ts'
import { type Link, type Peer, candidatesOf, natOf } from './peer-link-state.ts'

/**
 * Decides when a way over TCP is looked for beside a connection over QUIC: at once, then ever more seldom while there is none or it does not last.
 * It does not decide which of the two is used.
 */

/** Who was dialled looks only if who dialled has not found a way by then. */
const LISTENER_MS = 2_000
/** After the first failure, or the loss of a connection over TCP; four times as long after each one more. */
const FIRST_RETRY_MS = 5_000
const LONGEST_RETRY_MS = 10 * 60_000
/** A way that held for so long was a good one. */
const LASTING_MS = 60_000

export interface BesideDiallingOptions {
  /** The connection in use. */
  chosen(peer: Peer): Link | undefined
  means(): DialMeans
  /** Uniform in [0, 1). */
  random(): number
  readonly diallings: Diallings
}

export class BesideDialling {
  readonly #options: BesideDiallingOptions

  constructor(options: BesideDiallingOptions) {
    this.#options = options
  }

  get means(): DialMeans {
    return this.#options.means()
  }

  /** To be called when the connections of a peer have changed. */
  plan(now: number, peer: Peer): void {
    const chosen = this.#options.chosen(peer)
    if (!this.means.tcp || chosen === undefined || chosen.transport === 'tcp') {
      peer.besideAt = undefined
      if (peer.beside) this.#options.diallings.step(now, peer.beside, { type: 'abort' })
    } else if (!peer.beside) peer.besideAt = now + delayMs(peer, chosen.role, this.#options.random())
  }

  /** Something has changed: earlier failures say nothing any more. */
  afresh(now: number, peer: Peer): void {
    peer.besideFailures = 0
    this.plan(now, peer)
  }

  /** Dials for whom it is time. */
  look(now: number, peers: Iterable<Peer>): void {
    const { diallings, chosen } = this.#options
    for (const peer of peers) {
      if (peer.besideAt === undefined || peer.besideAt > now || diallings.isFull) continue
      peer.besideAt = undefined
      const { hello, peerId } = peer
      const present = chosen(peer)
      if (hello === null || hello.tcpPort === 0 || present === undefined || present.transport === 'tcp') continue
      const how = { wish: null, peer, candidates: besideCandidates(peer), nat: natOf(peer), eager: false, expect: { peerId }, beside: true }
      peer.beside = diallings.prepare({ ...how, ...hello })
      diallings.step(now, peer.beside, { type: 'start' })
    }
  }

  /** @param fault null when it succeeded or was given up */
  ended(now: number, { peer }: Dialling, fault: LinkFault | null): void {
    if (peer === null) return
    peer.beside = null
    if (fault === null) return
    peer.besideFailures++
    this.plan(now, peer)
  }

  /** A connection is gone. */
  lost(now: number, { peer, transport, phase, readyAt }: Link): void {
    if (transport !== 'tcp' || phase !== 'ready') return
    peer.besideFailures = now - readyAt >= LASTING_MS ? 1 : peer.besideFailures + 1
    this.plan(now, peer)
  }
}

function delayMs({ besideFailures }: Peer, role: Link['role'], random: number): number {
  if (besideFailures === 0) return role === 'dialler' ? 0 : LISTENER_MS
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 4 ** (besideFailures - 1)) * (1 + random / 2)
}

/** Where a peer is seen over QUIC, then as ever. */
function besideCandidates(peer: Peer): ReachCandidate[] {
  const seen = [...peer.links].flatMap(({ remote, phase }) => (phase === 'ready' && remote ? [{ endpoint: remote, source: 'worked' } as const] : []))
  return [...seen, ...candidatesOf(peer)]
}
