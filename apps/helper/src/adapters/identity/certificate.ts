/** Makes our self-signed Ed25519 certificate and takes the public key out of a peer's. Decides nothing about whom to trust. */
import { createPrivateKey, createPublicKey, sign, X509Certificate } from 'node:crypto'
import { type Fault, type PeerId, peerIdFromKey, refuse, type Result, succeed } from '@harddrive-party/protocol'
import { pem, sequence, tlv } from './der.ts'

/** What TLS needs of an identity. The certificate is a mere envelope for the key: names and dates in it mean nothing. */
export interface Certificate {
  /** 32 bytes: the Ed25519 public key. */
  readonly publicKey: Uint8Array
  readonly peerId: PeerId
  /** X.509 in DER; the same for the same seed, always. */
  readonly der: Uint8Array
  readonly certificatePem: string
  /** PKCS #8 */
  readonly privateKeyPem: string
}

/** RFC 8410: everything before the 32 bytes of the seed (PKCS #8) and of the public key (SubjectPublicKeyInfo). */
const PKCS8_PREFIX = Uint8Array.from(Buffer.from('302e020100300506032b657004220420', 'hex'))
const SPKI_PREFIX = Uint8Array.from(Buffer.from('302a300506032b6570032100', 'hex'))
/** AlgorithmIdentifier { id-Ed25519 } */
const ED25519 = Uint8Array.from(Buffer.from('300506032b6570', 'hex'))
/** Name { commonName = "hdp" } */
const NAME = sequence(tlv(0x31, sequence(Uint8Array.of(0x06, 3, 0x55, 0x04, 0x03), tlv(0x0c, Buffer.from('hdp')))))
/** Fixed, so that the certificate depends on the seed alone; RFC 5280 has 9999-12-31 for "does not end". */
const VALIDITY = sequence(tlv(0x17, Buffer.from('200101000000Z')), tlv(0x18, Buffer.from('99991231235959Z')))

/** @param seed 32 bytes, the Ed25519 private key of RFC 8032 */
export function certificateFromSeed(seed: Uint8Array): Certificate {
  if (seed.length !== 32) throw new TypeError(`an Ed25519 seed has 32 bytes, not ${seed.length}`)
  const pkcs8 = Buffer.concat([PKCS8_PREFIX, seed])
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const publicKey = new Uint8Array(spki.subarray(SPKI_PREFIX.length))
  // A positive INTEGER without a leading zero byte, whatever the key.
  const serial = Uint8Array.of((publicKey[0]! & 0x3f) | 0x40, ...publicKey.subarray(1, 8))
  const body = sequence(
    tlv(0xa0, Uint8Array.of(0x02, 1, 2)),
    tlv(0x02, serial),
    ED25519,
    NAME,
    VALIDITY,
    NAME,
    spki,
  )
  const der = sequence(body, ED25519, tlv(0x03, Buffer.concat([Uint8Array.of(0), sign(null, body, privateKey)])))
  return {
    publicKey,
    peerId: peerIdFromKey(publicKey),
    der,
    certificatePem: pem('CERTIFICATE', der),
    privateKeyPem: pem('PRIVATE KEY', pkcs8),
  }
}

/**
 * The public key in a certificate that somebody sent.
 * @param der X.509; whether its holder has the private key is for TLS to prove, not for this
 * @returns 32 bytes, or why this is no identity of ours
 */
export function ed25519KeyFromCertificate(der: Uint8Array): Result<Uint8Array, Fault<'bad-certificate'>> {
  try {
    const key = new X509Certificate(der).publicKey
    if (key.asymmetricKeyType !== 'ed25519') return refuse('bad-certificate', 'the key in the certificate is not Ed25519')
    const spki = key.export({ format: 'der', type: 'spki' })
    if (spki.length !== SPKI_PREFIX.length + 32) return refuse('bad-certificate', 'the key in the certificate has another length')
    return succeed(new Uint8Array(spki.subarray(SPKI_PREFIX.length)))
  } catch {
    return refuse('bad-certificate', 'this is not an X.509 certificate')
  }
}
