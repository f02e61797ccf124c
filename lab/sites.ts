/**
 * Builds the internet of the lab and the homes on it: a core that only routes, a server host, and sites of a router and hosts. Addresses look like
 * the real thing, because programs treat reserved ones differently; they exist inside of the lab's namespaces only.
 */
import { addCable, addNamespace, inside, installed, ip, nft, removeNamespace } from './namespaces.ts'
import { startPortMapper } from './services.ts'
import { type NatKindName, type RouterRules, formatRouterRules } from './router-rules.ts'
import { BROKER_ADDRESS, CORE, CORE_GATEWAY, SERVER, STUN_ADDRESSES, STUN_ADDRESSES_V6 } from './places.ts'
import { type WanLine, type WanQuality, addWanLine } from './wan-lines.ts'


export interface SiteSpec {
  readonly kind: NatKindName
  /** A second NAT between the home and the internet, with 100.64/10 between the two. */
  readonly carrier?: NatKindName
  /** Customer of the carrier of the site before, with its line and public address. */
  readonly sameCarrier?: boolean
  /** Default 1. They share the router's LAN. */
  readonly hosts?: number
  /** Absent: the site has IPv4 only. */
  readonly ipv6?: 'open' | 'firewall'
  readonly input?: RouterRules['input']
  readonly ports?: readonly [number, number]
  readonly step?: number
  readonly flowLimit?: number
  readonly hairpin?: boolean
  /** Seconds a UDP flow without, and with, answers is kept; the kernel's own are 30 and 120. */
  readonly flowSeconds?: readonly [number, number]
  /** A router that gives out port mappings (miniupnpd). */
  readonly mapping?: boolean
  readonly line?: WanQuality
}

export interface Site {
  readonly name: string
  readonly spec: SiteSpec
  /** Namespaces. */
  readonly router: string
  readonly hosts: readonly string[]
  /** Where its hosts are seen from on the internet, IPv4. */
  readonly publicAddress: string
  /** Between its router and its carrier, the first three numbers. */
  readonly carrierNetwork: string
  readonly ipv6Addresses: readonly string[]
  /** Changes the line to the internet. */
  setLine(quality: WanQuality): Promise<void>
  /** Unplugs the line, or plugs it in again. */
  cut(on: boolean): Promise<void>
  /** Forgets the flows with another site, so that the next meeting is a first one. */
  forgetFlows(other: Site): Promise<void>
  /** Forgets everything, as a restart does. A counting router begins at another port. */
  reboot(): Promise<void>
  /** A host moves to another address of its LAN, as after a change of networks. */
  changeHostAddress(host: number): Promise<void>
  /** Another public address from the provider. */
  changePublicAddress(): Promise<void>
  /** Idempotent; hosts' processes must have ended. */
  remove(): Promise<void>
}

/** Where every LAN is: homes do not coordinate, so both sides of a meeting have the same private addresses. */
export const LAN_ROUTER = '192.168.1.1'
export function lanAddress(host: number): string {
  return `192.168.1.${10 + host}`
}

/** Routers between two homes, less than usual. */
const CORE_HOPS = 8

/** The core and the server host. They stay for the whole run. */
export async function buildInternet(): Promise<void> {
  await addNamespace(CORE)
  await addNamespace(SERVER)
  await forward(CORE)
  await ip(CORE, [`addr add ${CORE_GATEWAY}/32 dev lo`])
  // For lines that are cut, and for packets that shall not travel far: the core is one hop that counts as many.
  await nft(CORE, `table inet lines {\n  set cut {\n    type ifname;\n  }\n  chain forward {\n    type filter hook forward priority filter;\n    iifname @cut drop\n    oifname @cut drop\n    ip ttl < ${CORE_HOPS} drop\n    ip6 hoplimit < ${CORE_HOPS} drop\n  }\n}\n`)
  await addCable({ ns: CORE, device: SERVER }, { ns: SERVER, device: 'wan' })
  const v4 = [...STUN_ADDRESSES, BROKER_ADDRESS]
  await ip(CORE, [
    `link set ${SERVER} up`, `addr add fe80::1/64 dev ${SERVER} nodad`,
    ...v4.map((address) => `route add ${address}/32 dev ${SERVER}`), `route add 2a0e:b107:ff::/48 via fe80::2 dev ${SERVER}`,
  ])
  await ip(SERVER, [
    'link set wan up', ...v4.map((address) => `addr add ${address}/32 dev wan`), 'addr add fe80::2/64 dev wan nodad',
    ...STUN_ADDRESSES_V6.map((address) => `addr add ${address}/128 dev wan nodad`),
    `route add default via ${CORE_GATEWAY} dev wan onlink`, 'route add default via fe80::1 dev wan',
  ])
}

/**
 * @param index 1 to 99, and one site's alone
 * @param before for `sameCarrier`
 */
