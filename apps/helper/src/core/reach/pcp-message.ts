/**
 * Port Control Protocol (RFC 6887): the MAP request and its answer, and ANNOUNCE, as far as a client that maps its own ports needs them. Bytes only.
 */
import { type Endpoint, type Result, decodeHost, encodeHost, refuse, succeed } from '@harddrive-party/protocol'

export const PCP_PORT = 5351
/** Where routers announce to everybody on the LAN that they have lost their state (also NAT-PMP's). */
export const PCP_ANNOUNCE_PORT = 5350
export const PCP_ANNOUNCE_GROUP = '224.0.0.1'
export const PCP_VERSION = 2
export const PCP_NONCE_BYTES = 12

const ANSWER_BIT = 0x80
const ANNOUNCE = 0
const MAP = 1
/** IANA's numbers. */
const PROTOCOLS = { tcp: 6, udp: 17 } as const
const HEADER_BYTES = 24
const MAP_BYTES = HEADER_BYTES + 36
/** Section 7: longer messages are invalid. */
const MAX_BYTES = 1100

/** Section 7.4; what is not here is handled like any other refusal. */
export const PCP_RESULTS = {
  ok: 0, 'unsupported-version': 1, 'not-authorized': 2, malformed: 3, 'unsupported-opcode': 4, 'network-failure': 7, 'no-resources': 8,
  'unsupported-protocol': 9, 'quota-exceeded': 10, 'no-such-outside-address': 11, 'address-mismatch': 12,
} as const

/** What a port is of. */
export type PortProtocol = keyof typeof PROTOCOLS

export interface PcpMapRequest {
  readonly of: PortProtocol
  /** 12 bytes; only who knows it may change the mapping later. */
  readonly nonce: Uint8Array
  /** Our address as the router sees it: the one this datagram is sent from. */
  readonly client: string
  readonly port: number
  /** What we would like, or had before; port 0 = no wish. */
  readonly wanted: Endpoint | null
  /** Seconds; 0 deletes the mapping. */
  readonly lifetime: number
}

export type PcpAnswer =
  | { readonly type: 'announce'; readonly result: number; readonly epoch: number }
  | {
    readonly type: 'map'
    /** See PCP_RESULTS; everything but 0 is a refusal, and the rest of the fields repeat the request. */
    readonly result: number
    /** Seconds that the mapping, or the refusal, lasts. */
    readonly lifetime: number
    /** Seconds since the router lost its state. */
    readonly epoch: number
    /** 24 hex digits. */
    readonly nonce: string
    readonly of: PortProtocol
    readonly port: number
    readonly outside: Endpoint
  }

/** @throws TypeError for a nonce of another length or an address that is none: they are ours */
export function encodePcpMap({ of, nonce, client, port, wanted, lifetime }: PcpMapRequest): Uint8Array {
  if (nonce.length !== PCP_NONCE_BYTES) throw new TypeError(`a PCP nonce has ${PCP_NONCE_BYTES} bytes`)
  const bytes = new Uint8Array(MAP_BYTES)
  const view = new DataView(bytes.buffer)
  bytes[0] = PCP_VERSION
  bytes[1] = MAP
  view.setUint32(4, lifetime)
  bytes.set(to16(client), 8)
  bytes.set(nonce, HEADER_BYTES)
  bytes[HEADER_BYTES + 12] = PROTOCOLS[of]
  view.setUint16(HEADER_BYTES + 16, port)
  view.setUint16(HEADER_BYTES + 18, wanted?.port ?? 0)
  // Without a wish, the all-zeros address of the family (section 11.1).
  bytes.set(to16(wanted?.host ?? (client.includes(':') ? '::' : '0.0.0.0')), HEADER_BYTES + 20)
  return bytes
}

/** Answers and announcements; requests and other opcodes are refused. Never throws. */
export function decodePcpAnswer(bytes: Uint8Array): Result<PcpAnswer> {
  if (bytes.length < HEADER_BYTES || bytes.length > MAX_BYTES || bytes.length % 4 !== 0) return refuse('bad-length', 'not the length of a PCP answer')
  if (bytes[0] !== PCP_VERSION) return refuse('bad-version', 'another version than PCP 2')
  const opcode = (bytes[1] ?? 0) & ~ANSWER_BIT
  if (((bytes[1] ?? 0) & ANSWER_BIT) === 0) return refuse('unexpected-type', 'a request')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const result = bytes[3] ?? 0
  const lifetime = view.getUint32(4)
  const epoch = view.getUint32(8)
  if (opcode === ANNOUNCE) return succeed({ type: 'announce', result, epoch })
  if (opcode !== MAP) return refuse('unexpected-type', 'an opcode that was not asked for')
  if (bytes.length < MAP_BYTES) return refuse('bad-length', 'a MAP answer that is cut off')
  const protocol = bytes[HEADER_BYTES + 12]
  if (protocol !== PROTOCOLS.udp && protocol !== PROTOCOLS.tcp) return refuse('unexpected-type', 'a mapping of another protocol')
  return succeed({
    type: 'map', result, lifetime, epoch,
    of: protocol === PROTOCOLS.udp ? 'udp' : 'tcp',
    nonce: toHex(bytes.subarray(HEADER_BYTES, HEADER_BYTES + PCP_NONCE_BYTES)),
    port: view.getUint16(HEADER_BYTES + 16),
    outside: { host: from16(bytes.slice(HEADER_BYTES + 20, HEADER_BYTES + 36)), port: view.getUint16(HEADER_BYTES + 18) },
  })
}

export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

/** IPv4 travels as IPv4-mapped IPv6 (section 5). */
function to16(host: string): Uint8Array {
  const bytes = encodeHost(host)
  if (bytes.length === 16) return bytes
  const mapped = new Uint8Array(16).fill(0xff, 10, 12)
  mapped.set(bytes, 12)
  return mapped
}

function from16(bytes: Uint8Array): string {
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  return decodeHost(mapped ? bytes.slice(12) : bytes)
}
