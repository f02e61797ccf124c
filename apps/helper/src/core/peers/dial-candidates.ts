import { addressFamily, addressScope, encodeHost, formatEndpoint } from '@harddrive-party/protocol'
import type { Endpoint, PeerRecord, ReachCandidate } from '@harddrive-party/protocol'
import type { InterfaceAddress, OwnReach } from '../reach/own-reach.ts'
import { isOnOwnNetwork } from '../reach/reach-candidates.ts'

/**
 * Decides to which of a peer's addresses packets may go at all, and which of them are dialled as they are and which are punched towards. Addresses are
 * claims: none of them may make us bother somebody else's machine, or a whole network.
 */

/** What a peer says of the NAT in front of it, in its code (one kind for all) or in its signed record. */
export type NatFacts = Pick<PeerRecord, 'nat' | 'block' | 'step' | 'lastPort'>

/** Where we are ourselves. */
export interface OwnPlace {
  readonly interfaces: readonly InterfaceAddress[]
  /** Our own candidates: a peer that claims them would make us talk to ourselves. */
  readonly endpoints: readonly Endpoint[]
  /** We live on this machine alone, for a demo or a test. */
  readonly loopbackOnly: boolean
}

export function placeOf({ interfaces, candidates }: Pick<OwnReach, 'interfaces' | 'candidates'>, loopbackOnly: boolean): OwnPlace {
  return { interfaces, endpoints: candidates.map(({ endpoint }) => endpoint), loopbackOnly }
}

export interface SortedCandidates {
  readonly dial: readonly ReachCandidate[]
  /** To be dialled as well, but not before both sides have had time to knock. */
  readonly late: readonly ReachCandidate[]
  readonly punch: readonly ReachCandidate[]
  /** To be tried over TCP as well, a moment later. */
  readonly tcp?: readonly ReachCandidate[]
  /** The same, where nothing is connected yet. */
  readonly lateTcp?: readonly ReachCandidate[]
}

/** What we can dial with. */
export interface DialMeans {
  readonly quic: boolean
  readonly tcp: boolean
}

/**
 * Without any NAT in between TCP gets as far as QUIC does; nothing is punched for it. What a code says (source `peer`) is tried behind a NAT too, by
 * somebody who has nothing else: a router may have opened the port, and codes do not tell.
 */
export function sortForMeans(sorted: SortedCandidates, { quic, tcp }: DialMeans, tcpPort: number | null): SortedCandidates {
  const overTcp = (candidates: readonly ReachCandidate[]) => candidates.map((candidate) => withTcpPort(candidate, tcpPort))
  return { ...(quic ? sorted : { dial: [], late: [], punch: [] }), ...(tcp ? { tcp: overTcp(sorted.dial), lateTcp: overTcp(sorted.late.filter(({ source }) => source === 'peer')) } : {}) }
}

/** A router that maps ports gives those of TCP the numbers of those of UDP, or none; with IPv6 it lets through what there is. */
function withTcpPort(candidate: ReachCandidate, port: number | null): ReachCandidate {
  return port === null || (candidate.source === 'mapping' && addressFamily(candidate.endpoint.host) === 4) ? candidate : { ...candidate, endpoint: { host: candidate.endpoint.host, port } }
}

/**
 * @param nat of the peer; null = not known
 * @param place null = not known: then nothing is left out but what is nobody's address, and nobody punches
 */
export function sortCandidates(candidates: readonly ReachCandidate[], nat: NatFacts | null, place: OwnPlace | null): SortedCandidates {
  if (place === null) return { dial: candidates.filter(({ endpoint }) => isOneMachine(endpoint.host)), late: [], punch: [] }
  const own = new Set(place.endpoints.map(formatEndpoint))
  const others = candidates.filter(({ endpoint }) => isOneMachine(endpoint.host) && !own.has(formatEndpoint(endpoint)))
  const dial = others.filter((candidate) => mayDial(candidate, place))
  return {
    dial: dial.filter((candidate) => !isBehindNat(candidate, nat)),
    late: dial.filter((candidate) => isBehindNat(candidate, nat)),
    punch: others.filter((candidate) => mayPunch(candidate, place)),
  }
}

