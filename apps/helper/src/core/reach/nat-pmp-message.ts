/** NAT-PMP (RFC 6886), PCP's predecessor on the same port: asking for the outside address and for mappings. Bytes only. */
import { type Result, decodeHost, refuse, succeed } from '@harddrive-party/protocol'
import type { PortProtocol } from './pcp-message.ts'

const VERSION = 0
const ANSWER_BIT = 0x80
const OUTSIDE_ADDRESS = 0
const MAP = { udp: 1, tcp: 2 } as const
const HEADER_BYTES = 8

/** Section 3.5; the rest is handled like any other refusal. */
export const NAT_PMP_RESULTS = { ok: 0, 'unsupported-version': 1, 'not-authorized': 2, 'network-failure': 3, 'no-resources': 4, 'unsupported-opcode': 5 } as const

export type NatPmpAnswer =
  /** To a request of a version or opcode that the router does not know: it speaks NAT-PMP, and this is all it says. */
  | { readonly type: 'refusal'; readonly result: number }
  | { readonly type: 'address'; readonly result: number; readonly epoch: number; readonly host: string }
  | { readonly type: 'map'; readonly of: PortProtocol; readonly result: number; readonly epoch: number; readonly port: number; readonly outsidePort: number; readonly lifetime: number }

export function encodeNatPmpAddressRequest(): Uint8Array {
  return Uint8Array.of(VERSION, OUTSIDE_ADDRESS)
}

/** @param lifetime seconds; 0 deletes, and then `wantedPort` must be 0 */
export function encodeNatPmpMap(wish: { readonly of: PortProtocol; readonly port: number; readonly wantedPort: number; readonly lifetime: number }): Uint8Array {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  bytes[0] = VERSION
  bytes[1] = MAP[wish.of]
  view.setUint16(4, wish.port)
  view.setUint16(6, wish.wantedPort)
  view.setUint32(8, wish.lifetime)
  return bytes
}

/** Never throws. */
export function decodeNatPmpAnswer(bytes: Uint8Array): Result<NatPmpAnswer> {
  if (bytes.length < HEADER_BYTES || bytes.length > 64) return refuse('bad-length', 'not the length of a NAT-PMP answer')
  if (bytes[0] !== VERSION) return refuse('bad-version', 'another version than NAT-PMP 0')
  const type = bytes[1] ?? 0
  if ((type & ANSWER_BIT) === 0) return refuse('unexpected-type', 'a request')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const result = view.getUint16(2)
  const epoch = view.getUint32(4)
  if (type === (ANSWER_BIT | OUTSIDE_ADDRESS) && bytes.length >= 12) return succeed({ type: 'address', result, epoch, host: decodeHost(bytes.slice(8, 12)) })
  const of = type === (ANSWER_BIT | MAP.udp) ? 'udp' : type === (ANSWER_BIT | MAP.tcp) ? 'tcp' : null
  if (of !== null && bytes.length >= 16) {
    return succeed({ type: 'map', of, result, epoch, port: view.getUint16(8), outsidePort: view.getUint16(10), lifetime: view.getUint32(12) })
  }
  return result === NAT_PMP_RESULTS.ok ? refuse('unexpected-type', 'an answer to nothing that was asked') : succeed({ type: 'refusal', result })
}
