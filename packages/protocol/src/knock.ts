import { asciiBytes, concatBytes, equalBytes } from './bytes.ts'
import { type Hmac, nobleHmac } from './hmac.ts'

/**
 * Makes and checks the knock: the proof, inside the source connection ID of a first QUIC packet, that its sender knows one of our knock secrets.
 * It costs no round trip. It authenticates nobody (TLS does) and can be replayed for as long as its time bucket is accepted.
 */

/** Every connection ID of the protocol has this length: 8 bytes of nonce and 12 of HMAC, and the most that QUIC version 1 allows. */
export const CID_BYTES = 20
export const KNOCK_NONCE_BYTES = 8
export const KNOCK_SECRET_BYTES = 16
/** Clocks of friends' machines may be wrong by this much either way; a recorded knock is of no use after twice as long. */
export const KNOCK_BUCKET_MS = 30_000

const LABEL = asciiBytes('hdp/1 knock')
const TAG_BYTES = CID_BYTES - KNOCK_NONCE_BYTES

/**
 * @param secret 16 bytes, from an announce code or an earlier hello
 * @param nonce 8 random bytes, new for each attempt
 * @param unixMs wall-clock time
 * @returns the 20-byte source connection ID for the dialler's first packet
 */
export function makeKnockCid(secret: Uint8Array, nonce: Uint8Array, unixMs: number, hmac: Hmac = nobleHmac): Uint8Array {
  if (nonce.length !== KNOCK_NONCE_BYTES) throw new TypeError(`a knock nonce has ${KNOCK_NONCE_BYTES} bytes, not ${nonce.length}`)
  return concatBytes(nonce, tagOf(secret, nonce, bucketOf(unixMs), hmac))
}

/** Whether `cid` was made with `secret` in the current time bucket or one of its neighbours. Anything else, of any length, is just false. */
export function checkKnockCid(cid: Uint8Array, secret: Uint8Array, unixMs: number, hmac: Hmac = nobleHmac): boolean {
  if (cid.length !== CID_BYTES) return false
  const nonce = cid.subarray(0, KNOCK_NONCE_BYTES)
  const tag = cid.subarray(KNOCK_NONCE_BYTES)
  const now = bucketOf(unixMs)
  return [now, now - 1, now + 1].some((bucket) => bucket >= 0 && equalBytes(tag, tagOf(secret, nonce, bucket, hmac)))
}

function bucketOf(unixMs: number): number {
  return Math.floor(unixMs / KNOCK_BUCKET_MS)
}

function tagOf(secret: Uint8Array, nonce: Uint8Array, bucket: number, hmac: Hmac): Uint8Array {
  const time = new Uint8Array(8)
  new DataView(time.buffer).setBigUint64(0, BigInt(bucket))
  return hmac(secret, concatBytes(LABEL, nonce, time)).subarray(0, TAG_BYTES)
}
