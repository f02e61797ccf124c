import { describe, expect, it, vi } from 'vitest'
import { SITE_NAMES, type Setting, type SiteName, RTT_60, measure } from '../support/punch-sites.ts'

/** Every pair of kinds of networks: what comes of it, how fast, and with how many packets. Times are of a round trip of 60 ms. */

vi.setConfig({ testTimeout: 60_000 })

/** How a cell is expected to end. */
const CELLS = {
  /** Knocks suffice. */
  k: { ok: true, p50: 500, packets: 20 },
  /** One side searches the other's port: by birthday, along the counter, or in the block. */
  s: { ok: true, p50: 2_000, packets: 1_300 },
  /** Both sides search. */
  c: { ok: true, p50: 2_000, packets: 2_300 },
  /** Neither port can be known or found with decent means: said at once, without a packet. */
  x: { ok: false, codes: ['hopeless'], packets: 0 },
  /** UDP is blocked on one side, which has not even an address to tell: nothing can come. The other side cannot know, and tries. */
  u: { ok: false, codes: ['no-answer', 'no-candidates', 'search-failed'], packets: 1_300 },
} as const

const TABLE: Readonly<Record<(typeof SITE_NAMES)[number], string>> = Object.fromEntries(`
none       k k k k k k k k k k u
fw           k k k k k s s s s u
full           k k k k s s s s u
addr             k k k s s s s u
port               k k s s s s u
double               k s s s s u
symmetric              x x x x u
carrier                  x x x u
counting                   c c u
block512                     c u
blocked                        u
`.trim().split('\n').map((line) => [line.split(' ')[0], line.replace(/^\S+/, '').replaceAll(' ', '')])) as never

const PAIRS = SITE_NAMES.flatMap((a, i) => SITE_NAMES.slice(i).map((b, j) => [a, b, TABLE[a].charAt(j) as keyof typeof CELLS] as const))

describe('the matrix', () => {
  it.each(PAIRS)('%s and %s: %s', (a, b, cell) => {
    const expected = CELLS[cell]
    const runs = cell === 'k' ? 8 : 4
    const measured = measure(a, b, runs)
    expect(measured.packets).toBeLessThanOrEqual(expected.packets)
    if (!expected.ok) {
      expect(measured.ok).toBe(0)
      for (const code of measured.codes) expect(expected.codes).toContain(code)
      expect(measured.codes.length).toBeGreaterThan(0)
      return
    }
    expect(measured.ok).toBeGreaterThanOrEqual(cell === 's' ? runs - 1 : runs)
    expect(measured.p50).toBeLessThanOrEqual(expected.p50)
    // The order of the two must not matter. A search may miss once in fifty.
    expect(measure(b, a, 3).ok).toBeGreaterThanOrEqual(cell === 's' ? 2 : 3)
  })
})

interface Claim {
  readonly a: SiteName
  readonly b: SiteName
  readonly runs: number
  /** Share of successes. */
  readonly least: number
  readonly most?: number
  readonly p50: number
  readonly p95: number
  readonly packets: number
  readonly setting?: Setting
}

/** What theory says of the searches, held to by fixed seeds: 1-(1-f/P)^n for f sockets, n probes, P ports; 1-exp(-nm/PQ) for two blocks. */
const CLAIMS: readonly Claim[] = [
  // 1-(1-512/64512)^1000 = 0.9996; half of them need no more than 87 probes, at 400 per second.
  { a: 'port', b: 'symmetric', runs: 100, least: 0.99, p50: 600, p95: 1_500, packets: 1_300 },
  { a: 'symmetric', b: 'fw', runs: 50, least: 0.98, p50: 1_000, p95: 2_000, packets: 1_300 },
  { a: 'port', b: 'symmetric', runs: 100, least: 0.99, p50: 800, p95: 2_000, packets: 1_300, setting: { delayMs: [30, 60], loss: 0.05, skewMs: 300 } },
  { a: 'symmetric', b: 'port', runs: 50, least: 0.98, p50: 1_000, p95: 2_500, packets: 1_300, setting: { delayMs: [80, 160], loss: 0.19, skewMs: 300 } },
  // A busy machine: the fan opens when two of three probes are gone. 1-(1-512/64512)^400 = 0.96.
  { a: 'port', b: 'symmetric', runs: 50, least: 0.92, p50: 4_000, p95: 5_500, packets: 1_300, setting: { delayMs: [30, 60], openingMs: 2_000 } },
  { a: 'counting', b: 'counting', runs: 16, least: 1, p50: 500, p95: 1_000, packets: 1_100 },
  { a: 'counting', b: 'counting2', runs: 20, least: 0.95, p50: 1_000, p95: 2_000, packets: 1_100, setting: { delayMs: [30, 30], disturbancePerSecond: 50, skewMs: 200 } },
  { a: 'port', b: 'counting', runs: 20, least: 1, p50: 500, p95: 1_000, packets: 1_300, setting: { delayMs: [30, 30], disturbancePerSecond: 200 } },
  { a: 'block512', b: 'block512', runs: 16, least: 0.95, p50: 1_000, p95: 2_000, packets: 1_300 },
  // exp(-4) miss.
  { a: 'block1024', b: 'block1024', runs: 16, least: 0.9, p50: 1_500, p95: 2_500, packets: 2_300 },
  // Twice as large: 1-exp(-1) = 0.63 hit.
  { a: 'block2048', b: 'block2048', runs: 12, least: 0.4, most: 0.85, p50: 2_000, p95: 2_500, packets: 2_300 },
  // Against a counter: 1-exp(-2048/1024) = 0.86.
  { a: 'block1024', b: 'counting', runs: 8, least: 0.5, most: 1, p50: 2_000, p95: 2_500, packets: 2_300 },
  { a: 'port', b: 'block2048', runs: 20, least: 1, p50: 500, p95: 1_000, packets: 500 },
]

describe('the searches against theory', () => {
  it.each(CLAIMS)('$a and $b, $runs times: at least $least', ({ a, b, runs, least, most = 1, p50, p95, packets, setting = RTT_60 }) => {
    const measured = measure(a, b, runs, setting)
    expect(measured.ok / runs).toBeGreaterThanOrEqual(least)
    expect(measured.ok / runs).toBeLessThanOrEqual(most)
    expect(measured.p50).toBeLessThanOrEqual(p50)
    expect(measured.p95).toBeLessThanOrEqual(p95)
    expect(measured.packets).toBeLessThanOrEqual(packets)
  })
})
