import { bech32m } from '@scure/base'
import { sha256 } from '@noble/hashes/sha2.js'
import { asciiBytes, concatBytes } from './bytes.ts'
import { type Endpoint, addressScope, decodeHost, encodeHost } from './endpoint.ts'
import { KNOCK_SECRET_BYTES } from './knock.ts'
import { NAT_KINDS, type NatKind, type NatPorts } from './nat-kind.ts'
import { type PeerId, peerIdToKey } from './peer-id.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'

/** Reads and writes the announce code, what one person sends another so that the two can meet. It connects nothing and trusts nothing. */

export interface AnnounceCode {
  readonly version: 1
  /** A label of up to four words for the reader of the code, `Brave Otter`; may be empty. Anybody can change it: it is never compared. */
  readonly name: string
  /** 16 bytes, `keyHashOf` the owner: the dialler checks the certificate against it. */
  readonly keyHash: Uint8Array
  /** 16 bytes: knowing it is permission to connect. */
  readonly knockSecret: Uint8Array
  /** 1 to MAX_CODE_ADDRESSES, best first. */
  readonly addresses: readonly Endpoint[]
  readonly natKind: NatKind
  /** Absent = not known. Kind `block`: with `block` alone. Kind `counting`: with `step` (1 to 255) and `lastPort`. Other kinds have none. */
  readonly nat?: NatPorts
}

export type AnnounceCodeFault = Fault<
  'empty' | 'too-long' | 'not-a-code' | 'bad-character' | 'truncated' | 'checksum' | 'version' | 'bad-layout' | 'bad-nat-kind' | 'bad-ports' | 'no-addresses' | 'bad-address'
>

/** Addresses in one code: enough for two families on a few networks, and a code that still fits into a message and a QR picture. */
export const MAX_CODE_ADDRESSES = 8
/** Text that is looked at; longer ones are not codes, whatever is in them. A code of eight IPv6 addresses has about 350 characters. */
export const MAX_CODE_TEXT_LENGTH = 2048
/** 128 bits of the hash: forging a key for a code would take 2^128 tries. */
export const KEY_HASH_BYTES = 16

const VERSION = 1
const PREFIX = 'hdp'
const HEADER_BYTES = 3 + KEY_HASH_BYTES + KNOCK_SECRET_BYTES
/** In the byte of the NAT kind: facts on its ports follow the secret. */
const HAS_PORTS = 0x80
const MAX_STEP = 255
const MAX_NAME_WORDS = 4
const MAX_WORD_LENGTH = 20
/** The characters of bech32 carry five bits each; six more are the checksum. */
const CHECKSUM_CHARACTERS = 6
const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
const KEY_HASH_LABEL = asciiBytes('hdp/1 key hash')
const LINK_MARK = '#/add/'

/** The first 16 bytes of SHA-256 over a label and the public key. */
export function keyHashOf(peerId: PeerId): Uint8Array {
  return sha256(concatBytes(KEY_HASH_LABEL, peerIdToKey(peerId))).slice(0, KEY_HASH_BYTES)
}

/**
 * `brave-otter-hdp1…`, in lower case.
 * @throws TypeError for a code that breaks its own type (no address, a key hash of another length, ports that do not go with the NAT kind): codes inside the program are ours
 */
export function formatAnnounceCode(code: AnnounceCode): string {
  const words = nameWords(code.name)
  const text = bech32m.encode(PREFIX, bech32m.toWords(encodeBody(code)), false)
  return [...words, text].join('-')
}

/**
 * Reads a code as people paste it: with white space around and inside it, in upper case, or as a link (`…/#/add/…` or `web+hdp:…`).
 * @returns the code, or which rule it breaks with a sentence for the person who pasted it; never throws
 */
export function parseAnnounceCode(text: string): Result<AnnounceCode, AnnounceCodeFault> {
  if (text.length > MAX_CODE_TEXT_LENGTH) return refuse('too-long', 'this is too long to be an announce code')
  const link = text.lastIndexOf(LINK_MARK)
  const compact = text.slice(link === -1 ? 0 : link + LINK_MARK.length).replace(NOISE, '').toLowerCase().replace(APP_LINK, '')
  if (compact === '') return refuse('empty', 'there is no announce code here')
  const match = SHAPE.exec(compact)
  if (!match) return refuse('not-a-code', 'this is not an announce code; one looks like brave-otter-hdp1… and has no other text around it')
  const [, prefix = '', data = ''] = match
  const stray = BAD_CHARACTER.exec(data)
  if (stray) return refuse('bad-character', `an announce code never contains “${stray[0]}”: some of it was mistyped or is missing`)
  const body = readBody(data)
  return body.ok ? decodeBody(body.value, titleCase(prefix)) : body
}

