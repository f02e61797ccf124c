import { getPublicKey, hashes, sign } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'

/**
 * The key by which a helper recognises a paired device (a browser or the command line). Decides nothing about where it is kept:
 * the app keeps a WebCrypto key that cannot be read back, the command line a file.
 */
export interface DeviceKey {
  /** The whole Ed25519 public key, 64 lower-case hex digits. */
  readonly deviceId: string
  /** @returns an Ed25519 signature (RFC 8032), 64 bytes */
  sign(bytes: Uint8Array): Promise<Uint8Array>
}

// The synchronous hash, since `crypto.subtle` is missing on insecure pages.
hashes.sha512 = sha512

/** For the command line, and for browsers without Ed25519 in WebCrypto. @param seed 32 random bytes, the private key */
export function deviceKeyFromSeed(seed: Uint8Array): DeviceKey {
  if (seed.length !== 32) throw new TypeError(`an Ed25519 seed has 32 bytes, not ${seed.length}`)
  const secret = Uint8Array.from(seed)
  return {
    deviceId: bytesToHex(getPublicKey(secret)),
    sign: async (bytes) => sign(bytes, secret),
  }
}

const DEVICE_ID = /^[0-9a-f]{64}$/

export function isDeviceId(text: unknown): text is string {
  return typeof text === 'string' && DEVICE_ID.test(text)
}
