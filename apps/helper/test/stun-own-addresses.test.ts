import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Endpoint } from '@harddrive-party/protocol'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { InterfaceAddress } from '../src/adapters/interfaces.ts'
import { isLinkLocal } from '../src/adapters/interfaces.ts'
import { type OwnAddresses, type OwnAddressesReport, openOwnAddresses } from '../src/adapters/own-addresses.ts'
import { parseStunServer, resolveStunServer } from '../src/adapters/stun-server.ts'

const LAN: InterfaceAddress = { host: '192.168.1.5', family: 4 }
const PUBLIC_V6: InterfaceAddress = { host: '2001:db8::5', family: 6 }

const closers: (() => void)[] = []
afterEach(() => {
  vi.useRealTimers()
  for (const close of closers.splice(0)) close()
})

interface World {
  readonly own: OwnAddresses
  readonly reports: OwnAddressesReport[]
  readonly until: (matches: (report: OwnAddressesReport) => boolean) => Promise<OwnAddressesReport>
}

function open(options: Partial<Parameters<typeof openOwnAddresses>[0]>): World {
  const reports: OwnAddressesReport[] = []
  const waiting = new Set<() => void>()
  const own = openOwnAddresses({
    ports: { v4: 4433, v6: 4433 },
    loopbackOnly: false,
    servers: [],
    send: () => {},
    readInterfaces: () => [LAN, PUBLIC_V6],
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

describe('own addresses', () => {
  it('tells at once what the interfaces say', () => {
    expect(open({}).reports).toEqual([{ addresses: ['192.168.1.5:4433', '[2001:db8::5]:4433'], natKind: 'unknown' }])
    expect(open({ ports: { v4: null, v6: 5 } }).reports[0]?.addresses).toEqual(['[2001:db8::5]:5'])
    expect(open({ readInterfaces: () => [] }).reports[0]?.addresses).toEqual(['127.0.0.1:4433', '[::1]:4433'])
  })

  it('tells only loopback, and asks nobody, when it shall stay there', () => {
    const send = vi.fn()
    const { reports } = open({ loopbackOnly: true, servers: [{ host: '127.0.0.1', port: 9 }], send })
    expect(reports).toEqual([{ addresses: ['127.0.0.1:4433', '[::1]:4433'], natKind: 'unknown' }])
    expect(send).not.toHaveBeenCalled()
  })

  it.each([['consistent', 7000, 7000], ['random', 7000, 7001]] as const)('sees a %s NAT through two servers', async (kind, first, second) => {
    const world: World = open({
      ports: { v4: 4433, v6: null },
      servers: [{ host: '203.0.113.1', port: 3478 }, { host: '203.0.113.2', port: 3478 }],
      send: (to, bytes) => {
        const copy = bytes.slice()
        setImmediate(() => world.own.take(to, answerTo(copy, { host: '198.51.100.9', port: to.host.endsWith('1') ? first : second })))
      },
    })
    const report = await world.until(({ natKind }) => natKind === kind)
    expect(report.addresses).toContain('198.51.100.9:7000')
    expect(report.addresses[0]).toBe('192.168.1.5:4433')
  })

  it('goes on without an answer, and without names that resolve', async () => {
    const resolve = vi.fn(async () => [])
    const { reports } = open({ servers: [{ host: 'stun.invalid', port: 1 }], resolve })
    await vi.waitFor(() => expect(resolve).toHaveBeenCalledTimes(2))
    expect(reports).toHaveLength(1)
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
    expect(reports.at(-1)?.addresses).toEqual(['192.168.1.5:4433', '198.51.100.9:7000'])
    send.mockClear()
    interfaces = [{ host: '10.0.0.2', family: 4 }]
    await vi.advanceTimersByTimeAsync(5_001)
    expect(reports.at(-1)?.addresses).toEqual(['10.0.0.2:4433'])
    expect(send).toHaveBeenCalled()
  })

  it('keeps the mapping alive, and measures anew when it has changed', async () => {
    vi.useFakeTimers()
    let port = 7000
    const world: World = open({
      ports: { v4: 4433, v6: null }, servers: [{ host: '203.0.113.1', port: 3478 }, { host: '203.0.113.2', port: 3478 }], readInterfaces: () => [LAN],
      send: (to, bytes) => {
        const copy = bytes.slice()
        queueMicrotask(() => world.own.take(to, answerTo(copy, { host: '198.51.100.9', port })))
      },
    })
    await vi.advanceTimersByTimeAsync(10)
    expect(world.own.current).toEqual({ addresses: ['192.168.1.5:4433', '198.51.100.9:7000'], natKind: 'consistent' })
    port = 7050
    await vi.advanceTimersByTimeAsync(20_100)
    expect(world.own.current).toEqual({ addresses: ['192.168.1.5:4433', '198.51.100.9:7050'], natKind: 'consistent' })
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
      readInterfaces: () => [{ host: '127.0.0.1', family: 4 }],
      send: (to, bytes) => client.send(bytes, to.port, to.host),
    })
    client.on('message', (bytes, from) => world.own.take({ host: from.address, port: from.port }, bytes))
    expect((await world.until(({ natKind }) => natKind === 'open')).addresses).toEqual([`127.0.0.1:${client.address().port}`])
  })
})

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
    expect(await resolveStunServer({ host: '192.0.2.1', port: 5 }, 4)).toEqual([{ host: '192.0.2.1', port: 5 }])
    expect(await resolveStunServer({ host: '192.0.2.1', port: 5 }, 6)).toEqual([])
  })

  it('knows link-local addresses', () => {
    expect(['169.254.1.1', 'fe80::1', 'febf::1'].every(isLinkLocal)).toBe(true)
    expect(['192.168.1.1', 'fec0::1', '2001:db8::1', 'fd00::1'].some(isLinkLocal)).toBe(false)
  })
})
