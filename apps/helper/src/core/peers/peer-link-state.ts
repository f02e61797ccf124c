import { keyHashOf } from '@harddrive-party/protocol'
import type { Endpoint, PeerId, PeerRecord, ReachCandidate } from '@harddrive-party/protocol'
import { chooseConnection, chooseReserve } from './connection-set.ts'
import type { Candidate } from './connection-set.ts'
import type { DialMeans, NatFacts, OwnPlace } from './dial-candidates.ts'
import type { Dialling } from './diallings.ts'
import type { KnockName } from './knock-gate.ts'
import type { HelloFacts, LinkFault, LinkPolicyPeer, LinkState, LinkStatus } from './peer-link-messages.ts'

/** What `peer-links.ts` remembers of peers, connections and wishes, and what can be read off it. Changes nothing. */

export interface PeerLinksOptions {
  readonly self: PeerId
  /** Uniform in [0, 1). */
  random(): number
  /** Where we are; null or absent = not known, and nobody punches. */
  place?(): OwnPlace | null
  /** What we can dial with now; absent = QUIC only. */
  means?(): DialMeans
}

export interface Link extends Candidate {
  readonly peer: Peer
  /** Where the peer is seen. */
  readonly remote?: Endpoint
  /** Which of our secrets it knew; null when we dialled. */
  readonly knock: KnockName | null
  /** `told`: hello failed, and the other side is reading why. */
  phase: 'hello' | 'asks' | 'waiting' | 'ready' | 'told'
  order: number
  doubted: boolean
  readyAt: number
  /** When hello must have ended, or when a connection that lost is closed. */
  until: number | undefined
}

export function newLink(link: Pick<Link, 'link' | 'peer' | 'role' | 'knock' | 'until' | 'transport' | 'remote'>): Link {
  const { transport, remote } = link
  return { link: link.link, peer: link.peer, role: link.role, knock: link.knock, phase: 'hello', order: 0, doubted: false, readyAt: 0, until: link.until, ...(transport && { transport }), ...(remote && { remote }) }
}

/** A person's wish to be connected to the owner of a code. */
export interface Wish {
  readonly keyHash: string
  readonly knockSecret: string
  readonly addresses: readonly Endpoint[]
  readonly nat: NatFacts | null
  /** Who is to be told of the outcome. */
  connects: number[]
  /** The other side said `wait`: from then on the wish survives lost connections. */
  held: boolean
  /** Sparse punching goes on: the wish lasts as long as that. */
  patient: boolean
  dialling: Dialling | null
}

/** What the newest signed record that we have seen of a peer says. */
export interface LearntReach {
  readonly record: PeerRecord
  /** Hex; null once a hello has given us a newer one. */
  readonly knockSecret: string | null
}

export interface Peer {
  readonly peerId: PeerId
  policy: LinkPolicyPeer | null
  reach: LearntReach | null
  away: boolean
  /** Let in before the policy could know of it. */
  introduced: boolean
  wish: Wish | null
  dialling: Dialling | null
  /** Looks for a way over TCP beside the connection over QUIC. */
  beside: Dialling | null
  /** When that is tried next, and how often it came to nothing. */
  besideAt: number | undefined
  besideFailures: number
  /** From its last hello in this life. */
  hello: HelloFacts | null
  readonly links: Set<Link>
  retryAt: number | undefined
  /** Attempts that failed in a row. */
  failures: number
  /** When the last connection that was in use ended. */
  lostAt: number
  fault: LinkFault | null
  /** What was last said about it. */
  told: LinkStatus | null
}

export function newPeer(peerId: PeerId): Peer {
  return {
    peerId, policy: null, reach: null, away: false, introduced: false, wish: null, dialling: null, beside: null, besideAt: undefined, besideFailures: 0, hello: null,
    links: new Set(), retryAt: undefined, failures: 0, lostAt: -Infinity, fault: null,
    told: null,
  }
}

