import { Nat, type NatOptions } from './nat.ts'
import { PunchWorld, type PunchWorldOptions, type Site } from './punch-world.ts'
import { seededRandom } from './world.ts'

/** The sites of the tests by name: what stands between a host and the internet. */

const KINDS = {
  full: { mapping: 'independent', filtering: 'independent', ports: 'keep' },
  addr: { mapping: 'independent', filtering: 'address', ports: 'keep' },
  port: { mapping: 'independent', filtering: 'port', ports: 'keep' },
  symmetric: { mapping: 'dependent', filtering: 'port', ports: { low: 1024, high: 65_535 } },
  counting: { mapping: 'dependent', filtering: 'port', ports: { step: 1, from: 20_000 } },
  counting2: { mapping: 'dependent', filtering: 'port', ports: { step: 2, from: 40_000 } },
  block512: { mapping: 'dependent', filtering: 'port', ports: { low: 40_000, high: 40_511 } },
  block1024: { mapping: 'dependent', filtering: 'port', ports: { low: 30_000, high: 31_023 } },
  block2048: { mapping: 'dependent', filtering: 'port', ports: { low: 20_000, high: 22_047 } },
} as const satisfies Record<string, Omit<NatOptions, 'host' | 'random'>>

export type SiteName = keyof typeof KINDS | 'none' | 'fw' | 'double' | 'carrier' | 'blocked'
export const SITE_NAMES: readonly SiteName[] = ['none', 'fw', 'full', 'addr', 'port', 'double', 'symmetric', 'carrier', 'counting', 'block512', 'blocked']

export interface SiteExtras extends Partial<Pick<NatOptions, 'accepts' | 'hairpin' | 'maxFlows' | 'timeoutMs'>> {
  readonly mapped?: boolean
  /** IPv6 behind a stateful firewall. */
  readonly v6?: boolean
}

/** @param place a number of its own for each site */
export function makeSite(name: SiteName, place: number, seed: number, extras: SiteExtras = {}): Site {
  const random = seededRandom(seed * 31 + place)
  const { mapped, v6, ...router } = extras
  const host = `192.168.${place}.10`
  const wan = `45.0.${place}.1`
  const nat = (kind: keyof typeof KINDS, outside: string | null): Nat => new Nat({ ...KINDS[kind], ...router, host: outside, random })
  const firewall = (): Nat => new Nat({ ...KINDS.port, host: null, random })
  const rest = { ...(mapped && { mapped }), ...(v6 && { v6: { host: `2a00:${place}::10`, firewall: firewall() } }) }
  switch (name) {
    case 'none': return { host: wan, nats: [], ...rest }
    case 'blocked': return { host, nats: [], blocked: true, ...rest }
    case 'fw': return { host: wan, nats: [new Nat({ ...KINDS.port, ...router, host: null, random })], ...rest }
    case 'double': return { host, nats: [nat('port', '100.64.0.5'), nat('port', wan)], ...rest }
    case 'carrier': return { host, nats: [nat('port', '100.64.0.5'), nat('symmetric', wan)], ...rest }
    default: return { host, nats: [nat(name, wan)], ...rest }
  }
}

export interface Measured {
  readonly runs: number
  readonly ok: number
  readonly p50: number
  readonly p95: number
  readonly packets: number
  readonly codes: readonly string[]
}

export type Setting = Partial<Omit<PunchWorldOptions, 'seed' | 'sites'>> & {
  readonly extras?: readonly [SiteExtras, SiteExtras]
  /** The second starts at a random moment up to this much later or earlier. */
  readonly skewMs?: number
}

export const RTT_60: Setting = { delayMs: [30, 30] }

/** Runs one pair so often, each time with other random numbers. @returns times in milliseconds, and the most packets that a side sent */
export function measure(a: SiteName, b: SiteName, runs: number, setting: Setting = RTT_60): Measured {
  const times: number[] = []
  const codes = new Set<string>()
  let packets = 0
  for (let seed = 1; seed <= runs; seed++) {
    const { world, ok } = meet(a, b, seed, setting)
    if (ok) times.push(world.timeMs)
    for (const player of world.players) {
      packets = Math.max(packets, player.packets)
      if (player.outcome.type === 'failed') codes.add(player.outcome.code)
    }
  }
  times.sort((x, y) => x - y)
  const at = (share: number): number => Math.round(times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN)
  return { runs, ok: times.length, p50: at(0.5), p95: at(0.95), packets, codes: [...codes].sort() }
}

/** One attempt of two sites to meet. */
export function meet(a: SiteName, b: SiteName, seed: number, setting: Setting = RTT_60): { world: PunchWorld; ok: boolean } {
  const { extras = [{}, {}], skewMs = 0, ...options } = setting
  const sites = [makeSite(a, 1, seed, extras[0]), makeSite(b, 2, seed, extras[1])] as const
  const skew = (seededRandom(seed + 5_000)() * 2 - 1) * skewMs
  const world = new PunchWorld({ delayMs: [30, 30], patienceMs: 0, startsAt: [Math.max(0, skew), Math.max(0, -skew)], ...options, seed, sites })
  world.run(70_000)
  return { world, ok: world.agree() }
}
