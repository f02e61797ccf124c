/** People who meet in less usual ways: through a friend, behind one and the same provider, or not at the same moment. */
import { type LabHelper, monotonicNow, peerOf, waitUntil } from './helpers.ts'
import type { Lab } from './lab.ts'
import { codeOf, fetchFrom, meet } from './meetings.ts'
import { withHelpers, withSites } from './pair-runs.ts'
import { type Scenario, type ScenarioOutcome, LINE, SLOW_LINE, disturbDownload, fromMeeting, scenario } from './scenario-parts.ts'
import type { Site, SiteSpec } from './sites.ts'

/** A provider's new address is noticed by the questions that keep a port open, and told to friends. */
const NEWS_TIMEOUT_MS = 90_000
/** What two who started apart may take: the pause of the first, and its first knock that travels all the way. */
const APART_TIMEOUT_MS = 110_000

type Three = (a: LabHelper, b: LabHelper, friend: LabHelper, sites: readonly Site[]) => Promise<ScenarioOutcome>

export const FRIEND_SCENARIOS: readonly Scenario[] = [
  introduced('port-restricted', 'port-restricted', { kind: 'port' }, { kind: 'port' }, 3_000),
  introduced('random', 'port-restricted', { kind: 'random' }, { kind: 'port' }, 5_000),
  introduced('port-restricted', 'random', { kind: 'port' }, { kind: 'random' }, 5_000),

  movedWithFriend('the host gets another address on its LAN, both behind routers, with a common friend', ([site]) => site?.changeHostAddress(0)),
  movedWithFriend('the provider changes the address, both behind routers, with a common friend', ([site]) => site?.changePublicAddress()),

  sameCarrier(true),
  sameCarrier(false),

  scenario('the second code 10 s later, behind routers that take packets for themselves', { limitMs: 100_000, lines: true }, (lab) =>
    withSites(lab, [{ kind: 'port', input: 'accept', line: LINE }, { kind: 'port', input: 'accept', line: LINE }], (_sites, hosts) =>
      withHelpers(lab, hosts, [], async (helpers) => {
        const [a, b] = helpers as [LabHelper, LabHelper]
        const codes = await Promise.all([codeOf(a), codeOf(b)])
        const first = a.call('connect', { code: codes[1] }, APART_TIMEOUT_MS)
        await new Promise((resolve) => setTimeout(resolve, 10_000))
        const start = monotonicNow()
        const second = b.call('connect', { code: codes[0] }, APART_TIMEOUT_MS)
        await Promise.all([first, second])
        return awaitConnected(lab, a, b, start, APART_TIMEOUT_MS)
      }))),
]

/** The first knows the second by a code that was made before the second one's address changed. Both are connected to somebody who can be reached. */
function introduced(a: string, b: string, specOfA: SiteSpec, specOfB: SiteSpec, limitMs: number): Scenario {
  return scenario(`${a} finds ${b} by an outdated code and a common friend`, { limitMs, lines: true }, (lab) =>
    withFriend(lab, [specOfA, specOfB], LINE, async (first, second, friend, [, site]) => {
      const outdated = await codeOf(second)
      const old = (await second.snapshot()).status.addresses.join()
      await site?.changePublicAddress()
      const news = await waitUntil(second, (state) => (state.status.addresses.join() !== old && isConnected(state, friend) ? true : undefined), NEWS_TIMEOUT_MS)
      if (news === undefined) return { ok: false, ms: null, detail: 'the new address was not noticed' }
      // What the friend knows of it is told with the next word between them.
      await friend.call('ping', { peerId: second.peerId })
      const start = monotonicNow()
      const { ok, value, error, endedAt } = await first.call('connect', { code: outdated }, 30_000)
      if (!ok || (value as { state: string }).state !== 'connected') return { ok: false, ms: null, detail: error === undefined ? JSON.stringify(value) : `${error.code}: ${error.message}` }
      return fromMeeting({ ...(await fetchFrom(first, second.peerId, lab.file, start)), connectedMs: endedAt - start })
    }))
}

/** Neither knows where the other one is after that, but for the friend. */
function movedWithFriend(name: string, disturb: (sites: readonly Site[]) => Promise<void> | undefined): Scenario {
  return scenario(name, { limitMs: 20_000, lines: true }, (lab) =>
    withFriend(lab, [{ kind: 'port' }, { kind: 'port' }], SLOW_LINE, async (a, b, _friend, sites) => {
      const met = fromMeeting(await meet(a, b, lab.file, 'both'))
      return met.ok ? disturbDownload(lab, a, b, () => disturb(sites)) : { ...met, detail: `did not meet: ${met.detail}` }
    }))
}

function sameCarrier(hairpin: boolean): Scenario {
  const name = `two customers of one provider, whose router ${hairpin ? 'sends packets back inside' : 'sends nothing back inside: why not'}`
  const carrier = { carrier: 'port', hairpin, line: LINE } as const
  return scenario(name, { lines: true, ...(hairpin ? { limitMs: 1_000 } : {}) }, (lab) =>
    withSites(lab, [{ kind: 'port', ...carrier }, { kind: 'port', sameCarrier: true }], (_sites, hosts) =>
      withHelpers(lab, hosts, [], async ([a, b]) => {
        const meeting = await meet(a as LabHelper, b as LabHelper, lab.file, 'both')
        if (hairpin) return fromMeeting(meeting)
        return { ok: !meeting.ok && /same internet address/.test(meeting.reason ?? ''), ms: null, detail: meeting.reason ?? 'connected' }
      })))
}

/** Two helpers and a third one that can be reached, whom both are connected to. */
function withFriend(lab: Lab, specs: readonly [SiteSpec, SiteSpec], line: NonNullable<SiteSpec['line']>, action: Three): Promise<ScenarioOutcome> {
  const sites = [...specs.map((spec) => ({ ...spec, line })), { kind: 'open', line: LINE }] as const
  return withSites(lab, sites, (built, hosts) =>
    withHelpers(lab, hosts, [], async (helpers) => {
      const [a, b, friend] = helpers as [LabHelper, LabHelper, LabHelper]
      const code = await codeOf(friend)
      for (const helper of [a, b]) {
        const { ok, error } = await helper.call('connect', { code }, 30_000)
        if (!ok) return { ok: false, ms: null, detail: `without the friend: ${error?.message}` }
      }
      return action(a, b, friend, built)
    }))
}

async function awaitConnected(lab: Lab, a: LabHelper, b: LabHelper, start: number, timeoutMs: number): Promise<ScenarioOutcome> {
  const connected = await waitUntil(a, (state) => isConnected(state, b) || undefined, timeoutMs)
  const ms = monotonicNow() - start
  if (connected === undefined) return { ok: false, ms: null, detail: peerOf(await a.snapshot(), b.peerId)?.lastError?.message ?? 'no reason' }
  return fromMeeting({ ...(await fetchFrom(a, b.peerId, lab.file, start)), connectedMs: ms })
}

function isConnected(state: Awaited<ReturnType<LabHelper['snapshot']>>, { peerId }: LabHelper): boolean {
  return peerOf(state, peerId)?.state === 'connected'
}
