/** Who this helper is: peer id, name, and signatures by Node's own crypto, which is faster than JavaScript's. The seed stays in its file's care. */
import { createPrivateKey, sign } from 'node:crypto'
import { type PeerId, peerIdFromKey, publicKeyOf } from '@harddrive-party/protocol'
import { peerName } from '@harddrive-party/protocol/peer-name'
import { openKeyFile } from './key-file.ts'

export interface Identity {
  readonly peerId: PeerId
  readonly name: string
  /** 32 bytes, hex. */
  readonly seed: string
  /** @returns an Ed25519 signature (RFC 8032), 64 bytes */
  sign(bytes: Uint8Array): Uint8Array
}

/** PKCS #8 around a bare Ed25519 seed (RFC 8410, section 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** @throws CodedError as `openKeyFile` */
export async function openIdentity(file: string): Promise<Identity> {
  const seed = await openKeyFile(file)
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
  const peerId = peerIdFromKey(publicKeyOf(seed))
  return { peerId, name: peerName(peerId), seed: Buffer.from(seed).toString('hex'), sign: (bytes) => sign(null, bytes, key) }
}
