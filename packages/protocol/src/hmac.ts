/** HMAC-SHA-256 as the small authenticators of this protocol take it. The implementation is passed in: Node's where it is at hand, else ours. */
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'

/** HMAC-SHA-256: key and data in, 32 bytes out. */
export type Hmac = (key: Uint8Array, data: Uint8Array) => Uint8Array

/** In JavaScript, for browsers and tests. */
export const nobleHmac: Hmac = (key, data) => hmac(sha256, key, data)
