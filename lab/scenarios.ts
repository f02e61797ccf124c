/** What happens to people besides meeting: their router restarts, the line breaks, a server is gone. Each scenario is told by one function. */
import { type LabHelper, monotonicNow, peerOf, waitUntil } from './helpers.ts'
import type { Host } from './hosts.ts'
import { FRIEND_SCENARIOS } from './friend-scenarios.ts'
import { fetchFrom, meet } from './meetings.ts'
import { withHelpers, withSites } from './pair-runs.ts'
import { type Scenario, LINE, SLOW_LINE, disturbDownload, fromMeeting, fromTopic, scenario, startAll, stopAll, withBroker, withCodes, withTopic } from './scenario-parts.ts'
import { BROKER_URL, startAvahi, startCoturn } from './services.ts'
import { inside } from './namespaces.ts'
import { STUN_ADDRESSES } from './places.ts'
import { STUN_PORT } from './stun-responder.ts'
import type { Site, SiteSpec } from './sites.ts'

/** What strangers might say: noise, a question to a STUN server, a version of QUIC that does not exist, an initial packet of one that does. */
const STRANGE_DATAGRAMS = [
  '00', 'ff'.repeat(1200), '000100002112a442000102030405060708090a0b',
  `c0babababa08${'11'.repeat(8)}08${'22'.repeat(8)}${'00'.repeat(1180)}`,
  `c00000000108${'11'.repeat(8)}08${'22'.repeat(8)}004480${'00'.repeat(1170)}`,
]