/** A link that opens the app with the code filled in. The code is in the fragment, which browsers never send to a server. */
export function formatAnnounceLink(appUrl: string, code: AnnounceCode): string {
  return `${appUrl.replace(/#.*$/s, '')}${LINK_MARK}${formatAnnounceCode(code)}`
}

/** The same code in upper case: QR pictures have a denser mode for upper-case letters, digits and the hyphen. */
export function announceCodeQrText(code: AnnounceCode): string {
  return formatAnnounceCode(code).toUpperCase()
}

/** White space and the invisible characters that programs put into long words. */
const NOISE = /[\s\u00ad\u200b-\u200d\u2060\ufeff]+/g
/** How the installed app is handed a code: `web+hdp:brave-otter-hdp1…`; a link that was followed out of the app's own address is escaped. */
const APP_LINK = /^web(?:\+|%2b)hdp(?::|%3a)(?:\/\/|%2f%2f)?|\/$/g
const SHAPE = /^((?:[a-z]{1,20}-){0,4})hdp1([a-z0-9]+)$/
const BAD_CHARACTER = /[1bio]/

function nameWords(name: string): string[] {
  const words = name.toLowerCase().match(/[a-z]+/g) ?? []
  return words.slice(0, MAX_NAME_WORDS).map((word) => word.slice(0, MAX_WORD_LENGTH))
}

function titleCase(prefix: string): string {
  return nameWords(prefix)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join(' ')
}

function encodeBody(code: AnnounceCode): Uint8Array {
  if (code.keyHash.length !== KEY_HASH_BYTES || code.knockSecret.length !== KNOCK_SECRET_BYTES) {
    throw new TypeError('a key hash and a knock secret have 16 bytes each')
  }
  if (code.addresses.length < 1 || code.addresses.length > MAX_CODE_ADDRESSES) {
    throw new TypeError(`an announce code has 1 to ${MAX_CODE_ADDRESSES} addresses, not ${code.addresses.length}`)
  }
  const kind = NAT_KINDS.indexOf(code.natKind) | (code.nat === undefined ? 0 : HAS_PORTS)
  const rest = concatBytes(Uint8Array.of(kind), code.keyHash, code.knockSecret, encodePorts(code), ...code.addresses.map(encodeAddress))
  // The length comes early, so that a code that was cut off can be told from one that was mistyped.
  return concatBytes(Uint8Array.of(VERSION, 2 + rest.length), rest)
}

function encodePorts({ natKind, nat }: AnnounceCode): Uint8Array {
  if (nat === undefined) return new Uint8Array(0)
  const { block, step, lastPort } = nat
  if (natKind === 'block' && block !== undefined && step === undefined && lastPort === undefined && isPort(block.low) && isPort(block.high) && block.low <= block.high) {
    return Uint8Array.of(block.low >> 8, block.low & 0xff, block.high >> 8, block.high & 0xff)
  }
  if (natKind === 'counting' && block === undefined && isPort(lastPort) && isPort(step) && step <= MAX_STEP) return Uint8Array.of(step, lastPort >> 8, lastPort & 0xff)
  throw new TypeError(`these are not the ports of a NAT of the kind ${natKind}`)
}

function isPort(value: number | undefined): value is number {
  return value !== undefined && Number.isInteger(value) && value >= 1 && value <= 65535
}

function encodeAddress({ host, port }: Endpoint): Uint8Array {
  const address = encodeHost(host)
  return concatBytes(Uint8Array.of(address.length === 4 ? 4 : 6), address, Uint8Array.of(port >> 8, port & 0xff))
}

/** From characters to the bytes under the checksum. */
function readBody(data: string): Result<Uint8Array, AnnounceCodeFault> {
  const decoded = bech32m.decodeUnsafe(`${PREFIX}1${data}`, false)
  if (decoded) {
    const bytes = bech32m.fromWordsUnsafe(decoded.words)
    return bytes ? succeed(bytes) : refuse('bad-layout', 'this announce code has left-over bits at its end')
  }
  // The second byte claims the whole length: it lies in the second to fourth character.
  const claimed = ((index(data, 1) & 0x03) << 6) | (index(data, 2) << 1) | (index(data, 3) >> 4)
  const wanted = Math.ceil((claimed * 8) / 5) + CHECKSUM_CHARACTERS
  const startsLikeOurs = index(data, 0) === 0 && index(data, 1) >> 2 === VERSION
  if (data.length < minimalLength() || (startsLikeOurs && data.length < wanted)) {
    return refuse('truncated', 'the end of this announce code is missing')
  }
  return refuse('checksum', 'this announce code has a typing mistake in it, or a part is missing or doubled')
}

