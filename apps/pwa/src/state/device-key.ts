import { peerIdFromKey } from '@harddrive-party/protocol'
import { type DeviceKey, deviceKeyFromSeed } from '@harddrive-party/protocol/control'
import type { AppDb, StoredDeviceKey } from './app-db.ts'

/** This browser's own key: made once, kept in IndexedDB, and where WebCrypto knows Ed25519 never readable, not even by this app. */
export async function openDeviceKey(db: AppDb): Promise<DeviceKey> {
  const stored = await db.get('keys', 'device')
  if (stored !== undefined) return deviceKeyFrom(stored)
  const made = await makeKey()
  // Another tab may have been quicker: `add` refuses a second key, and then the first one counts.
  const kept = await db.add('keys', made, 'device').then(() => made, () => db.get('keys', 'device'))
  return deviceKeyFrom(kept ?? made)
}

async function makeKey(): Promise<StoredDeviceKey> {
  try {
    const pair = await crypto.subtle.generateKey({ name: 'Ed25519' }, false, ['sign', 'verify'])
    return { kind: 'webcrypto', pair: pair as CryptoKeyPair }
  } catch {
    return { kind: 'seed', seed: crypto.getRandomValues(new Uint8Array(32)) }
  }
}

async function deviceKeyFrom(stored: StoredDeviceKey): Promise<DeviceKey> {
  if (stored.kind === 'seed') return deviceKeyFromSeed(stored.seed)
  const { privateKey, publicKey } = stored.pair
  return {
    // A public key can always be exported, whatever was said of the private one.
    deviceId: peerIdFromKey(new Uint8Array(await crypto.subtle.exportKey('raw', publicKey))),
    sign: async (bytes) => new Uint8Array(await crypto.subtle.sign({ name: 'Ed25519' }, privateKey, Uint8Array.from(bytes))),
  }
}

/** What the helper's list of devices calls this browser: `Firefox on Android`. */
export function deviceName(userAgent: string): string {
  const browser = /Edg\//.test(userAgent) ? 'Edge' : /OPR\//.test(userAgent) ? 'Opera' : /Firefox\//.test(userAgent) ? 'Firefox'
    : /Chrome\//.test(userAgent) ? 'Chrome' : /Safari\//.test(userAgent) ? 'Safari' : 'Browser'
  const system = /Android/.test(userAgent) ? 'Android' : /iPhone|iPad/.test(userAgent) ? 'iOS' : /Windows/.test(userAgent) ? 'Windows'
    : /Mac OS/.test(userAgent) ? 'macOS' : /CrOS/.test(userAgent) ? 'ChromeOS' : /Linux/.test(userAgent) ? 'Linux' : null
  return system === null ? browser : `${browser} on ${system}`
}
