/** Steps that scenarios have in common: helpers that met by code or by topic, and a broker that is there for a while. */
import { type LabHelper, monotonicNow, peerOf, startHelper, waitUntil } from './helpers.ts'
import type { Host } from './hosts.ts'
import type { Lab } from './lab.ts'
import { awaitDownload, fetchFrom, meet, startDownload } from './meetings.ts'
import { withHelpers, withSites } from './pair-runs.ts'
import { BROKER_URL, startBroker } from './services.ts'
import type { Site, SiteSpec } from './sites.ts'

export interface Scenario {
  readonly name: string
  /** For `ms`, the median of all runs. */
  readonly limitMs: number | null
  readonly quick: boolean
  /** Programs without which it is skipped. */
  readonly programs: readonly string[]
  /** Options of `hdp start` without which it is skipped. */
  readonly flags: readonly string[]
  /** Needs lines that can be slow or broken. */
  readonly lines: boolean
  run(lab: Lab): Promise<ScenarioOutcome>
}

export interface ScenarioOutcome {
  readonly ok: boolean
  /** What is limited, or null where nothing is timed. */
  readonly ms: number | null
  /** What was wrong, or worth knowing. */
  readonly detail: string
}

/** A round trip of 60 ms between two homes. */
export const LINE = { delayMs: 15 } as const

/** At this rate a transfer is under way for long enough to disturb it. */
export const SLOW_LINE = { delayMs: 15, kbitPerSecond: 40_000 } as const

export function scenario(name: string, options: Partial<Omit<Scenario, 'name' | 'run'>>, run: Scenario['run']): Scenario {
  return { name, limitMs: null, quick: false, programs: [], flags: [], lines: false, run, ...options }
}

type Pair = readonly [LabHelper, LabHelper]

/** Two helpers that met by their codes. */
export function withCodes(lab: Lab, specs: readonly [SiteSpec, SiteSpec], action: (pair: Pair, sites: readonly Site[]) => Promise<ScenarioOutcome>): Promise<ScenarioOutcome> {
  return withSites(lab, specs, (sites, hosts) =>
    withHelpers(lab, hosts, specs, async (helpers) => {
      const [a, b] = helpers as [LabHelper, LabHelper]
      const met = fromMeeting(await meet(a, b, lab.file, 'both'))
      return met.ok ? action([a, b], sites) : { ...met, detail: `did not meet: ${met.detail}` }
    }))
}

/** Two helpers that only know the same word. */
export function withTopic(lab: Lab, specs: readonly [SiteSpec, SiteSpec], action: (pair: Pair, sites: readonly Site[]) => Promise<ScenarioOutcome>): Promise<ScenarioOutcome> {
  return withSites(lab, specs, async (sites, hosts) => {
    const helpers = await startAll(lab, hosts, { broker: BROKER_URL, topics: [`lab ${monotonicNow()}`] })
    try {
      const [a, b] = helpers as [LabHelper, LabHelper]
      await waitUntil(a, (state) => (peerOf(state, b.peerId)?.state === 'connected' ? true : undefined), 20_000)
      return await action([a, b], sites)
    } finally {
      await stopAll(helpers)
    }
  })
}

/** Timed from the moment the later one was ready, so everything is in it: own addresses, broker, announcement, punching. */
export async function fromTopic(lab: Lab, a: LabHelper, b: LabHelper): Promise<ScenarioOutcome> {
  const start = Math.max(a.readyAt, b.readyAt)
  const connected = await waitUntil(a, (state) => (peerOf(state, b.peerId)?.state === 'connected' ? true : undefined), 20_000)
  const ms = monotonicNow() - start
  if (connected === undefined) {
    const peer = peerOf(await a.snapshot(), b.peerId)
    return { ok: false, ms: null, detail: peer === undefined ? 'never heard of each other' : `${peer.state}: ${peer.lastError?.message ?? 'no reason'}` }
  }
  return { ...fromMeeting({ ...(await fetchFrom(a, b.peerId, lab.file, start)), connectedMs: ms }), ms }
}

export async function withBroker<T>(action: () => Promise<T>): Promise<T> {
  const broker = await startBroker()
  try {
    return await action()
  } finally {
    await broker.stop()
  }
}

export async function startAll(lab: Lab, hosts: readonly Host[], options: { readonly mdns?: boolean; readonly broker?: string; readonly topics?: readonly string[]; readonly stunServers?: readonly string[] }): Promise<LabHelper[]> {
  return Promise.all(hosts.map((host) => startHelper(host, { ...lab.helper, ...options })))
}

export async function stopAll(helpers: readonly LabHelper[]): Promise<void> {
  await Promise.all(helpers.map((helper) => helper.stop()))
}

export function fromMeeting(meeting: { ok: boolean; connectedMs: number | null; firstByteMs: number | null; path: string | null; reason: string | null }, path?: string): ScenarioOutcome {
  const { ok, connectedMs, firstByteMs, reason } = meeting
  if (!ok) return { ok, ms: null, detail: reason ?? 'no reason' }
  const elsewhere = path !== undefined && meeting.path !== path
  return { ok: !elsewhere, ms: connectedMs, detail: `${elsewhere ? 'connected by another way: ' : ''}${meeting.path}, first byte at ${Math.round(firstByteMs ?? 0)} ms` }
}

/** A download that something happens to must end by itself, whole. @returns with the time from what happened until bytes come again */
export async function disturbDownload(lab: Lab, a: LabHelper, b: LabHelper, disturb: () => Promise<void> | undefined): Promise<ScenarioOutcome> {
  const large = lab.largeFile
  const transferId = await startDownload(a, b.peerId, large.path)
  if (transferId.startsWith('!')) return { ok: false, ms: null, detail: transferId.slice(1) }
  const bytes = () => waitUntil(a, ({ transfers }) => transfers.find((known) => known.transferId === transferId && known.bytes > large.content.length / 8), 20_000)
  if ((await bytes()) === undefined) return { ok: false, ms: null, detail: `the download did not get going: ${await toldOf(a, transferId)}` }
  await disturb()
  const happenedAt = monotonicNow()
  const before = await bytesOf(a, transferId)
  if (before >= large.content.length) return { ok: false, ms: null, detail: 'the download was over before anything happened' }
  const again = await waitUntil(a, ({ transfers }) => transfers.find((known) => known.transferId === transferId && (known.bytes > before || known.state === 'done')), 90_000)
  const ms = again === undefined ? null : monotonicNow() - happenedAt
  const problem = await awaitDownload(a, transferId, large, 60_000)
  return { ok: problem === undefined, ms, detail: problem ?? `goes on after ${Math.round(ms ?? 0)} ms` }
}

async function toldOf(a: LabHelper, transferId: string): Promise<string> {
  const transfer = (await a.snapshot()).transfers.find((known) => known.transferId === transferId)
  return transfer === undefined ? 'it is gone' : `${transfer.state}, ${transfer.bytes} bytes, ${transfer.reason?.message ?? 'no reason'}`
}

async function bytesOf(helper: LabHelper, transferId: string): Promise<number> {
  return (await helper.snapshot()).transfers.find((transfer) => transfer.transferId === transferId)?.bytes ?? 0
}
