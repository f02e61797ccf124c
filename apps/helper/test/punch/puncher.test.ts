import { type Endpoint, type ReachCandidate, PUNCH_BYTES, encodePunch, punchKeyOf, punchTypeOf } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FLOWS_AT_ONCE, PACKETS_PER_HOST, PACKETS_PER_SECOND, PACKET_BURST, PacketBudget } from '../../src/core/packet-budget.ts'
import { combedPorts, shuffledPorts } from '../../src/core/punch/port-order.ts'
import type { PunchEffect, PunchOptions, PunchPeer } from '../../src/core/punch/punch-messages.ts'
import { FAN_SOCKETS } from '../../src/core/punch/punch-search.ts'
import { punchTargets } from '../../src/core/punch/punch-targets.ts'
import { LINGER_MS, Puncher } from '../../src/core/punch/puncher.ts'
import { quickHmac } from '../support/punch-world.ts'
import { makeSite } from '../support/punch-sites.ts'
import { PunchWorld } from '../support/punch-world.ts'
import { seededRandom } from '../support/world.ts'

/** What a puncher does with strangers, copies and lies, and what bounds it. */

const UNIX = 1_700_000_000_000
const [SMALL, LARGE] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)] as const
const [OURS, THEIRS] = [new Uint8Array(16).fill(11), new Uint8Array(16).fill(12)] as const
const PEER: Endpoint = { host: '45.0.2.1', port: 4433 }
const STRANGER: Endpoint = { host: '45.0.66.6', port: 666 }
const INTERFACES = [{ host: '192.168.1.10', family: 4, name: 'eth0', prefixBits: 24, virtual: false, temporary: false, preferred: true }] as const

function peerWith(candidates: readonly ReachCandidate[], nat: PunchPeer['nat']['v4'] = 'consistent'): PunchPeer {
  return { candidates, nat: { v4: nat, v6: 'unknown' } }
}

function options(over: Partial<PunchOptions> = {}): PunchOptions {
  const random = seededRandom(9)
  return {
    own: { nat: { v4: 'consistent', v6: 'unknown' }, interfaces: INTERFACES },
    theirs: peerWith([{ endpoint: PEER, source: 'stun' }]),
    keyHashes: { ours: LARGE, theirs: SMALL },
    secrets: { ours: [OURS], theirs: THEIRS },
    budget: new PacketBudget(),
    random,
    randomBytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256)),
    unixOffsetMs: UNIX,
    hmac: quickHmac,
    ...over,
  }
}

const KEY_TO_US = punchKeyOf(OURS, SMALL, LARGE, quickHmac)
function knockOf(nonce: number, chosen = false, at = 0): Uint8Array {
  return encodePunch({ type: 'knock', nonce: new Uint8Array(8).fill(nonce), chosen }, KEY_TO_US, UNIX + at, quickHmac)
}

const sends = (effects: readonly PunchEffect[]) => effects.filter((effect) => effect.type === 'send')
const paths = (effects: readonly PunchEffect[]) => effects.filter(({ type }) => type === 'path' || type === 'send')
const answers = (effects: readonly PunchEffect[]) => sends(effects).filter(({ bytes }) => punchTypeOf(bytes) === 'answer')

