import { type Endpoint, type ReachCandidate, formatEndpoint } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { guessGateways, parseV4Routes, parseV6Routes } from '../../src/adapters/reach/gateway.ts'
import { wishOf } from '../../src/adapters/reach/port-mapping.ts'
import { KEEP_ALIVE_MS, type MappingFacts, OwnAddresses, type OwnAddressesEffect, type OwnAddressesInput } from '../../src/core/reach/own-addresses.ts'
import type { InterfaceAddress, OwnReach } from '../../src/core/reach/own-reach.ts'
import { isMappingBelievable, isOnOwnNetwork, rankCandidates } from '../../src/core/reach/reach-candidates.ts'

const address = (host: string, more: Partial<InterfaceAddress> = {}): InterfaceAddress => ({
  host, family: host.includes(':') ? 6 : 4, name: 'eth0', prefixBits: host.includes(':') ? 64 : 24, virtual: false, temporary: false, preferred: false, ...more,
})
const LAN = address('192.168.1.5', { preferred: true })
const OUTSIDE: Endpoint = { host: '45.11.12.1', port: 7000 }

/** One internet with some servers, seen through a NAT that a test describes, in virtual time. */
class World {
  now = 0
  readonly machine: OwnAddresses
  readonly reaches: OwnReach[] = []
  readonly asked: { at: number; to: string }[] = []
  readonly sampled: number[] = []
  renewals = 0
  /** How a server sees us; null = no answer. */
  nat: (server: Endpoint) => Endpoint | null = () => OUTSIDE
  resolve: (server: string, family: 4 | 6) => Endpoint | null = (server, family) => (family === 4 ? { host: server.split(':')[0] ?? '', port: 3478 } : null)
  samples: readonly Endpoint[] = []
  #inputs: OwnAddressesInput[] = []

  constructor(servers: readonly string[] = ['192.0.2.1:3478', '192.0.2.2:3478'], ports: { v4: number | null; v6: number | null } = { v4: 4433, v6: 4433 }) {
    let id = 0
    this.machine = new OwnAddresses({ ports, servers, transactionId: () => new Uint8Array(12).fill(++id % 256) })
  }

  get reach(): OwnReach {
    const reach = this.reaches.at(-1)
    if (reach === undefined) throw new Error('nothing was told')
    return reach
  }

  get addresses(): string[] {
    return this.reach.candidates.map(({ endpoint }) => formatEndpoint(endpoint))
  }

  input(input: OwnAddressesInput): this {
    this.#inputs.push(input)
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
      for (const effect of this.machine.step(this.now, next)) this.#perform(effect)
    }
    return this
  }

  interfaces(...addresses: InterfaceAddress[]): this {
    return this.input({ type: 'interfaces', addresses })
  }

  /** Lets time pass. */
  until(end: number): this {
    while (this.machine.deadline !== undefined && this.machine.deadline <= end) {
      this.now = Math.max(this.now, this.machine.deadline)
      this.input({ type: 'tick' })
    }
    this.now = end
    return this
  }

  #perform(effect: OwnAddressesEffect): void {
    switch (effect.type) {
      case 'resolve':
        this.#inputs.push({ ...effect, type: 'resolved', endpoint: this.resolve(effect.server, effect.family) })
        break
      case 'send': {
        this.asked.push({ at: this.now, to: formatEndpoint(effect.to) })
        const mapped = this.nat(effect.to)
        if (mapped !== null) this.#inputs.push({ type: 'datagram', from: effect.to, bytes: answerTo(effect.bytes, mapped) })
        break
      }
      case 'sample-ports':
        this.sampled.push(effect.servers.length)
        this.#inputs.push({ type: 'port-samples', round: effect.round, samples: this.samples.map((mapped) => ({ mapped })) })
        break
      case 'renew-mapping':
        this.renewals++
        break
      case 'reach':
        this.reaches.push(effect.reach)
        break
    }
  }
}

