/** `lab check`: every kind of site shown by experiment to be what its name says. Experiments use sockets of their own, no helper. */
import { type Host, openHost } from './hosts.ts'
import { installed } from './namespaces.ts'
import { SERVER, STUN_ADDRESSES, STUN_ADDRESSES_V6 } from './places.ts'
import { LAN_ROUTER, type Site, type SiteSpec, buildSite, lanAddress } from './sites.ts'
import { STUN_OTHER_PORT, STUN_PORT } from './stun-responder.ts'
import { chooseWanMethod } from './wan-lines.ts'

export interface CheckOutcome {
  readonly name: string
  readonly ok: boolean
  readonly saw: string
}

type Mapping = 'none' | 'same' | 'by-destination'
type Filtering = 'open' | 'address' | 'address-and-port'

/** Long enough for a packet across the lab on a busy machine; every negative answer costs it. */
const WAIT_MS = 300

interface Expectation {
  readonly spec: SiteSpec
  readonly mapping: Mapping
  readonly filtering: Filtering
}

const KINDS: Readonly<Record<string, Expectation>> = {
  open: { spec: { kind: 'open' }, mapping: 'none', filtering: 'open' },
  firewall: { spec: { kind: 'firewall' }, mapping: 'none', filtering: 'address-and-port' },
  full: { spec: { kind: 'full' }, mapping: 'same', filtering: 'open' },
  address: { spec: { kind: 'address' }, mapping: 'same', filtering: 'address' },
  port: { spec: { kind: 'port' }, mapping: 'same', filtering: 'address-and-port' },
  'port, accepting router': { spec: { kind: 'port', input: 'accept' }, mapping: 'same', filtering: 'address-and-port' },
  random: { spec: { kind: 'random' }, mapping: 'by-destination', filtering: 'address-and-port' },
  block: { spec: { kind: 'block', ports: [40_000, 40_511] }, mapping: 'by-destination', filtering: 'address-and-port' },
  counting: { spec: { kind: 'counting' }, mapping: 'by-destination', filtering: 'address-and-port' },
  'counting by two': { spec: { kind: 'counting', step: 2 }, mapping: 'by-destination', filtering: 'address-and-port' },
  'double NAT': { spec: { kind: 'port', carrier: 'port' }, mapping: 'same', filtering: 'address-and-port' },
  'double NAT, random': { spec: { kind: 'port', carrier: 'random' }, mapping: 'by-destination', filtering: 'address-and-port' },
}

/** The server's agent serves STUN already. */
export async function runChecks(report: (outcome: CheckOutcome) => void): Promise<void> {
  const check = (name: string, ok: boolean, saw: string) => report({ name, ok, saw })
  for (const [name, { spec, mapping, filtering }] of Object.entries(KINDS)) {
    await withSite(spec, async (site, host) => {
      const ports = await mappedPorts(host, STUN_ADDRESSES)
      const seen = readMapping(site, ports)
      check(`${name}: mapping`, seen === mapping, `${seen} (${ports.map((port) => port ?? '-').join(' ')})`)
      const letsIn = await filteringOf(host)
      check(`${name}: filtering`, letsIn === filtering, letsIn)
      if (spec.kind === 'counting') {
        const steps = ports.slice(2).map((port, index) => (port ?? 0) - (ports[index + 1] ?? 0))
        check(`${name}: step`, steps.every((step) => step === (spec.step ?? 1)), steps.join(' '))
      }
      if (spec.kind === 'block') check(`${name}: within the block`, ports.slice(1).every((port) => port !== null && port >= 40_000 && port <= 40_511), ports.join(' '))
      if (spec.input === 'accept') check(`${name}: packets for itself come in`, await routerHears(site, host), 'asked from outside')
    })
  }
  await checkBlocked(check)
  await checkIPv6(check)
  await checkFlowLimit(check)
  await checkHairpin(check)
  await checkMapping(check)
  await checkTimeouts(check)
  await checkAddressChange(check)
  if ((await chooseWanMethod()) === 'none') check('lines with delay: skipped, there is neither netem nor a compiler', true, 'none')
  else await checkLine(check)
}

type Check = (name: string, ok: boolean, saw: string) => void

async function checkBlocked(check: Check): Promise<void> {
  await withSite({ kind: 'udp-blocked' }, async (_site, host) => {
    const ports = await mappedPorts(host, STUN_ADDRESSES.slice(0, 1))
    check('udp-blocked: nothing comes back', ports.slice(1).every((port) => port === null), ports.join(' '))
  })
}

