import { asciiBytes, concatBytes, equalBytes } from './bytes.ts'
import { type Hmac, nobleHmac } from './hmac.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'

/**
 * Tells apart what arrives on the one UDP port, and makes and checks our own datagrams: path probes and their echoes.
 * It keeps no state and does not look into QUIC or STUN beyond their first bytes.
 */

/** `own`: a datagram of ours, of a type that may be unknown. `unknown`: none of these, to be dropped in silence. */
export type DatagramKind = 'stun' | 'own' | 'quic-short' | 'quic-long' | 'unknown'

const STUN_HEADER_BYTES = 20
/** First byte of our own datagrams, 0x30 to 0x3f: top bits 00 keep clear of QUIC, the next two of STUN, ZRTP and TURN channels (RFC 7983). */
const OWN_FIRST = 0x30
const OWN_LAST = 0x3f

/** By the first byte (RFC 9443 with our own range), and the magic cookie for STUN (RFC 8489). */
export function classifyDatagram(bytes: Uint8Array): DatagramKind {
  const first = bytes[0]
  if (first === undefined) return 'unknown'
  if (first >= 0xc0) return 'quic-long'
  if (first >= 0x80) return 'unknown'
  if (first >= 0x40) return 'quic-short'
  if (first >= OWN_FIRST && first <= OWN_LAST) return 'own'
  return first < 0x04 && hasMagicCookie(bytes) ? 'stun' : 'unknown'
}

function hasMagicCookie(bytes: Uint8Array): boolean {
  return bytes.length >= STUN_HEADER_BYTES && bytes[4] === 0x21 && bytes[5] === 0x12 && bytes[6] === 0xa4 && bytes[7] === 0x42
}

/** First bytes of our own datagrams. 0x32 and 0x33 are those of punch-packet.ts, the rest is free; who does not know a type drops it. */
export const OWN_DATAGRAMS = { probe: 0x30, echo: 0x31 } as const
export type OwnDatagram = keyof typeof OWN_DATAGRAMS

export const PATH_KEY_BYTES = 16
export const PROBE_NONCE_BYTES = 8
const PROBE_TAG_BYTES = 12
/** Type, nonce, HMAC: an echo is exactly as long as its probe, so nobody's traffic is multiplied. */
export const PROBE_BYTES = 1 + PROBE_NONCE_BYTES + PROBE_TAG_BYTES

const LABELS = { probe: asciiBytes('hdp/1 path probe'), echo: asciiBytes('hdp/1 path echo') } as const

export type ProbeFault = Fault<'wrong-length' | 'wrong-type' | 'wrong-tag'>

/** Type of one of our own datagrams; undefined for types we do not know and for lengths that no such type has. */
export function ownDatagramType(bytes: Uint8Array): OwnDatagram | undefined {
  if (bytes.length !== PROBE_BYTES) return undefined
  if (bytes[0] === OWN_DATAGRAMS.probe) return 'probe'
  return bytes[0] === OWN_DATAGRAMS.echo ? 'echo' : undefined
}

/**
 * Asks whoever is at a new address to show that it is the peer.
 * @param nonce 8 random bytes, remembered until the echo comes
 * @param key 16 bytes: the path key that the receiver of this datagram gave in its hello
 */
export function encodeProbe(nonce: Uint8Array, key: Uint8Array, hmac: Hmac = nobleHmac): Uint8Array {
  return encode('probe', nonce, key, hmac)
}

/** @param key the path key that we gave to this peer @returns the nonce, 8 bytes, to be echoed to where the probe came from */
export function decodeProbe(bytes: Uint8Array, key: Uint8Array, hmac: Hmac = nobleHmac): Result<Uint8Array, ProbeFault> {
  return decode('probe', bytes, key, hmac)
}

/** @param nonce from the probe @param key the path key that the receiver of this datagram, the prober, gave in its hello */
export function encodeEcho(nonce: Uint8Array, key: Uint8Array, hmac: Hmac = nobleHmac): Uint8Array {
  return encode('echo', nonce, key, hmac)
}

/** @param key the path key that we gave to this peer @returns the nonce, 8 bytes: it must be one that we are waiting for, from the address it was sent to */
export function decodeEcho(bytes: Uint8Array, key: Uint8Array, hmac: Hmac = nobleHmac): Result<Uint8Array, ProbeFault> {
  return decode('echo', bytes, key, hmac)
}

function encode(type: OwnDatagram, nonce: Uint8Array, key: Uint8Array, hmac: Hmac): Uint8Array {
  if (nonce.length !== PROBE_NONCE_BYTES) throw new TypeError(`a probe nonce has ${PROBE_NONCE_BYTES} bytes, not ${nonce.length}`)
  return concatBytes(Uint8Array.of(OWN_DATAGRAMS[type]), nonce, tagOf(type, nonce, key, hmac))
}

function decode(type: OwnDatagram, bytes: Uint8Array, key: Uint8Array, hmac: Hmac): Result<Uint8Array, ProbeFault> {
  if (bytes.length !== PROBE_BYTES) return refuse('wrong-length', `a ${type} has ${PROBE_BYTES} bytes`)
  if (bytes[0] !== OWN_DATAGRAMS[type]) return refuse('wrong-type', `not a ${type}`)
  const nonce = bytes.slice(1, 1 + PROBE_NONCE_BYTES)
  const tag = bytes.subarray(1 + PROBE_NONCE_BYTES)
  return equalBytes(tag, tagOf(type, nonce, key, hmac)) ? succeed(nonce) : refuse('wrong-tag', `a ${type} was made with another key`)
}

function tagOf(type: OwnDatagram, nonce: Uint8Array, key: Uint8Array, hmac: Hmac): Uint8Array {
  return hmac(key, concatBytes(LABELS[type], nonce)).subarray(0, PROBE_TAG_BYTES)
}
