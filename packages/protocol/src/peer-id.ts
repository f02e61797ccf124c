import { type Result, refuse, succeed } from './result.ts'

/** A peer's identity: its whole Ed25519 public key as 64 lower-case hex digits. Names are labels; this is the key of every table. */
export type PeerId = string & { readonly __brand: 'PeerId' }

const PEER_ID = /^[0-9a-f]{64}$/

export function parsePeerId(text: string): Result<PeerId> {
  return PEER_ID.test(text) ? succeed(text as PeerId) : refuse('bad-peer-id', 'a peer id is 64 hexadecimal digits')
}

/** @param publicKey 32 bytes */
export function peerIdFromKey(publicKey: Uint8Array): PeerId {
  if (publicKey.length !== 32) throw new TypeError(`an Ed25519 public key has 32 bytes, not ${publicKey.length}`)
  let text = ''
  for (const byte of publicKey) text += byte.toString(16).padStart(2, '0')
  return text as PeerId
}

/** @returns 32 bytes */
export function peerIdToKey(peerId: PeerId): Uint8Array {
  const key = new Uint8Array(32)
  for (let i = 0; i < 32; i++) key[i] = Number.parseInt(peerId.slice(2 * i, 2 * i + 2), 16)
  return key
}

/** The first 16 digits: what is shown and typed where two names could be confused. */
export function fingerprint(peerId: PeerId): string {
  return peerId.slice(0, 16)
}