async function checkIPv6(check: Check): Promise<void> {
  for (const ipv6 of ['open', 'firewall'] as const) {
    await withSite({ kind: 'random', ipv6 }, async (site, host) => {
      const { socket, port } = await host.open({ host: '::' })
      const [first, second] = STUN_ADDRESSES_V6
      const seen = await host.askStun({ socket, host: first, port: STUN_PORT, timeoutMs: 4 * WAIT_MS })
      const address = site.ipv6Addresses[0] ?? ''
      check(`IPv6 ${ipv6}: no translation`, seen !== null && seen.port === port && sameIPv6(seen.host, address), JSON.stringify(seen))
      const stranger = await host.askStun({ socket, host: first, port: STUN_PORT, changeHost: true, changePort: true, timeoutMs: 2 * WAIT_MS })
      check(`IPv6 ${ipv6}: strangers ${ipv6 === 'open' ? 'come in' : 'stay out'}`, (stranger !== null) === (ipv6 === 'open'), JSON.stringify(stranger))
      check(`IPv6 ${ipv6}: the other server`, (await host.askStun({ socket, host: second, port: STUN_PORT, timeoutMs: 4 * WAIT_MS })) !== null, second)
    })
  }
}

async function checkFlowLimit(check: Check): Promise<void> {
  await withSite({ kind: 'port', flowLimit: 40 }, async (_site, host) => {
    let passed = 0
    for (let flow = 0; flow < 60; flow++) {
      const { socket } = await host.open({ keep: flow > 0 })
      if ((await host.askStun({ socket, host: STUN_ADDRESSES[0], port: STUN_PORT, timeoutMs: flow < 40 ? 4 * WAIT_MS : 20 })) !== null) passed += 1
    }
    check('flow table of 40: 40 of 60 flows pass', passed === 40, String(passed))
  })
}

async function checkHairpin(check: Check): Promise<void> {
  for (const hairpin of [false, true]) {
    await withSite({ kind: 'port', hosts: 2, hairpin }, async (site, host) => {
      const second = await openHost(site.hosts[1] ?? '')
      try {
        const { socket } = await host.open({})
        const mapped = await host.askStun({ socket, host: STUN_ADDRESSES[0], port: STUN_PORT, timeoutMs: 4 * WAIT_MS })
        const { socket: other, port } = await second.open({})
        const itself = await second.askStun({ socket: other, host: STUN_ADDRESSES[0], port: STUN_PORT, timeoutMs: 4 * WAIT_MS })
        await second.send({ socket: other, host: mapped?.host ?? '', port: mapped?.port ?? 0, hex: '6869' })
        const heard = await host.receive({ socket, timeoutMs: WAIT_MS })
        check(`hairpin ${hairpin ? 'on' : 'off'}`, hairpin ? heard?.host === itself?.host && heard?.port === itself?.port : heard === null, `${JSON.stringify(heard)} of local port ${port}`)
        await second.send({ socket: other, host: lanAddress(0), port: mapped?.port ?? 0, hex: '6869' })
        check(`neighbours hear each other, hairpin ${hairpin ? 'on' : 'off'}`, (await host.receive({ socket, timeoutMs: 4 * WAIT_MS })) !== null, 'on the LAN')
      } finally {
        await second.close()
      }
    })
  }
}

/** By NAT-PMP (RFC 6886), the plainest of the three protocols the router speaks. */
async function checkMapping(check: Check): Promise<void> {
  if (!(await installed('miniupnpd'))) return check('mapping router: skipped, there is no miniupnpd', true, 'none')
  await withSite({ kind: 'random', mapping: true }, async (site, host) => {
    const { socket, port } = await host.open({})
    const request = Buffer.from([0, 1, 0, 0, port >> 8, port & 255, port >> 8, port & 255, 0, 0, 2, 88])
    await host.send({ socket, host: LAN_ROUTER, port: 5351, hex: request.toString('hex') })
    const answer = Buffer.from((await host.receive({ socket, timeoutMs: 4 * WAIT_MS }))?.hex ?? '', 'hex')
    const mapped = answer.length === 16 && answer.readUInt16BE(2) === 0 ? answer.readUInt16BE(10) : 0
    const server = await openHost(SERVER)
    const { socket: stranger } = await server.open({})
    await server.send({ socket: stranger, host: site.publicAddress, port: mapped, hex: '6869' })
    const heard = await host.receive({ socket, timeoutMs: 4 * WAIT_MS })
    await server.close()
    check('mapping router: a mapped port lets strangers in', heard?.hex === '6869', `port ${mapped}`)
  })
}

async function checkTimeouts(check: Check): Promise<void> {
  // The kernel looks at its clock in seconds.
  await withSite({ kind: 'random', flowSeconds: [2, 4] }, async (_site, host) => {
    const { socket } = await host.open({})
    const ask = () => host.askStun({ socket, host: STUN_ADDRESSES[0], port: STUN_PORT, timeoutMs: 4 * WAIT_MS })
    const first = await ask()
    const second = await ask()
    await new Promise((resolve) => setTimeout(resolve, 6_000))
    const third = await ask()
    check('a flow that is not used is forgotten', first?.port === second?.port && second?.port !== third?.port, [first?.port, second?.port, third?.port].join(' '))
  })
}

