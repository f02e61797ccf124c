import { type Fault, type Result, refuse, succeed } from './result.ts'

/** Reads, writes and classifies IP addresses and ports. It resolves no names and opens nothing. */

/** An IP address and a UDP or TCP port. `host` is a literal in canonical text form, IPv6 without brackets; never a name. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

export type AddressFamily = 4 | 6

/**
 * An address at which somebody may be reachable, and how it became known: an interface of the owner, what a STUN server saw, a port mapping in the router,
 * told by the peer in `hello`, from a signed record, seen on the local network, or one that has worked before.
 */
export interface ReachCandidate {
  readonly endpoint: Endpoint
  readonly source: 'interface' | 'stun' | 'mapping' | 'peer' | 'record' | 'lan' | 'worked'
}

/** `192.0.2.1:4433` or `[2001:db8::1]:4433`. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** The longest text of an endpoint: a bracketed IPv6 address with an IPv4 tail, and a port. */
const MAX_ENDPOINT_LENGTH = 53
const MAX_HOST_LENGTH = 45
const BRACKETED = /^\[([0-9a-f:.]+)\]:([0-9]{1,5})$/i
const DOTTED = /^([0-9.]+):([0-9]{1,5})$/

/** Reads what `formatEndpoint` writes, in any spelling of the address; the port is 1 to 65535 without leading zeros. */
export function parseEndpoint(text: string): Result<Endpoint, Fault<'bad-address'>> {
  if (text.length > MAX_ENDPOINT_LENGTH) return badAddress('an address is too long')
  const match = BRACKETED.exec(text) ?? DOTTED.exec(text)
  if (!match) return badAddress('an address is written 192.0.2.1:4433 or [2001:db8::1]:4433')
  const [, hostText = '', portText = ''] = match
  const host = parseHost(hostText)
  if (!host.ok) return host
  if (text.startsWith('[') !== host.value.includes(':')) return badAddress('only IPv6 addresses are written in brackets')
  const port = Number(portText)
  if (port < 1 || port > 65535 || portText.startsWith('0')) return badAddress('a port is a number from 1 to 65535')
  return succeed({ host: host.value, port })
}

/** Reads an IP literal into its one canonical form (RFC 5952). Names, zone identifiers, brackets and octal or short IPv4 forms are refused. */
export function parseHost(text: string): Result<string, Fault<'bad-address'>> {
  if (text.length > MAX_HOST_LENGTH) return badAddress('an address is too long')
  const bytes = text.includes(':') ? readV6(text) : readV4(text)
  return bytes ? succeed(decodeHost(bytes)) : badAddress('not an IP address')
}

/** @param host a canonical literal */
export function addressFamily(host: string): AddressFamily {
  return host.includes(':') ? 6 : 4
}

/**
 * @param host an IP literal
 * @returns 4 or 16 bytes in network order
 * @throws TypeError when it is not a literal: hosts inside the program are
 */
export function encodeHost(host: string): Uint8Array {
  const bytes = host.includes(':') ? readV6(host) : readV4(host)
  if (!bytes) throw new TypeError('not an IP address')
  return bytes
}

/** @param bytes 4 or 16 bytes @returns the canonical literal (RFC 5952) */
export function decodeHost(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) throw new TypeError(`an address has 4 or 16 bytes, not ${bytes.length}`)
  if (isMapped(bytes)) return `::ffff:${bytes.subarray(12).join('.')}`
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0))
  const { start, length } = longestZeroRun(groups)
  return length < 2 ? formatGroups(groups) : `${formatGroups(groups.slice(0, start))}::${formatGroups(groups.slice(start + length))}`
}

function formatGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':')
}

/** Where an address can be reached from. `shared` is the carrier NAT range 100.64/10, `reserved` what nobody should send to. */
export type AddressScope = 'loopback' | 'private' | 'link-local' | 'shared' | 'multicast' | 'unspecified' | 'reserved' | 'public'

/** From the registries of special-purpose addresses (RFC 6890 and its updates); IPv4 inside IPv6 counts as that IPv4. @param host an IP literal */
export function addressScope(host: string): AddressScope {
  const bytes = encodeHost(host)
  if (bytes.length === 4) return scopeOfV4(bytes)
  return isMapped(bytes) ? scopeOfV4(bytes.subarray(12)) : scopeOfV6(bytes)
}

function scopeOfV4(bytes: Uint8Array): AddressScope {
  const [a = 0, b = 0, c = 0, d = 0] = bytes
  if (a === 0) return b === 0 && c === 0 && d === 0 ? 'unspecified' : 'reserved'
  if (a === 127) return 'loopback'
  if (a === 10 || (a === 172 && b >= 16 && b <= 31) || (a === 192 && b === 168)) return 'private'
  if (a === 169 && b === 254) return 'link-local'
  if (a === 100 && b >= 64 && b <= 127) return 'shared'
  if (a >= 224 && a <= 239) return 'multicast'
  if (a >= 240) return 'reserved'
  // Protocol assignments, documentation, benchmarks.
  if (a === 192 && b === 0 && (c === 0 || c === 2)) return 'reserved'
  if (a === 198 && (b === 18 || b === 19 || (b === 51 && c === 100))) return 'reserved'
  if (a === 203 && b === 0 && c === 113) return 'reserved'
  return 'public'
}

function scopeOfV6(bytes: Uint8Array): AddressScope {
  const [a = 0, b = 0, c = 0, d = 0] = bytes
  if (bytes.subarray(0, 15).every((byte) => byte === 0)) {
    if (bytes[15] === 0) return 'unspecified'
    if (bytes[15] === 1) return 'loopback'
  }
  if (a === 0xff) return 'multicast'
  if (a === 0xfe && (b & 0xc0) === 0x80) return 'link-local'
  if ((a & 0xfe) === 0xfc) return 'private'
  // Global unicast is 2000::/3; in it, documentation is reserved.
  if ((a & 0xe0) !== 0x20) return 'reserved'
  if (a === 0x20 && b === 0x01 && c === 0x0d && d === 0xb8) return 'reserved'
  if (a === 0x3f && b === 0xff && (c & 0xf0) === 0) return 'reserved'
  return 'public'
}

function badAddress(message: string) {
  return refuse('bad-address', message)
}

const V4_PART = /^(?:0|[1-9][0-9]{0,2})$/

function readV4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => V4_PART.test(part) && Number(part) <= 255)) return undefined
  return Uint8Array.from(parts, Number)
}

const V6_GROUP = /^[0-9a-f]{1,4}$/i

function readV6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':')))
  if (!head) return undefined
  const left = readGroups(head, tail === undefined)
  const right = tail === undefined ? [] : readGroups(tail, true)
  if (!left || !right) return undefined
  const missing = 16 - left.length - right.length
  // `::` stands for at least one group.
  if (tail === undefined ? missing !== 0 : missing < 2) return undefined
  return Uint8Array.from([...left, ...Array.from({ length: missing }, () => 0), ...right])
}

/** @param mayEndInV4 whether these are the last groups of the address */
function readGroups(groups: readonly string[], mayEndInV4: boolean): number[] | undefined {
  const bytes: number[] = []
  for (const [i, group] of groups.entries()) {
    if (V6_GROUP.test(group)) {
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 0xff)
      continue
    }
    const v4 = mayEndInV4 && i === groups.length - 1 ? readV4(group) : undefined
    if (!v4) return undefined
    bytes.push(...v4)
  }
  return bytes
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
}

/** The first of the longest runs of zero groups. */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
    start += length
  }
  return best
}
