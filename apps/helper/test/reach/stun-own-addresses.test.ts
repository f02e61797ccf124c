import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type Endpoint, formatEndpoint } from '@harddrive-party/protocol'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type InterfaceAddress, NO_ADDRESS_FACTS, isLinkLocal, parseV6Flags, readAddressFacts, readInterfaces } from '../../src/adapters/reach/interfaces.ts'
import { type OwnAddresses, type OwnAddressesOptions, openOwnAddresses, summarizeReach } from '../../src/adapters/reach/own-addresses.ts'
import { parseStunServer, resolveStunServer } from '../../src/adapters/reach/stun-server.ts'
import type { OwnReach } from '../../src/core/reach/own-reach.ts'

const PLAIN = { name: 'eth0', virtual: false, temporary: false, preferred: false }
const LAN: InterfaceAddress = { ...PLAIN, host: '192.168.1.5', family: 4, prefixBits: 24 }
const PUBLIC_V6: InterfaceAddress = { ...PLAIN, host: '2001:db8::5', family: 6, prefixBits: 64 }

const closers: (() => unknown)[] = []
afterEach(async () => {
  vi.useRealTimers()
  await Promise.all(closers.splice(0).map((close) => close()))
})

interface World {
  readonly own: OwnAddresses
  readonly reports: OwnReach[]
  readonly until: (matches: (report: OwnReach) => boolean) => Promise<OwnReach>
}

