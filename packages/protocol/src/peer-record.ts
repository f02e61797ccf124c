import { asciiBytes, concatBytes } from './bytes.ts'
import { type ReachCandidate, addressScope, decodeHost, encodeHost, formatEndpoint } from './endpoint.ts'
import { verify as nobleVerify } from './identity.ts'
import { KNOCK_SECRET_BYTES } from './knock.ts'
import { NAT_KINDS, type NatKind } from './nat-kind.ts'
import { type PeerId, peerIdFromKey, peerIdToKey } from './peer-id.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'

/**
 * Reads and writes the peer record: where and how a helper can be reached now, said and signed by itself, so that others can pass it on without being
 * trusted. It compares records; it decides neither who may have one nor what is done with it.
 */

/** How the owner of a record came to know one of its addresses. */
export const RECORD_SOURCES = ['interface', 'stun', 'mapping', 'peer'] as const
export type RecordSource = (typeof RECORD_SOURCES)[number]

export interface RecordAddress extends ReachCandidate {
  readonly source: RecordSource
}

export interface PeerRecord {
  /** Whose record it is: the key that signed it. */
  readonly peerId: PeerId
  /** Of two records of one key the one with the higher sequence is true. Milliseconds since 1970 serve, as long as they only grow. */
  readonly sequence: number
  /** Milliseconds since 1970. */
  readonly issuedAt: number
  /** From then on the record is worthless; at most MAX_RECORD_LIFETIME_MS after `issuedAt`. */
  readonly expiresAt: number
  /** 16 bytes: what a packet to the owner must prove knowledge of. */
  readonly knockSecret: Uint8Array
  /** Whether the receiver may give it to others. */
  readonly passOn: boolean
  readonly nat: { readonly v4: NatKind; readonly v6: NatKind }
  /** For `block`: the public ports that were seen, both included. */
  readonly block?: { readonly low: number; readonly high: number }
  /** For `counting`: how much the public port grows with each destination. */
  readonly step?: number
  /** For `counting`: the public port that was given out last when the record was made. */
  readonly lastPort?: number
  /** At most MAX_RECORD_ADDRESSES, best first; may be empty. */
  readonly addresses: readonly RecordAddress[]
}

/** A record whose signature is good, with its bytes: they are what is passed on. */
export interface SignedPeerRecord {
  readonly record: PeerRecord
  readonly bytes: Uint8Array
}

export type PeerRecordFault = Fault<
  'too-long' | 'too-short' | 'version' | 'bad-key' | 'bad-time' | 'bad-flags' | 'bad-nat-kind' | 'bad-ports' | 'bad-address' | 'bad-layout' | 'bad-signature'
>

/** @returns an Ed25519 signature, 64 bytes */
export type SignRecord = (message: Uint8Array) => Uint8Array
/** Strict Ed25519 verification (RFC 8032); false for anything of a wrong shape. */
export type VerifyRecord = (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) => boolean

/** Addresses in one record: as many as a hello has. */
export const MAX_RECORD_ADDRESSES = 16
/** Longer than any record can be; a bound for whoever reads frames and datagrams. */
export const MAX_RECORD_BYTES = 1024
/** Addresses and secrets that nobody has confirmed for a week are not worth keeping. */
export const MAX_RECORD_LIFETIME_MS = 7 * 24 * 60 * 60_000
/** How far ahead the clock of who made a record may be. */
export const RECORD_CLOCK_SKEW_MS = 10 * 60_000

const VERSION = 1
const KEY_BYTES = 32
const SIGNATURE_BYTES = 64
const AT_SEQUENCE = 1 + KEY_BYTES
const AT_ISSUED = AT_SEQUENCE + 8
const AT_EXPIRES = AT_ISSUED + 8
const AT_SECRET = AT_EXPIRES + 8
const AT_FLAGS = AT_SECRET + KNOCK_SECRET_BYTES
const AT_NAT = AT_FLAGS + 1
const AT_PORTS = AT_NAT + 2
const AT_COUNT = AT_PORTS + 8
const HEADER_BYTES = AT_COUNT + 1
/** The only flag of this version. */
const PASS_ON = 0x01
const LABEL = asciiBytes('hdp/1 peer record')