/**
 * A packet that reaches a NAT before its own side has sent anything can do harm there (a router that takes it for itself gives the peer's packets
 * another port): punching goes first, which begins with packets that do not get that far.
 */
function isBehindNat({ endpoint, source }: ReachCandidate, nat: NatFacts | null): boolean {
  if (nat === null || addressFamily(endpoint.host) !== 4 || source === 'mapping' || !isInternet(endpoint.host)) return false
  return nat.nat.v4 !== 'open' && nat.nat.v4 !== 'unknown'
}

/** Packets in number: only towards the internet and our own networks. */
export function mayPunch({ endpoint: { host } }: Pick<ReachCandidate, 'endpoint'>, place: OwnPlace): boolean {
  if (!isOneMachine(host)) return false
  if (addressScope(host) === 'loopback') return place.loopbackOnly
  return isInternet(host) ? !place.loopbackOnly : isNear(host, place)
}

/** Where a good packet came from may be answered, also in a private network that is not ours; nowhere else than at one other machine. */
export function mayAnswer({ host }: Endpoint, { interfaces, loopbackOnly }: OwnPlace): boolean {
  if (addressScope(host) === 'loopback') return loopbackOnly
  return isOneMachine(host) && !interfaces.some((address) => isBroadcast(host, address))
}

/** One or two packets. */
function mayDial({ endpoint: { host }, source }: ReachCandidate, place: OwnPlace): boolean {
  const isHearsay = source === 'record' || source === 'lan'
  if (addressScope(host) === 'loopback') return place.loopbackOnly || !isHearsay
  if (isInternet(host) || isNear(host, place)) return true
  // Private networks can be larger than ours: behind routers of a company, or a VPN. What a person gave us is tried there if we are in one as well.
  const range = routedRange(host)
  return !isHearsay && range !== null && place.interfaces.some((address) => routedRange(address.host) === range)
}

function isNear(host: string, { interfaces }: OwnPlace): boolean {
  return isOnOwnNetwork(host, interfaces) && !interfaces.some((address) => isBroadcast(host, address))
}

/** The last address of an IPv4 network is everybody in it, the first is the network. */
function isBroadcast(host: string, { host: own, family, prefixBits }: InterfaceAddress): boolean {
  if (family !== 4 || addressFamily(host) !== 4 || prefixBits >= 31) return false
  const size = 2 ** (32 - prefixBits)
  const inside = numberOf(host) % size
  return Math.floor(numberOf(host) / size) === Math.floor(numberOf(own) / size) && (inside === size - 1 || inside === 0)
}

function numberOf(host: string): number {
  return encodeHost(host).reduce((value, byte) => value * 256 + byte, 0)
}

/** Whether it can be the address of one machine: no group, no everybody, nothing that is not in use. */
function isOneMachine(host: string): boolean {
  if (host.startsWith('::ffff:')) return false
  const scope = addressScope(host)
  return scope !== 'multicast' && scope !== 'unspecified' && (scope !== 'reserved' || isDocumentation(host))
}

function isInternet(host: string): boolean {
  const scope = addressScope(host)
  return scope === 'public' || scope === 'reserved'
}

/** Ranges for documentation and benchmarks exist in laboratories only, where they stand for the internet. */
function isDocumentation(host: string): boolean {
  const bytes = encodeHost(host)
  return bytes.length === 4 ? bytes[0] !== 0 && (bytes[0] ?? 0) < 240 : bytes[0] === 0x20 || bytes[0] === 0x3f
}

/** Of private addresses those that large networks use; homes use 192.168, all of them the same ones. */
function routedRange(host: string): string | null {
  const scope = addressScope(host)
  if (scope === 'shared') return '100.64'
  if (scope !== 'private') return null
  if (host.includes(':')) return 'fc00'
  return host.startsWith('192.168.') ? null : host.startsWith('10.') ? '10' : '172.16'
}