describe('a puncher among strangers', () => {
  it('answers nothing but good packets of its peer, and never with more bytes than came', () => {
    const puncher = new Puncher(options())
    puncher.step(0, { type: 'start' })
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
      expect(answers(puncher.step(1, { type: 'packet', socket: 0, from: STRANGER, bytes: noise }))).toEqual([])
    }))
    const wrongKeys = [punchKeyOf(THEIRS, SMALL, LARGE, quickHmac), punchKeyOf(OURS, LARGE, SMALL, quickHmac), punchKeyOf(OURS, THEIRS, LARGE, quickHmac)]
    for (const key of wrongKeys) {
      const bytes = encodePunch({ type: 'knock', nonce: new Uint8Array(8), chosen: true }, key, UNIX, quickHmac)
      expect(puncher.step(2, { type: 'packet', socket: 0, from: PEER, bytes }).filter(({ type }) => type === 'path')).toEqual([])
    }
    const [answer, ...more] = answers(puncher.step(3, { type: 'packet', socket: 0, from: PEER, bytes: knockOf(1) }))
    expect([answer?.to, answer?.bytes.length, more.length]).toEqual([PEER, PUNCH_BYTES, 0])
  })

  it('answers each knock once: copies sent from elsewhere, and old ones, go nowhere', () => {
    const puncher = new Puncher(options())
    puncher.step(0, { type: 'start' })
    const knock = knockOf(7)
    expect(answers(puncher.step(10, { type: 'packet', socket: 0, from: PEER, bytes: knock }))).toHaveLength(1)
    for (const from of [STRANGER, PEER]) expect(answers(puncher.step(20, { type: 'packet', socket: 0, from, bytes: knock }))).toEqual([])
    expect(sends(puncher.step(30, { type: 'tick' })).some(({ to }) => to.host === STRANGER.host)).toBe(false)
    expect(answers(puncher.step(40, { type: 'packet', socket: 0, from: PEER, bytes: knockOf(8, false, -100_000) }))).toEqual([])
  })

  it('does not take a forged or misplaced answer for one', () => {
    const puncher = new Puncher(options({ keyHashes: { ours: LARGE, theirs: SMALL } }))
    const [knock] = sends(puncher.step(0, { type: 'start' }))
    const nonce = knock?.bytes.slice(8, 16) ?? new Uint8Array(8)
    const answer = encodePunch({ type: 'answer', nonce, chosen: false }, KEY_TO_US, UNIX, quickHmac)
    // From another address, to another socket, with another nonce.
    expect(paths(puncher.step(1, { type: 'packet', socket: 0, from: STRANGER, bytes: answer }))).toEqual([])
    expect(paths(puncher.step(1, { type: 'packet', socket: 5, from: PEER, bytes: answer }))).toEqual([])
    expect(paths(puncher.step(1, { type: 'packet', socket: 0, from: PEER, bytes: encodePunch({ type: 'answer', nonce: new Uint8Array(8), chosen: true }, KEY_TO_US, UNIX, quickHmac) }))).toEqual([])
  })

  it('never sends to groups, loopback, nobody, or private networks that are not ours, whoever says so', () => {
    const hosts = ['224.0.0.1', '255.255.255.255', '0.0.0.0', '127.0.0.1', '0.1.2.3', '241.0.0.1', '10.0.0.1', '192.168.7.1', '169.254.1.1', '100.64.0.1', '::1', 'ff02::1', '::', 'fe80::1', '::ffff:10.0.0.1']
    const candidates = hosts.map((host): ReachCandidate => ({ endpoint: { host, port: 4433 }, source: 'record' }))
    expect(punchTargets(candidates, INTERFACES, false)).toEqual([])
    const puncher = new Puncher(options({ theirs: peerWith(candidates, 'random') }))
    expect(puncher.step(0, { type: 'start' })).toMatchObject([{ type: 'failed', code: 'no-candidates', packets: 0 }])
    const other = new Puncher(options())
    other.step(0, { type: 'start' })
    for (const [i, host] of ['224.0.0.1', '255.255.255.255', '127.0.0.1', '::1', 'ff02::1'].entries()) {
      expect(sends(other.step(1, { type: 'packet', socket: 0, from: { host, port: 4433 }, bytes: knockOf(100 + i) }))).toEqual([])
    }
    // Our own network, and what was seen on it, are another matter.
    const near: ReachCandidate[] = [{ endpoint: { host: '192.168.1.20', port: 4433 }, source: 'record' }, { endpoint: { host: '169.254.9.9', port: 4433 }, source: 'lan' }]
    expect(punchTargets(near, INTERFACES, false)).toHaveLength(2)
  })

  it('knocks at few addresses, however many it is told', () => {
    const candidates = Array.from({ length: 200 }, (_, i): ReachCandidate => ({ endpoint: { host: `45.1.${i}.1`, port: 4433 }, source: 'record' }))
    const puncher = new Puncher(options({ theirs: peerWith(candidates) }))
    expect(new Set(sends(puncher.step(0, { type: 'start' })).map(({ to }) => to.host)).size).toBe(8)
  })

  it('answers at few places, however many good knocks are sent from', () => {
    const puncher = new Puncher(options())
    puncher.step(0, { type: 'start' })
    const hosts = new Set<string>()
    for (let i = 0; i < 200; i++) {
      for (const { to } of sends(puncher.step(i, { type: 'packet', socket: 0, from: { host: `45.2.${i}.1`, port: 1000 }, bytes: knockOf(i) }))) hosts.add(to.host)
    }
    expect(hosts.size).toBeLessThanOrEqual(26)
  })
})

