import type { Endpoint } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeNatPmpAnswer, encodeNatPmpAddressRequest, encodeNatPmpMap } from '../../src/core/reach/nat-pmp-message.ts'
import { decodePcpAnswer, encodePcpMap } from '../../src/core/reach/pcp-message.ts'
import { LEASE_SECONDS, PortLease, type PortLeaseEffect, epochWasReset } from '../../src/core/reach/port-lease.ts'
import { decodeRequest, natPmpAddress, natPmpMap, natPmpRefusal, pcpAnnounce, pcpMap } from '../support/router-messages.ts'

const NONCE = Uint8Array.from({ length: 12 }, (_, i) => i + 1)
const OUTSIDE: Endpoint = { host: '45.11.12.1', port: 4433 }
const open = (client = '192.168.1.5') => new PortLease(0, { client, port: 4433, nonce: NONCE })

const sends = (effects: readonly PortLeaseEffect[]) => effects.flatMap((effect) => (effect.type === 'send' ? [decodeRequest(effect.bytes)] : []))
const others = (effects: readonly PortLeaseEffect[]) => effects.filter((effect) => effect.type !== 'send')
const tick = { type: 'tick' } as const
const datagram = (bytes: Uint8Array) => ({ type: 'datagram', bytes }) as const

/** Runs a lease that nobody answers until a time. @returns when it sent, and what else it did */
function silence(lease: PortLease, until: number): { times: number[]; effects: PortLeaseEffect[] } {
  const times: number[] = []
  const all: PortLeaseEffect[] = []
  while (lease.deadline !== undefined && lease.deadline <= until) {
    const now = lease.deadline
    const effects = lease.step(now, tick)
    if (sends(effects).length > 0) times.push(now)
    all.push(...others(effects))
  }
  return { times, effects: all }
}

function mapped(now = 5, epoch = 100, outside = OUTSIDE): PortLease {
  const lease = open()
  lease.step(0, tick)
  lease.step(now, datagram(pcpMap({ nonce: NONCE, port: 4433, outside, lifetime: LEASE_SECONDS, epoch })))
  return lease
}

