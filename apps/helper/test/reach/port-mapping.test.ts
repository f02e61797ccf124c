import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { samplePorts } from '../../src/adapters/reach/nat-sampler.ts'
import { type PortMapping, type PortMappingOptions, openPortMapping } from '../../src/adapters/reach/port-mapping.ts'
import { findUpnpRouter } from '../../src/adapters/reach/upnp-client.ts'
import type { MappingFacts } from '../../src/core/reach/own-addresses.ts'
import type { InterfaceAddress } from '../../src/core/reach/own-reach.ts'
import { OUTSIDE, type PcpRouter, type UpnpFake, openPcpRouter, openUpnpRouter } from '../support/fake-router.ts'

const LOOPBACK: InterfaceAddress = { host: '127.0.0.1', family: 4, name: 'lo', prefixBits: 8, virtual: false, temporary: false, preferred: true }
const GATEWAY = { family: 4, host: '127.0.0.1', interfaceName: 'lo' } as const

const closers: (() => unknown)[] = []
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()))
})

interface World {
  readonly mapping: PortMapping
  readonly told: MappingFacts[]
  readonly until: (matches: (facts: MappingFacts) => boolean) => Promise<MappingFacts>
}

function open(pcp: PcpRouter | null, upnp: UpnpFake | null, interfaces = [LOOPBACK], more: Partial<PortMappingOptions> = {}): World {
  const told: MappingFacts[] = []
  const waiting = new Set<() => void>()
  const mapping = openPortMapping({
    ports: { v4: 4433, v6: 4433 }, secret: new Uint8Array(32).fill(9), random: () => 0.5, ...more,
    // Port 9 on loopback answers nothing.
    routers: { gateways: pcp === null ? [] : [GATEWAY], pcpPort: pcp?.port ?? 9, ssdp: upnp?.ssdp ?? { host: '127.0.0.1', port: 9 }, upnpAfterMs: 20 },
    onChange: (facts) => {
      told.push(facts)
      for (const look of waiting) look()
    },
  })
  mapping.setInterfaces(interfaces)
  closers.push(mapping.close)
  return {
    mapping, told,
    until: (matches) => new Promise((resolve) => {
      const look = (): void => {
        const found = told.find(matches)
        if (found === undefined) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    }),
  }
}

async function pcpRouter(speaks: Parameters<typeof openPcpRouter>[0]): Promise<PcpRouter> {
  const router = await openPcpRouter(speaks)
  closers.push(router.close)
  return router
}

async function upnpRouter(options?: Parameters<typeof openUpnpRouter>[0]): Promise<UpnpFake> {
  const router = await openUpnpRouter(options)
  closers.push(router.close)
  return router
}

const TCP_ELSEWHERE = { tcpPorts: { v4: 5544, v6: 5544 } }
const isMapped = ({ state }: MappingFacts) => state === 'mapped'

describe('port mapping', () => {
  it.each(['pcp', 'nat-pmp'] as const)('maps by %s, and takes it back', async (protocol) => {
    const router = await pcpRouter(protocol)
    const world = open(router, null)
    expect(world.told[0]).toEqual({ state: 'searching', protocol: null, outside: null, pinholes: [] })
    expect(await world.until(isMapped)).toEqual({ state: 'mapped', protocol, outside: { host: OUTSIDE, port: 4433 }, pinholes: [] })
    expect([...router.mappings]).toEqual([['udp 4433', 4433]])
    await world.mapping.close()
    expect([...router.mappings]).toEqual([])
  })

  it('is the same client after a crash, and another one with another secret', async () => {
    const router = await pcpRouter('pcp')
    for (const round of [1, 2]) {
      const world = open(router, null)
      await world.until(isMapped)
      await world.mapping.close()
      expect(router.requests.filter(({ protocol }) => protocol === 'pcp')).toHaveLength(2 * round)
    }
    expect(new Set(router.requests.map((request) => (request.protocol === 'pcp' ? request.nonce : ''))).size).toBe(1)
  })

  it('maps by UPnP where nothing else answers, and takes it back', async () => {
    const upnp = await upnpRouter()
    const world = open(await pcpRouter('nothing'), upnp)
    expect(await world.until(isMapped)).toEqual({ state: 'mapped', protocol: 'upnp', outside: { host: OUTSIDE, port: 4433 }, pinholes: [] })
    expect([...upnp.mappings]).toEqual([['4433 UDP', '127.0.0.1:4433']])
    await world.mapping.close()
    expect([...upnp.mappings]).toEqual([])
  })

  it('opens the firewall for IPv6 by UPnP, and closes it', async () => {
    const upnp = await upnpRouter({ version: 2 })
    const v6: InterfaceAddress = { ...LOOPBACK, host: '2001:db8::5', family: 6, prefixBits: 64 }
    const world = open(null, upnp, [LOOPBACK, v6])
    expect(await world.until(isMapped)).toEqual({ state: 'mapped', protocol: 'upnp', outside: { host: OUTSIDE, port: 4433 }, pinholes: [{ host: '2001:db8::5', port: 4433 }] })
    expect([...upnp.pinholes.values()]).toEqual(['[2001:db8::5]:4433 17'])
    await world.mapping.close()
    expect(upnp.mappings.size + upnp.pinholes.size).toBe(0)
    expect(upnp.actions).toEqual(['describe', 'GetExternalIPAddress', 'AddAnyPortMapping', 'AddPinhole', 'DeletePortMapping', 'DeletePinhole'])
  })

  it.each(['pcp', 'nat-pmp'] as const)('maps TCP to the same number by %s, whatever its port is here, and takes it back', async (protocol) => {
    const router = await pcpRouter(protocol)
    const world = open(router, null, [LOOPBACK], TCP_ELSEWHERE)
    await world.until(isMapped)
    // By NAT-PMP only after PCP has been tried once more: what one lease has learnt the other does not know.
    await router.until((request) => 'of' in request && request.of === 'tcp' && request.protocol.startsWith(protocol))
    expect([...router.mappings]).toEqual([['udp 4433', 4433], ['tcp 5544', 4433]])
    await world.mapping.close()
    expect([...router.mappings]).toEqual([])
  })

  it.each(['pcp', 'nat-pmp'] as const)('gives a TCP port of another number back by %s', async (protocol) => {
    const router = await pcpRouter(protocol)
    router.taken.add('tcp 4433')
    const world = open(router, null, [LOOPBACK], TCP_ELSEWHERE)
    await router.until((request) => 'of' in request && request.of === 'tcp' && request.lifetime === 0)
    expect([...router.mappings]).toEqual([['udp 4433', 4433]])
    expect(world.told.at(-1)).toMatchObject({ state: 'mapped', outside: { port: 4433 } })
  })

  it('moves TCP to where the router moves UDP', async () => {
    const router = await pcpRouter('pcp')
    const world = open(router, null, [LOOPBACK], TCP_ELSEWHERE)
    await router.until((request) => 'of' in request && request.of === 'tcp')
    router.taken.add('udp 4433')
    world.mapping.renew()
    await world.until(({ outside }) => outside?.port === 4434)
    await router.until((request) => request.protocol === 'pcp' && request.of === 'tcp' && request.wanted.port === 4434)
    expect([...router.mappings]).toEqual([['udp 4433', 4434], ['tcp 5544', 4434]])
  })

  it('maps TCP by UPnP as well, with pinholes, and takes all of it back', async () => {
    const upnp = await upnpRouter({ version: 2 })
    const v6: InterfaceAddress = { ...LOOPBACK, host: '2001:db8::5', family: 6, prefixBits: 64 }
    const world = open(null, upnp, [LOOPBACK, v6], TCP_ELSEWHERE)
    expect(await world.until(isMapped)).toEqual({ state: 'mapped', protocol: 'upnp', outside: { host: OUTSIDE, port: 4433 }, pinholes: [{ host: '2001:db8::5', port: 4433 }] })
    expect([...upnp.mappings]).toEqual([['4433 UDP', '127.0.0.1:4433'], ['4433 TCP', '127.0.0.1:5544']])
    expect([...upnp.pinholes.values()]).toEqual(['[2001:db8::5]:4433 17', '[2001:db8::5]:5544 6'])
    await world.mapping.close()
    expect(upnp.mappings.size + upnp.pinholes.size).toBe(0)
  })

  it('keeps UDP where a UPnP router does not want TCP', async () => {
    const upnp = await upnpRouter({ onlyUdp: true })
    const world = open(null, upnp, [LOOPBACK], TCP_ELSEWHERE)
    await world.until(isMapped)
    expect([...upnp.mappings]).toEqual([['4433 UDP', '127.0.0.1:4433']])
    await world.mapping.close()
    expect(upnp.actions.filter((action) => action === 'DeletePortMapping')).toHaveLength(1)
  })

  it('maps TCP alone where there is no UDP', async () => {
    const router = await pcpRouter('pcp')
    const world = open(router, null, [LOOPBACK], { of: 'tcp' })
    await world.until(isMapped)
    expect([...router.mappings]).toEqual([['tcp 4433', 4433]])
  })

  it('asks again when told that the router may have changed', async () => {
    const router = await pcpRouter('pcp')
    const world = open(router, null)
    await world.until(isMapped)
    router.mappings.clear()
    router.requests.length = 0
    world.mapping.renew()
    await router.until(({ protocol }) => protocol === 'pcp')
    expect([...router.mappings]).toEqual([['udp 4433', 4433]])
  })

  it('takes back what belonged to an address that is not used any more', async () => {
    const router = await pcpRouter('pcp')
    const world = open(router, null)
    await world.until(isMapped)
    world.mapping.setInterfaces([{ ...LOOPBACK, host: '127.0.0.2' }])
    await router.until((request) => request.protocol === 'pcp' && request.client === '127.0.0.1' && request.lifetime === 0)
    await router.until((request) => request.protocol === 'pcp' && request.client === '127.0.0.2' && request.lifetime > 0)
  })

  it('takes nothing back from an address that stays', async () => {
    const router = await pcpRouter('pcp')
    const world = open(router, null)
    await world.until(isMapped)
    router.requests.length = 0
    world.mapping.setInterfaces([LOOPBACK, { ...LOOPBACK, host: '2001:db8::5', family: 6 }])
    await router.until((request) => request.protocol === 'pcp')
    expect(router.requests).toMatchObject([{ client: '127.0.0.1', lifetime: 3600 }])
  })

  it('asks nobody about addresses that need nothing', async () => {
    const router = await pcpRouter('pcp')
    const world = open(router, null, [{ ...LOOPBACK, host: '45.11.12.9' }])
    await world.until(({ state }) => state === 'none')
    expect(router.requests).toEqual([])
  })

  it('closes at once while it still searches', async () => {
    const world = open(null, null)
    await world.mapping.close()
    await world.mapping.close()
    world.mapping.setInterfaces([{ ...LOOPBACK, host: '127.0.0.2' }])
    expect(world.told).toHaveLength(1)
  })
})

const search = (upnp: UpnpFake, ms: number) => findUpnpRouter({ address: '127.0.0.1', to: upnp.ssdp }, { signal: AbortSignal.timeout(ms) })

describe('UPnP search', () => {
  it('finds a router', async () => {
    const router = await search(await upnpRouter(), 5_000)
    expect(router?.services.connections).toEqual([{ type: 'urn:schemas-upnp-org:service:WANIPConnection:1', controlUrl: '/ctl' }])
  })

  it.each([
    ['sends us to another machine', { location: () => 'http://192.0.2.1/root.xml' }],
    ['sends us to a name', { location: (port: number) => `http://localhost:${port}/root.xml` }],
    ['is no router', { description: '<root><device/></root>' }],
    ['tells too much', { description: `<root>${'<x/>'.repeat(20_000)}</root>` }],
  ] as const)('does not take a device that %s', async (_name, options) => {
    expect(await search(await upnpRouter(options), 150)).toBeNull()
  })

  it('follows no control address to another machine', async () => {
    const upnp = await upnpRouter({ controlUrl: 'http://192.0.2.1/ctl' })
    const world = open(null, upnp)
    await world.until(({ state }) => state === 'none')
    expect(upnp.actions).toEqual(['describe'])
  })
})

/** A STUN server that sees the n-th socket at `portOf(n)`. */
async function stunServer(portOf: (n: number) => number | null) {
  const server = createSocket('udp4').bind(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => server.close())
  let n = 0
  server.on('message', (request, from) => {
    const port = portOf(n++)
    if (port !== null) server.send(Uint8Array.from([1, 1, 0, 12, ...request.subarray(4, 20), 0, 1, 0, 8, 0, 1, port >> 8, port & 255, 45, 11, 12, 1]), from.port, from.address)
  })
  return { host: '127.0.0.1', port: server.address().port }
}

describe('NAT sampling', () => {
  it('asks once from each of 32 sockets', async () => {
    const server = await stunServer((n) => 20_000 + n)
    const samples = await samplePorts({ servers: [server], bind: '127.0.0.1' }, { signal: AbortSignal.timeout(5_000) })
    expect(samples.map(({ mapped }) => mapped.port).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 32 }, (_, i) => 20_000 + i))
  })

  it('ends with what it has', async () => {
    const abort = new AbortController()
    const server = await stunServer((n) => {
      if (n === 31) setImmediate(() => abort.abort())
      return n < 20 ? 20_000 + n : null
    })
    expect((await samplePorts({ servers: [server], bind: '127.0.0.1' }, abort)).length).toBeLessThanOrEqual(20)
    expect(await samplePorts({ servers: [] }, abort)).toEqual([])
  })
})