/**
 * Makes a record. There is one encoding of each.
 * @param sign with the key that `record.peerId` names
 * @throws TypeError for a record that breaks its own type: records made here are ours
 */
export function encodePeerRecord(record: PeerRecord, sign: SignRecord): Uint8Array {
  const body = encodeBody(record)
  const checked = decodeBody(body)
  if (!checked.ok) throw new TypeError(`not a peer record: ${checked.error.message}`)
  const signature = sign(signedMessage(body))
  if (signature.length !== SIGNATURE_BYTES) throw new TypeError(`a signature has ${SIGNATURE_BYTES} bytes, not ${signature.length}`)
  return concatBytes(body, signature)
}

/**
 * Reads a record and checks its signature; not whether it is still good (`recordAge`), nor whether anybody wants it.
 * @param verify default: in JavaScript, about a millisecond
 * @returns the record with a copy of its bytes, or which rule it breaks; never throws
 */
export function decodePeerRecord(bytes: Uint8Array, verify: VerifyRecord = nobleVerify): Result<SignedPeerRecord, PeerRecordFault> {
  if (bytes.length > MAX_RECORD_BYTES) return refuse('too-long', `a peer record has at most ${MAX_RECORD_BYTES} bytes`)
  if (bytes.length < HEADER_BYTES + SIGNATURE_BYTES) return refuse('too-short', 'a peer record is cut short')
  const copy = Uint8Array.from(bytes)
  const body = copy.subarray(0, copy.length - SIGNATURE_BYTES)
  const record = decodeBody(body)
  if (!record.ok) return record
  if (!verify(copy.subarray(body.length), signedMessage(body), peerIdToKey(record.value.peerId))) {
    return refuse('bad-signature', 'a peer record was not signed by the key that it names')
  }
  return succeed({ record: record.value, bytes: copy })
}

/** Whether a record can be used now. @param unixMs wall-clock time */
export function recordAge({ issuedAt, expiresAt }: PeerRecord, unixMs: number): 'current' | 'expired' | 'future' {
  if (expiresAt <= unixMs) return 'expired'
  return issuedAt > unixMs + RECORD_CLOCK_SKEW_MS ? 'future' : 'current'
}

/** Whether `next` takes the place of `before`: the same key, and a higher sequence. */
export function supersedes(next: PeerRecord, before: PeerRecord): boolean {
  return next.peerId === before.peerId && next.sequence > before.sequence
}

/** The label keeps this use of the key apart from every other. */
function signedMessage(body: Uint8Array): Uint8Array {
  return concatBytes(LABEL, body)
}

function encodeBody(record: PeerRecord): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES)
  const view = new DataView(header.buffer)
  if (record.knockSecret.length !== KNOCK_SECRET_BYTES) throw new TypeError(`a knock secret has ${KNOCK_SECRET_BYTES} bytes`)
  if (record.addresses.length > MAX_RECORD_ADDRESSES) throw new TypeError(`a peer record has at most ${MAX_RECORD_ADDRESSES} addresses`)
  header[0] = VERSION
  header.set(peerIdToKey(record.peerId), 1)
  view.setBigUint64(AT_SEQUENCE, BigInt(record.sequence))
  view.setBigUint64(AT_ISSUED, BigInt(record.issuedAt))
  view.setBigUint64(AT_EXPIRES, BigInt(record.expiresAt))
  header.set(record.knockSecret, AT_SECRET)
  header[AT_FLAGS] = record.passOn ? PASS_ON : 0
  header[AT_NAT] = NAT_KINDS.indexOf(record.nat.v4)
  header[AT_NAT + 1] = NAT_KINDS.indexOf(record.nat.v6)
  const { block, step = 0, lastPort = 0 } = record
  for (const [i, port] of [block?.low ?? 0, block?.high ?? 0, step, lastPort].entries()) {
    if (!Number.isInteger(port) || port < 0 || port > 65535) throw new TypeError('ports and steps are numbers from 0 to 65535')
    view.setUint16(AT_PORTS + 2 * i, port)
  }
  header[AT_COUNT] = record.addresses.length
  return concatBytes(header, ...record.addresses.map(encodeAddress))
}

