/** Decides in which order others should try our addresses, and whether a router's word about our outside address is to be believed. Pure functions. */
import { type Endpoint, type ReachCandidate, addressFamily, addressScope, encodeHost, formatEndpoint } from '@harddrive-party/protocol'
import { type InterfaceAddress, MAX_OWN_CANDIDATES } from './own-reach.ts'

export interface ReachFacts {
  readonly ports: { readonly v4: number | null; readonly v6: number | null }
  readonly interfaces: readonly InterfaceAddress[]
  /** How servers see our sockets, in both families, first answer first. */
  readonly seen: readonly Endpoint[]
  /** A port mapping's outside end; null when there is none, or none that is believed. */
  readonly mapped: Endpoint | null
  /** Own IPv6 endpoints that the firewall lets through. */
  readonly pinholes: readonly Endpoint[]
}

/** More IPv6 addresses of one machine than this bring nobody nearer, and would push the LAN address out. */
const MAX_GLOBAL_V6 = 3

/**
 * Public IPv4 first (mapped before seen), then global IPv6, then LAN addresses, then ULA, each address once; what belongs to virtual networks comes last.
 * Loopback only when there is nothing else.
 */
export function rankCandidates({ ports, interfaces, seen, mapped, pinholes }: ReachFacts): ReachCandidate[] {
  const own = interfaces.flatMap((address): { address: InterfaceAddress; candidate: ReachCandidate }[] => {
    const port = address.family === 4 ? ports.v4 : ports.v6
    return port === null ? [] : [{ address, candidate: { endpoint: { host: address.host, port }, source: 'interface' } }]
  })
  const real = own.filter(({ address }) => !address.virtual).sort((a, b) => weight(a.address) - weight(b.address))
  const pick = (family: 4 | 6, isGlobal: boolean): ReachCandidate[] =>
    real.filter(({ address }) => address.family === family && isInternet(address.host) === isGlobal).map(({ candidate }) => candidate)
  const stun = seen.map((endpoint): ReachCandidate => ({ endpoint, source: 'stun' }))
  const globalV6 = [
    ...pinholes.map((endpoint): ReachCandidate => ({ endpoint, source: 'mapping' })),
    // As seen from outside: the address our packets leave with, so the one whose answers a firewall lets in.
    ...stun.filter((candidate) => !isV4(candidate)),
    ...pick(6, true),
  ]
  const ordered = unique([
    ...(mapped === null ? [] : [{ endpoint: mapped, source: 'mapping' } as const]),
    ...stun.filter(isV4), ...pick(4, true),
    ...unique(globalV6).slice(0, MAX_GLOBAL_V6),
    ...pick(4, false), ...pick(6, false),
    ...own.filter(({ address }) => address.virtual).map(({ candidate }) => candidate),
  ])
  if (ordered.length > 0) return ordered.slice(0, MAX_OWN_CANDIDATES)
  return [
    ...(ports.v4 === null ? [] : [{ endpoint: { host: '127.0.0.1', port: ports.v4 }, source: 'interface' } as const]),
    ...(ports.v6 === null ? [] : [{ endpoint: { host: '::1', port: ports.v6 }, source: 'interface' } as const]),
  ]
}

/**
 * A router behind another NAT gives out ports that nobody can reach: then its outside address is private, or not the one that the world sees.
 * @param seen how servers see us, any family; without any the address alone decides
 */
export function isMappingBelievable(outside: Endpoint, seen: readonly Endpoint[]): boolean {
  const scope = addressScope(outside.host)
  if (scope !== 'public' && scope !== 'reserved') return false
  const family = addressFamily(outside.host)
  const hosts = seen.filter(({ host }) => addressFamily(host) === family).map(({ host }) => host)
  // Reserved addresses exist in laboratories only: there somebody has to say that they are real.
  return hosts.length === 0 ? scope === 'public' : hosts.includes(outside.host)
}

/** Whether an address is on a network that one of our interfaces is on, and so may be reached without any NAT. */
export function isOnOwnNetwork(host: string, interfaces: readonly InterfaceAddress[]): boolean {
  const bytes = encodeHost(host)
  return interfaces.some(({ host: own, prefixBits, family }) => family === addressFamily(host) && prefixBits > 0 && sharesPrefix(bytes, encodeHost(own), prefixBits))
}

function sharesPrefix(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  for (let i = 0; i * 8 < bits; i++) {
    const mask = bits - i * 8 >= 8 ? 0xff : (0xff << (8 - (bits - i * 8))) & 0xff
    if (((a[i] ?? 0) & mask) !== ((b[i] ?? 0) & mask)) return false
  }
  return true
}

/** Documentation ranges count as internet: what they stand for in a laboratory is just that. */
function isInternet(host: string): boolean {
  const scope = addressScope(host)
  return scope === 'public' || scope === 'reserved'
}

function isV4({ endpoint }: ReachCandidate): boolean {
  return addressFamily(endpoint.host) === 4
}

function weight({ preferred, temporary }: InterfaceAddress): number {
  return (preferred ? 0 : 2) + (temporary ? 1 : 0)
}

function unique(candidates: readonly ReachCandidate[]): ReachCandidate[] {
  const found = new Map<string, ReachCandidate>()
  for (const candidate of candidates) {
    const key = formatEndpoint(candidate.endpoint)
    if (!found.has(key)) found.set(key, candidate)
  }
  return [...found.values()]
}