function minimalLength(): number {
  return Math.ceil(((HEADER_BYTES + 7) * 8) / 5) + CHECKSUM_CHARACTERS
}

function index(data: string, at: number): number {
  return ALPHABET.indexOf(data.charAt(at))
}

function decodeBody(bytes: Uint8Array, name: string): Result<AnnounceCode, AnnounceCodeFault> {
  const [version, length, kind = 0] = bytes
  if (version === undefined) return refuse('bad-layout', 'this announce code is empty')
  if (version !== VERSION) return refuse('version', `this announce code is of version ${version}: a newer program is needed to read it`)
  if (length !== bytes.length || bytes.length < HEADER_BYTES) return refuse('bad-layout', 'this announce code does not have the length that it claims')
  const natKind = NAT_KINDS[kind & ~HAS_PORTS]
  if (natKind === undefined) return refuse('bad-nat-kind', 'this announce code names a kind of network that does not exist')
  const keyHash = bytes.slice(3, 3 + KEY_HASH_BYTES)
  const knockSecret = bytes.slice(3 + KEY_HASH_BYTES, HEADER_BYTES)
  const ports = decodePorts(natKind, (kind & HAS_PORTS) !== 0, bytes.subarray(HEADER_BYTES))
  if (!ports.ok) return ports
  const { size, nat } = ports.value
  const addresses = decodeAddresses(bytes.subarray(HEADER_BYTES + size))
  return addresses.ok ? succeed({ version: VERSION, name, keyHash, knockSecret, addresses: addresses.value, natKind, ...(nat && { nat }) }) : addresses
}

function decodePorts(natKind: NatKind, isTold: boolean, bytes: Uint8Array): Result<{ readonly size: number; readonly nat?: NatPorts }, AnnounceCodeFault> {
  if (!isTold) return succeed({ size: 0 })
  const size = natKind === 'block' ? 4 : natKind === 'counting' ? 3 : 0
  if (size === 0) return refuse('bad-ports', 'this announce code tells the ports of a kind of network that has none to tell')
  if (bytes.length < size) return refuse('bad-ports', 'this announce code ends within the ports of its network')
  const [a = 0, b = 0, c = 0, d = 0] = bytes
  const nat = natKind === 'block' ? { block: { low: (a << 8) | b, high: (c << 8) | d } } : { step: a, lastPort: (b << 8) | c }
  const isGood = nat.block ? nat.block.low > 0 && nat.block.low <= nat.block.high : nat.step > 0 && nat.lastPort > 0
  return isGood ? succeed({ size, nat }) : refuse('bad-ports', 'this announce code contains ports that no network hands out')
}

function decodeAddresses(bytes: Uint8Array): Result<Endpoint[], AnnounceCodeFault> {
  const addresses: Endpoint[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = bytes[at] === 4 ? 4 : bytes[at] === 6 ? 16 : 0
    const end = at + 1 + size + 2
    if (size === 0 || end > bytes.length) return refuse('bad-address', 'this announce code contains an address of an unknown kind')
    if (addresses.length === MAX_CODE_ADDRESSES) return refuse('bad-address', `this announce code has more than ${MAX_CODE_ADDRESSES} addresses`)
    const host = decodeHost(bytes.subarray(at + 1, at + 1 + size))
    const port = ((bytes[end - 2] ?? 0) << 8) | (bytes[end - 1] ?? 0)
    if (port === 0 || !isDialable(host)) return refuse('bad-address', 'this announce code contains an address that nobody can have')
    addresses.push({ host, port })
    at = end
  }
  return addresses.length > 0 ? succeed(addresses) : refuse('no-addresses', 'this announce code contains no address')
}

/** Whether one machine can have this address: a code must not make us send to groups or to everybody. */
function isDialable(host: string): boolean {
  const scope = addressScope(host)
  return scope !== 'multicast' && scope !== 'unspecified' && !host.startsWith('::ffff:') && host !== '255.255.255.255'
}