function encodeAddress({ endpoint: { host, port }, source }: RecordAddress): Uint8Array {
  const address = encodeHost(host)
  return concatBytes(Uint8Array.of(RECORD_SOURCES.indexOf(source), address.length === 4 ? 4 : 6), address, Uint8Array.of(port >> 8, port & 0xff))
}

function decodeBody(body: Uint8Array): Result<PeerRecord, PeerRecordFault> {
  if (body[0] !== VERSION) return refuse('version', `this peer record is of version ${body[0]}: a newer program is needed to read it`)
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const [sequence, issuedAt, expiresAt] = [AT_SEQUENCE, AT_ISSUED, AT_EXPIRES].map((at) => Number(view.getBigUint64(at)))
  if (!isCount(sequence) || !isCount(issuedAt) || !isCount(expiresAt)) return refuse('bad-time', 'a peer record has a number beyond all times')
  if (expiresAt <= issuedAt || expiresAt - issuedAt > MAX_RECORD_LIFETIME_MS) return refuse('bad-time', 'a peer record lasts for no time, or for too long')
  const flags = body[AT_FLAGS] ?? 0
  if ((flags & ~PASS_ON) !== 0) return refuse('bad-flags', 'a peer record has flags that its version does not know')
  const v4 = NAT_KINDS[body[AT_NAT] ?? -1]
  const v6 = NAT_KINDS[body[AT_NAT + 1] ?? -1]
  if (v4 === undefined || v6 === undefined) return refuse('bad-nat-kind', 'a peer record names a kind of NAT that does not exist')
  const [low = 0, high = 0, step = 0, lastPort = 0] = [0, 2, 4, 6].map((offset) => view.getUint16(AT_PORTS + offset))
  if ((low === 0) !== (high === 0) || low > high) return refuse('bad-ports', 'a peer record has a range of ports that is none')
  const addresses = decodeAddresses(body.subarray(HEADER_BYTES), body[AT_COUNT] ?? 0)
  if (!addresses.ok) return addresses
  return succeed({
    peerId: peerIdFromKey(body.subarray(1, AT_SEQUENCE)),
    sequence,
    issuedAt,
    expiresAt,
    knockSecret: body.slice(AT_SECRET, AT_FLAGS),
    passOn: flags === PASS_ON,
    nat: { v4, v6 },
    ...(high === 0 ? {} : { block: { low, high } }),
    ...(step === 0 ? {} : { step }),
    ...(lastPort === 0 ? {} : { lastPort }),
    addresses: addresses.value,
  })
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isSafeInteger(value)
}

function decodeAddresses(bytes: Uint8Array, count: number): Result<RecordAddress[], PeerRecordFault> {
  if (count > MAX_RECORD_ADDRESSES) return refuse('bad-address', `a peer record has at most ${MAX_RECORD_ADDRESSES} addresses`)
  const addresses: RecordAddress[] = []
  const seen = new Set<string>()
  let at = 0
  for (let i = 0; i < count; i++) {
    const source = RECORD_SOURCES[bytes[at] ?? -1]
    const size = bytes[at + 1] === 4 ? 4 : bytes[at + 1] === 6 ? 16 : 0
    const end = at + 2 + size + 2
    if (source === undefined || size === 0 || end > bytes.length) return refuse('bad-address', 'a peer record has an address of an unknown kind')
    const host = decodeHost(bytes.subarray(at + 2, at + 2 + size))
    const port = ((bytes[end - 2] ?? 0) << 8) | (bytes[end - 1] ?? 0)
    if (port === 0 || !isDialable(host)) return refuse('bad-address', 'a peer record has an address that nobody can have')
    const text = formatEndpoint({ host, port })
    if (seen.has(text)) return refuse('bad-address', 'a peer record has an address twice')
    seen.add(text)
    addresses.push({ endpoint: { host, port }, source })
    at = end
  }
  return at === bytes.length ? succeed(addresses) : refuse('bad-layout', 'a peer record has bytes that belong to nothing')
}

/** Whether one machine can have this address: a record must not make us send to groups or to everybody. */
function isDialable(host: string): boolean {
  const scope = addressScope(host)
  return scope !== 'multicast' && scope !== 'unspecified' && !host.startsWith('::ffff:') && host !== '255.255.255.255'
}
