/** Decides what stands between us and the world from what STUN servers say they see of us. One address family at a time. */
import type { Endpoint, NatKind } from '@harddrive-party/protocol'
import type { PortBlock } from './own-reach.ts'

/** What is known of the NAT in front of a helper, in one address family. */
export interface NatFacts {
  readonly kind: NatKind
  /** Counting: how far apart the ports of successive flows are. */
  readonly step?: number
  /** Block: the lowest and highest port, both included. */
  readonly block?: PortBlock
  /** The outside port that was handed out last, as far as is known. Ages quickly. */
  readonly lastPort?: number
}

export interface MappingSample {
  /** Who was asked. Samples of one server do not count twice. */
  readonly server: Endpoint
  /** How it saw us. */
  readonly mapped: Endpoint
}

/**
 * - `open`: a server sees an address of ours, with our port: nothing translates (a firewall may still filter)
 * - `consistent`: two servers at least see the same public port, so a third will too
 * - `random`: they see different ones (whether they can be predicted is for later, finer measurements)
 * - `unknown`: fewer than two servers answered
 *
 * @param own endpoints of our own interfaces
 */
export function classifyNat(samples: readonly MappingSample[], own: readonly Endpoint[]): NatKind {
  const byServer = new Map<string, Endpoint>()
  for (const { server, mapped } of samples) byServer.set(`${server.host} ${server.port}`, mapped)
  const seen = [...byServer.values()]
  if (seen.length === 0) return 'unknown'
  if (seen.every((mapped) => own.some((endpoint) => sameEndpoint(endpoint, mapped)))) return 'open'
  if (seen.length === 1) return 'unknown'
  const [first, ...others] = seen
  return first !== undefined && others.every((mapped) => sameEndpoint(mapped, first)) ? 'consistent' : 'random'
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port
}
