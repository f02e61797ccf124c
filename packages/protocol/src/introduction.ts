import { asciiBytes, concatBytes, equalBytes } from './bytes.ts'
import { type Hmac, nobleHmac } from './hmac.ts'

/**
 * Makes and checks what an introduction is believed by: that who asks knows a knock secret of whom it asks for, as a knock itself would show. The friend
 * in between learns nothing by it and can change nothing. It authenticates nobody: the record in it is signed, and TLS follows.
 */

export const INTRODUCTION_PROOF_BYTES = 16

const LABEL = asciiBytes('hdp/1 introduction')

/**
 * @param secret 16 bytes: from the code, the hello or a record of whom it is for
 * @param to 16 bytes: the key hash of whom it is for
 * @param record the signed record of who asks, whole
 * @returns 16 bytes
 */
export function introductionProof(secret: Uint8Array, to: Uint8Array, record: Uint8Array, hmac: Hmac = nobleHmac): Uint8Array {
  return hmac(secret, concatBytes(LABEL, to, record)).slice(0, INTRODUCTION_PROOF_BYTES)
}

/** In constant time. */
export function checkIntroductionProof(proof: Uint8Array, secret: Uint8Array, to: Uint8Array, record: Uint8Array, hmac: Hmac = nobleHmac): boolean {
  return equalBytes(proof, introductionProof(secret, to, record, hmac))
}
