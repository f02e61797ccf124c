/** The kinds of routers as nftables rules. Text only; what they do is verified by experiment in checks.ts. */

/**
 * - `open`: routed, unfiltered
 * - `firewall`: routed, only answers come in
 * - `full`, `address`, `port`: one public port per socket, whoever it sends to; they differ in whom they let answer: anybody, any port of an
 *   address that was sent to, exactly the address and port
 * - `random`: a fresh random port for each destination
 * - `block`: the same within a small block of ports, as carriers assign them
 * - `counting`: the next port for each destination
 * - `udp-blocked`: no UDP either way
 */
export type NatKindName = 'open' | 'firewall' | 'full' | 'address' | 'port' | 'random' | 'block' | 'counting' | 'udp-blocked'

export interface RouterRules {
  readonly kind: NatKindName
  /** Its address on `wan`, which it translates to. */
  readonly publicAddress: string
  /** What it does with packets for itself that answer nothing. */
  readonly input: 'drop' | 'reject' | 'accept'
  readonly ipv6: 'open' | 'firewall'
  /** First and last port of a `block`. */
  readonly ports?: readonly [number, number]
  /** From one port to the next of a `counting` one. */
  readonly step?: number
  /** The port `counting` begins with. */
  readonly firstPort?: number
  /** UDP flows it can hold. */
  readonly flowLimit?: number
  /** Hosts inside reach each other by their public endpoints. Only with an endpoint-independent mapping. */
  readonly hairpin?: boolean
}

/** `counting` begins again after this many; more than a run uses, few enough to load quickly. */
const COUNTED_PORTS = 8_000

const NATS: ReadonlySet<NatKindName> = new Set(['full', 'address', 'port', 'random', 'block', 'counting', 'udp-blocked'])

/**
 * Rules for a router with devices `wan` and `lan`. Everything is in one table, with the chains miniupnpd adds its own rules to. Loading them
 * again replaces the rules; what connections are tracked stays.
 */
export function formatRouterRules(rules: RouterRules): string {
  const nat = NATS.has(rules.kind)
  return `
table inet filter {
}
delete table inet filter
table inet filter {
  map inbound {
    type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; size 65535; timeout 600s;
  }
  set contacted {
    type inet_service . ipv4_addr; flags dynamic,timeout; size 65535; timeout 600s;
  }
  chain miniupnpd {
  }
  chain prerouting_miniupnpd {
  }
  chain postrouting_miniupnpd {
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ${rules.kind === 'udp-blocked' ? 'meta l4proto udp drop' : ''}
    ${rules.flowLimit === undefined ? '' : `iifname "lan" meta l4proto udp ct state new ct count over ${rules.flowLimit} drop`}
    jump miniupnpd
    iifname "wan" ct state established,related accept
    iifname "wan" meta l4proto { icmp, ipv6-icmp } accept
    iifname "wan" ct status dnat accept
    ${rules.ipv6 === 'open' ? 'iifname "wan" meta nfproto ipv6 accept' : ''}
    ${rules.kind === 'open' ? '' : 'iifname "wan" drop'}
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "wan" ct state established,related accept
    iifname "wan" meta l4proto { icmp, ipv6-icmp } accept
    ${rules.input === 'accept' ? '' : `iifname "wan" ${rules.input}`}
  }
  chain prerouting {
    type nat hook prerouting priority dstnat;
    jump prerouting_miniupnpd
${destinationRules(rules)}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    jump postrouting_miniupnpd
${nat ? sourceRules(rules) : ''}
  }
  chain learn {
    type filter hook postrouting priority srcnat + 50;
${nat ? learnRules(rules) : ''}
  }
}
`
}

/** Whom a socket's public port lets in: what was learnt from what it sent. */
function destinationRules({ kind, hairpin, publicAddress }: RouterRules): string {
  const lines: string[] = []
  if (kind === 'full') lines.push('iifname "wan" meta l4proto udp dnat ip to udp dport map @inbound')
  if (kind === 'address') lines.push('iifname "wan" meta l4proto udp udp dport . ip saddr @contacted dnat ip to udp dport map @inbound')
  if (hairpin === true) lines.push(`iifname "lan" ip daddr ${publicAddress} meta l4proto udp dnat ip to udp dport map @inbound`)
  return lines.map((line) => `    ${line}`).join('\n')
}

function sourceRules({ kind, publicAddress, ports = [40_000, 40_511], step = 1, firstPort = 20_000, hairpin }: RouterRules): string {
  const lines: string[] = []
  // Answered by a host inside: the packet must come back through the router, from the sender's public endpoint.
  if (hairpin === true) lines.push(`oifname "lan" iifname "lan" meta l4proto udp ct status dnat snat ip to ${publicAddress}`)
  const out = 'oifname "wan" meta nfproto ipv4'
  if (kind === 'random') lines.push(`${out} masquerade fully-random`)
  else if (kind === 'block') lines.push(`${out} meta l4proto udp snat ip to ${publicAddress}:${ports[0]}-${ports[1]} fully-random`)
  else if (kind === 'counting') {
    const elements = Array.from({ length: COUNTED_PORTS }, (_, index) => `${index} : ${firstPort + index * step}`)
    lines.push(`${out} meta l4proto udp snat ip to ${publicAddress} : numgen inc mod ${COUNTED_PORTS} map { ${elements.join(', ')} }`)
  }
  if (kind !== 'random') lines.push(`${out} masquerade`)
  return lines.map((line) => `    ${line}`).join('\n')
}

function learnRules({ kind, hairpin }: RouterRules): string {
  const lines: string[] = []
  const out = 'oifname "wan" meta nfproto ipv4 meta l4proto udp'
  if (kind === 'full' || kind === 'address' || hairpin === true) {
    lines.push(`${out} update @inbound { ct reply proto-dst : ct original ip saddr . ct original proto-src }`)
  }
  if (kind === 'address') lines.push(`${out} update @contacted { ct reply proto-dst . ip daddr }`)
  return lines.map((line) => `    ${line}`).join('\n')
}
