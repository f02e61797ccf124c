/** Which of this machine's addresses, and of those that speak to it, belong to a local network. */
import { BlockList, isIPv6 } from 'node:net'
import { hostname } from 'node:os'
import { readInterfaces } from './interfaces.ts'

const LOCAL = new BlockList()
for (const [network, length] of [['10.0.0.0', 8], ['172.16.0.0', 12], ['192.168.0.0', 16], ['100.64.0.0', 10], ['169.254.0.0', 16], ['127.0.0.0', 8]] as const) LOCAL.addSubnet(network, length, 'ipv4')
for (const [network, length] of [['fc00::', 7], ['fe80::', 10], ['::1', 128]] as const) LOCAL.addSubnet(network, length, 'ipv6')

/** Whether an address is of a local network or of this machine: nobody on the internet has it. */
export function isLocalAddress(address: string): boolean {
  const [plain = ''] = address.replace(/^::ffff:(?=\d+\.)/i, '').split('%')
  return LOCAL.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
}

/** Addresses that phones in the house can reach: real interfaces before those of containers and tunnels, IPv4 first. */
export function readLanAddresses(): string[] {
  return readInterfaces().filter(({ host }) => isLocalAddress(host)).sort((a, b) => Number(a.virtual) - Number(b.virtual)).map(({ host }) => host)
}

/** The machine's own name without its domain, lower case; empty where it has none that a certificate could name. */
export function ownHostName(): string {
  const [label = ''] = hostname().toLowerCase().split('.')
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label) && label !== 'localhost' ? label : ''
}
