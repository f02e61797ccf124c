import { describe, expect, it } from 'vitest'
import { classifyNat } from '../../src/core/punch/nat-kind.ts'
import { type StunEffect, StunProbe } from '../../src/core/reach/stun-probe.ts'

const SERVERS = [{ host: '192.0.2.10', port: 3478 }, { host: '192.0.2.20', port: 3478 }] as const

function open(): StunProbe {
  return new StunProbe(0, SERVERS.map((server, i) => ({ server, transactionId: new Uint8Array(12).fill(i + 1) })))
}

/** What a server says that sees us at 198.51.100.7:port. */
function answer(server: number, port: number): Uint8Array {
  return Uint8Array.from([1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42, ...new Uint8Array(12).fill(server + 1), 0, 1, 0, 8, 0, 1, port >> 8, port & 255, 198, 51, 100, 7])
}

const seenAt = (server: number, port: number) => ({ server: SERVERS[server] ?? SERVERS[0], mapped: { host: '198.51.100.7', port } })
const sends = (effects: readonly StunEffect[]) => effects.filter((effect) => effect.type === 'send').map((effect) => effect.to)

describe('STUN probe', () => {
  it('asks all servers at once and reports each answer', () => {
    const probe = open()
    expect(sends(probe.step(0, { type: 'tick' })).toSorted((a, b) => (a.host < b.host ? -1 : 1))).toEqual(SERVERS)
    expect(probe.step(20, { type: 'datagram', from: SERVERS[0], bytes: answer(0, 4433) })).toEqual([
      { type: 'sample', sample: { server: SERVERS[0], mapped: { host: '198.51.100.7', port: 4433 } } },
    ])
    const effects = probe.step(30, { type: 'datagram', from: SERVERS[1], bytes: answer(1, 4433) })
    expect(effects.map((effect) => effect.type)).toEqual(['sample', 'done'])
    expect(probe.deadline).toBeUndefined()
  })

  it('asks again, ever more slowly, and gives up', () => {
    const probe = open()
    const times: number[] = []
    let done: StunEffect | undefined
    while (probe.deadline !== undefined) {
      const now = probe.deadline
      for (const effect of probe.step(now, { type: 'tick' })) {
        if (effect.type === 'send' && effect.to === SERVERS[0]) times.push(now)
        if (effect.type === 'done') done = effect
      }
    }
    expect(times).toEqual([0, 300, 900, 2_100, 4_500, 7_500])
    expect(done).toEqual({ type: 'done', samples: [] })
  })

  it('ignores answers of others, to others, and second ones', () => {
    const probe = open()
    probe.step(0, { type: 'tick' })
    expect(probe.step(1, { type: 'datagram', from: SERVERS[1], bytes: answer(0, 1) })).toEqual([])
    expect(probe.step(1, { type: 'datagram', from: SERVERS[0], bytes: answer(7, 1) })).toEqual([])
    expect(probe.step(1, { type: 'datagram', from: SERVERS[0], bytes: new Uint8Array(3) })).toEqual([])
    expect(probe.step(2, { type: 'datagram', from: SERVERS[0], bytes: answer(0, 5) })).toHaveLength(1)
    expect(probe.step(3, { type: 'datagram', from: SERVERS[0], bytes: answer(0, 6) })).toEqual([])
  })

  it('is done at once without servers', () => {
    const probe = new StunProbe(0, [])
    expect(probe.deadline).toBe(0)
    expect(probe.step(0, { type: 'tick' })).toEqual([{ type: 'done', samples: [] }])
  })
})

describe('NAT kind', () => {
  it.each([
    ['unknown without answers', [], [], 'unknown'],
    ['unknown from a single server', [seenAt(0, 1)], [], 'unknown'],
    ['unknown from one server twice', [seenAt(0, 1), seenAt(0, 1)], [], 'unknown'],
    ['consistent when two agree', [seenAt(0, 1), seenAt(1, 1)], [], 'consistent'],
    ['random when they do not', [seenAt(0, 1), seenAt(1, 2)], [], 'random'],
    ['open when it is our own address', [seenAt(0, 1)], [{ host: '198.51.100.7', port: 1 }], 'open'],
    ['not open with another port', [seenAt(0, 2), seenAt(1, 2)], [{ host: '198.51.100.7', port: 1 }], 'consistent'],
  ] as const)('is %s', (_name, samples, own, kind) => {
    expect(classifyNat(samples, own)).toBe(kind)
  })
})