/** Hex of the hash that announce codes carry in place of the key. */
export function keyHashText(peerId: PeerId): string {
  return Array.from(keyHashOf(peerId), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Whether nobody here has ever wanted anything of it. */
export function isStranger(peer: Peer): boolean {
  return peer.policy === null && !peer.introduced && peer.wish === null
}

/** A stranger that has only connected is nobody yet. */
export function isWorthTelling(peer: Peer): boolean {
  return !isStranger(peer) || peer.told !== null || [...peer.links].some((link) => link.phase === 'asks')
}

/** The wait after a first failure; it doubles with each one more. */
export const FIRST_RETRY_MS = 500
export const LONGEST_RETRY_MS = 30_000
/** Whoever was here a moment ago is waited for: an outage of a minute is to end within seconds of the network's return. */
export const LONGEST_RETRY_AFTER_LOSS_MS = 3_000
export const RECENT_LOSS_MS = 10 * 60_000
/** At start, and when many become due at once, the dialling is spread over this long. */
export const START_SPREAD_MS = 250

/** @param random uniform in [0, 1): half of the wait is left to it, so that two helpers, or many after a power cut, do not keep meeting */
export function retryDelayMs({ failures, lostAt }: Pick<Peer, 'failures' | 'lostAt'>, now: number, random: number): number {
  const longest = now - lostAt < RECENT_LOSS_MS ? LONGEST_RETRY_AFTER_LOSS_MS : LONGEST_RETRY_MS
  return Math.min(longest, FIRST_RETRY_MS * 2 ** Math.max(0, failures - 1)) * (0.5 + 0.5 * random)
}

/** For so long after a loss both sides try as hard as they can to meet again. */
export const EAGER_MS = 2 * 60_000
/**
 * Failures of which one is followed by dialling what is behind a NAT, though punching did not open it: it may have a port of its own. Rarely, and not soon
 * after the first time: the pause that sparse punching makes (puncher.ts) is to be one.
 */
const SPARING = 8

/** How hard a peer is tried. */
export function zealFor({ failures, lostAt }: Pick<Peer, 'failures' | 'lostAt'>, now: number): { readonly eager: boolean; readonly spare: boolean } {
  const eager = now - lostAt < EAGER_MS
  return { eager, spare: !eager && failures % SPARING !== 0 }
}

/** When something is due next. */
export function earliest(at: number | undefined, links: Iterable<Link>, peers: Iterable<Peer>): number | undefined {
  let first = at ?? Infinity
  for (const { until } of links) first = Math.min(first, until ?? Infinity)
  for (const { retryAt, besideAt } of peers) first = Math.min(first, retryAt ?? Infinity, besideAt ?? Infinity)
  return first === Infinity ? undefined : first
}

/** Whether it should be dialled by itself and can be. */
export function canDial(peer: Peer): boolean {
  if (peer.away || peer.policy?.blocked || peer.dialling) return false
  if ([...peer.links].some((link) => link.phase === 'ready' || link.role === 'dialler')) return false
  if (peer.wish?.held || peer.wish?.patient) return true
  return peer.policy !== null && secretOf(peer) !== null && candidatesOf(peer).length > 0
}

/**
 * Where it may be reached: where a person said, what its record says, what worked before. A search for a port takes the first address on the internet.
 * @param isLive its owner has just sent us its record: nothing is newer
 */
export function candidatesOf({ policy, wish, reach }: Peer, isLive = false): ReachCandidate[] {
  const said = (wish?.addresses ?? []).map((endpoint) => ({ endpoint, source: 'peer' }) as const)
  const record = (reach?.record.addresses ?? []).map(({ endpoint, source }) => ({ endpoint, source: source === 'mapping' ? source : 'record' }) as const)
  const worked = (policy?.addresses ?? []).map((endpoint) => ({ endpoint, source: 'worked' }) as const)
  return isLive ? [...record, ...said, ...worked] : [...said, ...record, ...worked]
}

/** What stands in front of it, as far as it said so. */
export function natOf({ wish, reach }: Peer): NatFacts | null {
  return reach?.record ?? wish?.nat ?? null
}

/** What its gate wants to be shown, hex: a person's wish has its own, then the newest word counts. */
export function secretOf({ policy, wish, reach }: Peer): string | null {
  return wish?.knockSecret ?? reach?.knockSecret ?? policy?.knockSecret ?? null
}

/** The connection kept beside the one in use. */
export function reserveLink(self: PeerId, peer: Peer): Link | undefined {
  return chooseReserve(self, peer.peerId, [...peer.links].filter((link) => link.phase === 'ready'))
}

/** The connection that is used for requests. */
export function chosenLink(self: PeerId, peer: Peer): Link | undefined {
  return chooseConnection(self, peer.peerId, [...peer.links].filter((link) => link.phase === 'ready'))
}

export function statusOf(self: PeerId, peer: Peer): LinkStatus {
  const chosen = chosenLink(self, peer)
  const links = [...peer.links]
  const shown = (state: LinkState, link?: Link): LinkStatus => ({ state, link: link?.link ?? null, lastError: chosen ? null : peer.fault })
  if (peer.policy?.blocked) return shown('blocked')
  if (chosen) return shown('connected', chosen)
  for (const phase of ['asks', 'waiting'] as const) {
    const link = links.find((candidate) => candidate.phase === phase)
    if (link) return shown(phase, link)
  }
  if (peer.dialling || links.some((link) => link.role === 'dialler')) return shown('dialling')
  return shown(peer.away ? 'away' : 'offline')
}
