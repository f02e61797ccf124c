/** What a puncher is given, hears and asks for: the plain data between punching and the sockets. Decides nothing. */
import type { Endpoint, Fault, Hmac, NatKind, ReachCandidate } from '@harddrive-party/protocol'
import type { PortBlock } from './nat-kind.ts'
import type { InterfaceAddress } from '../reach/own-reach.ts'
import type { PacketBudget } from '../packet-budget.ts'

/** What is known of the NAT of one side, as in `OwnReach` and in a peer record; `block`, `step` and `lastPort` concern IPv4. */
export interface PunchSide {
  readonly nat: { readonly v4: NatKind; readonly v6: NatKind }
  readonly block?: PortBlock
  readonly step?: number
  readonly lastPort?: number
}

export interface PunchPeer extends PunchSide {
  readonly candidates: readonly ReachCandidate[]
}

export interface PunchOptions {
  /** An `OwnReach` will do. Private addresses that others told us of are worth a packet only in networks of these interfaces. */
  readonly own: PunchSide & { readonly interfaces: readonly InterfaceAddress[]; readonly candidates?: readonly ReachCandidate[] }
  readonly theirs: PunchPeer
  /** 16 bytes each, `keyHashOf`: they say who knocks at whom. The side with the smaller one decides which path is used. */
  readonly keyHashes: { readonly ours: Uint8Array; readonly theirs: Uint8Array }
  readonly secrets: {
    /** Every knock secret of ours that the peer may hold (that of the code, that for known peers): at most MAX_OWN_SECRETS. */
    readonly ours: readonly Uint8Array[]
    /** The one that the peer demands. */
    readonly theirs: Uint8Array
  }
  /** Shared by everything in the process that punches. */
  readonly budget: PacketBudget
  /** Uniform in [0, 1). Only for choosing ports and times. */
  readonly random: () => number
  /** Fresh random bytes for nonces, unpredictable. */
  readonly randomBytes: (count: number) => Uint8Array
  /** Milliseconds since 1970 when the machine's clock was 0; another when the wall clock was set. */
  readonly unixOffsetMs: number
  readonly hmac?: Hmac
  /** Hops that a packet may travel to get out of our own NATs without reaching the peer's; default LOW_TTL. */
  readonly lowTtl?: number
  /** How long to go on knocking sparsely when nobody answers: the other person may paste our code minutes later. Default PATIENCE_MS; 0 = not at all. */
  readonly patienceMs?: number
  /** It was here a moment ago, and neither side waits for a person: knocks go on steadily for a while. */
  readonly eager?: boolean
  /** Loopback addresses are allowed: for two helpers on one machine, where nothing else is reachable. */
  readonly loopback?: boolean
}

export type PunchInput =
  | { readonly type: 'start' }
  /** A datagram of type 0x32 or 0x33. Offer it to every puncher that runs: those whom it does not concern do nothing. */
  | { readonly type: 'packet'; readonly socket: number; readonly from: Endpoint; readonly bytes: Uint8Array }
  /** The answer to `open-sockets`: as many as could be opened, in any order. Numbers are unique among all sockets and never 0. */
  | { readonly type: 'sockets-opened'; readonly ids: readonly number[] }
  /** The other side is known to start at this moment; with what is newly known of it. */
  | { readonly type: 'live-signal'; readonly theirs?: PunchPeer }
  | { readonly type: 'abort' }
  | { readonly type: 'tick' }

export type PunchEffect =
  /** Socket 0 is the main one of the family of `to`. Without `ttl` the system's own. */
  | { readonly type: 'send'; readonly socket: number; readonly to: Endpoint; readonly bytes: Uint8Array; readonly ttl?: number }
  | { readonly type: 'open-sockets'; readonly count: number; readonly family: 4 | 6 }
  | { readonly type: 'close-sockets'; readonly ids: readonly number[] }
  /** The first, fast round was in vain; it goes on sparsely. `message`: why, as far as one can tell, and what would help. */
  | ({ readonly type: 'waiting' } & Fault<PunchFailure>)
  /**
   * Both sides agree on this path. `decider`: we are the one that chose it, so we should dial. The puncher answers for a little longer (see its deadline).
   * An extra socket named here is the receiver's from now on.
   */
  | { readonly type: 'path'; readonly socket: number; readonly endpoint: Endpoint; readonly rttMs: number; readonly decider: boolean; readonly packets: number }
  | ({ readonly type: 'failed'; readonly packets: number } & Fault<PunchFailure>)

/**
 * - `hopeless`: the two kinds of NAT cannot be joined without a relay; nothing was sent over them
 * - `no-candidates`: the peer has no address that we may send to
 * - `no-answer`: it was tried and nothing came back
 * - `search-failed`: the search for the right port ended without a hit
 * - `lost`: a path was found and then died before both sides had agreed on it
 */
export type PunchFailure = 'hopeless' | 'no-candidates' | 'no-answer' | 'search-failed' | 'lost'