export const SCENARIOS: readonly Scenario[] = [
  scenario('same LAN, by code', { quick: true, limitMs: 1_000 }, (lab) =>
    withSites(lab, [{ kind: 'random', hosts: 2 }], async (sites, hosts) =>
      withHelpers(lab, hosts, [sites[0]?.spec ?? { kind: 'random' }], async ([a, b]) => fromMeeting(await meet(a as LabHelper, b as LabHelper, lab.file, 'one'), 'lan')))),

  scenario('same LAN, no internet at all: starts as fast, and connects', { quick: true, flags: ['--no-mqtt'] }, (lab) =>
    withSites(lab, [{ kind: 'port', hosts: 2 }], async ([site], hosts) => {
      const usual = await startAll(lab, hosts, {})
      await stopAll(usual)
      await site?.cut(true)
      // Own addresses are not waited for: nothing may depend on the answers of servers.
      const helpers = await startAll(lab, hosts, {})
      try {
        const [a, b] = helpers as [LabHelper, LabHelper]
        const outcome = fromMeeting(await meet(a, b, lab.file, 'one'), 'lan')
        const [online, offline] = [usual, helpers].map((started) => Math.min(...started.map(({ startMs }) => startMs))) as [number, number]
        const detail = `ready in ${Math.round(offline)} ms, with internet in ${Math.round(online)} ms`
        return { ok: outcome.ok && offline <= 1.5 * online + 500, ms: null, detail: outcome.ok ? detail : outcome.detail }
      } finally {
        await stopAll(helpers)
        await site?.cut(false)
      }
    })),

  scenario('same LAN, found by mDNS', { quick: true, limitMs: 2_000, flags: ['--no-mdns'] }, (lab) =>
    withSites(lab, [{ kind: 'port', hosts: 2 }], async (_sites, hosts) => {
      const helpers = await startAll(lab, hosts, { mdns: true })
      try {
        const [a, b] = helpers as [LabHelper, LabHelper]
        const start = Math.max(a.readyAt, b.readyAt)
        const seen = await Promise.all([waitUntil(a, (state) => peerOf(state, b.peerId), 10_000), waitUntil(b, (state) => peerOf(state, a.peerId), 10_000)])
        const ms = monotonicNow() - start
        return { ok: seen.every((peer) => peer !== undefined), ms, detail: seen.map((peer) => peer?.state ?? 'not seen').join(', ') }
      } finally {
        await stopAll(helpers)
      }
    })),

  scenario('same LAN, seen by avahi-browse', { programs: ['avahi-daemon', 'avahi-browse', 'dbus-daemon'] }, (lab) =>
    withSites(lab, [{ kind: 'port', hosts: 2 }], async (_sites, hosts) => {
      const [first, second] = hosts as [Host, Host]
      const avahi = await startAvahi(second.ns)
      const helpers = await startAll(lab, [first], { mdns: true })
      try {
        const said = await inside(second.ns, 'sh', ['-c', `DBUS_SYSTEM_BUS_ADDRESS='${avahi.bus}' timeout 5 avahi-browse -rpt _hdp._udp || true`])
        return { ok: /^=;eth0;IPv4;.*;_hdp\._udp;local;.*;192\.168\.1\.10;\d+/m.test(said), ms: null, detail: said.split('\n').find((line) => line.startsWith('=')) ?? 'not resolved' }
      } finally {
        await stopAll(helpers)
        await avahi.stop()
      }
    })),

  scenario('same topic, over a broker', { quick: true, limitMs: 3_000, programs: ['mosquitto'], flags: ['--topic'], lines: true }, (lab) =>
    withBroker(() => withTopic(lab, [{ kind: 'port', line: LINE }, { kind: 'port', line: LINE }], async ([a, b]) => fromTopic(lab, a, b)))),

  scenario('same topic, random and consistent', { limitMs: 5_000, programs: ['mosquitto'], flags: ['--topic'], lines: true }, (lab) =>
    withBroker(() => withTopic(lab, [{ kind: 'random', line: LINE }, { kind: 'port', line: LINE }], async ([a, b]) => fromTopic(lab, a, b)))),

  scenario('the broker goes away and comes back', { programs: ['mosquitto'], flags: ['--topic'] }, (lab) =>
    withSites(lab, [{ kind: 'port' }, { kind: 'port' }], async (_sites, hosts) => {
      const topic = { broker: BROKER_URL, topics: [`lab ${monotonicNow()}`] }
      // None is there when they start.
      const helpers = await startAll(lab, hosts, topic)
      const [a, b] = helpers as [LabHelper, LabHelper]
      try {
        let outcome = await withBroker(() => fromTopic(lab, a, b))
        if (!outcome.ok) return { ...outcome, ms: null }
        // It is gone again: what is connected stays so.
        outcome = fromMeeting({ ...(await fetchFrom(a, b.peerId, lab.file, monotonicNow())), connectedMs: null })
        return { ...outcome, ms: null }
      } finally {
        await stopAll(helpers)
      }
    })),

  scenario('no STUN server answers', { quick: true, limitMs: 1_000 }, (lab) =>
    withSites(lab, [{ kind: 'port' }, { kind: 'open' }], async (_sites, hosts) => {
      // Nobody is at that address.
      const helpers = await startAll(lab, hosts, { stunServers: ['45.11.12.99:3478'] })
      try {
        return fromMeeting(await meet(helpers[0] as LabHelper, helpers[1] as LabHelper, lab.file, 'one'))
      } finally {
        await stopAll(helpers)
      }
    })),

  scenario('coturn for STUN', { programs: ['turnserver'], limitMs: 1_000 }, async (lab) => {
    await lab.server.stopStun({})
    const coturn = await startCoturn()
    try {
      return await withSites(lab, [{ kind: 'port' }, { kind: 'port' }], (_sites, hosts) =>
        withHelpers(lab, hosts, [], async ([a, b]) => fromMeeting(await meet(a as LabHelper, b as LabHelper, lab.file, 'both'))))
    } finally {
      await coturn.stop()
      await lab.serveStun()
    }
  }),

  scenario('strangers get no answer', { quick: true }, (lab) =>
    withSites(lab, [{ kind: 'open' }], async ([site], hosts) =>
      withHelpers(lab, hosts, [], async ([helper]) => {
        const { udp } = (await (helper as LabHelper).snapshot()).status
        const { socket } = await lab.server.open({})
        for (const hex of STRANGE_DATAGRAMS) await lab.server.send({ socket, host: site?.publicAddress ?? '', port: udp.v4 ?? 0, hex })
        const answer = await lab.server.receive({ socket, timeoutMs: 1_500 })
        return { ok: answer === null, ms: null, detail: answer === null ? `${STRANGE_DATAGRAMS.length} kinds of datagrams` : `answered ${answer.hex.slice(0, 40)}` }
      }))),

  scenario('a household with a small flow table keeps its internet', { lines: true }, (lab) =>
    withSites(lab, [{ kind: 'random', hosts: 2, flowLimit: 1024, line: LINE }, { kind: 'port', flowLimit: 1024, line: LINE }], async (_sites, hosts) => {
      const [first, neighbour, second] = hosts as [Host, Host, Host]
      return withHelpers(lab, [first, second], [], async ([a, b]) => {
        const meeting = meet(a as LabHelper, b as LabHelper, lab.file, 'both')
        const worst = await longestWithoutInternet(neighbour, meeting)
        const outcome = fromMeeting(await meeting)
        return { ok: outcome.ok && worst <= 2_000, ms: null, detail: `${outcome.detail}; the neighbour's new flows waited ${Math.round(worst)} ms at most` }
      })
    })),

  scenario('an hour-old code: routers that forget after 30 s', { lines: true }, (lab) =>
    withSites(lab, [{ kind: 'counting', flowSeconds: [30, 30] }, { kind: 'port', flowSeconds: [30, 30] }], (_sites, hosts) =>
      withHelpers(lab, hosts, [], async ([first, second]) => {
        const [a, b] = [first as LabHelper, second as LabHelper]
        await new Promise((resolve) => setTimeout(resolve, 45_000))
        const met = fromMeeting(await meet(a, b, lab.file, 'both'))
        if (!met.ok) return { ...met, detail: `after 45 s without a peer: ${met.detail}` }
        await new Promise((resolve) => setTimeout(resolve, 45_000))
        const ping = await a.call('ping', { peerId: b.peerId })
        return { ok: ping.ok, ms: null, detail: ping.ok ? 'still connected after 45 s of silence' : `after 45 s of silence: ${ping.error?.message}` }
      }))),

  disturbed('a router restarts during a download', [{ kind: 'port', line: SLOW_LINE }, { kind: 'port', line: SLOW_LINE }], {}, ([site]) => site?.reboot()),
  disturbed('a router restarts during a download and maps anew', [{ kind: 'counting', line: SLOW_LINE }, { kind: 'full', line: SLOW_LINE }], {}, ([site]) => site?.reboot()),
  disturbed('the provider changes the address during a download', [{ kind: 'port', line: SLOW_LINE }, { kind: 'open', line: SLOW_LINE }], {}, ([site]) => site?.changePublicAddress()),
  disturbed('the address of the one who serves changes', [{ kind: 'open', line: SLOW_LINE }, { kind: 'port', line: SLOW_LINE }], {}, ([, site]) => site?.changePublicAddress()),
  disturbed('the provider changes the address, both behind routers, same topic', [{ kind: 'port', line: SLOW_LINE }, { kind: 'port', line: SLOW_LINE }], { topic: true }, ([site]) => site?.changePublicAddress()),
  // Its router now maps it to another port, which only somebody who was not talked to before would let in: one side open, or a word in common.
  disturbed('the host gets another address on its LAN', [{ kind: 'port', line: SLOW_LINE }, { kind: 'open', line: SLOW_LINE }], { quick: true }, ([site]) => site?.changeHostAddress(0)),
  disturbed('the host gets another address on its LAN, both behind routers, same topic', [{ kind: 'port', line: SLOW_LINE }, { kind: 'port', line: SLOW_LINE }], { topic: true }, ([site]) => site?.changeHostAddress(0)),
  outage(10_000, true),
  outage(60_000, false),
  ...FRIEND_SCENARIOS,
]