/** The peer's answer to our first knock that goes out when we are told of it. */
function confirm(puncher: Puncher, now: number, socket: number, started: readonly PunchEffect[]): PunchEffect[] {
  const knock = sends(started).find((effect) => punchTypeOf(effect.bytes) === 'knock' && effect.socket === socket)
  const bytes = encodePunch({ type: 'answer', nonce: knock?.bytes.slice(8, 16) ?? new Uint8Array(8), chosen: false }, KEY_TO_US, UNIX, quickHmac)
  return puncher.step(now, { type: 'packet', socket, from: PEER, bytes })
}

describe('the end', () => {
  it('is one path, chosen by the side with the smaller key, and knocks are answered for a while after it', () => {
    const puncher = new Puncher(options())
    const started = puncher.step(0, { type: 'start' })
    // Not believed before the peer has answered us there: copies can be sent from anywhere.
    const early = puncher.step(5, { type: 'packet', socket: 0, from: PEER, bytes: knockOf(9, true) })
    expect([answers(early), early.filter(({ type }) => type === 'path')]).toEqual([[], []])
    confirm(puncher, 8, 0, started)
    const agreed = puncher.step(10, { type: 'packet', socket: 0, from: PEER, bytes: knockOf(1, true) })
    expect(agreed.filter(({ type }) => type === 'path')).toMatchObject([{ type: 'path', socket: 0, endpoint: PEER, rttMs: 8, decider: false }])
    expect(puncher.deadline).toBe(10 + LINGER_MS)
    const again = puncher.step(60, { type: 'packet', socket: 0, from: PEER, bytes: knockOf(2, true) })
    expect([answers(again).length, again.length]).toEqual([1, 1])
    // A second decision is no decision.
    expect(puncher.step(70, { type: 'packet', socket: 0, from: STRANGER, bytes: knockOf(3, true) })).toEqual([])
    expect(puncher.step(10 + LINGER_MS, { type: 'tick' })).toEqual([])
    expect(puncher.step(20 + LINGER_MS, { type: 'packet', socket: 0, from: PEER, bytes: knockOf(4, true, 6_000) })).toEqual([])
    expect(puncher.deadline).toBeUndefined()
  })

  it('leaves no socket open: neither after an abort nor when they come too late', () => {
    const puncher = new Puncher(options({ own: { nat: { v4: 'random', v6: 'unknown' }, interfaces: INTERFACES } }))
    expect(puncher.step(0, { type: 'start' }).filter(({ type }) => type === 'open-sockets')).toEqual([{ type: 'open-sockets', count: FAN_SOCKETS, family: 4 }])
    expect(puncher.step(1, { type: 'abort' })).toEqual([])
    expect(puncher.step(2, { type: 'sockets-opened', ids: [5, 6] })).toEqual([{ type: 'close-sockets', ids: [5, 6] }])
    expect(puncher.step(3, { type: 'start' })).toEqual([])
    const other = new Puncher(options({ own: { nat: { v4: 'random', v6: 'unknown' }, interfaces: INTERFACES } }))
    other.step(0, { type: 'start' })
    const fan = other.step(1, { type: 'sockets-opened', ids: [5, 6] })
    confirm(other, 2, 6, fan)
    expect(sends(fan).map(({ socket, ttl }) => [socket, ttl !== undefined])).toEqual([[5, true], [6, true]])
    expect(other.step(3, { type: 'packet', socket: 6, from: PEER, bytes: knockOf(1, true) }).filter(({ type }) => type !== 'send')).toMatchObject([
      { type: 'path', socket: 6 },
      { type: 'close-sockets', ids: [5] },
    ])
  })

  it('says plainly that two random NATs cannot meet, without a packet', () => {
    const own = { nat: { v4: 'random', v6: 'unknown' }, interfaces: INTERFACES } as const
    const [effect] = new Puncher(options({ own, theirs: peerWith([{ endpoint: PEER, source: 'stun' }], 'random') })).step(0, { type: 'start' })
    expect(effect).toMatchObject({ type: 'failed', code: 'hopeless', packets: 0 })
    expect(effect?.type === 'failed' ? effect.message : '').toMatch(/random port.*relay.*(UPnP|IPv6)/)
  })

  it('knows two that sit behind one and the same address', () => {
    const own = { nat: { v4: 'consistent', v6: 'unknown' }, interfaces: INTERFACES, candidates: [{ endpoint: { ...PEER, port: 9 }, source: 'stun' }] } as const
    const said = (theirs: Endpoint): string => {
      const puncher = new Puncher(options({ own, theirs: peerWith([{ endpoint: theirs, source: 'stun' }]), patienceMs: 0 }))
      puncher.step(0, { type: 'start' })
      const failed = puncher.step(20_000, { type: 'tick' }).find(({ type }) => type === 'failed')
      return failed?.type === 'failed' ? failed.message : ''
    }
    expect(said(PEER)).toMatch(/same internet address.*provider.*IPv6/)
    expect(said(STRANGER)).toMatch(/^Nothing came back\. The other helper may not/)
  })

  it('does not call ports random that are only not known yet', () => {
    const own = { nat: { v4: 'block', v6: 'unknown' }, block: { low: 40_000, high: 40_511 }, interfaces: INTERFACES } as const
    const theirs = peerWith([{ endpoint: PEER, source: 'stun' }], 'block')
    const [effect] = new Puncher(options({ own, theirs })).step(0, { type: 'start' })
    expect(effect).toMatchObject({ type: 'failed', code: 'hopeless', packets: 0 })
    const message = effect?.type === 'failed' ? effect.message : ''
    expect(message).toMatch(/^Their router takes its ports from a range that is not known.*codes.*(UPnP|IPv6)/)
    expect(message).not.toContain('random')
    const started = new Puncher(options({ own, theirs: { ...theirs, block: { low: 50_000, high: 50_511 } } })).step(0, { type: 'start' })
    expect(started.filter(({ type }) => type === 'open-sockets' || type === 'failed')).toMatchObject([{ type: 'open-sockets' }])
  })
})

