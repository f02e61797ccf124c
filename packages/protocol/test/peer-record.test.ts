import { createPrivateKey, createPublicKey, sign as nodeSign, verify as nodeVerify } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import vectors from '../../../docs/vectors/peer-records.json' with { type: 'json' }
import {
  MAX_RECORD_ADDRESSES, MAX_RECORD_BYTES, MAX_RECORD_LIFETIME_MS, NAT_KINDS, type PeerRecord, RECORD_CLOCK_SKEW_MS, RECORD_SOURCES, checkIntroductionProof,
  decodePeerRecord, encodePeerRecord, introductionProof, peerIdFromKey, publicKeyOf, recordAge, sign, supersedes,
} from '../src/index.ts'
import { RECORD, RECORD_BYTES, signedBySeven } from './sample-messages.ts'
import { bytes, fromVector, hex } from './vector-values.ts'

// JavaScript signs and verifies thousands of times here.
vi.setConfig({ testTimeout: 60_000 })

const seed = new Uint8Array(32).fill(7)
const faultOf = (record: Uint8Array, verify?: () => boolean): string => {
  const result = decodePeerRecord(record, verify)
  return result.ok ? 'fine' : result.error.code
}
/** Signed anew after a change, so that only the layout can be at fault. */
const resigned = (change: (body: Uint8Array) => Uint8Array | void, of = RECORD_BYTES): Uint8Array => {
  const copy = of.slice(0, -64)
  const body = change(copy) ?? copy
  return Uint8Array.of(...body, ...sign(Uint8Array.of(...Buffer.from('hdp/1 peer record'), ...body), seed))
}
const at = (offset: number, ...values: number[]) => (body: Uint8Array): void => body.set(values, offset)

