import { KEY_HASH_BYTES } from './announce-code.ts'
import { asciiBytes, concatBytes, equalBytes } from './bytes.ts'
import { type Hmac, nobleHmac } from './hmac.ts'
import { KNOCK_BUCKET_MS, KNOCK_SECRET_BYTES } from './knock.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'

/**
 * Makes and checks the small datagrams that open NATs: knocks, and the answers that say "yours came through". Each is made under a secret of its receiver,
 * for one sender and one receiver, and is good for a minute or so. It keeps no state: who has already seen a nonce must remember it.
 */

/** First bytes of the two. */
export const PUNCH_DATAGRAMS = { knock: 0x32, answer: 0x33 } as const
export type PunchType = keyof typeof PUNCH_DATAGRAMS

export interface PunchPacket {
  readonly type: PunchType
  /** 8 bytes: random in a knock, the knock's in its answer. */
  readonly nonce: Uint8Array
  /** In a knock: its sender, who decides, wants this path. In an answer: as in its knock. */
  readonly chosen: boolean
}

export const PUNCH_NONCE_BYTES = 8
/** Lets a receiver find the attempt that a packet belongs to without trying a key for each. */
export const PUNCH_HINT_BYTES = 6
const TAG_BYTES = 12
const AT_NONCE = 2 + PUNCH_HINT_BYTES
const AT_TAG = AT_NONCE + PUNCH_NONCE_BYTES
/** Type, flags, hint, nonce, tag. Both kinds have the same length, so nobody's traffic is multiplied. */
export const PUNCH_BYTES = AT_TAG + TAG_BYTES

const CHOSEN = 0x01
const KEY_LABEL = asciiBytes('hdp/1 punch')
const HINT_LABEL = asciiBytes('hdp/1 punch hint')
const LABELS = { knock: asciiBytes('hdp/1 punch knock'), answer: asciiBytes('hdp/1 punch answer') } as const

export type PunchFault = Fault<'wrong-length' | 'wrong-type' | 'bad-flags' | 'wrong-hint' | 'wrong-tag'>

/** What a datagram claims to be, by its length and first byte; undefined for everything else. */
export function punchTypeOf(bytes: Uint8Array): PunchType | undefined {
  if (bytes.length !== PUNCH_BYTES) return undefined
  if (bytes[0] === PUNCH_DATAGRAMS.knock) return 'knock'
  return bytes[0] === PUNCH_DATAGRAMS.answer ? 'answer' : undefined
}

/**
 * The key of everything that one peer sends to another.
 * @param secret 16 bytes: the knock secret of the receiver
 * @param sender 16 bytes, `keyHashOf` @param receiver 16 bytes, `keyHashOf`
 */
export function punchKeyOf(secret: Uint8Array, sender: Uint8Array, receiver: Uint8Array, hmac: Hmac = nobleHmac): Uint8Array {
  if (secret.length !== KNOCK_SECRET_BYTES || sender.length !== KEY_HASH_BYTES || receiver.length !== KEY_HASH_BYTES) {
    throw new TypeError('a knock secret and key hashes have 16 bytes each')
  }
  return hmac(secret, concatBytes(KEY_LABEL, sender, receiver))
}

/** The number of the 30 seconds that a time lies in: a packet is made for it and accepted in it and the two beside it. */
export function punchBucketOf(unixMs: number): number {
  return Math.max(0, Math.floor(unixMs / KNOCK_BUCKET_MS))
}

/** @param key {@link punchKeyOf} @returns what packets under this key carry during these 30 seconds, 6 bytes */
export function punchHintOf(key: Uint8Array, bucket: number, hmac: Hmac = nobleHmac): Uint8Array {
  return hmac(key, concatBytes(HINT_LABEL, bucketBytes(bucket))).subarray(0, PUNCH_HINT_BYTES)
}

/** @param key {@link punchKeyOf} from the sender to the receiver of this datagram @param unixMs wall-clock time */
export function encodePunch({ type, nonce, chosen }: PunchPacket, key: Uint8Array, unixMs: number, hmac: Hmac = nobleHmac): Uint8Array {
  if (nonce.length !== PUNCH_NONCE_BYTES) throw new TypeError(`a punch nonce has ${PUNCH_NONCE_BYTES} bytes, not ${nonce.length}`)
  const bucket = punchBucketOf(unixMs)
  const flags = chosen ? CHOSEN : 0
  return concatBytes(Uint8Array.of(PUNCH_DATAGRAMS[type], flags), punchHintOf(key, bucket, hmac), nonce, tagOf(type, flags, nonce, bucket, key, hmac))
}

/** @param key the one from the peer to us @param unixMs wall-clock time; the packet may be of its 30 seconds or of those before or after */
export function decodePunch(bytes: Uint8Array, key: Uint8Array, unixMs: number, hmac: Hmac = nobleHmac): Result<PunchPacket, PunchFault> {
  const now = punchBucketOf(unixMs)
  for (const bucket of [now, now - 1, now + 1]) {
    if (bucket >= 0 && hasPunchHint(bytes, punchHintOf(key, bucket, hmac))) return decodePunchOf(bytes, key, bucket, hmac)
  }
  return bytes.length === PUNCH_BYTES ? refuse('wrong-hint', 'a knock for somebody else, or of another time') : wrongLength()
}

/** Whether a datagram carries this hint: cheap enough to be asked for every attempt that runs. */
export function hasPunchHint(bytes: Uint8Array, hint: Uint8Array): boolean {
  return bytes.length === PUNCH_BYTES && equalBytes(bytes.subarray(2, AT_NONCE), hint)
}

/** As `decodePunch`, for the bucket whose hint has been found. */
export function decodePunchOf(bytes: Uint8Array, key: Uint8Array, bucket: number, hmac: Hmac = nobleHmac): Result<PunchPacket, PunchFault> {
  if (bytes.length !== PUNCH_BYTES) return wrongLength()
  const type = punchTypeOf(bytes)
  if (type === undefined) return refuse('wrong-type', 'neither a knock nor an answer')
  const flags = bytes[1] ?? 0
  if ((flags & ~CHOSEN) !== 0) return refuse('bad-flags', 'a knock with flags that do not exist')
  const nonce = bytes.slice(AT_NONCE, AT_TAG)
  if (!equalBytes(bytes.subarray(AT_TAG), tagOf(type, flags, nonce, bucket, key, hmac))) return refuse('wrong-tag', 'a knock that was made with another secret')
  return succeed({ type, nonce, chosen: flags === CHOSEN })
}

function wrongLength() {
  return refuse('wrong-length', `a knock has ${PUNCH_BYTES} bytes`)
}

function tagOf(type: PunchType, flags: number, nonce: Uint8Array, bucket: number, key: Uint8Array, hmac: Hmac): Uint8Array {
  return hmac(key, concatBytes(LABELS[type], Uint8Array.of(flags), nonce, bucketBytes(bucket))).subarray(0, TAG_BYTES)
}

function bucketBytes(bucket: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bucket))
  return bytes
}