const elsewhere = (number: number): PunchPeer => peerWith([{ endpoint: { host: `45.0.3.${number}`, port: 5000 }, source: 'stun' }])
const hostsOf = (effects: readonly PunchEffect[]): string[] => sends(effects).map(({ to }) => to.host)

describe('news of where the peer is', () => {
  it('is followed at once, also a moment after the beginning', () => {
    const puncher = new Puncher(options())
    expect(hostsOf(puncher.step(0, { type: 'start' }))).toEqual([PEER.host])
    expect(hostsOf(puncher.step(400, { type: 'live-signal', theirs: elsewhere(1) }))).toEqual(['45.0.3.1'])
    // The same again is no news: knocking goes on as it was.
    expect(puncher.step(410, { type: 'live-signal', theirs: elsewhere(1) })).toEqual([])
  })

  it('is followed only so often', () => {
    const puncher = new Puncher(options())
    puncher.step(0, { type: 'start' })
    const followed = Array.from({ length: 40 }, (_, i) => hostsOf(puncher.step(i + 1, { type: 'live-signal', theirs: elsewhere(i + 1) }))).filter((hosts) => hosts.length > 0)
    expect(followed).toHaveLength(8)
  })

  it('turns a search to the new address', () => {
    const puncher = new Puncher(options({ own: { nat: { v4: 'random', v6: 'unknown' }, interfaces: INTERFACES } }))
    puncher.step(0, { type: 'start' })
    puncher.step(5, { type: 'sockets-opened', ids: [5, 6] })
    const shots = sends(puncher.step(400, { type: 'live-signal', theirs: elsewhere(1) })).filter(({ socket }) => socket > 0)
    expect(shots.map(({ socket, to }) => [socket, to.host])).toEqual([[5, '45.0.3.1'], [6, '45.0.3.1']])
  })
})

