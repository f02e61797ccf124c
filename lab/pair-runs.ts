/** Runs the cells of the table: builds two sites, lets fresh helpers meet as often as asked, says what came of it. */
import { type Expectation, type PairCell, PLACES } from './cells.ts'
import { type LabHelper, startHelper, waitForOwnAddress } from './helpers.ts'
import { type Host, openHost } from './hosts.ts'
import type { Lab } from './lab.ts'
import { type MeetingOutcome, meet } from './meetings.ts'
import { type Site, type SiteSpec, buildSite } from './sites.ts'

export interface CellResult {
  readonly a: string
  readonly b: string
  readonly note: string
  readonly runs: number
  readonly ok: number
  /** Until connected. */
  readonly p50Ms: number | null
  readonly p95Ms: number | null
  /** Until the first byte of a file. */
  readonly firstByteP50Ms: number | null
  readonly firstByteP95Ms: number | null
  /** How they were connected, with counts. */
  readonly paths: Readonly<Record<string, number>>
  /** What a helper said where it did not connect, the most frequent one. */
  readonly reason?: string
  readonly expected: string
  readonly asExpected: boolean
}

/** Failures are let pass only where a share as promised makes so many of them likelier than this: 2 of 20 where 97 % are promised, none where all are. */
const UNLIKELY = 0.025

/** A helper asks its servers within a few hundred milliseconds; one that gets no answer gives up by itself, and that time is not the meeting's. */
const OWN_ADDRESS = { quietMs: 300, timeoutMs: 6_000 }

/** A lab that breaks is a run that failed. */
export async function runPairCell(lab: Lab, cell: PairCell, runs: number): Promise<CellResult> {
  const outcomes: MeetingOutcome[] = []
  await runAll(lab, cell, runs, outcomes).catch((error: unknown) => {
    const reason = `the lab failed: ${error instanceof Error ? error.message : String(error)}`
    lab.tell(`  ${reason}`)
    outcomes.push({ ok: false, connectedMs: null, firstByteMs: null, path: null, reason, failedMs: null })
  })
  return summarize(cell, outcomes)
}

async function runAll(lab: Lab, cell: PairCell, runs: number, outcomes: MeetingOutcome[]): Promise<void> {
  await withSites(lab, [{ ...PLACES[cell.a], line: cell.line }, { ...PLACES[cell.b], line: cell.line }], async (sites, hosts) => {
    const [a, b] = hosts as [Host, Host]
    const [home, away] = sites as [Site, Site]
    for (let run = 0; run < runs; run++) {
      // Nothing is remembered from run to run: new identities, new ports, new mappings, and no full tables of routers.
      await home.forgetFlows(away)
      await away.forgetFlows(home)
      const outcome = await withHelpers(lab, [a, b], [PLACES[cell.a], PLACES[cell.b]], ([first, second]) => meet(first as LabHelper, second as LabHelper, lab.file, cell.exchange, cell.skewMs), { tcp: cell.tcp })
      lab.tell(`  ${cell.a} | ${cell.b}${cell.note === '' ? '' : ` (${cell.note})`} run ${run + 1}: ${outcome.ok ? `connected in ${round(outcome.connectedMs)} ms, first byte at ${round(outcome.firstByteMs)} ms, ${outcome.path}` : `${outcome.reason} (${round(outcome.failedMs)} ms)`}`)
      outcomes.push(outcome)
    }
  })
}

/** Builds sites, opens the agents of their hosts (all of the first site's, then the second's), and clears everything away. */
export async function withSites<T>(lab: Lab, specs: readonly SiteSpec[], action: (sites: readonly Site[], hosts: readonly Host[]) => Promise<T>): Promise<T> {
  const sites: Site[] = []
  const hosts: Host[] = []
  try {
    for (const spec of specs) sites.push(await buildSite(`s${lab.nextSite()}`, sites.length + 1, spec, sites.at(-1)))
    hosts.push(...(await Promise.all(sites.flatMap((site) => site.hosts.map(openHost)))))
    return await action(sites, hosts)
  } finally {
    await Promise.all(hosts.map((host) => host.close()))
    for (const site of sites.toReversed()) await site.remove()
  }
}

