/** Who this helper is: peer id, name, and signatures by Node's own crypto, which is faster than JavaScript's. The seed stays in its file's care. */
import { type PeerId, peerIdFromKey, publicKeyOf } from '@harddrive-party/protocol'
import { peerName } from '@harddrive-party/protocol/peer-name'
import { ed25519Signer } from './ed25519.ts'
import { openKeyFile } from './key-file.ts'

export interface Identity {
  readonly peerId: PeerId
  readonly name: string
  /** 32 bytes, hex. */
  readonly seed: string
  /** @returns an Ed25519 signature (RFC 8032), 64 bytes */
  sign(bytes: Uint8Array): Uint8Array
}

/** @throws CodedError as `openKeyFile` */
export async function openIdentity(file: string): Promise<Identity> {
  const seed = await openKeyFile(file)
  const peerId = peerIdFromKey(publicKeyOf(seed))
  return { peerId, name: peerName(peerId), seed: Buffer.from(seed).toString('hex'), sign: ed25519Signer(seed) }
}