async function checkAddressChange(check: Check): Promise<void> {
  await withSite({ kind: 'counting' }, async (site, host) => {
    const { socket } = await host.open({})
    const ask = () => host.askStun({ socket, host: STUN_ADDRESSES[0], port: STUN_PORT, timeoutMs: 4 * WAIT_MS })
    const before = await ask()
    await site.reboot()
    const rebooted = await ask()
    check('a rebooted router maps anew', rebooted !== null && before?.host === rebooted.host && before.port !== rebooted.port, `${before?.port} ${rebooted?.port}`)
    await site.changePublicAddress()
    const after = await ask()
    check('a new public address', after !== null && after.host === site.publicAddress && after.host !== before?.host, `${before?.host} ${after?.host}`)
  })
}

async function checkLine(check: Check): Promise<void> {
  await withSite({ kind: 'port', line: { delayMs: 30 } }, async (site, host) => {
    const { socket } = await host.open({})
    const ask = async (timeoutMs: number) => {
      const started = performance.now()
      const answer = await host.askStun({ socket, host: STUN_ADDRESSES[0], port: STUN_PORT, timeoutMs })
      return answer === null ? null : performance.now() - started
    }
    await ask(4 * WAIT_MS)
    const times: number[] = []
    for (let i = 0; i < 9; i++) times.push((await ask(4 * WAIT_MS)) ?? Number.POSITIVE_INFINITY)
    const median = times.sort((a, b) => a - b)[4] ?? 0
    check('30 ms each way make a round trip of 60 ms', median >= 60 && median < 75, `${median.toFixed(1)} ms`)
    await site.setLine({ lossPercent: 100 })
    check('a line that loses everything', (await ask(WAIT_MS)) === null, 'no answer')
    await site.setLine({})
    check('a line that was mended', ((await ask(4 * WAIT_MS)) ?? 999) < 50, 'an answer')
    await site.cut(true)
    check('a cut line', (await ask(WAIT_MS)) === null, 'no answer')
    await site.cut(false)
    check('a healed line', (await ask(4 * WAIT_MS)) !== null, 'an answer')
  })
}

async function withSite(spec: SiteSpec, action: (site: Site, host: Host) => Promise<void>): Promise<void> {
  const site = await buildSite('check', 50, spec)
  try {
    const host = await openHost(site.hosts[0] ?? '')
    try {
      await action(site, host)
    } finally {
      await host.close()
    }
  } finally {
    await site.remove()
  }
}

/** @returns the local port, then how both servers see it on both of their ports; null = no answer */
async function mappedPorts(host: Host, servers: readonly string[]): Promise<(number | null)[]> {
  const { socket, port } = await host.open({})
  const ports: (number | null)[] = [port]
  for (const server of servers) {
    for (const serverPort of [STUN_PORT, STUN_OTHER_PORT]) ports.push((await host.askStun({ socket, host: server, port: serverPort, timeoutMs: 4 * WAIT_MS }))?.port ?? null)
  }
  return ports
}

function readMapping({ spec }: Site, [local, ...seen]: readonly (number | null)[]): Mapping | 'mixed' {
  const distinct = new Set(seen).size
  if (distinct === 1) return seen[0] === local && (spec.kind === 'open' || spec.kind === 'firewall') ? 'none' : 'same'
  return distinct === seen.length ? 'by-destination' : 'mixed'
}

async function filteringOf(host: Host): Promise<Filtering | 'mixed'> {
  const { socket } = await host.open({})
  const ask = async (changeHost: boolean, changePort: boolean) =>
    (await host.askStun({ socket, host: STUN_ADDRESSES[0], port: STUN_PORT, changeHost, changePort, timeoutMs: 2 * WAIT_MS })) !== null
  await host.askStun({ socket, host: STUN_ADDRESSES[0], port: STUN_PORT, timeoutMs: 4 * WAIT_MS })
  const otherHost = await ask(true, true)
  const otherPort = await ask(false, true)
  return otherHost && otherPort ? 'open' : otherPort ? 'address' : otherHost ? 'mixed' : 'address-and-port'
}

/** The server sends a datagram to a port nobody inside uses; the router itself listens there. */
async function routerHears(site: Site, host: Host): Promise<boolean> {
  const router = await openHost(site.router)
  const server = await openHost(SERVER)
  try {
    const { socket, port } = await router.open({})
    const { socket: from } = await server.open({})
    await server.send({ socket: from, host: site.publicAddress, port, hex: '6869' })
    return (await router.receive({ socket, timeoutMs: 4 * WAIT_MS })) !== null && host.ns !== router.ns
  } finally {
    await router.close()
    await server.close()
  }
}

function sameIPv6(a: string, b: string): boolean {
  return new URL(`http://[${a}]`).hostname === new URL(`http://[${b}]`).hostname
}
