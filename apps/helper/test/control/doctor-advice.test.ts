import { NAT_KINDS, type PeerId, keyHashOf } from '@harddrive-party/protocol'
import type { DoctorAddress, PeerState, ReachAttempt, StatusInfo } from '@harddrive-party/protocol/control'
import { describe, expect, it } from 'vitest'
import { type OwnFacts, type PeerFacts, adviseHelper, advisePeer } from '../../src/control/doctor-advice.ts'
import { adviceWords } from '../../src/cli/advice-words.ts'
import { reportHealth } from '../../src/control/doctor.ts'
import type { ReachReport } from '../../src/network/network-api.ts'

const address = (text: string, source: DoctorAddress['source'] = 'interface'): DoctorAddress => ({ address: text, family: text.startsWith('[') ? 6 : 4, source })
const LAN = address('192.168.1.20:4433')
const SEEN = address('198.18.0.1:4433', 'stun')
const V6 = address('[2600:1234::20]:4433')
const answered = { server: 'a:3478', family: 4, outcome: 'mapped', mapped: '8.8.4.4:4433' } as const
const silent = { server: 'a:3478', family: 4, outcome: 'no-answer', mapped: null } as const
const NO_MAPPING = { state: 'none', protocol: null, outside: null, pinholes: [] } as const
const MAPPED = { state: 'mapped', protocol: 'upnp', outside: '8.8.4.4:4433', pinholes: [] } as const

/** A friendly home network. */
function own(more: Partial<OwnFacts> = {}): OwnFacts {
  return {
    addresses: [SEEN, LAN], nat: { v4: 'consistent', v6: 'unknown' }, udp: { v4: 4433, v6: null }, stun: [answered], mapping: NO_MAPPING,
    discovery: { mdns: true, topics: [], brokers: [] }, network: 'ready', ...more,
  }
}
const topics = [{ topic: 'x', members: [] }]
const broker = (state: 'connected' | 'failed') => ({ url: 'mqtt://b', state, problem: null })
const hard = (v4: 'counting' | 'block' | 'random') => ({ nat: { v4, v6: 'unknown' } as const })

describe('advice about this helper', () => {
  it.each<[string, Partial<OwnFacts>, readonly RegExp[]]>([
    ['a friendly network', {}, []],
    ['a random NAT', hard('random'), [/at random.*not others like you/, /switch on UPnP.*forward UDP port 4433.*IPv6/]],
    ['a random NAT, mapping switched off', { ...hard('random'), mapping: null }, [/at random/, /"Open a port in my router" in Settings.*forward UDP port 4433/]],
    ['a random NAT with a mapping', { ...hard('random'), mapping: MAPPED }, []],
    ['a random NAT with IPv6', { ...hard('random'), addresses: [SEEN, V6, LAN] }, [/at random/, /forward UDP port 4433 in your router to this computer\.$/]],
    ['a counting NAT', hard('counting'), [/Most people can be reached/, /port 4433/]],
    ['a block NAT', hard('block'), [/Most people can be reached/, /port 4433/]],
    ['two routers', { mapping: { ...MAPPED, state: 'not-believed' } }, [/second router.*bridge mode/]],
    ['two routers and a random NAT', { ...hard('random'), mapping: { ...MAPPED, state: 'not-believed' } }, [/second router/]],
    ['blocked UDP', { stun: [silent, { ...silent, outcome: 'no-address' }], nat: { v4: 'unknown', v6: 'unknown' } }, [/blocks UDP.*hotspot/]],
    ['servers still being asked', { stun: [{ ...silent, outcome: 'asking' }], nat: { v4: 'unknown', v6: 'unknown' } }, []],
    ['no servers', { stun: [] }, [/--no-stun/]],
    ['no servers and a public address', { stun: [], addresses: [V6] }, []],
    ['no network', { addresses: [] }, [/on no network/]],
    ['loopback only', { addresses: [address('127.0.0.1:4433'), address('[::1]:4433')] }, [/--loopback-only/]],
    ['no QUIC', { network: 'unavailable' }, [/QUIC/]],
    ['a restart', { network: 'restarting' }, [/started again/]],
    ['topics and a broker', { discovery: { mdns: true, topics, brokers: [broker('failed'), broker('connected')] } }, []],
    ['topics and a broken broker', { discovery: { mdns: true, topics, brokers: [broker('failed')] } }, [/meeting server cannot be reached/]],
    ['topics without a broker', { discovery: { mdns: true, topics, brokers: [] } }, [/own network only/]],
    ['topics without anything', { discovery: { mdns: false, topics, brokers: [] } }, [/find nobody/]],
  ])('%s', (_name, more, patterns) => {
    const advice = adviseHelper(own(more)).map(adviceWords)
    expect(advice).toEqual(patterns.map((pattern) => expect.stringMatching(pattern) as string))
  })
})

