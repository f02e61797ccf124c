/** Reads the addresses of this machine's network interfaces. Judges only which of them another machine could use. */
import { networkInterfaces } from 'node:os'

export interface InterfaceAddress {
  readonly host: string
  readonly family: 4 | 6
}

/** Addresses that others may reach: neither loopback nor link-local, each once, IPv4 first. */
export function readInterfaces(): InterfaceAddress[] {
  const found = new Map<string, InterfaceAddress>()
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, family, internal } of addresses ?? []) {
      if (internal || isLinkLocal(address)) continue
      found.set(address, { host: address, family: family === 'IPv4' ? 4 : 6 })
    }
  }
  return [...found.values()].sort((a, b) => a.family - b.family || (a.host < b.host ? -1 : 1))
}

/** RFC 3927 and RFC 4291: usable only with an interface name, which means nothing on another machine. */
export function isLinkLocal(host: string): boolean {
  return host.startsWith('169.254.') || /^fe[89ab][0-9a-f]:/i.test(host)
}
