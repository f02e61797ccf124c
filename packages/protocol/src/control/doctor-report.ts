import type { AddressFamily, Detail, ErrorCode, NatKind, PeerId, ReachCandidate } from '../index.ts'
import type { Advice } from './advice.ts'
import type { PeerPath, PeerState } from './api.ts'

/** What a helper says when it is asked why somebody can or cannot be reached. Plain data; the words for people are made where they are read. */

export interface DoctorReport {
  /** Where others may reach us, best first. */
  readonly addresses: readonly DoctorAddress[]
  readonly nat: { readonly v4: NatKind; readonly v6: NatKind }
  /** UDP ports we listen on; null where the family is not available. */
  readonly udp: { readonly v4: number | null; readonly v6: number | null }
  /** The servers that were asked how they see us; empty when nobody is asked. */
  readonly stun: readonly DoctorStunServer[]
  /** Null while port mapping is switched off. */
  readonly mapping: DoctorMapping | null
  readonly discovery: DiscoveryReport
  readonly peers: readonly DoctorPeer[]
  /** About this helper as a whole, what helps most first; empty when all is well. */
  readonly advice: readonly Advice[]
}

export interface DoctorAddress {
  /** `host:port`. */
  readonly address: string
  readonly family: AddressFamily
  readonly source: ReachCandidate['source']
}

export interface DoctorStunServer {
  readonly server: string
  readonly family: AddressFamily
  readonly outcome: 'asking' | 'mapped' | 'no-address' | 'no-answer'
  /** How it sees us, `host:port`. */
  readonly mapped: string | null
}

export interface DoctorMapping {
  readonly state: 'searching' | 'none' | 'mapped' | 'not-believed'
  readonly protocol: 'pcp' | 'nat-pmp' | 'upnp' | null
  /** The outside address that the router gave, `host:port`. */
  readonly outside: string | null
  /** Our own IPv6 addresses that a firewall was asked to let through, `host:port`. */
  readonly pinholes: readonly string[]
}

/** Which ways of meeting are on. */
export interface DiscoveryReport {
  /** Whether peers on the local network are looked for. */
  readonly mdns: boolean
  readonly topics: readonly TopicInfo[]
  readonly brokers: readonly BrokerInfo[]
}

/** A word that people agree on to find one another. */
export interface TopicInfo {
  readonly topic: string
  /** Peers that were met in it and are connected now. */
  readonly members: readonly PeerId[]
}

/** A server over which topics are announced. */
export interface BrokerInfo {
  readonly url: string
  readonly state: 'connecting' | 'connected' | 'failed'
  /** Why it failed, in English; null unless it did. */
  readonly problem: string | null
}

export interface DoctorPeer {
  /** Null for the owner of a code that was entered and who has not answered yet. */
  readonly peerId: PeerId | null
  readonly name: string
  /** Of the owner of a code: `dialling` or `offline`. */
  readonly state: PeerState
  readonly path: PeerPath | null
  /** What was tried last, newest first. */
  readonly attempts: readonly ReachAttempt[]
  /** What helps most first; empty while connected. */
  readonly advice: readonly Advice[]
}

/** One way that was tried to reach a peer. */
export interface ReachAttempt {
  /** Milliseconds since 1970. */
  readonly at: number
  /** `host:port`; of a search over many ports, where it began. */
  readonly candidate: string
  readonly source: ReachCandidate['source'] | null
  /** The kind of path it would have made. */
  readonly method: PeerPath['kind']
  /** `given-up`: another one was faster. */
  readonly outcome: 'running' | 'connected' | 'given-up' | ErrorCode
  /** What the outcome means, in English; empty where there is nothing to add. */
  readonly message: string
  readonly detail?: Detail
  readonly ms: number
  /** Sent for this attempt, as far as they were counted. */
  readonly packets: number
  /** Absent = QUIC, or punching for it. */
  readonly transport?: 'tcp'
}