describe('PCP lease', () => {
  it('asks at once for the very port, and reports the mapping', () => {
    const lease = open()
    expect(sends(lease.step(0, tick))).toEqual([
      { protocol: 'pcp', of: 'udp', nonce: '0102030405060708090a0b0c', client: '192.168.1.5', port: 4433, wanted: { host: '0.0.0.0', port: 4433 }, lifetime: LEASE_SECONDS },
    ])
    expect(lease.step(5, datagram(pcpMap({ nonce: NONCE, port: 4433, outside: OUTSIDE, lifetime: LEASE_SECONDS, epoch: 100 })))).toEqual([
      { type: 'mapped', protocol: 'pcp', outside: OUTSIDE },
    ])
  })

  it('renews at half life with what it has, and says nothing when nothing changes', () => {
    const lease = mapped()
    expect(lease.deadline).toBe(5 + 1_800_000)
    const [request] = sends(lease.step(1_800_005, tick))
    expect(request).toMatchObject({ wanted: OUTSIDE, nonce: '0102030405060708090a0b0c' })
    expect(lease.step(1_800_010, datagram(pcpMap({ nonce: NONCE, port: 4433, outside: OUTSIDE, lifetime: LEASE_SECONDS, epoch: 1900 })))).toEqual([])
    expect(lease.deadline).toBe(1_800_010 + 1_800_000)
  })

  it('tells another outside port', () => {
    const lease = mapped()
    lease.step(1_800_005, tick)
    const outside = { host: '45.11.12.1', port: 9999 }
    expect(lease.step(1_800_010, datagram(pcpMap({ nonce: NONCE, port: 4433, outside, lifetime: LEASE_SECONDS, epoch: 3 })))).toEqual([{ type: 'mapped', protocol: 'pcp', outside }])
  })

  it('tries ever later when renewals are not answered, and gives up when the lease has run out', () => {
    const lease = mapped(0)
    const { times, effects } = silence(lease, 3_700_000)
    expect(effects[0]).toEqual({ type: 'none', reason: 'no-answer' })
    expect(times.filter((at) => at < 3_600_000).length).toBeLessThan(60)
    expect(times[0]).toBe(1_800_000)
  })

  it('asks six times in 16 s where nobody answers, in both languages, then rests', () => {
    const lease = open()
    const languages: string[][] = []
    const times: number[] = []
    const effects: PortLeaseEffect[] = []
    while ((lease.deadline ?? Infinity) < 60_000) {
      const now = lease.deadline ?? 0
      const step = lease.step(now, tick)
      if (sends(step).length > 0) times.push(now)
      languages.push(sends(step).map(({ protocol }) => protocol))
      effects.push(...others(step))
    }
    expect(times).toEqual([0, 250, 750, 1_750, 3_750, 7_750])
    expect(languages.slice(0, 3)).toEqual([['pcp'], ['pcp'], ['pcp', 'nat-pmp-address', 'nat-pmp-map']])
    expect(effects).toEqual([{ type: 'none', reason: 'no-answer' }])
    expect(lease.deadline).toBe(15_750 + 600_000)
  })

  it('opens a firewall for IPv6 with PCP alone', () => {
    const lease = open('2001:db8::5')
    const sent: string[] = []
    while ((lease.deadline ?? Infinity) < 60_000) sent.push(...sends(lease.step(lease.deadline ?? 0, tick)).map(({ protocol }) => protocol))
    expect(new Set(sent)).toEqual(new Set(['pcp']))
    expect(lease.step(60_000, datagram(natPmpRefusal(1)))).toEqual([])
  })

  it.each([
    ['another nonce', pcpMap({ nonce: new Uint8Array(12), port: 4433, outside: OUTSIDE, lifetime: 100, epoch: 1 })],
    ['another port', pcpMap({ nonce: NONCE, port: 4434, outside: OUTSIDE, lifetime: 100, epoch: 1 })],
    ['noise', new Uint8Array(60).fill(2)],
  ])('ignores an answer with %s', (_name, bytes) => {
    const lease = open()
    lease.step(0, tick)
    expect(lease.step(1, datagram(bytes))).toEqual([])
    expect(lease.step(2, datagram(pcpMap({ nonce: NONCE, port: 4433, outside: OUTSIDE, lifetime: 100, epoch: 1 })))).toHaveLength(1)
  })

  it('respects a refusal, and asks again without wishes', () => {
    const lease = mapped()
    lease.step(1_800_005, tick)
    expect(lease.step(1_800_010, datagram(pcpMap({ nonce: NONCE, port: 4433, outside: OUTSIDE, lifetime: 60, epoch: 2, result: 11 })))).toEqual([{ type: 'none', reason: 'refused', result: 11 }])
    expect(lease.deadline).toBe(1_800_010 + 60_000)
    expect(sends(lease.step(1_860_010, tick))[0]).toMatchObject({ wanted: { host: '0.0.0.0', port: 4433 } })
  })

  it('asks anew when the router announces that it has started anew, and not for other announcements', () => {
    const lease = mapped(0, 1000)
    expect(lease.step(60_000, datagram(pcpAnnounce(1060)))).toEqual([])
    expect(sends(lease.step(61_000, datagram(pcpAnnounce(2))))).toHaveLength(1)
    // The next one comes too soon after that.
    lease.step(61_010, datagram(pcpMap({ nonce: NONCE, port: 4433, outside: OUTSIDE, lifetime: LEASE_SECONDS, epoch: 2 })))
    expect(lease.step(62_000, datagram(pcpAnnounce(0)))).toEqual([])
  })

  it('asks anew when the network may have changed', () => {
    expect(sends(mapped().step(70_000, { type: 'renew' }))).toHaveLength(1)
  })

  it('takes the mapping back', () => {
    const lease = mapped()
    expect(sends(lease.step(100, { type: 'close' }))).toEqual([
      { protocol: 'pcp', of: 'udp', nonce: '0102030405060708090a0b0c', client: '192.168.1.5', port: 4433, wanted: { host: '0.0.0.0', port: 0 }, lifetime: 0 },
    ])
    expect(lease.step(110, datagram(pcpMap({ nonce: NONCE, port: 4433, outside: { host: '0.0.0.0', port: 0 }, lifetime: 0, epoch: 100 })))).toEqual([{ type: 'closed' }])
    expect(lease.deadline).toBeUndefined()
    expect(lease.step(120, tick)).toEqual([])
  })

  it('does not wait for ever with that, and not at all where nobody is', () => {
    const lease = mapped()
    expect(sends(lease.step(100, { type: 'close' }))).toHaveLength(1)
    const { times, effects } = silence(lease, 60_000)
    expect(times).toEqual([350, 600])
    expect(effects).toEqual([{ type: 'closed' }])
    const alone = open()
    silence(alone, 60_000)
    expect(alone.step(60_000, { type: 'close' })).toEqual([{ type: 'closed' }])
  })

  it('takes back what is granted while it closes', () => {
    const lease = open()
    lease.step(0, tick)
    expect(sends(lease.step(1, { type: 'close' }))[0]).toMatchObject({ lifetime: 0 })
  })
})

