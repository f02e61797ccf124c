import type { Endpoint, ErrorCode, Fault, PeerId, PeerRecord, ReachCandidate } from '@harddrive-party/protocol'
import type { NatFacts } from './dial-candidates.ts'
import type { LinkTransport } from './connection-set.ts'
import type { KnockName } from './knock-gate.ts'

/** What goes into and comes out of the machine in `peer-links.ts`. Shapes and the wording of failures only; decides nothing. */

export type LinkFault = Fault<ErrorCode>
export type LinkRole = 'dialler' | 'listener'
export type LinkState = 'offline' | 'dialling' | 'waiting' | 'asks' | 'connected' | 'away' | 'blocked'
/** The close codes that this machine gives or reads: those of the wire, and `lost` for a connection that ended without a word. */
export type LinkCloseCode = 'goodbye' | 'duplicate' | 'refused' | 'blocked' | 'protocol' | 'restart' | 'wrong-identity'

/**
 * Where a signed record came from. `gossip` and `lan` are hints: they say more of somebody whom we know or want already. A `topic` that we joined and an
 * `introduction` that was accepted make us dial somebody new.
 */
export type RecordOrigin = 'topic' | 'gossip' | 'lan' | 'introduction'

export interface LinkPolicy {
  /** Changes when the announce code is renewed. */
  readonly codeSecret: string
  readonly askBeforeAccepting: boolean
  readonly peers: readonly LinkPolicyPeer[]
}

export interface LinkPolicyPeer {
  readonly peerId: PeerId
  readonly blocked: boolean
  readonly wanted: boolean
  readonly addresses: readonly Endpoint[]
  /** Hex; null = it cannot be dialled. */
  readonly knockSecret: string | null
  /** What was learnt of it in an earlier life. */
  readonly record?: PeerRecord | null
}

export type LinksInput =
  | { readonly type: 'policy'; readonly policy: LinkPolicy }
  /** A person wants to be connected to the owner of a code. `connect` numbers the wish. */
  | {
    readonly type: 'connect'; readonly connect: number; readonly keyHash: string; readonly knockSecret: string; readonly addresses: readonly Endpoint[]
    /** What the code says of its owner's NAT. */
    readonly nat?: NatFacts | null
  }
  | { readonly type: 'disconnect'; readonly peerId: PeerId }
  | { readonly type: 'reconnect'; readonly peerId: PeerId }
  | { readonly type: 'answer'; readonly peerId: PeerId; readonly accept: boolean }
  /**
   * A record whose signature is good and whose time has not passed. `live`: its owner is trying to reach us at this moment.
   * `knockSecret`: the record's, hex.
   */
  | { readonly type: 'learned'; readonly record: PeerRecord; readonly bytes: Uint8Array; readonly knockSecret: string; readonly origin: RecordOrigin; readonly live: boolean }
  /** The machine woke up or changed networks: waiting for the next attempt makes no sense any more. */
  | { readonly type: 'wake' }
  /** Somebody connected to us and proved a key. */
  | ({ readonly type: 'arrived'; readonly link: number; readonly peerId: PeerId; readonly knock: KnockName } & LinkWay)
  | ({ readonly type: 'dialled'; readonly dial: number; readonly link: number; readonly peerId: PeerId } & LinkWay)
  /** `patient`: punching goes on sparsely, until `punched` or `punching-over`. */
  | { readonly type: 'dial-failed'; readonly dial: number; readonly fault: LinkFault; readonly patient?: boolean }
  /** Sparse punching has come through: it is time to dial. */
  | { readonly type: 'punched'; readonly keyHash: string }
  | { readonly type: 'punching-over'; readonly keyHash: string }
  /** Somebody whom we know knocks at our NAT, so it is there and our side of the way is open. */
  | { readonly type: 'knocked'; readonly keyHash: string }
  /** A dialler's hello was read and is good. */
  | { readonly type: 'hello'; readonly link: number }
  /** Our hello was answered with a good one. */
  | { readonly type: 'greeted'; readonly link: number }
  /** What a hello that was just read says of how to dial its sender; comes before the two above. */
  | { readonly type: 'told'; readonly link: number; readonly told: HelloFacts }
  /** Our hello was answered with `wait`. */
  | { readonly type: 'waits'; readonly link: number }
  /** `told`: the other side was sent the reason and needs a moment to read it. */
  | { readonly type: 'hello-failed'; readonly link: number; readonly fault: LinkFault; readonly told: boolean }
  | { readonly type: 'probed'; readonly link: number; readonly alive: boolean }
  | { readonly type: 'closed'; readonly link: number; readonly by: 'us' | 'peer' | 'timeout' | 'transport'; readonly code: LinkCloseCode | 'lost' }
  | { readonly type: 'tick' }

