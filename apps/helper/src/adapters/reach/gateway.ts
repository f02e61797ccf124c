/** Finds the routers that packets to the internet go through. Asks nobody; reads what the system knows, and guesses where it does not say. */
import { readFile } from 'node:fs/promises'
import { decodeHost, encodeHost } from '@harddrive-party/protocol'
import type { InterfaceAddress } from '../../core/reach/own-reach.ts'

export interface Gateway {
  readonly family: 4 | 6
  /** To send to; a link-local address carries its interface, `fe80::1%eth0`. */
  readonly host: string
  /** Name of the interface that leads there; null where it is a guess. */
  readonly interfaceName: string | null
}

/** Never rejects. At most one per family. */
export async function findGateways(interfaces: readonly InterfaceAddress[]): Promise<Gateway[]> {
  if (process.platform === 'linux') {
    const [v4, v6] = await Promise.all(['/proc/net/route', '/proc/net/ipv6_route'].map((path) => readFile(path, 'latin1').catch(() => '')))
    return [...parseV4Routes(v4 ?? ''), ...parseV6Routes(v6 ?? '')]
  }
  return guessGateways(interfaces)
}

const UP = 0x0001
const IS_GATEWAY = 0x0002

/** The default route with the lowest metric in `/proc/net/route`, whose addresses are hexadecimal in the byte order of the machine. */
export function parseV4Routes(text: string, littleEndian = true): Gateway[] {
  const routes = text.split('\n').flatMap((line) => {
    const [interfaceName = '', target = '', via = '', flags = '', , , metric = '', mask = ''] = line.trim().split(/\s+/)
    if (target !== '00000000' || mask !== '00000000' || !/^[0-9A-Fa-f]{8}$/.test(via) || !isUsable(flags)) return []
    const bytes = Uint8Array.from(Buffer.from(via, 'hex'))
    return [{ metric: Number(metric), gateway: { family: 4, host: decodeHost(littleEndian ? bytes.toReversed() : bytes), interfaceName } as const }]
  })
  return lowest(routes)
}

/** The same of `/proc/net/ipv6_route`, whose addresses are in network order and whose metric is hexadecimal. */
export function parseV6Routes(text: string): Gateway[] {
  const routes = text.split('\n').flatMap((line) => {
    const [target = '', length = '', , , via = '', metric = '', , , flags = '', interfaceName = ''] = line.trim().split(/\s+/)
    if (!/^0{32}$/.test(target) || length !== '00' || !/^[0-9a-f]{32}$/.test(via) || !isUsable(flags)) return []
    const host = decodeHost(Uint8Array.from(Buffer.from(via, 'hex')))
    return [{ metric: Number.parseInt(metric, 16), gateway: { family: 6, host: host.startsWith('fe80:') ? `${host}%${interfaceName}` : host, interfaceName } as const }]
  })
  return lowest(routes)
}

/** The first address of the network that we go to the internet from: where nearly every home router is. Only for private networks. */
export function guessGateways(interfaces: readonly InterfaceAddress[]): Gateway[] {
  const own = interfaces.find(({ family, preferred, virtual }) => family === 4 && preferred && !virtual)
  if (own === undefined || own.prefixBits < 8 || own.prefixBits > 30) return []
  const bytes = encodeHost(own.host)
  const hostBits = 32 - own.prefixBits
  const value = ((bytes[0] ?? 0) * 2 ** 24) + ((bytes[1] ?? 0) << 16) + ((bytes[2] ?? 0) << 8) + (bytes[3] ?? 0)
  const first = Math.floor(value / 2 ** hostBits) * 2 ** hostBits + 1
  const host = decodeHost(Uint8Array.of(first >>> 24, first >>> 16, first >>> 8, first))
  return host === own.host ? [] : [{ family: 4, host, interfaceName: null }]
}

function isUsable(flags: string): boolean {
  const value = Number.parseInt(flags, 16)
  return (value & UP) !== 0 && (value & IS_GATEWAY) !== 0
}

function lowest(routes: readonly { readonly metric: number; readonly gateway: Gateway }[]): Gateway[] {
  return routes.toSorted((a, b) => a.metric - b.metric).slice(0, 1).map(({ gateway }) => gateway)
}
