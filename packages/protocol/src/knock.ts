import { asciiBytes, concatBytes, equalBytes } from './bytes.ts'
import { type Hmac, nobleHmac } from './hmac.ts'

/**
 * Makes and checks the knock: the proof, inside the source connection ID of a first QUIC packet or in the first bytes of a TCP connection, that its
 * sender knows one of our knock secrets. It costs no round trip. It authenticates nobody (TLS does) and can be replayed for as long as its time bucket
 * is accepted; one seen on either transport is of no use on the other.
 */

/** Every connection ID of the protocol has this length: 8 bytes of nonce and 12 of HMAC, and the most that QUIC version 1 allows. */
export const CID_BYTES = 20
export const KNOCK_NONCE_BYTES = 8
export const KNOCK_SECRET_BYTES = 16
/** Clocks of friends' machines may be wrong by this much either way; a recorded knock is of no use after twice as long. */
export const KNOCK_BUCKET_MS = 30_000

/** What a TCP connection begins with has the same form. */
export const TCP_KNOCK_BYTES = CID_BYTES

const LABEL = asciiBytes('hdp/1 knock')
const TCP_LABEL = asciiBytes('hdp/1 tcp knock')
const TAG_BYTES = CID_BYTES - KNOCK_NONCE_BYTES

/**
 * @param secret 16 bytes, from an announce code or an earlier hello
 * @param nonce 8 random bytes, new for each attempt
 * @param unixMs wall-clock time
 * @returns the 20-byte source connection ID for the dialler's first packet
 */
export function makeKnockCid(secret: Uint8Array, nonce: Uint8Array, unixMs: number, hmac: Hmac = nobleHmac): Uint8Array {
  return makeKnock(LABEL, secret, nonce, unixMs, hmac)
}

/** Whether `cid` was made with `secret` in the current time bucket or one of its neighbours. Anything else, of any length, is just false. */
export function checkKnockCid(cid: Uint8Array, secret: Uint8Array, unixMs: number, hmac: Hmac = nobleHmac): boolean {
  return checkKnock(LABEL, cid, secret, unixMs, hmac)
}

/** @returns the 20 bytes that a dialler's TCP connection begins with, before TLS; arguments as for `makeKnockCid` */
export function makeTcpKnock(secret: Uint8Array, nonce: Uint8Array, unixMs: number, hmac: Hmac = nobleHmac): Uint8Array {
  return makeKnock(TCP_LABEL, secret, nonce, unixMs, hmac)
}

/** As `checkKnockCid`, for what a TCP connection began with. */
export function checkTcpKnock(knock: Uint8Array, secret: Uint8Array, unixMs: number, hmac: Hmac = nobleHmac): boolean {
  return checkKnock(TCP_LABEL, knock, secret, unixMs, hmac)
}

function makeKnock(label: Uint8Array, secret: Uint8Array, nonce: Uint8Array, unixMs: number, hmac: Hmac): Uint8Array {
  if (nonce.length !== KNOCK_NONCE_BYTES) throw new TypeError(`a knock nonce has ${KNOCK_NONCE_BYTES} bytes, not ${nonce.length}`)
  return concatBytes(nonce, tagOf(label, secret, nonce, bucketOf(unixMs), hmac))
}

function checkKnock(label: Uint8Array, knock: Uint8Array, secret: Uint8Array, unixMs: number, hmac: Hmac): boolean {
  if (knock.length !== CID_BYTES) return false
  const nonce = knock.subarray(0, KNOCK_NONCE_BYTES)
  const tag = knock.subarray(KNOCK_NONCE_BYTES)
  const now = bucketOf(unixMs)
  return [now, now - 1, now + 1].some((bucket) => bucket >= 0 && equalBytes(tag, tagOf(label, secret, nonce, bucket, hmac)))
}

function bucketOf(unixMs: number): number {
  return Math.floor(unixMs / KNOCK_BUCKET_MS)
}

function tagOf(label: Uint8Array, secret: Uint8Array, nonce: Uint8Array, bucket: number, hmac: Hmac): Uint8Array {
  const time = new Uint8Array(8)
  new DataView(time.buffer).setBigUint64(0, BigInt(bucket))
  return hmac(secret, concatBytes(label, nonce, time)).subarray(0, TAG_BYTES)
}