/** A download that something happens to must end by itself, whole. `ms` is from what happened until bytes come again. */
function disturbed(
  name: string, specs: readonly [SiteSpec, SiteSpec], { topic = false, quick = false, limitMs = 20_000 }: { topic?: boolean; quick?: boolean; limitMs?: number },
  disturb: (sites: readonly Site[]) => Promise<void> | undefined,
): Scenario {
  const needs = topic ? { programs: ['mosquitto'], flags: ['--topic'] } : {}
  return scenario(name, { quick, lines: true, limitMs, ...needs }, async (lab) => {
    const during = (a: LabHelper, b: LabHelper, sites: readonly Site[]) => disturbDownload(lab, a, b, () => disturb(sites))
    const act = topic ? withTopic : withCodes
    return topic ? withBroker(() => act(lab, specs, ([a, b], sites) => during(a, b, sites))) : act(lab, specs, ([a, b], sites) => during(a, b, sites))
  })
}

function outage(lengthMs: number, quick: boolean): Scenario {
  // Limited from the moment the line is back.
  return disturbed(`an outage of ${lengthMs / 1000} s during a download`, [{ kind: 'port', line: SLOW_LINE }, { kind: 'port', line: SLOW_LINE }], { quick, limitMs: 5_000 }, async ([site]) => {
    await site?.cut(true)
    await new Promise((resolve) => setTimeout(resolve, lengthMs))
    await site?.cut(false)
  })
}

/** Asks for a new flow again and again while something goes on. @returns the longest time that none came through */
async function longestWithoutInternet(host: Host, meanwhile: Promise<unknown>): Promise<number> {
  const progress = { over: false }
  void meanwhile.finally(() => (progress.over = true))
  let worst = 0
  let lastAnswer = monotonicNow()
  while (!progress.over) {
    const { socket } = await host.open({})
    const answer = await host.askStun({ socket, host: STUN_ADDRESSES[0], port: STUN_PORT, timeoutMs: 400 })
    worst = Math.max(worst, monotonicNow() - lastAnswer)
    if (answer !== null) lastAnswer = monotonicNow()
  }
  return worst
}