describe('NAT-PMP instead', () => {
  it('is spoken at once when the router knows only that', () => {
    const lease = open()
    lease.step(0, tick)
    const effects = lease.step(3, datagram(natPmpRefusal(1)))
    expect(sends(effects)).toEqual([{ protocol: 'nat-pmp-address' }, { protocol: 'nat-pmp-map', of: 'udp', port: 4433, wantedPort: 4433, lifetime: LEASE_SECONDS }])
    expect(lease.step(4, datagram(natPmpAddress('45.11.12.1', 50)))).toEqual([])
    expect(lease.step(5, datagram(natPmpMap({ port: 4433, outsidePort: 5000, lifetime: LEASE_SECONDS, epoch: 50 })))).toEqual([
      { type: 'mapped', protocol: 'nat-pmp', outside: { host: '45.11.12.1', port: 5000 } },
    ])
    expect(lease.deadline).toBe(5 + 1_800_000)
    expect(sends(lease.step(1_800_005, tick))).toEqual([{ protocol: 'nat-pmp-address' }, { protocol: 'nat-pmp-map', of: 'udp', port: 4433, wantedPort: 5000, lifetime: LEASE_SECONDS }])
    lease.step(1_800_006, datagram(natPmpMap({ port: 4433, outsidePort: 5000, lifetime: LEASE_SECONDS, epoch: 1850 })))
    lease.step(1_800_007, datagram(natPmpAddress('45.11.12.1', 1850)))
    expect(sends(lease.step(1_900_000, { type: 'close' }))).toEqual([{ protocol: 'nat-pmp-map', of: 'udp', port: 4433, wantedPort: 0, lifetime: 0 }])
    expect(lease.step(1_900_001, datagram(natPmpMap({ port: 4433, outsidePort: 0, lifetime: 0, epoch: 1950 })))).toEqual([{ type: 'closed' }])
  })

  it('hears that the router has started anew', () => {
    const lease = open()
    lease.step(0, tick)
    lease.step(3, datagram(natPmpRefusal(1)))
    lease.step(4, datagram(natPmpAddress('45.11.12.1', 500)))
    lease.step(5, datagram(natPmpMap({ port: 4433, outsidePort: 5000, lifetime: LEASE_SECONDS, epoch: 500 })))
    expect(lease.step(60_000, datagram(natPmpAddress('45.11.12.1', 560)))).toEqual([])
    expect(sends(lease.step(61_000, datagram(natPmpAddress('45.11.12.1', 1))))).toHaveLength(2)
  })

  it('accepts a no', () => {
    const lease = open()
    lease.step(0, tick)
    lease.step(3, datagram(natPmpRefusal(1)))
    expect(lease.step(4, datagram(natPmpMap({ port: 4433, outsidePort: 0, lifetime: 0, epoch: 1, result: 2 })))).toEqual([{ type: 'none', reason: 'refused', result: 2 }])
  })
})

describe('epoch', () => {
  it.each([
    ['the same pace', 1060, 60_000, false],
    ['a little slower', 1055, 60_000, false],
    ['backwards by a second', 999, 0, false],
    ['backwards', 990, 1_000, true],
    ['standing still', 1000, 60_000, true],
    ['far too fast', 2000, 60_000, true],
  ])('%s', (_name, epoch, now, expected) => {
    expect(epochWasReset({ value: 1000, at: 0 }, epoch, now)).toBe(expected)
  })
})