export async function buildSite(name: string, index: number, spec: SiteSpec, before?: Site): Promise<Site> {
  if (spec.sameCarrier === true) return buildCustomer(name, index, spec, before)
  const router = `${name}-router`
  const carrier = spec.carrier === undefined ? undefined : carrierOf(name)
  const hosts = Array.from({ length: spec.hosts ?? 1 }, (_, host) => `${name}-host${host}`)
  const namespaces = [...hosts, router, ...(carrier === undefined ? [] : [carrier])]
  for (const namespace of namespaces) await addNamespace(namespace)
  const routed = spec.kind === 'open' || spec.kind === 'firewall'
  const prefix = routed ? `46.21.${index}` : '192.168.1'
  const v6 = `2a0e:b107:${index}`
  let wan = `45.11.12.${100 + index}`
  let firstPort = 20_000
  const outer = carrier ?? router

  const line: WanLine = await addWanLine({ ns: outer, device: 'wan' }, { ns: CORE, device: name }, spec.line ?? {})
  await forward(outer)
  await ip(CORE, [`link set ${name} up`, `addr add fe80::1/64 dev ${name} nodad`, `route add ${v6}::/48 via fe80::2 dev ${name}`, ...(routed ? [`route add ${prefix}.0/24 dev ${name}`] : [])])
  await ip(outer, ['link set wan up', 'addr add fe80::2/64 dev wan nodad', 'route add default via fe80::1 dev wan'])
  await takeAddress(wan)
  if (routed) await inside(outer, 'sysctl', ['-qw', 'net.ipv4.conf.wan.proxy_arp=1'])

  if (carrier !== undefined) {
    await addBridge(carrier, [`addr add 100.64.${index}.1/24 dev lan`, 'addr add fe80::1/64 dev lan nodad', `route add ${v6}::/64 via fe80::2 dev lan`])
    await addCustomer(carrier, router, `100.64.${index}`, 2)
  }
  await addHosts(router, hosts, prefix, spec.ipv6 === undefined ? undefined : v6)
  if (spec.flowSeconds !== undefined) {
    const [unanswered, answered] = spec.flowSeconds
    for (const ns of [router, outer]) await inside(ns, 'sysctl', ['-qw', `net.netfilter.nf_conntrack_udp_timeout=${unanswered}`, `net.netfilter.nf_conntrack_udp_timeout_stream=${answered}`])
  }
  await loadRules()
  const mapper = spec.mapping === true ? await startPortMapper({ router, ipv6: spec.ipv6 !== undefined }) : undefined

  const site: Site = {
    name, spec, router, hosts, carrierNetwork: `100.64.${index}`,
    get publicAddress() {
      return routed ? `${prefix}.10` : wan
    },
    ipv6Addresses: spec.ipv6 === undefined ? [] : hosts.map((_, number) => `${v6}::${10 + number}`),
    setLine: (quality) => line.set(quality),
    cut: (on) => nft(CORE, `${on ? 'add' : 'delete'} element inet lines cut { "${name}" }\n`),
    forgetFlows: async (other) => {
      for (const ns of [router, outer]) {
        for (const field of ['--orig-dst', '--orig-src']) {
          await dropFlows(ns, [field, other.publicAddress])
          if (other.spec.ipv6 !== undefined) for (const address of other.ipv6Addresses) await dropFlows(ns, ['--family', 'ipv6', field, address])
        }
        await nft(ns, 'flush set inet filter contacted\n')
      }
    },
    reboot: async () => {
      firstPort += 4_000
      await loadRules()
      for (const ns of [router, outer]) await dropFlows(ns, [])
    },
    changeHostAddress: async (number) => {
      const ns = hosts[number] ?? ''
      await ip(ns, [`addr del ${prefix}.${10 + number}/24 dev eth0`, `addr add ${prefix}.${50 + number}/24 dev eth0`, `route replace default via ${prefix}.1`])
    },
    changePublicAddress: async () => {
      await ip(outer, [`addr del ${wan}/32 dev wan`])
      await ip(CORE, [`route del ${wan}/32 dev ${name}`])
      wan = `45.11.12.${200 + index}`
      await takeAddress(wan)
      await loadRules()
      for (const ns of [router, outer]) await dropFlows(ns, [])
    },
    remove: async () => {
      await mapper?.stop()
      line.close()
      // The far ends first: namespaces go when nobody looks, and take their ends with them even later.
      await ip(CORE, [`link del ${name}`]).catch(() => {})
      for (const namespace of namespaces) await removeNamespace(namespace)
    },
  }
  return site

  async function takeAddress(address: string): Promise<void> {
    await ip(outer, [`addr add ${address}/32 dev wan`, `route replace default via ${CORE_GATEWAY} dev wan onlink src ${address}`])
    await ip(CORE, [`route add ${address}/32 dev ${name}`])
  }

  async function loadRules(): Promise<void> {
    const { kind, input = 'drop', ipv6 = 'firewall', ports, step, flowLimit, hairpin } = spec
    const rest = {
      ...(ports === undefined ? {} : { ports }), ...(step === undefined ? {} : { step }), ...(flowLimit === undefined ? {} : { flowLimit }),
      ...(hairpin === undefined ? {} : { hairpin }),
    }
    const home = carrier === undefined ? wan : `100.64.${index}.2`
    await nft(router, formatRouterRules({ kind, publicAddress: home, input, ipv6, firstPort, ...rest }))
    if (carrier !== undefined && spec.carrier !== undefined) {
      await nft(carrier, formatRouterRules({ kind: spec.carrier, publicAddress: wan, input, ipv6: 'open', firstPort, ...rest }))
    }
  }

}

