/** The router's half of PCP and NAT-PMP, for tests: reads requests, writes answers. */
import { type Endpoint, decodeHost, encodeHost } from '@harddrive-party/protocol'

export type RouterRequest =
  | { protocol: 'pcp'; of: 'udp' | 'tcp'; nonce: string; client: string; port: number; wanted: Endpoint; lifetime: number }
  | { protocol: 'nat-pmp-address' }
  | { protocol: 'nat-pmp-map'; of: 'udp' | 'tcp'; port: number; wantedPort: number; lifetime: number }

export function decodeRequest(bytes: Uint8Array): RouterRequest {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes[0] === 2) {
    return {
      protocol: 'pcp', of: bytes[36] === 6 ? 'tcp' : 'udp', nonce: Buffer.from(bytes.subarray(24, 36)).toString('hex'), client: host(bytes.slice(8, 24)), port: view.getUint16(40),
      wanted: { host: host(bytes.slice(44, 60)), port: view.getUint16(42) }, lifetime: view.getUint32(4),
    }
  }
  if (bytes[0] !== 0) throw new Error(`a request of version ${bytes[0]}`)
  if (bytes[1] === 0) return { protocol: 'nat-pmp-address' }
  return { protocol: 'nat-pmp-map', of: bytes[1] === 2 ? 'tcp' : 'udp', port: view.getUint16(4), wantedPort: view.getUint16(6), lifetime: view.getUint32(8) }
}

export function pcpMap(fields: { of?: 'udp' | 'tcp'; nonce: Uint8Array; port: number; outside: Endpoint; lifetime: number; epoch: number; result?: number }): Uint8Array {
  const bytes = new Uint8Array(60)
  const view = header(bytes, 0x81, fields)
  bytes.set(fields.nonce, 24)
  bytes[36] = fields.of === 'tcp' ? 6 : 17
  view.setUint16(40, fields.port)
  view.setUint16(42, fields.outside.port)
  const outside = encodeHost(fields.outside.host)
  bytes.set(outside.length === 16 ? outside : [...new Uint8Array(10), 255, 255, ...outside], 44)
  return bytes
}

export function pcpAnnounce(epoch: number): Uint8Array {
  const bytes = new Uint8Array(24)
  header(bytes, 0x80, { lifetime: 0, epoch })
  return bytes
}

/** "Unsupported version", as a router without PCP says it. */
export function natPmpRefusal(result: number): Uint8Array {
  return Uint8Array.of(0, 0x81, 0, result, 0, 0, 0, 1)
}

export function natPmpAddress(outside: string, epoch: number): Uint8Array {
  const bytes = new Uint8Array(12)
  bytes[1] = 0x80
  new DataView(bytes.buffer).setUint32(4, epoch)
  bytes.set(encodeHost(outside), 8)
  return bytes
}

export function natPmpMap(fields: { of?: 'udp' | 'tcp'; port: number; outsidePort: number; lifetime: number; epoch: number; result?: number }): Uint8Array {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  bytes[1] = fields.of === 'tcp' ? 0x82 : 0x81
  view.setUint16(2, fields.result ?? 0)
  view.setUint32(4, fields.epoch)
  view.setUint16(8, fields.port)
  view.setUint16(10, fields.outsidePort)
  view.setUint32(12, fields.lifetime)
  return bytes
}

function header(bytes: Uint8Array, opcode: number, { lifetime, epoch, result = 0 }: { lifetime: number; epoch: number; result?: number }): DataView {
  const view = new DataView(bytes.buffer)
  bytes[0] = 2
  bytes[1] = opcode
  bytes[3] = result
  view.setUint32(4, lifetime)
  view.setUint32(8, epoch)
  return view
}

function host(bytes: Uint8Array): string {
  const isV4 = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255
  return decodeHost(isV4 ? bytes.slice(12) : bytes)
}
