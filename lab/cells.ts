/** Which meetings the lab tries, and what must come of them. The table in the README is made of these. */
import type { Exchange } from './meetings.ts'
import type { SiteSpec } from './sites.ts'
import type { WanQuality } from './wan-lines.ts'

/** Kinds of places a helper can be at, by the name they have in tables. */
export const PLACES = {
  open: { kind: 'open' },
  firewall: { kind: 'firewall' },
  'full cone': { kind: 'full' },
  'address-restricted': { kind: 'address' },
  'port-restricted': { kind: 'port' },
  'port-restricted (accepting router)': { kind: 'port', input: 'accept' },
  'port-restricted (small flow table)': { kind: 'port', flowLimit: 1024 },
  random: { kind: 'random' },
  counting: { kind: 'counting' },
  'block of 512': { kind: 'block', ports: [40_000, 40_511] },
  'block of 1024': { kind: 'block', ports: [41_000, 42_023] },
  'double NAT': { kind: 'port', carrier: 'port' },
  'double NAT (random)': { kind: 'port', carrier: 'random' },
  'random (IPv6 firewall)': { kind: 'random', ipv6: 'firewall' },
  'random (mapping router)': { kind: 'random', mapping: true },
  'UDP blocked': { kind: 'udp-blocked' },
} as const satisfies Readonly<Record<string, SiteSpec>>

export type Place = keyof typeof PLACES

export type Expectation =
  /** At least this share of runs, and not slower than this. */
  | { readonly outcome: 'connects'; readonly share: number; readonly p50Ms: number; readonly p95Ms?: number }
  /** Never, and every run says why within this time, in words that name the cause. */
  | { readonly outcome: 'explains'; readonly withinMs: number; readonly naming: RegExp }

export interface PairCell {
  readonly a: Place
  readonly b: Place
  readonly exchange: Exchange
  /** Of both lines. */
  readonly line: WanQuality
  /** How much later the second person acts. */
  readonly skewMs: number
  /** Connections over TCP as well. Off where they would hide that UDP did not get through. */
  readonly tcp: boolean
  readonly note: string
  readonly expected: Expectation
  /** The outcome is a matter of luck: needs many runs to be known. */
  readonly chance: boolean
  readonly quick: boolean
}

/** A round trip of 60 ms between two homes. */
const USUAL_LINE: WanQuality = { delayMs: 15 }

const ALWAYS: Expectation = { outcome: 'connects', share: 1, p50Ms: 1_000 }
const CONSISTENT: Expectation = { outcome: 'connects', share: 0.99, p50Ms: 1_000 }
const BIRTHDAY: Expectation = { outcome: 'connects', share: 0.97, p50Ms: 2_000, p95Ms: 5_000 }
const PREDICTED: Expectation = { outcome: 'connects', share: 0.95, p50Ms: 2_000 }
const IMPOSSIBLE: Expectation = { outcome: 'explains', withinMs: 20_000, naming: /router|NAT|port/i }
/** QUIC has its head start, and two more round trips are made. */
const OVER_TCP: Expectation = { outcome: 'connects', share: 1, p50Ms: 1_500 }
const BLOCKED: Expectation = { outcome: 'explains', withinMs: 15_000, naming: /UDP/i }

type Options = Partial<Pick<PairCell, 'exchange' | 'line' | 'skewMs' | 'tcp' | 'note' | 'chance' | 'quick'>>

function cell(a: Place, b: Place, expected: Expectation, options: Options = {}): PairCell {
  const chance = expected === BIRTHDAY || expected === PREDICTED
  return { a, b, expected, exchange: 'both', line: USUAL_LINE, skewMs: 0, tcp: true, note: '', chance, quick: false, ...options }
}

const QUICK: Options = { quick: true }

export const PAIR_CELLS: readonly PairCell[] = [
  // One code is enough where the other side can be reached.
  cell('open', 'open', ALWAYS, { ...QUICK, exchange: 'one' }),
  cell('port-restricted', 'open', ALWAYS, { ...QUICK, exchange: 'one' }),
  cell('random', 'open', ALWAYS, { ...QUICK, exchange: 'one', tcp: false }),
  cell('double NAT (random)', 'open', ALWAYS, { exchange: 'one', tcp: false }),
  cell('port-restricted', 'full cone', ALWAYS, { exchange: 'one' }),
  cell('open', 'random', ALWAYS, { tcp: false }),
  cell('open', 'firewall', ALWAYS, { tcp: false }),
  cell('open', 'port-restricted', ALWAYS),
  // One port per socket on both sides.
  cell('firewall', 'firewall', CONSISTENT),
  cell('firewall', 'port-restricted', CONSISTENT),
  cell('full cone', 'port-restricted', CONSISTENT),
  cell('address-restricted', 'port-restricted', CONSISTENT),
  cell('port-restricted', 'port-restricted', CONSISTENT, { ...QUICK, chance: true }),
  cell('port-restricted', 'port-restricted', CONSISTENT, { note: 'second code 3 s later', skewMs: 3_000 }),
  cell('port-restricted', 'port-restricted', CONSISTENT, { note: '10 % loss, 160 ms', line: { delayMs: 40, lossPercent: 5 } }),
  cell('double NAT', 'port-restricted', CONSISTENT, QUICK),
  cell('double NAT', 'double NAT', CONSISTENT),
  cell('port-restricted (accepting router)', 'port-restricted', CONSISTENT, QUICK),
  cell('port-restricted (accepting router)', 'port-restricted (accepting router)', CONSISTENT, { note: 'second code 200 ms later', skewMs: 200 }),
  // One of them maps at random.
  cell('random', 'full cone', CONSISTENT),
  cell('random', 'address-restricted', CONSISTENT),
  cell('random', 'port-restricted', BIRTHDAY, QUICK),
  cell('port-restricted', 'random', BIRTHDAY, { note: '5 % loss', line: { delayMs: 15, lossPercent: 2.5 } }),
  cell('random', 'firewall', BIRTHDAY),
  cell('random', 'double NAT', BIRTHDAY),
  cell('double NAT (random)', 'port-restricted', BIRTHDAY),
  cell('random', 'port-restricted (accepting router)', BIRTHDAY),
  cell('random', 'port-restricted (small flow table)', BIRTHDAY),
  // Ports that can be guessed.
  cell('counting', 'port-restricted', PREDICTED, QUICK),
  cell('counting', 'counting', PREDICTED, QUICK),
  cell('block of 512', 'port-restricted', PREDICTED),
  cell('block of 512', 'block of 512', PREDICTED),
  cell('block of 1024', 'block of 1024', PREDICTED),
  // Another way round.
  cell('random (IPv6 firewall)', 'random (IPv6 firewall)', ALWAYS, QUICK),
  cell('random (mapping router)', 'random', ALWAYS, QUICK),
  cell('random (mapping router)', 'port-restricted', ALWAYS, { tcp: false }),
  cell('random (mapping router)', 'random (mapping router)', ALWAYS),
  // Over TCP, as long as one side can be reached.
  cell('UDP blocked', 'open', OVER_TCP, QUICK),
  cell('open', 'UDP blocked', OVER_TCP),
  cell('UDP blocked', 'random (mapping router)', OVER_TCP),
  // No way, and why.
  cell('random', 'random', IMPOSSIBLE, QUICK),
  cell('double NAT (random)', 'random', IMPOSSIBLE),
  cell('random', 'counting', IMPOSSIBLE),
  cell('UDP blocked', 'port-restricted', BLOCKED),
]
