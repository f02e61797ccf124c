/** Reads the addresses of this machine's network interfaces, and which of them the system would use. Judges only which another machine could use. */
import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { decodeHost } from '@harddrive-party/protocol'
import type { InterfaceAddress } from '../../core/reach/own-reach.ts'

export type { InterfaceAddress } from '../../core/reach/own-reach.ts'

/** What {@link readInterfaces} cannot know by itself; found by {@link readAddressFacts}. */
export interface AddressFacts {
  /** Addresses that packets to the internet leave with. */
  readonly preferred: ReadonlySet<string>
  readonly temporary: ReadonlySet<string>
  /** IPv6 addresses that are on their way out, or not usable yet. */
  readonly unusable: ReadonlySet<string>
}

export const NO_ADDRESS_FACTS: AddressFacts = { preferred: new Set(), temporary: new Set(), unusable: new Set() }

/** Containers, virtual machines, VPNs and phones' private links, by the names that Linux, macOS and Windows give them. */
const VIRTUAL = /^(docker|br-[0-9a-f]{8}|veth|virbr|vmnet|vboxnet|lxc|lxd|cni|cali|flannel|podman|tun|tap|utun|wg|tailscale|zt|ppp|ipsec|nordlynx|proton|awdl|llw|anpi|bridge1\d\d|vEthernet|VMware|VirtualBox|Hyper-V|Tailscale|WireGuard|OpenVPN|ZeroTier)/

/** More addresses than any machine has that a person shares folders from. */
const MAX_ADDRESSES = 64

/** Addresses that others may reach: neither loopback nor link-local, each once, IPv4 first. Costs a tenth of a millisecond. */
export function readInterfaces(facts: AddressFacts = NO_ADDRESS_FACTS): InterfaceAddress[] {
  const found = new Map<string, InterfaceAddress>()
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { address: host, family, internal, cidr } of addresses ?? []) {
      if (internal || isLinkLocal(host) || facts.unusable.has(host) || found.size >= MAX_ADDRESSES) continue
      found.set(host, {
        host, name,
        family: family === 'IPv4' ? 4 : 6,
        prefixBits: Number(cidr?.split('/')[1] ?? (family === 'IPv4' ? 32 : 128)),
        virtual: VIRTUAL.test(name),
        temporary: facts.temporary.has(host),
        preferred: facts.preferred.has(host),
      })
    }
  }
  return [...found.values()].sort((a, b) => a.family - b.family || (a.host < b.host ? -1 : 1))
}

/** Sends nothing. Never rejects: what a system does not tell stays unknown. */
export async function readAddressFacts(): Promise<AddressFacts> {
  const [v4, v6, flags] = await Promise.all([sourceTowards('udp4', '192.0.2.1'), sourceTowards('udp6', '2001:db8::1'), readV6Flags()])
  return { preferred: new Set([v4, v6].filter((host) => host !== null)), ...flags }
}

/**
 * Connecting a UDP socket sends no packet; it makes the system choose a route and the address to go with it. The targets are addresses that nobody has:
 * only the default route leads there.
 */
function sourceTowards(type: 'udp4' | 'udp6', target: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = createSocket(type)
    const end = (host: string | null): void => {
      socket.close()
      resolve(host)
    }
    socket.once('error', () => end(null))
    socket.connect(9, target, () => end(socket.address().address))
  })
}

const TEMPORARY = 0x01
/** Optimistic counts as usable: the system sends with it. */
const UNUSABLE = 0x08 | 0x20 | 0x40

/** Linux says in one small file which IPv6 addresses are temporary, deprecated, tentative or duplicates. Other systems hide it from programs without C. */
async function readV6Flags(): Promise<{ temporary: Set<string>; unusable: Set<string> }> {
  const text = process.platform === 'linux' ? await readFile('/proc/net/if_inet6', 'latin1').catch(() => '') : ''
  return parseV6Flags(text)
}

/** @param text `/proc/net/if_inet6`: address, index, prefix length, scope, flags (all hexadecimal) and name on each line */
export function parseV6Flags(text: string): { temporary: Set<string>; unusable: Set<string> } {
  const temporary = new Set<string>()
  const unusable = new Set<string>()
  for (const line of text.split('\n')) {
    const [address = '', , , , flagText = ''] = line.trim().split(/\s+/)
    if (!/^[0-9a-f]{32}$/.test(address)) continue
    const host = decodeHost(Uint8Array.from(Buffer.from(address, 'hex')))
    const flags = Number.parseInt(flagText, 16)
    if ((flags & TEMPORARY) !== 0) temporary.add(host)
    if ((flags & UNUSABLE) !== 0) unusable.add(host)
  }
  return { temporary, unusable }
}

/** RFC 3927 and RFC 4291: usable only with an interface name, which means nothing on another machine. */
export function isLinkLocal(host: string): boolean {
  return host.startsWith('169.254.') || /^fe[89ab][0-9a-f]:/i.test(host)
}