function carrierOf(site: string): string {
  return `${site}-carrier`
}

/** A home behind a carrier that is there already: a router of its own, the rest is its neighbour's. */
async function buildCustomer(name: string, index: number, spec: SiteSpec, neighbour: Site | undefined): Promise<Site> {
  if (neighbour?.spec.carrier === undefined) throw new Error('the site before has no carrier')
  const router = `${name}-router`
  const hosts = Array.from({ length: spec.hosts ?? 1 }, (_, host) => `${name}-host${host}`)
  for (const namespace of [...hosts, router]) await addNamespace(namespace)
  const home = await addCustomer(carrierOf(neighbour.name), router, neighbour.carrierNetwork, index + 1)
  await addHosts(router, hosts, '192.168.1', undefined)
  const { kind, input = 'drop' } = spec
  await nft(router, formatRouterRules({ kind, publicAddress: home, input, ipv6: 'firewall', firstPort: 20_000 }))
  return {
    ...neighbour, name, spec, router, hosts, ipv6Addresses: [],
    publicAddress: neighbour.publicAddress,
    setLine: notOurs, cut: notOurs, changePublicAddress: notOurs, changeHostAddress: notOurs,
    forgetFlows: () => dropFlows(router, []),
    reboot: () => dropFlows(router, []),
    remove: async () => {
      for (const namespace of [...hosts, router]) await removeNamespace(namespace)
    },
  }
}

function notOurs(): Promise<never> {
  return Promise.reject(new Error("this is the neighbour's"))
}

/** Connects a home's router to its carrier. @returns its address there */
async function addCustomer(carrier: string, router: string, network: string, number: number): Promise<string> {
  const port = `home${number}`
  const address = `${network}.${number}`
  await addCable({ ns: carrier, device: port }, { ns: router, device: 'wan' })
  await ip(carrier, [`link set ${port} master lan`, `link set ${port} up`])
  await forward(router)
  await ip(router, ['link set wan up', `addr add ${address}/24 dev wan`, 'addr add fe80::2/64 dev wan nodad', `route add default via ${network}.1`, 'route add default via fe80::1 dev wan'])
  return address
}

/** The inner side of a router. Frames between those on it are none of the router's business, or its rules would change them. */
async function addBridge(router: string, settings: readonly string[]): Promise<void> {
  await ip(router, ['link add lan type bridge', 'link set lan up', ...settings])
  await inside(router, 'sh', ['-c', 'sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 2>/dev/null || true'])
}

async function addHosts(router: string, hosts: readonly string[], prefix: string, v6: string | undefined): Promise<void> {
  await addBridge(router, [`addr add ${prefix}.1/24 dev lan`, ...(v6 === undefined ? [] : [`addr add ${v6}::1/64 dev lan nodad`])])
  for (const [number, host] of hosts.entries()) {
    await addCable({ ns: router, device: `port${number}` }, { ns: host, device: 'eth0' })
    await ip(router, [`link set port${number} master lan`, `link set port${number} up`])
    await ip(host, [
      'link set eth0 up', `addr add ${prefix}.${10 + number}/24 dev eth0`, `route add default via ${prefix}.1`,
      ...(v6 === undefined ? [] : [`addr add ${v6}::${10 + number}/64 dev eth0 nodad`, `route add default via ${v6}::1`]),
    ])
  }
}

async function forward(ns: string): Promise<void> {
  await inside(ns, 'sysctl', ['-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'])
}

/** With no flow to drop conntrack fails; that is fine. */
async function dropFlows(ns: string, filter: readonly string[]): Promise<void> {
  await inside(ns, 'conntrack', filter.length === 0 ? ['-F'] : ['-D', ...filter]).catch(() => {})
}

/** What this machine must have for any of it. @returns what is missing */
export async function missingTools(): Promise<string[]> {
  const missing: string[] = []
  for (const tool of ['ip', 'nft', 'nsenter', 'sysctl', 'conntrack']) if (!(await installed(tool))) missing.push(tool)
  return missing
}

