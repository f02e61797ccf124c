/** What a helper knows about how others can reach it: the words that own addresses, punching, records and the doctor share. Types only. */
import type { AddressFamily, Endpoint, NatKind, ReachCandidate } from '@harddrive-party/protocol'
import type { PortBlock } from '../punch/nat-kind.ts'

/** Replaced as a whole at every change; plain data. */
export interface OwnReach {
  /** Best first: public IPv4 (mapped, then as servers see it), global IPv6, LAN IPv4, ULA. At most MAX_OWN_CANDIDATES, never empty after the start. */
  readonly candidates: readonly ReachCandidate[]
  readonly nat: { readonly v4: NatKind; readonly v6: NatKind }
  /** IPv4, kind `block`: the lowest and highest public port that was seen. */
  readonly block?: PortBlock
  /** IPv4, kind `counting`: how far apart the public ports of two new destinations are. */
  readonly step?: number
  /** IPv4, hard kinds: the public port that was given out last, as far as we know. */
  readonly lastPort?: number
  readonly stun: readonly StunOutcome[]
  /** Null while port mapping is switched off. */
  readonly mapping: MappingReport | null
  /** What the candidates were made of: every address of this machine that another one could use. */
  readonly interfaces: readonly InterfaceAddress[]
}

/** One address of one network interface. */
export interface InterfaceAddress {
  readonly host: string
  readonly family: AddressFamily
  /** Name of the interface, as the system calls it. */
  readonly name: string
  /** How many leading bits are the network's: what shares them is on the same LAN. */
  readonly prefixBits: number
  /** A network inside this machine or over another one (containers, virtual machines, VPN): rarely the way to a friend. */
  readonly virtual: boolean
  /** IPv6: made for a day (RFC 8981). Outgoing packets may carry it. */
  readonly temporary: boolean
  /** The address that packets to the internet leave with. */
  readonly preferred: boolean
}

/** One server in one family. */
export interface StunOutcome {
  /** As it was configured: `name:port`. */
  readonly server: string
  readonly family: AddressFamily
  /** `no-address`: the name does not resolve in this family. `no-answer`: asked six times in vain. */
  readonly outcome: 'asking' | 'mapped' | 'no-address' | 'no-answer'
  /** How it sees our QUIC socket. */
  readonly mapped?: Endpoint
}

export type MappingProtocol = 'pcp' | 'nat-pmp' | 'upnp'

export interface MappingReport {
  /**
   * `searching`: routers are being asked. `none`: no router on this network gives out ports. `mapped`: one does.
   * `not-believed`: one says so, but its outside address is not the one the world sees (a second NAT behind it).
   */
  readonly state: 'searching' | 'none' | 'mapped' | 'not-believed'
  readonly protocol: MappingProtocol | null
  /** The outside address and port that the router gave. */
  readonly outside: Endpoint | null
  /** Our own IPv6 endpoints that a firewall was asked to let through, and does. */
  readonly pinholes: readonly Endpoint[]
}

/** As many as an announce code carries. */
export const MAX_OWN_CANDIDATES = 8