function answerTo(request: Uint8Array, { host, port }: Endpoint): Uint8Array {
  const bytes = host.includes(':') ? Array.from({ length: 16 }, (_, i) => (i === 0 ? 0x2a : i === 15 ? 1 : 0)) : host.split('.').map(Number)
  return Uint8Array.from([1, 1, 0, 8 + bytes.length, ...request.subarray(4, 20), 0, 1, 0, 4 + bytes.length, 0, bytes.length === 4 ? 1 : 2, port >> 8, port & 255, ...bytes])
}

/** What 32 sockets see of a NAT that counts. */
const counted = (from: number) => Array.from({ length: 32 }, (_, i) => ({ host: OUTSIDE.host, port: from + i }))

const MAPPED: MappingFacts = { state: 'mapped', protocol: 'pcp', outside: { host: OUTSIDE.host, port: 4433 }, pinholes: [] }

describe('our own reach', () => {
  it('is told at once, before anybody was asked', () => {
    const world = new World()
    world.resolve = () => { throw new Error('not reached') }
    const effects = world.machine.step(0, { type: 'interfaces', addresses: [LAN] })
    expect(effects.map(({ type }) => type)).toEqual(['resolve', 'resolve', 'reach'])
    expect(effects.at(-1)).toMatchObject({ reach: { candidates: [{ endpoint: { host: LAN.host, port: 4433 }, source: 'interface' }], nat: { v4: 'unknown', v6: 'unknown' } } })
  })

  it('asks all servers in both families at once, where we have an address', () => {
    const world = new World(['a.example:3478', 'b.example:3478'])
    world.resolve = (server, family) => ({ host: family === 4 ? (server.startsWith('a') ? '192.0.2.1' : '192.0.2.2') : '2001:db8::99', port: 3478 })
    world.nat = ({ host }) => (host.includes(':') ? { host: '2a00::1', port: 4433 } : OUTSIDE)
    world.interfaces(LAN, address('2a00::1', { preferred: true }))
    expect(world.asked.filter(({ at }) => at === 0)).toHaveLength(4)
    expect(world.reach.nat).toEqual({ v4: 'consistent', v6: 'open' })
    expect(world.addresses).toEqual(['45.11.12.1:7000', '[2a00::1]:4433', '192.168.1.5:4433'])
    expect(world.reach.stun.map(({ outcome }) => outcome)).toEqual(['mapped', 'mapped', 'mapped', 'mapped'])
  })

  it('does not wait for names that take their time', () => {
    const world = new World(['192.0.2.1:3478', 'slow.example:3478'])
    const effects = world.machine.step(0, { type: 'interfaces', addresses: [LAN] })
    expect(effects.filter(({ type }) => type === 'resolve')).toHaveLength(2)
    const sent = world.machine.step(5, { type: 'resolved', round: 1, server: '192.0.2.1:3478', family: 4, endpoint: { host: '192.0.2.1', port: 3478 } })
    expect(sent[0]?.type).toBe('send')
  })

  it('asks six times, says so within 11 s, and tries again ever later', () => {
    const world = new World(['192.0.2.1:3478'])
    world.nat = () => null
    world.interfaces(LAN).until(10_600)
    expect(world.asked.map(({ at }) => at)).toEqual([0, 300, 900, 2_100, 4_500, 7_500])
    expect(world.reach.stun).toEqual([{ server: '192.0.2.1:3478', family: 4, outcome: 'no-answer' }])
    world.until(3_600_000)
    const rounds = new Set(world.asked.map(({ at }) => at).filter((at, i, all) => i === 0 || at - (all[i - 1] ?? 0) > 5_000))
    expect(rounds.size).toBeGreaterThan(10)
    expect(rounds.size).toBeLessThan(20)
    world.nat = () => OUTSIDE
    world.until(3_600_000 + 330_000)
    expect(world.addresses[0]).toBe('45.11.12.1:7000')
  })

  it('keeps a consistent NAT awake every 17 s, asking one server after the other', () => {
    const world = new World().interfaces(LAN)
    const before = world.asked.length
    world.until(4 * KEEP_ALIVE_MS)
    const later = world.asked.slice(before)
    expect(later.map(({ at }) => at)).toEqual([1, 2, 3, 4].map((n) => n * KEEP_ALIVE_MS))
    expect(new Set(later.map(({ to }) => to)).size).toBe(2)
    expect(world.reaches.length).toBeLessThan(6)
  })

  it('does not keep awake what is open: asks every five minutes', () => {
    const world = new World()
    world.nat = () => ({ host: LAN.host, port: 4433 })
    world.interfaces(LAN)
    expect(world.reach.nat.v4).toBe('open')
    const before = world.asked.length
    world.until(299_000)
    expect(world.asked).toHaveLength(before)
    world.until(301_000)
    expect(world.asked).toHaveLength(before + 2)
  })

  it('asks one server in a minute whether a hard NAT has the same address still, and all every five minutes', () => {
    const world = new World()
    let flows = 0
    const seenFrom = (address: string) => ({ host }: Endpoint): Endpoint => ({ host: address, port: 7000 + Number(host.at(-1)) + 10 * ++flows })
    world.nat = seenFrom(OUTSIDE.host)
    world.interfaces(LAN)
    expect(world.reach.nat.v4).toBe('random')
    const before = world.asked.length
    world.until(299_000)
    expect(world.asked.slice(before).map(({ at }) => at)).toEqual([60_000, 120_000, 180_000, 240_000])
    world.until(301_000)
    expect(world.asked).toHaveLength(before + 6)
    world.nat = seenFrom('45.11.12.2')
    world.until(362_000)
    expect(world.addresses[0]).toMatch(/^45\.11\.12\.2:/)
    expect(world.renewals).toBe(1)
  })

  it('notices a new public address at the next keep-alive, and doubts the mapping', () => {
    const world = new World().interfaces(LAN)
    world.nat = () => ({ host: '45.11.12.2', port: 8000 })
    world.until(KEEP_ALIVE_MS + 1)
    expect(world.addresses).toEqual(['45.11.12.2:8000', '192.168.1.5:4433'])
    expect(world.renewals).toBe(1)
  })

  it('measures anew when two servers in a row do not answer, and keeps the old address until then', () => {
    const world = new World().interfaces(LAN)
    world.nat = () => null
    world.until(KEEP_ALIVE_MS + 5_000)
    expect(world.addresses).toContain('45.11.12.1:7000')
    world.until(90_000)
    expect(world.addresses).toEqual(['192.168.1.5:4433'])
    expect(world.reach.nat.v4).toBe('unknown')
  })

  it('doubts the mapping after a silence, even a short one: the router may have started anew', () => {
    const world = new World().interfaces(LAN)
    world.nat = () => null
    world.until(KEEP_ALIVE_MS + 12_000)
    world.nat = () => OUTSIDE
    world.until(60_000)
    expect(world.renewals).toBe(1)
    world.nat = () => null
    world.until(120_000)
    world.nat = () => OUTSIDE
    world.until(200_000)
    expect(world.renewals).toBe(2)
  })

  it('forgets everything of the old network, and asks on the new one', () => {
    const world = new World().interfaces(LAN)
    world.nat = () => ({ host: '46.21.22.9', port: 1 })
    world.interfaces(address('10.0.0.7', { preferred: true }))
    expect(world.addresses).toEqual(['46.21.22.9:1', '10.0.0.7:4433'])
    expect(world.reaches.some(({ candidates }) => candidates.some(({ endpoint }) => endpoint.host === OUTSIDE.host) && candidates.some(({ endpoint }) => endpoint.host === '10.0.0.7'))).toBe(false)
    const reaches = world.reaches.length
    world.interfaces(address('10.0.0.7', { preferred: true }))
    expect(world.reaches).toHaveLength(reaches)
  })

  it('asks nobody again when only the opinion of the system about an address changes', () => {
    const world = new World().interfaces(LAN, address('10.0.0.7'))
    const before = world.asked.length
    world.interfaces(address('10.0.0.7', { preferred: true }), { ...LAN, preferred: false })
    expect(world.addresses).toEqual(['45.11.12.1:7000', '10.0.0.7:4433', '192.168.1.5:4433'])
    expect(world.asked).toHaveLength(before)
    expect(world.renewals).toBe(0)
  })

  it('ignores what belongs to an earlier network', () => {
    const world = new World(['192.0.2.1:3478'])
    world.interfaces(LAN)
    world.input({ type: 'resolved', round: 0, server: '192.0.2.1:3478', family: 4, endpoint: { host: '203.0.113.9', port: 1 } })
    world.input({ type: 'port-samples', round: 0, samples: [{ mapped: { host: '9.9.9.9', port: 1 } }] })
    expect(world.asked.every(({ to }) => to === '192.0.2.1:3478')).toBe(true)
    expect(world.reach.lastPort).toBeUndefined()
  })

  it('comes back from no network at all', () => {
    const world = new World().interfaces()
    expect(world.addresses).toEqual(['127.0.0.1:4433', '[::1]:4433'])
    world.until(100_000)
    expect(world.asked).toEqual([])
    world.interfaces(LAN)
    expect(world.addresses[0]).toBe('45.11.12.1:7000')
  })

  it('measures after a sleep, once however many notice it', () => {
    const world = new World().interfaces(LAN)
    const before = world.asked.length
    world.until(10_000).input({ type: 'wake' }).input({ type: 'wake' }).until(10_500).input({ type: 'wake' })
    expect(world.asked).toHaveLength(before + 2)
    expect(world.renewals).toBe(1)
  })

  it('samples a hard NAT and tells its kind; the address is told once', () => {
    const world = new World()
    world.nat = ({ host }) => ({ ...OUTSIDE, port: 7000 + Number(host.at(-1)) })
    world.samples = Array.from({ length: 32 }, (_, i) => ({ host: OUTSIDE.host, port: 40_000 + ((i * 373) % 512) }))
    world.interfaces(LAN)
    expect(world.sampled).toEqual([2])
    expect(world.reach).toMatchObject({ nat: { v4: 'block' }, lastPort: 40_000 + ((31 * 373) % 512) })
    expect(world.reach.block?.low).toBeLessThanOrEqual(40_100)
    expect(world.reach.candidates.filter(({ source }) => source === 'stun')).toHaveLength(1)
    world.samples = []
    world.until(301_000)
    expect(world.reach.nat.v4).toBe('block')
  })

  it('looks again at a NAT that counts: every minute, and when many ports were used', () => {
    const world = new World()
    world.nat = ({ host }) => ({ ...OUTSIDE, port: 7000 + Number(host.at(-1)) })
    world.samples = counted(20_000)
    world.interfaces(LAN)
    expect(world.reach).toMatchObject({ nat: { v4: 'counting' }, step: 1, lastPort: 20_031 })
    world.samples = counted(20_300)
    world.until(10_000).input({ type: 'ports-used' }).input({ type: 'ports-used' })
    expect(world.sampled).toHaveLength(2)
    expect(world.reach.lastPort).toBe(20_331)
    const asked = world.asked.length
    world.until(250_000)
    expect(world.sampled).toHaveLength(6)
    expect(world.asked).toHaveLength(asked)
    world.until(600_000)
    expect(world.asked.length).toBeGreaterThan(asked)
  })

  it('does not look again at other NATs when ports were used', () => {
    const world = new World().interfaces(LAN).until(10_000).input({ type: 'ports-used' })
    expect(world.sampled).toEqual([])
  })

  it('puts a mapping first, unless it is not believed', () => {
    const world = new World().interfaces(LAN).input({ type: 'mapping', mapping: MAPPED })
    expect(world.reach.candidates.slice(0, 2)).toEqual([{ endpoint: { host: '45.11.12.1', port: 4433 }, source: 'mapping' }, { endpoint: OUTSIDE, source: 'stun' }])
    expect(world.reach.mapping?.state).toBe('mapped')
    for (const host of ['192.168.0.2', '100.64.1.1', '10.0.0.1', '45.11.12.77', '203.0.113.5']) {
      world.input({ type: 'mapping', mapping: { ...MAPPED, outside: { host, port: 4433 } } })
      expect(world.reach.mapping?.state).toBe('not-believed')
      expect(world.addresses[0]).toBe('45.11.12.1:7000')
    }
    world.input({ type: 'mapping', mapping: null })
    expect(world.reach.mapping).toBeNull()
  })

  it('asks nobody without servers', () => {
    const world = new World([]).interfaces(LAN).until(1_000_000)
    expect(world.asked).toEqual([])
    expect(world.addresses).toEqual(['192.168.1.5:4433'])
    expect(world.machine.deadline).toBeUndefined()
  })

  it('survives any order of events with bounded sending', () => {
    const event = fc.oneof(
      fc.constantFrom<OwnAddressesInput>({ type: 'wake' }, { type: 'tick' }, { type: 'interfaces', addresses: [] }, { type: 'interfaces', addresses: [LAN] }, { type: 'mapping', mapping: MAPPED }, { type: 'mapping', mapping: null }),
      fc.uint8Array({ maxLength: 60 }).map((bytes): OwnAddressesInput => ({ type: 'datagram', from: { host: '192.0.2.1', port: 3478 }, bytes })),
      fc.nat(3).map((round): OwnAddressesInput => ({ type: 'port-samples', round, samples: [] })),
    )
    fc.assert(fc.property(fc.array(fc.tuple(event, fc.nat(20_000)), { maxLength: 20 }), fc.boolean(), (events, isDeaf) => {
      const world = new World()
      if (isDeaf) world.nat = () => null
      world.interfaces(LAN)
      for (const [input, pause] of events) world.input(input).until(world.now + pause)
      expect(world.asked.length).toBeLessThan(2 * 6 * (events.length + 1) + world.now / 1_000)
      expect(world.reach.candidates.length).toBeGreaterThan(0)
    }), { numRuns: 200 })
  })
})