const attempt = (candidate: string, outcome: ReachAttempt['outcome'] = 'timed-out', method: ReachAttempt['method'] = 'direct'): ReachAttempt => ({
  at: 1, candidate, source: 'peer', method, outcome, message: '', ms: 5000, packets: 5,
})
const FAR = attempt('9.9.9.9:4433')

const offline = (attempts: readonly ReachAttempt[], code?: 'timed-out' | 'unreachable' | 'refused' | 'wrong-identity'): PeerFacts => ({
  state: 'offline', lastError: code === undefined ? null : { code, message: 'x' }, attempts,
})

describe('advice about a peer', () => {
  it.each<[string, PeerFacts, Partial<OwnFacts>, readonly RegExp[]]>([
    ['never tried', offline([]), {}, [/not been tried/]],
    ['no address', offline([], 'unreachable'), {}, [/No address is known.*fresh code/]],
    ['refused', offline([attempt('9.9.9.9:1', 'refused')], 'refused'), {}, [/turned you away.*fresh code/]],
    ['somebody else', offline([FAR, attempt('9.9.9.9:1', 'wrong-identity')]), {}, [/Somebody else.*fresh code/]],
    ['busy', offline([attempt('9.9.9.9:1', 'busy')]), {}, [/too many connections/]],
    ['being tried', { state: 'dialling', lastError: null, attempts: [attempt('9.9.9.9:1', 'running')] }, {}, []],
    ['silence', offline([FAR], 'timed-out'), {}, [/may be offline.*fresh code/, /your code too/, /one of you opens a port/, /port 4433/]],
    ['silence after punching', offline([attempt('9.9.9.9:1', 'timed-out', 'punched')]), {}, [/may be offline/, /one of you opens a port/, /port 4433/]],
    ['silence, and our NAT is random', offline([attempt('9.9.9.9:1', 'timed-out', 'punched')]), hard('random'), [/may be offline/, /Your router makes it hard/, /port 4433/]],
    ['routers that do not fit', offline([FAR, { ...attempt('9.9.9.9:1', 'unreachable', 'punched'), detail: { code: 'routers-random', values: { whose: 'both' } } }]), hard('random'), [/^Both routers give every connection a random port/, /^What helps: .*port 4433/]],
    ['one internet address', offline([{ ...FAR, detail: { code: 'same-network', values: {} } }]), { mapping: MAPPED }, [/may be offline/, /one internet address/]],
    ['silence, and we are open', offline([FAR]), { nat: { v4: 'open', v6: 'unknown' } }, [/may be offline/]],
    ['silence, and a port is mapped', offline([FAR]), { mapping: MAPPED }, [/may be offline/]],
    ['UDP is blocked', offline([FAR]), { stun: [silent] }, [/blocks UDP/]],
    ['only private addresses', offline([attempt('192.168.7.7:1'), attempt('10.0.0.1:1')]), {}, [/may be offline/, /join the same network/]],
    ['only IPv6, which we lack', offline([attempt('[2600::1]:1', 'unreachable', 'ipv6')]), { nat: { v4: 'open', v6: 'unknown' } }, [/may be offline/, /over IPv6 only/]],
    ['loopback only', offline([attempt('127.0.0.1:1')]), { addresses: [address('127.0.0.1:4433')] }, [/may be offline/, /--loopback-only/]],
    ['no transport here', offline([FAR]), { network: 'unavailable' }, [/QUIC/]],
    ['only what a faster one replaced', offline([attempt('9.9.9.9:1', 'given-up')], 'timed-out'), { mapping: MAPPED }, [/may be offline/]],
  ])('%s', (_name, peer, more, patterns) => {
    expect(advisePeer(own(more), peer).map(adviceWords)).toEqual(patterns.map((pattern) => expect.stringMatching(pattern) as string))
  })

  it('has one sentence for every state in which something can be done', () => {
    const counts: Record<PeerState, number> = { connected: 0, blocked: 1, away: 1, waiting: 1, asks: 1, nearby: 1, dialling: 0, offline: 1 }
    for (const [state, count] of Object.entries(counts)) expect(advisePeer(own(), { state: state as PeerState, lastError: null, attempts: [] }), state).toHaveLength(count)
  })

  it('speaks in whole sentences, whatever comes together', () => {
    for (const v4 of NAT_KINDS) {
      for (const mapping of [null, NO_MAPPING, MAPPED, { ...MAPPED, state: 'not-believed' }] as const) {
        for (const stun of [[], [answered], [silent]]) {
          const facts = own({ nat: { v4, v6: 'unknown' }, mapping, stun, udp: { v4: null, v6: null } })
          for (const sentence of [...adviseHelper(facts), ...advisePeer(facts, offline([FAR]))].map(adviceWords)) {
            expect(sentence).toMatch(/^[A-Z].*[.]$/)
            expect(sentence).not.toMatch(/undefined|null|: [.,]|, or [.]/)
          }
        }
      }
    }
  })
})

