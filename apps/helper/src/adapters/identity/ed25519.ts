/** Ed25519 by Node's own crypto, some ten times as fast as in JavaScript: for whoever signs or verifies more than now and then. Keeps no keys. */
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'

/** What stands before a bare Ed25519 seed in PKCS #8, and before a bare public key in SPKI (RFC 8410, sections 4 and 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** @param seed 32 bytes @returns a function that signs: 64 bytes (RFC 8032) */
export function ed25519Signer(seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
  return (message) => sign(null, message, key)
}

/** False for keys and signatures of any wrong shape. */
export function verifyEd25519(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  try {
    return verify(null, message, createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' }), signature)
  } catch {
    // Not a key: it came from a stranger.
    return false
  }
}
