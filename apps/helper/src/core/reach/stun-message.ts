/**
 * STUN binding requests and their answers (RFC 8489), as far as a client without credentials needs them. Bytes only: no sockets, no retries.
 */
import { type Endpoint, type Result, refuse, succeed } from '@harddrive-party/protocol'

/** RFC 8489 section 5. */
const MAGIC_COOKIE = 0x2112_a442
const HEADER_BYTES = 20
export const STUN_TRANSACTION_ID_BYTES = 12

const BINDING_REQUEST = 0x0001
const BINDING_SUCCESS = 0x0101
const BINDING_ERROR = 0x0111

const MAPPED_ADDRESS = 0x0001
const XOR_MAPPED_ADDRESS = 0x0020
const ERROR_CODE = 0x0009

/** Attributes read in one message: answers have about five; more is somebody wasting our time. */
const MAX_ATTRIBUTES = 64

export interface StunAnswer {
  /** 24 hex digits. */
  readonly transactionId: string
  readonly outcome:
    | { readonly type: 'mapped'; readonly endpoint: Endpoint }
    | { readonly type: 'error'; readonly code: number }
}

/** @param transactionId 12 random bytes; the answer carries them */
export function encodeBindingRequest(transactionId: Uint8Array): Uint8Array {
  if (transactionId.length !== STUN_TRANSACTION_ID_BYTES) throw new TypeError('a STUN transaction id has 12 bytes')
  const bytes = new Uint8Array(HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, BINDING_REQUEST)
  view.setUint16(2, 0)
  view.setUint32(4, MAGIC_COOKIE)
  bytes.set(transactionId, 8)
  return bytes
}

/** Whether a datagram on a socket shared with QUIC is STUN: two zero bits first, and the cookie. */
export function isStun(bytes: Uint8Array): boolean {
  return (
    bytes.length >= HEADER_BYTES && (bytes[0] ?? 0xff) < 0x40 &&
    bytes[4] === 0x21 && bytes[5] === 0x12 && bytes[6] === 0xa4 && bytes[7] === 0x42
  )
}

/** An answer to a binding request; everything else, requests included, is refused. */
export function decodeStunAnswer(bytes: Uint8Array): Result<StunAnswer> {
  if (!isStun(bytes)) return refuse('not-stun', 'no STUN header')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const type = view.getUint16(0)
  const length = view.getUint16(2)
  if (length % 4 !== 0 || HEADER_BYTES + length > bytes.length) return refuse('bad-length', 'the length does not fit the datagram')
  if (type !== BINDING_SUCCESS && type !== BINDING_ERROR) return refuse('unexpected-type', 'not an answer to a binding request')
  const transactionId = toHex(bytes.subarray(8, HEADER_BYTES))

  let plain: Endpoint | undefined
  let at = HEADER_BYTES
  const end = HEADER_BYTES + length
  for (let count = 0; at + 4 <= end; count++) {
    if (count === MAX_ATTRIBUTES) return refuse('too-many', 'too many attributes')
    const attribute = view.getUint16(at)
    const size = view.getUint16(at + 2)
    if (at + 4 + size > end) return refuse('bad-length', 'an attribute reaches past the end')
    const value = bytes.subarray(at + 4, at + 4 + size)
    if (type === BINDING_ERROR && attribute === ERROR_CODE) {
      if (size < 4) return refuse('bad-attribute', 'an error without a code')
      return succeed({ transactionId, outcome: { type: 'error', code: (value[2] ?? 0) % 8 * 100 + (value[3] ?? 0) % 100 } })
    }
    if (type === BINDING_SUCCESS && attribute === XOR_MAPPED_ADDRESS) {
      const endpoint = decodeAddress(value, bytes.subarray(4, HEADER_BYTES))
      return endpoint === undefined
        ? refuse('bad-attribute', 'an address that is none')
        : succeed({ transactionId, outcome: { type: 'mapped', endpoint } })
    }
    if (type === BINDING_SUCCESS && attribute === MAPPED_ADDRESS) plain ??= decodeAddress(value, undefined)
    // Values are padded to four bytes; the padding is not counted in `size`.
    at += 4 + size + ((4 - (size % 4)) % 4)
  }
  if (type === BINDING_ERROR) return succeed({ transactionId, outcome: { type: 'error', code: 0 } })
  return plain === undefined
    ? refuse('no-address', 'a success without an address')
    : succeed({ transactionId, outcome: { type: 'mapped', endpoint: plain } })
}

/** @param mask cookie and transaction id for the XOR form, undefined for the plain one */
function decodeAddress(value: Uint8Array, mask: Uint8Array | undefined): Endpoint | undefined {
  const family = value[1]
  const size = family === 1 ? 4 : family === 2 ? 16 : 0
  if (size === 0 || value.length !== 4 + size) return undefined
  // A copy, since it is written to; `slice` of a Buffer would be none.
  const plain = Uint8Array.from(value.subarray(2))
  if (mask !== undefined) {
    plain[0] = (plain[0] ?? 0) ^ (mask[0] ?? 0)
    plain[1] = (plain[1] ?? 0) ^ (mask[1] ?? 0)
    for (let i = 0; i < size; i++) plain[2 + i] = (plain[2 + i] ?? 0) ^ (mask[i] ?? 0)
  }
  const port = (plain[0] ?? 0) * 256 + (plain[1] ?? 0)
  if (port === 0) return undefined
  const address = plain.subarray(2)
  return { host: size === 4 ? address.join('.') : formatIPv6(address), port }
}

/** RFC 5952: lower case, the longest run of zero groups (the first of equals, two at least) as `::`. */
function formatIPv6(address: Uint8Array): string {
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push((address[i] ?? 0) * 256 + (address[i + 1] ?? 0))
  let best = { from: 0, count: 1 }
  for (let from = 0; from < 8; from++) {
    let count = 0
    while (groups[from + count] === 0) count++
    if (count > best.count) best = { from, count }
  }
  if (best.count === 1) return formatGroups(groups)
  return `${formatGroups(groups.slice(0, best.from))}::${formatGroups(groups.slice(best.from + best.count))}`
}

function formatGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':')
}

function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}
