import { bytesToHex } from '@noble/hashes/utils.js'
import { publicKeyOf, sign } from '../identity.ts'

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

/** For the command line, and for browsers without Ed25519 in WebCrypto. @param seed 32 random bytes, the private key */
export function deviceKeyFromSeed(seed: Uint8Array): DeviceKey {
  if (seed.length !== 32) throw new TypeError(`an Ed25519 seed has 32 bytes, not ${seed.length}`)
  const secret = Uint8Array.from(seed)
  return {
    deviceId: bytesToHex(publicKeyOf(secret)),
    sign: async (bytes) => sign(bytes, secret),
  }
}

const DEVICE_ID = /^[0-9a-f]{64}$/

export function isDeviceId(text: unknown): text is string {
  return typeof text === 'string' && DEVICE_ID.test(text)
}