describe('messages of routers', () => {
  it('has the bytes of RFC 6887 and RFC 6886', () => {
    const request = encodePcpMap({ of: 'udp', nonce: NONCE, client: '192.168.1.5', port: 4433, wanted: OUTSIDE, lifetime: 3600 })
    const fields = [
      '0201', '0000', '00000e10', '00000000000000000000ffffc0a80105', // version, MAP, reserved, lifetime, client
      '0102030405060708090a0b0c', '11', '000000', '1151', '1151', '00000000000000000000ffff2d0b0c01', // nonce, UDP, reserved, ports, outside
    ]
    expect(Buffer.from(request).toString('hex')).toBe(fields.join(''))
    const tcp = encodePcpMap({ of: 'tcp', nonce: NONCE, client: '192.168.1.5', port: 4433, wanted: OUTSIDE, lifetime: 3600 })
    expect(Buffer.from(tcp).toString('hex')).toBe(fields.with(5, '06').join(''))
    expect(Buffer.from(encodeNatPmpMap({ of: 'tcp', port: 4433, wantedPort: 5000, lifetime: 3600 })).toString('hex')).toBe('000200001151138800000e10')
    expect(Buffer.from(encodeNatPmpAddressRequest()).toString('hex')).toBe('0000')
    expect(Buffer.from(encodeNatPmpMap({ of: 'udp', port: 4433, wantedPort: 5000, lifetime: 3600 })).toString('hex')).toBe('000100001151138800000e10')
    expect(() => encodePcpMap({ of: 'udp', nonce: new Uint8Array(3), client: '1.2.3.4', port: 1, wanted: null, lifetime: 0 })).toThrow(TypeError)
  })

  it('reads what routers answer', () => {
    expect(decodePcpAnswer(pcpMap({ nonce: NONCE, port: 4433, outside: { host: '2001:db8::1', port: 7 }, lifetime: 9, epoch: 8, result: 3 }))).toEqual({
      ok: true, value: { type: 'map', of: 'udp', result: 3, lifetime: 9, epoch: 8, nonce: '0102030405060708090a0b0c', port: 4433, outside: { host: '2001:db8::1', port: 7 } },
    })
    expect(decodePcpAnswer(pcpAnnounce(8))).toMatchObject({ ok: true, value: { type: 'announce', epoch: 8 } })
    expect(decodeNatPmpAnswer(natPmpAddress('1.2.3.4', 8))).toEqual({ ok: true, value: { type: 'address', result: 0, epoch: 8, host: '1.2.3.4' } })
    for (const cut of [0, 1, 23, 59]) expect(decodePcpAnswer(pcpMap({ nonce: NONCE, port: 1, outside: OUTSIDE, lifetime: 1, epoch: 1 }).slice(0, cut)).ok).toBe(false)
    expect(decodePcpAnswer(encodePcpMap({ of: 'udp', nonce: NONCE, client: '1.2.3.4', port: 1, wanted: null, lifetime: 1 })).ok).toBe(false)
    expect(decodeNatPmpAnswer(encodeNatPmpMap({ of: 'udp', port: 1, wantedPort: 1, lifetime: 1 })).ok).toBe(false)
  })

  it('never throws on what strangers send, and never leaves the lease without a deadline', () => {
    const almost = fc.constantFrom(
      pcpMap({ nonce: NONCE, port: 4433, outside: OUTSIDE, lifetime: 100, epoch: 1 }), pcpAnnounce(1), natPmpRefusal(1), natPmpAddress('1.2.3.4', 1),
      natPmpMap({ port: 4433, outsidePort: 1, lifetime: 1, epoch: 1 }),
    ).chain((bytes) => fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)).map(([at, value]) => bytes.with(at, value)))
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 1200 }), almost)
    fc.assert(fc.property(fc.array(bytes, { maxLength: 20 }), (datagrams) => {
      const lease = open()
      for (const [i, one] of datagrams.entries()) {
        decodePcpAnswer(one)
        decodeNatPmpAnswer(one)
        // One question for each answer at most: nobody is flooded through us.
        expect(sends(lease.step(i * 300, datagram(one))).length).toBeLessThanOrEqual(3)
        expect(lease.deadline).toBeDefined()
      }
    }), { numRuns: 300 })
  })
})
