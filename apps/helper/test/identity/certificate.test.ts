import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { publicKeyOf } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { certificateFromSeed, ed25519KeyFromCertificate } from '../../src/adapters/identity/certificate.ts'

const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('certificates', () => {
  it('are the same for the same seed, signed with its key, and hold its public key', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const certificate = certificateFromSeed(seed)
        expect(Buffer.from(certificateFromSeed(seed).der)).toEqual(Buffer.from(certificate.der))
        const parsed = new X509Certificate(certificate.der)
        expect(parsed.verify(parsed.publicKey)).toBe(true)
        expect(parsed.checkPrivateKey(createPrivateKey(certificate.privateKeyPem))).toBe(true)
        expect(new X509Certificate(certificate.certificatePem).fingerprint256).toBe(parsed.fingerprint256)
        expect(Buffer.from(certificate.publicKey)).toEqual(Buffer.from(publicKeyOf(seed)))
        const key = ed25519KeyFromCertificate(certificate.der)
        expect(key.ok && Buffer.from(key.value).toString('hex')).toBe(certificate.peerId)
      }),
      { numRuns: 30 },
    )
  })

  it('do not end', () => {
    const { validFrom, validTo } = new X509Certificate(certificateFromSeed(new Uint8Array(32)).der)
    expect([validFrom, validTo]).toEqual(['Jan  1 00:00:00 2020 GMT', 'Dec 31 23:59:59 9999 GMT'])
  })

  it('are refused with keys of other kinds', () => {
    // The same envelope around an X25519 key, which differs in the last byte of its algorithm only.
    const { der } = certificateFromSeed(new Uint8Array(32).fill(3))
    const other = Buffer.from(der)
    const x25519 = generateKeyPairSync('x25519').publicKey.export({ format: 'der', type: 'spki' })
    const at = other.indexOf(Buffer.from('302a300506032b6570032100', 'hex'))
    x25519.copy(other, at)
    expect(ed25519KeyFromCertificate(other)).toMatchObject({ ok: false, error: { code: 'bad-certificate' } })
  })

  it('never throw, whatever a stranger sends', () => {
    const { der } = certificateFromSeed(new Uint8Array(32).fill(4))
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => ed25519KeyFromCertificate(bytes).ok === false))
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(255), fc.nat(der.length), (at, byte, end) => {
        const changed = Uint8Array.from(der.subarray(0, end))
        if (at < end) changed[at] = byte
        const key = ed25519KeyFromCertificate(changed)
        expect(key.ok ? key.value.length : 32).toBe(32)
      }),
    )
  })
})