const hosts = (candidates: readonly ReachCandidate[]) => candidates.map(({ endpoint }) => endpoint.host)

describe('the order of candidates', () => {
  const ports = { v4: 4433, v6: 4433 }
  it('is public IPv4, global IPv6, LAN, ULA, and virtual networks last', () => {
    expect(hosts(rankCandidates({
      ports, mapped: { host: '45.11.12.1', port: 1 }, pinholes: [{ host: '2a00::2', port: 4433 }],
      seen: [{ host: '45.11.12.1', port: 2 }, { host: '2a00::3', port: 4433 }],
      interfaces: [
        address('172.17.0.1', { virtual: true, name: 'docker0' }), address('192.168.1.5'), address('fd00::5'), address('2a00::2'), address('2a00::3', { temporary: true, preferred: true }),
      ],
    }))).toEqual(['45.11.12.1', '45.11.12.1', '2a00::2', '2a00::3', '192.168.1.5', 'fd00::5', '172.17.0.1'])
  })

  it('prefers the address that packets leave with, and lasting ones to temporary ones', () => {
    expect(hosts(rankCandidates({ ports, mapped: null, pinholes: [], seen: [], interfaces: [
      address('10.0.0.1'), address('192.168.1.5', { preferred: true }), address('2a00::9', { temporary: true }), address('2a00::1'),
    ] }))).toEqual(['2a00::1', '2a00::9', '192.168.1.5', '10.0.0.1'])
  })

  it('has eight at most, and leaves room for the LAN among many IPv6 addresses', () => {
    const many = Array.from({ length: 20 }, (_, i) => address(`2a00::${i + 1}`))
    const found = hosts(rankCandidates({ ports, mapped: null, pinholes: [], seen: [], interfaces: [...many, address('192.168.1.5'), ...Array.from({ length: 9 }, (_, i) => address(`10.0.0.${i + 1}`))] }))
    expect(found).toHaveLength(8)
    expect(found[3]).toBe('192.168.1.5')
  })

  it('knows what is on our own network', () => {
    expect(isOnOwnNetwork('192.168.1.77', [LAN])).toBe(true)
    expect(isOnOwnNetwork('192.168.2.77', [LAN])).toBe(false)
    expect(isOnOwnNetwork('192.168.1.77', [address('192.168.1.5', { prefixBits: 26 })])).toBe(false)
    expect(isOnOwnNetwork('2a00::77', [address('2a00::1')])).toBe(true)
    expect(isOnOwnNetwork('2a00:0:0:1::77', [LAN, address('2a00::1')])).toBe(false)
    expect(isOnOwnNetwork('8.8.8.8', [address('10.0.0.1', { prefixBits: 0 })])).toBe(false)
  })

  it('believes no router that is behind another', () => {
    expect(isMappingBelievable({ host: '45.11.12.1', port: 1 }, [])).toBe(true)
    expect(isMappingBelievable({ host: '45.11.12.1', port: 1 }, [{ host: '45.11.12.2', port: 1 }])).toBe(false)
    expect(isMappingBelievable({ host: '45.11.12.1', port: 1 }, [{ host: '2a00::1', port: 1 }])).toBe(true)
    expect(isMappingBelievable({ host: '203.0.113.1', port: 1 }, [])).toBe(false)
    expect(isMappingBelievable({ host: '203.0.113.1', port: 1 }, [{ host: '203.0.113.1', port: 9 }])).toBe(true)
    expect(isMappingBelievable({ host: '10.0.0.1', port: 1 }, [{ host: '10.0.0.1', port: 9 }])).toBe(false)
  })
})