describe('the report', () => {
  const PEER = 'c1'.repeat(32) as PeerId
  const OTHER = 'c2'.repeat(32) as PeerId
  const reach: ReachReport = {
    own: { candidates: [{ endpoint: { host: '2600::1', port: 5 }, source: 'interface' }], nat: { v4: 'random', v6: 'open' }, stun: [], mapping: null, interfaces: [] },
    discovery: { mdns: false, topics: [], brokers: [] },
    peers: [
      { peerId: PEER, keyHash: Buffer.from(keyHashOf(PEER)).toString('hex'), attempts: [FAR] },
      { peerId: null, keyHash: '00'.repeat(16), attempts: [attempt('9.9.9.9:1', 'running')] },
      { peerId: OTHER, keyHash: Buffer.from(keyHashOf(OTHER)).toString('hex'), attempts: [attempt('9.9.9.9:1', 'refused')] },
    ],
  }
  it('joins what was tried with whom we know, and keeps the others who were tried', () => {
    const status = { udp: { v4: 1, v6: 2 }, network: 'ready' } as StatusInfo
    const peer = { peerId: PEER, name: 'Otter', fingerprint: '', state: 'offline', path: null, lastError: null, lastSeenAt: null, sharedBytes: null } as const
    const report = reportHealth(reach, { status, peers: [peer] })
    expect(report.addresses).toEqual([{ address: '[2600::1]:5', family: 6, source: 'interface' }])
    expect(report.peers).toMatchObject([
      { peerId: PEER, name: 'Otter', state: 'offline', attempts: [FAR] },
      { peerId: null, state: 'dialling', attempts: [{ outcome: 'running' }] },
      { peerId: OTHER, state: 'offline', advice: [{ code: 'turned-away', values: {} }] },
    ])
    expect(report.peers[0]?.advice.length).toBeGreaterThan(0)
    expect(report.udp).toEqual({ v4: 1, v6: 2 })
  })
})
