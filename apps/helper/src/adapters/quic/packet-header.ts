/** What can be read of a QUIC packet without keys (RFC 8999, RFC 9000 section 17), and no more of it than we need. Decrypts nothing. */
import { CID_BYTES, PROBE_BYTES, PUNCH_BYTES, PUNCH_DATAGRAMS } from '@harddrive-party/protocol'

export interface LongHeader {
  /** A QUIC version 1 packet that opens a connection. */
  readonly initial: boolean
  readonly dcid: Buffer
  readonly scid: Buffer
}

const VERSION_1 = 1
const MAX_CID_BYTES = 20

/** Connection ID as map key: one character per byte. */
export function cidKey(cid: Uint8Array): string {
  return Buffer.from(cid.buffer, cid.byteOffset, cid.length).toString('latin1')
}

/** The connection ID in a short header has no length of its own: all of ours have the same. @returns null for packets too short to be one */
export function shortHeaderCidKey(packet: Buffer): string | null {
  return packet.length > CID_BYTES ? packet.toString('latin1', 1, 1 + CID_BYTES) : null
}

/**
 * The size of the packets in several that came at once, all for one connection and end to end, all of one size but the last: where its ID comes next.
 * @param packets the first has a short header
 */
export function coalescedSize(packets: Buffer): number {
  const next = packets.indexOf(packets.subarray(1, 1 + CID_BYTES), 1 + CID_BYTES)
  return next === -1 ? packets.length : next - 1
}

/** @returns null for what is no long header of version 1 */
export function parseLongHeader(packet: Buffer): LongHeader | null {
  if (packet.length < 7 || packet.readUInt32BE(1) !== VERSION_1) return null
  const dcidEnd = 6 + packet[5]!
  if (packet[5]! > MAX_CID_BYTES || packet.length <= dcidEnd) return null
  const scidLength = packet[dcidEnd]!
  const scidEnd = dcidEnd + 1 + scidLength
  if (scidLength > MAX_CID_BYTES || packet.length < scidEnd) return null
  return { initial: (packet[0]! & 0x30) === 0, dcid: packet.subarray(6, dcidEnd), scid: packet.subarray(dcidEnd + 1, scidEnd) }
}

/** Datagrams of our own kinds, which the kernel may have handed over end to end: those of one sender that have one size. */
export function splitOwnDatagrams(bytes: Buffer): Buffer[] {
  const size = (bytes[0] ?? 0) < PUNCH_DATAGRAMS.knock ? PROBE_BYTES : PUNCH_BYTES
  if (bytes.length <= size || bytes.length % size !== 0) return [bytes]
  return Array.from({ length: bytes.length / size }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
}

/** Whom a packet is counted against: an IPv4 address, or the /64 of an IPv6 one, which is one customer's. */
export function sourceNetwork(host: string): string {
  if (!host.includes(':')) return host
  const [head = '', tail] = host.split('%')[0]!.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':')
    while (groups.length + after.length < 8) groups.push('0')
    groups.push(...after)
  }
  return groups.slice(0, 4).join(':')
}

export function isLoopback(host: string): boolean {
  return host.startsWith('127.') || host === '::1'
}