describe('routers', () => {
  it('are read from the tables of Linux', () => {
    const v4 = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n' +
      'wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\neth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\neth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n'
    expect(parseV4Routes(v4)).toEqual([{ family: 4, host: '192.168.1.1', interfaceName: 'eth0' }])
    const zero = '0'.repeat(32)
    const v6 = [
      `20010db8000000000000000000000000 40 ${zero} 00 ${zero} 00000100 00000001 00000000 00000001     eth0`,
      `${zero} 00 ${zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0`,
      `${zero} 00 ${zero} 00 ${zero} ffffffff 00000001 00000000 00200200       lo`,
    ].join('\n')
    expect(parseV6Routes(v6)).toEqual([{ family: 6, host: 'fe80::1%eth0', interfaceName: 'eth0' }])
    expect([...parseV4Routes('x\n\n'), ...parseV6Routes('rubbish')]).toEqual([])
  })

  it('are guessed elsewhere', () => {
    expect(guessGateways([LAN])).toEqual([{ family: 4, host: '192.168.1.1', interfaceName: null }])
    expect(guessGateways([address('10.9.200.7', { preferred: true, prefixBits: 18 })])[0]?.host).toBe('10.9.192.1')
    expect(guessGateways([address('192.168.1.1', { preferred: true })])).toEqual([])
    expect(guessGateways([address('192.168.1.5')])).toEqual([])
  })

  it('are asked for what is behind them only', () => {
    const ports = { v4: 1, v6: 1 }
    expect(wishOf([address('172.17.0.1', { virtual: true }), address('10.0.0.1'), LAN, address('2a00::1'), address('fd00::1')], ports)).toEqual({ v4: '192.168.1.5', v6: ['2a00::1'] })
    expect(wishOf([address('45.11.12.1', { preferred: true }), address('2a00::1', { temporary: true }), address('2a00::2'), address('2a00::3')], ports)).toEqual({ v4: null, v6: ['2a00::2', '2a00::3'] })
    expect(wishOf([LAN, address('2a00::1')], { v4: null, v6: null })).toEqual({ v4: null, v6: [] })
  })
})