/** Starts a helper on each host at the same time, waits until each knows its addresses, and stops them afterwards. */
export async function withHelpers<T>(
  lab: Lab, hosts: readonly Host[], specs: readonly SiteSpec[], action: (helpers: readonly LabHelper[]) => Promise<T>, { tcp = true }: { readonly tcp?: boolean } = {},
): Promise<T> {
  const helpers = await Promise.all(hosts.map((host, index) => startHelper(host, { ...lab.helper, tcp, portMapping: specs[index]?.mapping === true })))
  try {
    await Promise.all(helpers.map((helper) => waitForOwnAddress(helper, OWN_ADDRESS)))
    return await action(helpers)
  } finally {
    await Promise.all(helpers.map((helper) => helper.stop()))
  }
}

export function summarize(cell: PairCell, outcomes: readonly MeetingOutcome[]): CellResult {
  const good = outcomes.filter(({ ok }) => ok)
  const connected = sorted(good.map(({ connectedMs }) => connectedMs))
  const firstByte = sorted(good.map(({ firstByteMs }) => firstByteMs))
  const reason = mostFrequent(outcomes.flatMap(({ reason: said }) => (said === null ? [] : [said])))
  const paths: Record<string, number> = {}
  for (const { path } of good) paths[path ?? 'unknown'] = (paths[path ?? 'unknown'] ?? 0) + 1
  const result = {
    a: cell.a, b: cell.b, note: cell.note, runs: outcomes.length, ok: good.length,
    p50Ms: quantile(connected, 0.5), p95Ms: quantile(connected, 0.95), firstByteP50Ms: quantile(firstByte, 0.5), firstByteP95Ms: quantile(firstByte, 0.95),
    paths, ...(reason === undefined ? {} : { reason }),
  }
  return { ...result, expected: describe(cell.expected), asExpected: isAsExpected(cell.expected, outcomes, result) }
}

/** Few runs say little about times: a single one of a busy machine is not held against the limits for many. */
export const RUNS_FOR_TIMES = 5

function isAsExpected(expected: Expectation, outcomes: readonly MeetingOutcome[], { p50Ms, p95Ms }: { p50Ms: number | null; p95Ms: number | null }): boolean {
  if (expected.outcome === 'explains') return outcomes.every(({ ok, reason, failedMs }) => !ok && reason !== null && expected.naming.test(reason) && failedMs !== null && failedMs <= expected.withinMs)
  const failures = outcomes.filter(({ ok }) => !ok).length
  if (chanceOfFailures(outcomes.length, failures, 1 - expected.share) < UNLIKELY) return false
  if (outcomes.length < RUNS_FOR_TIMES) return true
  return p50Ms !== null && p50Ms <= expected.p50Ms && (expected.p95Ms === undefined || (p95Ms !== null && p95Ms <= expected.p95Ms))
}

/** Of so many failures or more, when each run fails with that chance. */
export function chanceOfFailures(runs: number, failures: number, chance: number): number {
  let below = 0
  let term = (1 - chance) ** runs
  for (let count = 0; count < failures; count++) {
    below += term
    term = (term * (runs - count) * chance) / ((count + 1) * (1 - chance))
  }
  return 1 - below
}

function describe(expected: Expectation): string {
  if (expected.outcome === 'explains') return `a reason within ${expected.withinMs / 1000} s`
  const times = [`p50 ≤ ${expected.p50Ms / 1000} s`, ...(expected.p95Ms === undefined ? [] : [`p95 ≤ ${expected.p95Ms / 1000} s`])]
  return `≥ ${Math.round(expected.share * 100)} %, ${times.join(', ')}`
}

function sorted(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null).sort((x, y) => x - y)
}

/** Nearest rank. */
export function quantile(ascending: readonly number[], share: number): number | null {
  return round(ascending[Math.max(0, Math.ceil(ascending.length * share) - 1)] ?? null)
}

function mostFrequent(texts: readonly string[]): string | undefined {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return [...counts].sort((x, y) => y[1] - x[1])[0]?.[0]
}

function round(value: number | null): number | null {
  return value === null ? null : Math.round(value)
}
