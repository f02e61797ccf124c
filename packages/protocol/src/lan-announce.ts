import { asciiBytes, concatBytes } from './bytes.ts'
import { KNOCK_SECRET_BYTES } from './knock.ts'
import { type PeerId, parsePeerId } from './peer-id.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'

/** Reads and writes what a helper says of itself on the local network: the strings of its DNS-SD TXT record (RFC 6763, section 6). Sends nothing. */

/** The DNS-SD service under which helpers are found. */
export const LAN_SERVICE = '_hdp._udp.local'
/** Under it topics are announced on the local network: TXT records named by the rendezvous name. */
export const LAN_TOPIC_SUFFIX = '_hdp-topic._udp.local'

export interface LanAnnouncement {
  readonly peerId: PeerId
  /** 16 bytes, new at every start: lets anybody on this network connect, who then has to ask. */
  readonly knockSecret: Uint8Array
}

export type LanAnnouncementFault = Fault<'too-many' | 'version' | 'bad-id' | 'bad-secret'>

/** Strings of one TXT record that are looked at; later versions may add some. */
export const MAX_LAN_STRINGS = 16
/** A string of a TXT record has one byte for its length. */
const MAX_STRING_BYTES = 255
const VERSION = '1'
const HEX_SECRET = new RegExp(`^[0-9a-f]{${2 * KNOCK_SECRET_BYTES}}$`)

/** @returns `txtvers=1`, `id=` and the peer id, `ks=` and the knock secret in hexadecimal */
export function encodeLanAnnouncement({ peerId, knockSecret }: LanAnnouncement): Uint8Array[] {
  if (knockSecret.length !== KNOCK_SECRET_BYTES) throw new TypeError(`a knock secret has ${KNOCK_SECRET_BYTES} bytes`)
  const secret = Array.from(knockSecret, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return [`txtvers=${VERSION}`, `id=${peerId}`, `ks=${secret}`].map(asciiBytes)
}

/** Unknown keys are passed over, of a repeated one the first counts (RFC 6763, section 6.4). Never throws. */
export function decodeLanAnnouncement(strings: readonly Uint8Array[]): Result<LanAnnouncement, LanAnnouncementFault> {
  if (strings.length > MAX_LAN_STRINGS) return refuse('too-many', `a TXT record has at most ${MAX_LAN_STRINGS} strings`)
  const values = new Map<string, string>()
  for (const bytes of strings) {
    if (bytes.length > MAX_STRING_BYTES) continue
    const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
    const at = text.indexOf('=')
    const key = text.slice(0, at).toLowerCase()
    if (at > 0 && !values.has(key)) values.set(key, text.slice(at + 1))
  }
  if (values.get('txtvers') !== VERSION) return refuse('version', 'an announcement on the local network is of another version')
  const peerId = parsePeerId(values.get('id') ?? '')
  if (!peerId.ok) return refuse('bad-id', 'an announcement on the local network names nobody')
  const secret = values.get('ks') ?? ''
  if (!HEX_SECRET.test(secret)) return refuse('bad-secret', 'an announcement on the local network has no knock secret')
  return succeed({ peerId: peerId.value, knockSecret: Uint8Array.from(secret.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)) })
}

/** Splits bytes into the strings of a TXT record. */
export function splitTxt(bytes: Uint8Array): Uint8Array[] {
  const strings: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += MAX_STRING_BYTES) strings.push(bytes.subarray(at, at + MAX_STRING_BYTES))
  return strings
}

/** Undoes `splitTxt`. @returns undefined for more than `maxBytes` */
export function joinTxt(strings: readonly Uint8Array[], maxBytes: number): Uint8Array | undefined {
  const length = strings.reduce((sum, part) => sum + part.length, 0)
  return length <= maxBytes ? concatBytes(...strings) : undefined
}