function open(options: Partial<OwnAddressesOptions>): World {
  const reports: OwnReach[] = []
  const waiting = new Set<() => void>()
  const own = openOwnAddresses({
    ports: { v4: 4433, v6: 4433 },
    loopbackOnly: false,
    servers: [],
    portMapping: { on: false, secret: new Uint8Array(32) },
    send: () => {},
    readInterfaces: () => [LAN, PUBLIC_V6],
    readAddressFacts: async () => NO_ADDRESS_FACTS,
    samplePorts: async () => [],
    ...options,
    onChange: (report) => {
      reports.push(report)
      for (const look of waiting) look()
    },
  })
  closers.push(own.close)
  return {
    own, reports,
    until: (matches) =>
      new Promise((resolve) => {
        const look = () => {
          const found = reports.find(matches)
          if (found === undefined) return
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        look()
      }),
  }
}

/** What a server says that sees us at `mapped` (IPv4), given our request. */
function answerTo(request: Uint8Array, { host, port }: Endpoint): Uint8Array {
  return Uint8Array.from([1, 1, 0, 12, ...request.subarray(4, 20), 0, 1, 0, 8, 0, 1, port >> 8, port & 255, ...host.split('.').map(Number)])
}

const addressesOf = (reach: OwnReach | undefined) => reach?.candidates.map(({ endpoint }) => formatEndpoint(endpoint))

describe('own addresses', () => {
  it('tells at once what the interfaces say', () => {
    const [first] = open({}).reports
    expect(first).toEqual({
      candidates: [
        { endpoint: { host: '2001:db8::5', port: 4433 }, source: 'interface' },
        { endpoint: { host: '192.168.1.5', port: 4433 }, source: 'interface' },
      ],
      nat: { v4: 'unknown', v6: 'unknown' }, stun: [], mapping: null, interfaces: [LAN, PUBLIC_V6],
    })
    expect(addressesOf(open({ ports: { v4: null, v6: 5 } }).reports[0])).toEqual(['[2001:db8::5]:5'])
    expect(addressesOf(open({ readInterfaces: () => [] }).reports[0])).toEqual(['127.0.0.1:4433', '[::1]:4433'])
  })

  it('tells only loopback, and asks nobody, when it shall stay there', () => {
    const send = vi.fn()
    const { own, reports } = open({ loopbackOnly: true, servers: [{ host: '127.0.0.1', port: 9 }], send, portMapping: { on: true, secret: new Uint8Array(32) } })
    own.setPortMapping(true)
    own.wake()
    expect(reports.map((reach) => summarizeReach(reach))).toEqual([{ addresses: ['127.0.0.1:4433', '[::1]:4433'], natKind: 'unknown' }])
    expect(reports[0]?.mapping).toBeNull()
    expect(send).not.toHaveBeenCalled()
  })

  it('sees a consistent NAT through two servers', async () => {
    const world: World = open({
      ports: { v4: 4433, v6: null },
      servers: [{ host: '203.0.113.1', port: 3478 }, { host: '203.0.113.2', port: 3478 }],
      send: (to, bytes) => {
        const copy = bytes.slice()
        setImmediate(() => world.own.take(to, answerTo(copy, { host: '198.51.100.9', port: 7000 })))
      },
    })
    const report = await world.until(({ nat }) => nat.v4 === 'consistent')
    expect(report.candidates[0]).toEqual({ endpoint: { host: '198.51.100.9', port: 7000 }, source: 'stun' })
    expect(report.stun).toEqual(['203.0.113.1:3478', '203.0.113.2:3478'].map((server) => ({ server, family: 4, outcome: 'mapped', mapped: { host: '198.51.100.9', port: 7000 } })))
  })

  it('looks closer at a NAT that shows everybody another port', async () => {
    let port = 7000
    const samplePorts = vi.fn<NonNullable<OwnAddressesOptions['samplePorts']>>(async () => Array.from({ length: 32 }, (_, i) => ({ mapped: { host: '198.51.100.9', port: 20_000 + 2 * i } })))
    const world: World = open({
      ports: { v4: 4433, v6: null },
      servers: [{ host: '203.0.113.1', port: 3478 }, { host: '203.0.113.2', port: 3478 }],
      samplePorts,
      send: (to, bytes) => {
        const copy = bytes.slice()
        setImmediate(() => world.own.take(to, answerTo(copy, { host: '198.51.100.9', port: port++ })))
      },
    })
    const report = await world.until(({ nat }) => nat.v4 === 'counting')
    expect(report).toMatchObject({ step: 2, lastPort: 20_062 })
    expect(samplePorts.mock.calls[0]?.[0].servers).toHaveLength(2)
    expect(report.candidates.filter(({ source }) => source === 'stun')).toHaveLength(1)
  })

  it('goes on without an answer, and without names that resolve', async () => {
    const resolve = vi.fn(async () => [])
    const world = open({ servers: [{ host: 'stun.invalid', port: 1 }], resolve })
    const report = await world.until(({ stun }) => stun.length === 2 && stun.every(({ outcome }) => outcome === 'no-address'))
    expect(addressesOf(report)).toEqual(['[2001:db8::5]:4433', '192.168.1.5:4433'])
  })

  it('looks again, asks again and forgets what it heard when the network changes', async () => {
    vi.useFakeTimers()
    let interfaces = [LAN]
    const send = vi.fn<(to: Endpoint, bytes: Uint8Array) => void>()
    const { own, reports } = open({ ports: { v4: 4433, v6: null }, servers: [{ host: '203.0.113.1', port: 3478 }], readInterfaces: () => interfaces, send })
    await vi.advanceTimersByTimeAsync(1)
    const [to, request] = send.mock.calls[0] ?? []
    if (to === undefined || request === undefined) throw new Error('nobody was asked')
    own.take(to, answerTo(request, { host: '198.51.100.9', port: 7000 }))
    expect(addressesOf(reports.at(-1))).toEqual(['198.51.100.9:7000', '192.168.1.5:4433'])
    send.mockClear()
    interfaces = [{ ...LAN, host: '10.0.0.2' }]
    await vi.advanceTimersByTimeAsync(2_001)
    expect(addressesOf(reports.at(-1))).toEqual(['10.0.0.2:4433'])
    expect(send).toHaveBeenCalled()
  })

  it('learns which address the system prefers', async () => {
    const second = { ...LAN, host: '10.0.0.2' }
    const world = open({
      readInterfaces: ({ preferred }) => [LAN, second].map((address) => ({ ...address, preferred: preferred.has(address.host) })),
      readAddressFacts: async () => ({ ...NO_ADDRESS_FACTS, preferred: new Set(['10.0.0.2']) }),
    })
    expect(addressesOf(world.reports[0])?.[0]).toBe('192.168.1.5:4433')
    await world.until((reach) => addressesOf(reach)?.[0] === '10.0.0.2:4433')
  })

  it('speaks to a real socket', async () => {
    const server = createSocket('udp4').bind(0, '127.0.0.1')
    const client = createSocket('udp4').bind(0, '127.0.0.1')
    await Promise.all([once(server, 'listening'), once(client, 'listening')])
    closers.push(() => server.close(), () => client.close())
    server.on('message', (request, from) => server.send(answerTo(request, { host: from.address, port: from.port }), from.port, from.address))
    const world = open({
      ports: { v4: client.address().port, v6: null },
      servers: [{ host: '127.0.0.1', port: (server.address() as AddressInfo).port }],
      readInterfaces: () => [{ ...LAN, host: '127.0.0.1' }],
      send: (to, bytes) => client.send(bytes, to.port, to.host),
    })
    client.on('message', (bytes, from) => world.own.take({ host: from.address, port: from.port }, bytes))
    expect(addressesOf(await world.until(({ nat }) => nat.v4 === 'open'))).toEqual([`127.0.0.1:${client.address().port}`])
  })
})

describe('interfaces', () => {
  it('reads those of this machine, without loopback', async () => {
    const facts = await readAddressFacts()
    const addresses = readInterfaces(facts)
    for (const { host, prefixBits, family } of addresses) {
      expect(isLinkLocal(host) || host === '127.0.0.1' || host === '::1').toBe(false)
      expect(prefixBits).toBeGreaterThanOrEqual(0)
      expect(prefixBits).toBeLessThanOrEqual(family === 4 ? 32 : 128)
    }
    expect(readInterfaces({ ...facts, unusable: new Set(addresses.map(({ host }) => host)) })).toEqual([])
  })

  it('knows temporary, deprecated and tentative addresses from Linux', () => {
    const text = [
      '20010db8000000000000000000000001 02 40 00 80     eth0', '20010db8000000000000000000000002 02 40 00 01     eth0',
      '20010db8000000000000000000000003 02 40 00 21     eth0', 'fe800000000000000000000000000001 02 40 20 c0     eth0', 'rubbish', '',
    ].join('\n')
    expect(parseV6Flags(text)).toEqual({ temporary: new Set(['2001:db8::2', '2001:db8::3']), unusable: new Set(['2001:db8::3', 'fe80::1']) })
  })
})

const { signal } = new AbortController()

describe('STUN servers', () => {
  it.each([
    ['stun.example.org', 'stun.example.org', 3478],
    ['stun.example.org:19302', 'stun.example.org', 19_302],
    ['stun:192.0.2.1:5', '192.0.2.1', 5],
    ['[2001:db8::1]:5', '2001:db8::1', 5],
    ['[2001:db8::1]', '2001:db8::1', 3478],
  ])('reads %s', (text, host, port) => {
    expect(parseStunServer(text)).toEqual({ ok: true, value: { host, port } })
  })

  it.each(['', 'a b', 'host:0', 'host:65536', 'host:x', '2001:db8::1', '[::g]:1', '[1.2.3.4]:1', 'http://x', 'user@host'])('refuses "%s"', (text) => {
    expect(parseStunServer(text).ok).toBe(false)
  })

  it('takes addresses as they are, in their own family', async () => {
    expect(await resolveStunServer({ host: '192.0.2.1', port: 5 }, 4, { signal })).toEqual([{ host: '192.0.2.1', port: 5 }])
    expect(await resolveStunServer({ host: '192.0.2.1', port: 5 }, 6, { signal })).toEqual([])
  })

  it('looks a name up once for both families, and takes no for an answer', async () => {
    const asked: string[] = []
    const find = async (host: string) => {
      asked.push(host)
      if (host === 'b.example') throw new Error('ENOTFOUND')
      return [{ address: '192.0.2.1', family: 4 }, { address: '2001:db8::1', family: 6 }]
    }
    const resolve = (host: string, family: 4 | 6) => resolveStunServer({ host, port: 5 }, family, { signal, find })
    expect(await Promise.all([resolve('a.example', 4), resolve('a.example', 6), resolve('b.example', 4)])).toEqual([
      [{ host: '192.0.2.1', port: 5 }], [{ host: '2001:db8::1', port: 5 }], [],
    ])
    expect(asked).toEqual(['a.example', 'b.example'])
    await resolve('a.example', 4)
    expect(asked).toHaveLength(3)
  })

  it('knows link-local addresses', () => {
    expect(['169.254.1.1', 'fe80::1', 'febf::1'].every(isLinkLocal)).toBe(true)
    expect(['192.168.1.1', 'fec0::1', '2001:db8::1', 'fd00::1'].some(isLinkLocal)).toBe(false)
  })
})