export interface HelloFacts {
  /** Hex. */
  readonly knockSecret: string
  /** Where TCP connections to it go, if not to the port of its addresses. */
  readonly tcpPort: number | null
}

/** What a connection runs on, absent = QUIC, and where the peer is seen. */
export interface LinkWay {
  readonly transport?: LinkTransport
  readonly remote?: Endpoint
}

export type LinksEffect =
  | {
    readonly type: 'dial'; readonly dial: number; readonly candidate: ReachCandidate; readonly knockSecret: string
    /** It is behind a NAT that has been knocked at before. */
    readonly late?: boolean
    /** Absent = QUIC. */
    readonly transport?: 'tcp'
    readonly expect: { readonly peerId: PeerId } | { readonly keyHash: string }
  }
  /** Open a way through the NATs and dial on it; ends like a `dial`. Joins sparse punching that goes on. */
  | {
    readonly type: 'punch'; readonly dial: number; readonly candidates: readonly ReachCandidate[]; readonly nat: NatFacts | null
    /** It was here a moment ago. */
    readonly eager: boolean; readonly knockSecret: string; readonly expect: { readonly peerId: PeerId } | { readonly keyHash: string }
  }
  /** No sparse punching towards this peer any more. */
  | { readonly type: 'stop-punching'; readonly keyHash: string }
  /** Its owner starts to punch at this moment. */
  | { readonly type: 'punch-now'; readonly keyHash: string; readonly candidates: readonly ReachCandidate[]; readonly nat: NatFacts | null }
  | { readonly type: 'abort-dial'; readonly dial: number }
  /** Say hello as the dialler. */
  | { readonly type: 'greet'; readonly link: number }
  /** Answer the hello with `wait`. */
  | { readonly type: 'hold'; readonly link: number }
  /** Answer the hello with ours; from now on its streams are served. */
  | { readonly type: 'admit'; readonly link: number }
  /** Find out whether the peer still has this connection. */
  | { readonly type: 'probe'; readonly link: number }
  | { readonly type: 'close'; readonly link: number; readonly code: LinkCloseCode }
  /** This peer is let in or let us in: it is to be remembered. */
  | { readonly type: 'known'; readonly peerId: PeerId; readonly link: number }
  /** Of somebody we know, a newer record than the one before: it is to be remembered. */
  | { readonly type: 'record'; readonly record: PeerRecord; readonly bytes: Uint8Array }
  | { readonly type: 'status'; readonly peerId: PeerId; readonly status: LinkStatus }
  | { readonly type: 'connect-succeeded'; readonly connect: number; readonly peerId: PeerId; readonly state: 'connected' | 'waiting' }
  | { readonly type: 'connect-failed'; readonly connect: number; readonly fault: LinkFault }

export interface LinkStatus {
  readonly state: LinkState
  /** The connection that `state` is about. */
  readonly link: number | null
  readonly lastError: LinkFault | null
}

/** Why a connection ended, for people. */
export function closeFault(code: LinkCloseCode | 'lost', whileWaiting: boolean): LinkFault {
  switch (code) {
    case 'refused':
      return { code: 'refused', message: whileWaiting ? 'the other person did not accept' : 'the other side does not want a connection now' }
    case 'blocked': return { code: 'blocked', message: 'the other side has blocked this helper' }
    case 'protocol': return { code: 'bad-answer', message: 'the two helpers did not understand each other' }
    case 'wrong-identity': return { code: 'wrong-identity', message: 'the other side expected somebody else' }
    case 'goodbye':
    case 'restart': return { code: 'closed', message: 'the other side went offline' }
    case 'duplicate':
    case 'lost': return { code: 'connection-lost', message: 'the connection was lost' }
  }
}
