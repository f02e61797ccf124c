import { decodePeerRecord, encodePeerRecord, peerIdFromKey, publicKeyOf } from '@harddrive-party/protocol'
import type { PeerId, PeerRecord, SignedPeerRecord } from '@harddrive-party/protocol'
import { ed25519Signer } from '../../src/adapters/identity/ed25519.ts'

/** People with keys, and records that they sign. */

export const UNIX = 1_700_000_000_000

export interface Person {
  readonly seed: Uint8Array
  readonly peerId: PeerId
  readonly sign: (message: Uint8Array) => Uint8Array
}

export function person(number: number): Person {
  const seed = new Uint8Array(32)
  new DataView(seed.buffer).setUint32(0, number)
  return { seed, peerId: peerIdFromKey(publicKeyOf(seed)), sign: ed25519Signer(seed) }
}

export function recordOf(owner: Person, change: Partial<PeerRecord> = {}): SignedPeerRecord {
  const record: PeerRecord = {
    peerId: owner.peerId, sequence: 1, issuedAt: UNIX, expiresAt: UNIX + 3_600_000, knockSecret: new Uint8Array(16).fill(9), passOn: true,
    nat: { v4: 'consistent', v6: 'unknown' }, addresses: [{ endpoint: { host: '10.9.9.9', port: 9 }, source: 'stun' }], ...change,
  }
  const signed = decodePeerRecord(encodePeerRecord(record, owner.sign), () => true)
  if (!signed.ok) throw new Error(signed.error.message)
  return signed.value
}
