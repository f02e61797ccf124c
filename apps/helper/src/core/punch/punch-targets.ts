/** Decides which addresses of a peer may be sent to at all, and which are best. What others say about addresses is not trusted to be harmless. */
import { type Endpoint, type ReachCandidate, addressFamily, addressScope, encodeHost, formatEndpoint } from '@harddrive-party/protocol'
import type { InterfaceAddress } from '../reach/own-reach.ts'
import { isOnOwnNetwork } from '../reach/reach-candidates.ts'

/** Addresses of one peer that are knocked at: its LAN, two families, a mapping, what worked before. More would only be noise. */
export const MAX_TARGETS = 8

/** 0 the same network, 1 IPv6, 2 IPv4: a nearer path is faster, and IPv6 has no translation whose memory could be lost. */
export type PathRank = 0 | 1 | 2

export function rankOf({ host }: Endpoint): PathRank {
  const scope = addressScope(host)
  if (scope === 'loopback' || scope === 'private' || scope === 'link-local') return 0
  return addressFamily(host) === 6 ? 1 : 2
}

/** @returns those that may be knocked at, each once, the nearest first, at most MAX_TARGETS */
export function punchTargets(candidates: readonly ReachCandidate[], interfaces: readonly InterfaceAddress[], loopback: boolean): ReachCandidate[] {
  const targets = new Map<string, ReachCandidate>()
  for (const candidate of candidates) {
    const key = formatEndpoint(candidate.endpoint)
    if (!targets.has(key) && mayTarget(candidate, interfaces, loopback)) targets.set(key, candidate)
  }
  return [...targets.values()].toSorted((a, b) => rankOf(a.endpoint) - rankOf(b.endpoint)).slice(0, MAX_TARGETS)
}

function mayTarget({ endpoint, source }: ReachCandidate, interfaces: readonly InterfaceAddress[], loopback: boolean): boolean {
  const { host } = endpoint
  if (!isOneMachine(endpoint, loopback)) return false
  // A family without an address of ours goes nowhere. No interfaces at all: we do not know.
  if (interfaces.length > 0 && addressScope(host) !== 'loopback' && !interfaces.some(({ family }) => family === addressFamily(host))) return false
  const scope = addressScope(host)
  if (scope === 'private' || scope === 'link-local' || scope === 'shared') return source === 'lan' || isOnOwnNetwork(host, interfaces)
  return true
}

/** Whether an address that a good packet came from may be answered: it has been seen, so it may also be in a private network that is not ours (a VPN). */
export function mayAnswer(from: Endpoint, loopback: boolean): boolean {
  return isOneMachine(from, loopback)
}

function isOneMachine({ host, port }: Endpoint, loopback: boolean): boolean {
  if (!Number.isInteger(port) || port < 1 || port > 65535) return false
  const scope = addressScope(host)
  if (scope === 'loopback') return loopback
  if (scope === 'multicast' || scope === 'unspecified' || host.startsWith('::ffff:')) return false
  // 0/8 and 240/4 (with the broadcast address) are nobody's; the documentation ranges are real in laboratories.
  const [first = 0] = encodeHost(host)
  return addressFamily(host) === 6 || (first !== 0 && first < 240)
}