describe('vectors', () => {
  test.each(vectors.records)('record $record.sequence of $record.nat.v4', ({ record, bytes: text }) => {
    const value = fromVector(record) as PeerRecord
    expect(hex(signedBySeven(value))).toBe(text)
    expect(decodePeerRecord(bytes(text))).toEqual({ ok: true, value: { record: value, bytes: bytes(text) } })
  })

  test.each(vectors.introductions)('the proof $proof', ({ secret, to, record, proof }) => {
    expect(hex(introductionProof(bytes(secret), bytes(to), bytes(record)))).toBe(proof)
    expect(checkIntroductionProof(bytes(proof), bytes(secret), bytes(to), bytes(record))).toBe(true)
    for (const part of [secret, to, record]) {
      const other = bytes(part)
      other[3] = (other[3] ?? 0) ^ 1
      const [a, b, c] = [secret, to, record].map((text) => (text === part ? other : bytes(text))) as [Uint8Array, Uint8Array, Uint8Array]
      expect(checkIntroductionProof(bytes(proof), a, b, c)).toBe(false)
    }
    expect(checkIntroductionProof(new Uint8Array(0), bytes(secret), bytes(to), bytes(record))).toBe(false)
  })

  test('byte by byte', () => {
    const key = hex(publicKeyOf(seed))
    const body = `01 ${key}
      0000018bcfe56801 0000018bcfe56800 0000018bd50bc400  # sequence, issued, expires
      101112131415161718191a1b1c1d1e1f                    # knock secret
      01 02 01                                            # pass on, consistent, open
      0000 0000 0000 0000                                 # no block, no step, no port
      02                                                  # two addresses
      00 06 20010db8000000000000000000000001 1151         #   interface
      01 04 c0000201 9c40                                 #   stun
    `.replaceAll(/#.*$/gm, '').replaceAll(/\s+/g, '')
    expect(hex(RECORD_BYTES).slice(0, -128)).toBe(body)
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    const message = Buffer.concat([Buffer.from('hdp/1 peer record'), Buffer.from(body, 'hex')])
    expect(hex(RECORD_BYTES).slice(-128)).toBe(nodeSign(null, message, privateKey).toString('hex'))
    expect(nodeVerify(null, message, createPublicKey(privateKey), RECORD_BYTES.slice(-64))).toBe(true)
  })
})

describe('a record', () => {
  test('with everything in it stays below its bound', () => {
    const addresses = Array.from({ length: MAX_RECORD_ADDRESSES }, (_, i) => ({ endpoint: { host: `2001:db8::${i + 1}`, port: 65_535 }, source: 'mapping' as const }))
    expect(signedBySeven({ ...RECORD, addresses }).length).toBeLessThan(MAX_RECORD_BYTES)
    expect(() => signedBySeven({ ...RECORD, addresses: [...addresses, { endpoint: { host: '192.0.2.9', port: 1 }, source: 'stun' }] })).toThrow(TypeError)
  })

  test('takes the place of an older one of the same key only', () => {
    const newer = { ...RECORD, sequence: RECORD.sequence + 1 }
    expect([supersedes(newer, RECORD), supersedes(RECORD, newer), supersedes(RECORD, RECORD)]).toEqual([true, false, false])
    expect(supersedes({ ...newer, peerId: peerIdFromKey(new Uint8Array(32).fill(1)) }, RECORD)).toBe(false)
  })

  test('has a time', () => {
    const { issuedAt, expiresAt } = RECORD
    expect([issuedAt - RECORD_CLOCK_SKEW_MS - 1, issuedAt - RECORD_CLOCK_SKEW_MS, expiresAt - 1, expiresAt].map((now) => recordAge(RECORD, now)))
      .toEqual(['future', 'current', 'current', 'expired'])
  })

  test.each<[string, Partial<PeerRecord>]>([
    ['that never ends', { expiresAt: RECORD.issuedAt + MAX_RECORD_LIFETIME_MS + 1 }],
    ['that ends at once', { expiresAt: RECORD.issuedAt }],
    ['with half a sequence', { sequence: 0.5 }],
    ['with a negative time', { issuedAt: -1 }],
    ['with a short secret', { knockSecret: new Uint8Array(15) }],
    ['with a block that is none', { block: { low: 2, high: 1 } }],
    ['with a port beyond all', { lastPort: 65_536 }],
    ['with a group address', { addresses: [{ endpoint: { host: '224.0.0.1', port: 1 }, source: 'stun' }] }],
    ['with an address twice', { addresses: [...RECORD.addresses, ...RECORD.addresses] }],
  ])('%s is not made', (_, change) => expect(() => signedBySeven({ ...RECORD, ...change })).toThrow())
})

describe('records of strangers', () => {
  test.each<[string, string, Uint8Array]>([
    ['nothing', 'too-short', new Uint8Array(0)],
    ['a header without a signature', 'too-short', RECORD_BYTES.slice(0, 100)],
    ['too much', 'too-long', new Uint8Array(MAX_RECORD_BYTES + 1)],
    ['another version', 'version', resigned(at(0, 2))],
    ['a sequence beyond all counting', 'bad-time', resigned(at(33, 0xff))],
    ['a life of years', 'bad-time', resigned(at(49, 0, 0, 2))],
    ['an end before its beginning', 'bad-time', resigned(at(49, 0, 0, 0, 0))],
    ['an unknown flag', 'bad-flags', resigned(at(73, 3))],
    ['an unknown NAT kind', 'bad-nat-kind', resigned(at(74, NAT_KINDS.length))],
    ['an unknown NAT kind for IPv6', 'bad-nat-kind', resigned(at(75, 255))],
    ['half a block', 'bad-ports', resigned(at(76, 0, 1))],
    ['a block the wrong way round', 'bad-ports', resigned(at(76, 0, 2, 0, 1))],
    ['more addresses than there are', 'bad-address', resigned(at(84, 3))],
    ['more addresses than allowed', 'bad-address', resigned(at(84, MAX_RECORD_ADDRESSES + 1))],
    ['fewer addresses than there are', 'bad-layout', resigned(at(84, 1))],
    ['bytes at the end', 'bad-layout', resigned((body) => Uint8Array.of(...body, 0))],
    ['an unknown source', 'bad-address', resigned(at(85, RECORD_SOURCES.length))],
    ['an unknown family', 'bad-address', resigned(at(86, 5))],
    ['port 0', 'bad-address', resigned(at(103, 0, 0))],
    ['a group of IPv6', 'bad-address', resigned(at(87, 0xff, 0x02))],
    ['a group of IPv4', 'bad-address', resigned(at(107, 224))],
    ['everybody', 'bad-address', resigned(at(107, 255, 255, 255, 255))],
    ['nobody', 'bad-address', resigned(at(107, 0, 0, 0, 0))],
    ['a changed byte', 'bad-signature', RECORD_BYTES.with(60, 0xff)],
    ['a changed signature', 'bad-signature', RECORD_BYTES.with(RECORD_BYTES.length - 1, (RECORD_BYTES.at(-1) ?? 0) ^ 1)],
    ['the key of somebody else', 'bad-signature', Uint8Array.from([...RECORD_BYTES.slice(0, 1), ...publicKeyOf(new Uint8Array(32).fill(9)), ...RECORD_BYTES.slice(33)])],
    ['no key at all', 'bad-signature', resigned(at(1, ...new Uint8Array(32)))],
  ])('%s: %s', (_, code, record) => expect(faultOf(record)).toBe(code))

  test('signed for another purpose is nothing', () => {
    const body = RECORD_BYTES.slice(0, -64)
    expect(faultOf(Uint8Array.of(...body, ...sign(body, seed)))).toBe('bad-signature')
  })

  test('of any bytes, cut or flipped, never throw and never pass', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: MAX_RECORD_BYTES + 8 }), (record) => faultOf(record) !== 'fine'), { numRuns: 2_000 })
    fc.assert(fc.property(fc.nat(RECORD_BYTES.length - 1), fc.integer({ min: 1, max: 255 }), (i, mask) => faultOf(RECORD_BYTES.with(i, (RECORD_BYTES[i] ?? 0) ^ mask)) !== 'fine'), { numRuns: 500 })
    for (let length = 0; length < RECORD_BYTES.length; length++) expect(faultOf(RECORD_BYTES.slice(0, length))).not.toBe('fine')
  })

  test('have one encoding each: what is read is written back as the same bytes', () => {
    let read = 0
    const flips = fc.array(fc.tuple(fc.integer({ min: 33, max: RECORD_BYTES.length - 65 }), fc.nat(255)), { maxLength: 4 })
    fc.assert(fc.property(flips, (changes) => {
      const changed = RECORD_BYTES.slice()
      for (const [i, value] of changes) changed[i] = value
      const result = decodePeerRecord(changed, () => true)
      if (!result.ok) return
      read++
      expect(hex(encodePeerRecord(result.value.record, () => changed.slice(-64)))).toBe(hex(changed))
    }), { numRuns: 3_000 })
    expect(read).toBeGreaterThan(300)
  })

  test('round trip', () => {
    const port = fc.integer({ min: 1, max: 65_535 })
    const host = fc.oneof(fc.ipV4(), fc.constantFrom('2001:db8::7', 'fe80::1', 'fd00::2'))
    const arbitrary = fc.record({
      sequence: fc.maxSafeNat(), issuedAt: fc.nat(2 ** 43), life: fc.integer({ min: 1, max: MAX_RECORD_LIFETIME_MS }), passOn: fc.boolean(),
      knockSecret: fc.uint8Array({ minLength: 16, maxLength: 16 }), v4: fc.constantFrom(...NAT_KINDS), v6: fc.constantFrom(...NAT_KINDS), step: port, lastPort: port,
      addresses: fc.uniqueArray(fc.record({ endpoint: fc.record({ host, port }), source: fc.constantFrom(...RECORD_SOURCES) }), {
        maxLength: MAX_RECORD_ADDRESSES, selector: ({ endpoint }) => `${endpoint.host} ${endpoint.port}`,
      }),
    })
    let made = 0
    fc.assert(fc.property(arbitrary, ({ life, v4, v6, ...rest }) => {
      const record: PeerRecord = { ...rest, peerId: RECORD.peerId, expiresAt: rest.issuedAt + life, nat: { v4, v6 } }
      let encoded: Uint8Array
      try {
        encoded = encodePeerRecord(record, () => new Uint8Array(64))
      } catch {
        // An address that nobody can have.
        return
      }
      made++
      expect(decodePeerRecord(encoded, () => true)).toEqual({ ok: true, value: { record, bytes: encoded } })
    }), { numRuns: 1_000 })
    expect(made).toBeGreaterThan(100)
  })
})
