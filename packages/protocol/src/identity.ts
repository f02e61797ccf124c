import { getPublicKey, hashes, sign as ed25519Sign, verify as ed25519Verify } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'

/** Ed25519 keys and signatures (RFC 8032) in JavaScript, for devices and tests. Where the helper signs much it uses Node's own. */

/** @param seed the private key, 32 random bytes @returns 32 bytes */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  prepare()
  return getPublicKey(seed)
}

/** @param seed the private key, 32 bytes @returns 64 bytes */
export function sign(message: Uint8Array, seed: Uint8Array): Uint8Array {
  prepare()
  return ed25519Sign(message, seed)
}

/** Strict verification as RFC 8032 has it; false for keys and signatures of any wrong shape. */
export function verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  prepare()
  try {
    return ed25519Verify(signature, message, publicKey, { zip215: false })
  } catch {
    // The library throws on keys and signatures of a wrong length or off the curve; both come from strangers.
    return false
  }
}

/** On first use and not at import, so that a bundle without identities leaves all of this out. */
function prepare(): void {
  hashes.sha512 ??= sha512
}