describe('an attacker who hears and copies everything', () => {
  it('gets no path to itself, little traffic, and keeps nobody apart', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const sites = [makeSite('full', 1, seed), makeSite('full', 2, seed)] as const
      const random = seededRandom(seed)
      const copies: { side: 0 | 1; bytes: Uint8Array }[] = []
      let towards = 0
      const world = new PunchWorld({
        delayMs: [30, 60], seed, sites, patienceMs: 0,
        onSend: (side, to, bytes) => {
          if (to.host === STRANGER.host) towards++
          else if (random() < 0.5) copies.push({ side: side === 0 ? 1 : 0, bytes: Uint8Array.from(bytes) })
        },
      })
      for (const side of [0, 1] as const) world.input(side, { type: 'start' })
      for (let at = 5; at < 3_000; at += 5) {
        world.runUntil(at)
        // Its copies may even be faster than the originals.
        for (const { side, bytes } of copies.splice(0, 3)) world.input(side, { type: 'packet', socket: 0, from: STRANGER, bytes })
      }
      world.runUntil(8_000)
      expect(world.agree(), `seed ${seed}`).toBe(true)
      for (const { outcome } of world.players) expect(outcome.endpoint?.host).not.toBe(STRANGER.host)
      expect(towards).toBeLessThan(200)
    }
  })
})

describe('the packet budget', () => {
  it('bounds packets per second, per address, and new flows, over any attempts', () => {
    const budget = new PacketBudget()
    let sent = 0
    for (let now = 0; now < 10_000; now++) for (let i = 0; i < 10; i++) if (budget.spend(now, `45.0.${i}.1`, false)) sent++
    expect(sent).toBeLessThanOrEqual(PACKET_BURST + 10 * PACKETS_PER_SECOND)
    expect(sent).toBeGreaterThan(5 * PACKETS_PER_SECOND)
    const flows = new PacketBudget()
    let made = 0
    for (let now = 0; now < 5_000; now++) if (flows.spend(now, '45.0.0.1', true)) made++
    expect(made).toBeLessThanOrEqual(FLOWS_AT_ONCE + 5 * 40 + 1)
    const host = new PacketBudget()
    let towards = 0
    for (let now = 0; now < 20_000; now++) if (host.spend(now, '45.0.0.1', false)) towards++
    expect(towards).toBeLessThanOrEqual(PACKETS_PER_HOST + 20 * 25 + 1)
  })

  it('remembers a bounded number of addresses', () => {
    const budget = new PacketBudget()
    let allowed = 0
    for (let i = 0; i < 5_000; i++) if (budget.spend(i * 10, `45.${i >> 8}.${i & 255}.1`, false)) allowed++
    // Each is full again, and forgotten, within a moment.
    expect(allowed).toBe(5_000)
    const flood = new PacketBudget()
    let atOnce = 0
    for (let i = 0; i < 5_000; i++) if (flood.spend(0, `45.${i >> 8}.${i & 255}.1`, false)) atOnce++
    expect(atOnce).toBeLessThanOrEqual(256)
  })

  it('is shared: twenty searches at once send no more than one budget', () => {
    const budget = new PacketBudget()
    const random = seededRandom(1)
    const punchers = Array.from({ length: 20 }, (_, i) => new Puncher(options({ budget, random, theirs: peerWith([{ endpoint: { host: `45.0.${i}.9`, port: 1 }, source: 'stun' }], 'random') })))
    let sent = 0
    for (const puncher of punchers) sent += sends(puncher.step(0, { type: 'start' })).length
    for (let now = 10; now <= 3_000; now += 10) for (const puncher of punchers) sent += sends(puncher.step(now, { type: 'tick' })).length
    expect(sent).toBeLessThanOrEqual(PACKET_BURST + 3 * PACKETS_PER_SECOND)
  })
})

describe('orders of ports', () => {
  it('a shuffle names every port once', () => {
    const ports = [...shuffledPorts({ low: 1000, high: 1999 }, seededRandom(1))]
    expect([ports.length, new Set(ports).size, Math.min(...ports), Math.max(...ports)]).toEqual([1000, 1000, 1000, 1999])
  })

  it('a comb meets any row of flows, however far the counter has gone on', () => {
    fc.assert(fc.property(fc.integer({ min: 1024, max: 65_535 }), fc.integer({ min: 0, max: 60_000 }), fc.integer({ min: 1, max: 3 }), (last, drift, step) => {
      const size = 64_512
      const row = new Set(Array.from({ length: 128 }, (_, i) => 1024 + ((last - 1024 + step * (1 + i) + step * Math.floor(drift / step)) % size)))
      const hits = [...combedPorts(last, step, 128)].slice(0, 1_000).filter((port) => row.has(port)).length
      // Beyond the top the steps of the counter and of the comb need not fit any more.
      if (last + step * 129 + drift < 65_535) expect(hits).toBeGreaterThanOrEqual(1)
    }))
  })
})
