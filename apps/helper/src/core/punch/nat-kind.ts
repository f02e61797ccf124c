/** Decides what stands between us and the world from what STUN servers say they see of us. One address family at a time. */
import type { Endpoint, NatKind } from '@harddrive-party/protocol'

/** What is known of the NAT in front of a helper, in one address family. */
export interface NatFacts {
  readonly kind: NatKind
  /** Counting: how far apart the ports of successive flows are. */
  readonly step?: number
  /** Block: the lowest and highest port, both included. */
  readonly block?: PortBlock
  /** Hard kinds: the outside port that was handed out last, as far as is known. Ages quickly. */
  readonly lastPort?: number
}

export interface PortBlock {
  readonly low: number
  readonly high: number
}

export interface MappingSample {
  /** Who was asked. Samples of one server do not count twice. */
  readonly server: Endpoint
  /** How it saw us. */
  readonly mapped: Endpoint
}

/** How a server saw a socket that was opened for this one question. */
export interface PortSample {
  readonly mapped: Endpoint
}

/** With fewer samples than this, a small block and a large one look alike. */
export const MIN_PORT_SAMPLES = 12

/** Larger blocks are as good as random: a search in them takes more packets than are decent. Leaves room for the error of the estimate at 2,048. */
const MAX_BLOCK_PORTS = 2400

/** Share of pairs that stand in the wrong order: none where ports are counted, half where they are drawn. Packets may overtake each other a little. */
const MAX_DISORDER = 0.25

/** Ports handed out between two of our questions: above this it is not one counter, or one that is too busy to be predicted. */
const MAX_COUNTING_GAP = 64

/**
 * - `open`: a server sees an address of ours, with our port: nothing translates (a firewall may still filter)
 * - `consistent`: two servers at least see the same public port, so a third will too
 * - `random`: they see different ones; {@link natFactsOf} tells whether they can be predicted
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

/**
 * Tells the hard kinds apart, given that the NAT is one of them: what it hands out to many new sockets, one flow each.
 * @param samples in the order in which they were asked for; about 32 of them
 */
export function natFactsOf(samples: readonly PortSample[]): NatFacts {
  const host = commonHost(samples)
  const ports = samples.filter(({ mapped }) => mapped.host === host).map(({ mapped }) => mapped.port)
  const last = ports.at(-1)
  if (last === undefined) return { kind: 'random' }
  if (ports.length < MIN_PORT_SAMPLES) return { kind: 'random', lastPort: last }
  const step = countingStep(unwrapped(ports))
  if (step !== undefined) return { kind: 'counting', step, lastPort: last }
  const block = estimateBlock(ports)
  return block === undefined ? { kind: 'random', lastPort: last } : { kind: 'block', block, lastPort: last }
}

/** Some carriers spread one customer's flows over several addresses; then the ports of one of them say nothing of the others. */
function commonHost(samples: readonly PortSample[]): string | undefined {
  const counts = new Map<string, number>()
  for (const { mapped } of samples) counts.set(mapped.host, (counts.get(mapped.host) ?? 0) + 1)
  return [...counts].toSorted((a, b) => b[1] - a[1])[0]?.[0]
}

/** A counter starts again at the bottom of its range once in a while: where there is one wide gap, what lies below it is moved above the rest. */
function unwrapped(ports: readonly number[]): number[] {
  const sorted = ports.toSorted((a, b) => a - b)
  const wide = sorted.flatMap((port, i) => (i > 0 && port - (sorted[i - 1] ?? 0) > MAX_COUNTING_GAP ? [port] : []))
  const [upper] = wide
  if (wide.length !== 1 || upper === undefined) return [...ports]
  const shift = (sorted.at(-1) ?? 0) - (sorted[0] ?? 0) + 1
  return ports.map((port) => (port < upper ? port + shift : port))
}

/** @returns the step of the counter, or undefined when these ports are not counted */
function countingStep(ports: readonly number[]): number | undefined {
  if (new Set(ports).size !== ports.length || disorder(ports) > MAX_DISORDER) return undefined
  const sorted = ports.toSorted((a, b) => a - b)
  const gaps = sorted.slice(1).map((port, i) => port - (sorted[i] ?? 0))
  if (gaps.some((gap) => gap > MAX_COUNTING_GAP)) return undefined
  // Flows of others come in between, so most gaps are multiples; one odd gap (the shift of a new start) must not spoil the divisor.
  const divisor = [...gaps].sort((a, b) => a - b).slice(0, Math.ceil(gaps.length * 0.75))
  return mostCommonDivisor(gaps, divisor)
}

/** The largest step of which nearly all gaps are multiples. */
function mostCommonDivisor(gaps: readonly number[], small: readonly number[]): number {
  for (let step = small[small.length - 1] ?? 1; step > 1; step--) {
    if (gaps.filter((gap) => gap % step === 0).length >= gaps.length - 1) return step
  }
  return 1
}

function disorder(ports: readonly number[]): number {
  let wrong = 0
  for (let i = 0; i < ports.length; i++) {
    for (let j = i + 1; j < ports.length; j++) if ((ports[i] ?? 0) > (ports[j] ?? 0)) wrong++
  }
  return wrong / ((ports.length * (ports.length - 1)) / 2)
}

/** Of n ports drawn from a block, the lowest and highest lie on average one n-th of their distance inside it. */
function estimateBlock(ports: readonly number[]): PortBlock | undefined {
  const low = Math.min(...ports)
  const high = Math.max(...ports)
  const margin = Math.ceil((high - low) / (ports.length - 1))
  const block = { low: Math.max(1, low - margin), high: Math.min(65535, high + margin) }
  return block.high - block.low + 1 <= MAX_BLOCK_PORTS ? block : undefined
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port
}
