import { createHmac } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import datagrams from '../../../docs/vectors/datagrams.json' with { type: 'json' }
import knocks from '../../../docs/vectors/knocks.json' with { type: 'json' }
import {
  type Hmac, PROBE_BYTES, checkKnockCid, classifyDatagram, decodeEcho, decodeProbe, encodeEcho, encodeProbe, makeKnockCid, nobleHmac, ownDatagramType,
} from '../src/index.ts'
import { bytes, hex } from './vector-values.ts'

const nodeHmac: Hmac = (key, data) => createHmac('sha256', key).update(data).digest()
const implementations = [['noble', nobleHmac], ['node', nodeHmac]] as const

describe.each(implementations)('knocks with the HMAC of %s', (_, hmac) => {
  test.each(knocks.knocks)('made at $madeAt, checked at $checkedAt: $accepted', ({ secret, nonce, madeAt, checkedAt, accepted, cid }) => {
    expect(hex(makeKnockCid(bytes(secret), bytes(nonce), madeAt, hmac))).toBe(cid)
    expect(checkKnockCid(bytes(cid), bytes(secret), checkedAt, hmac)).toBe(accepted)
  })
})

describe('knocks', () => {
  const secret = new Uint8Array(16).fill(7)
  const now = 1_700_000_000_000
  const cid = makeKnockCid(secret, new Uint8Array(8).fill(3), now)

  test('the bytes are those the document describes', () => {
    const bucket = Buffer.alloc(8)
    bucket.writeBigUInt64BE(BigInt(Math.floor(now / 30_000)))
    const tag = createHmac('sha256', secret).update('hdp/1 knock').update(cid.subarray(0, 8)).update(bucket).digest()
    expect(hex(cid)).toBe('03'.repeat(8) + tag.toString('hex').slice(0, 24))
  })

  test('every other bit, length and secret is turned away', () => {
    for (let bit = 0; bit < 160; bit++) {
      const flipped = Uint8Array.from(cid)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(checkKnockCid(flipped, secret, now)).toBe(false)
    }
    for (let length = 0; length < 20; length++) expect(checkKnockCid(cid.subarray(0, length), secret, now)).toBe(false)
    expect(checkKnockCid(Uint8Array.from([...cid, 0]), secret, now)).toBe(false)
    expect(checkKnockCid(cid, new Uint8Array(16).fill(8), now)).toBe(false)
    expect(checkKnockCid(cid, secret, now)).toBe(true)
  })

  test('clocks may be half a minute apart at least, and never more than a minute', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: -200_000, max: 200_000 }), (madeAt, skew) => {
        const knock = makeKnockCid(secret, new Uint8Array(8), madeAt, nodeHmac)
        const accepted = checkKnockCid(knock, secret, madeAt + skew, nodeHmac)
        if (Math.abs(skew) <= 30_000 && madeAt + skew >= 0) expect(accepted).toBe(true)
        if (Math.abs(skew) >= 60_000) expect(accepted).toBe(false)
      }),
    )
  })
})

describe('kinds of datagrams', () => {
  test.each(datagrams.kinds)('$bytes is $kind', ({ bytes: text, kind }) => expect(classifyDatagram(bytes(text))).toBe(kind))
})

describe.each(implementations)('path probes with the HMAC of %s', (_, hmac) => {
  test.each(datagrams.paths)('$probe', ({ key, nonce, probe, echo }) => {
    expect(hex(encodeProbe(bytes(nonce), bytes(key), hmac))).toBe(probe)
    expect(hex(encodeEcho(bytes(nonce), bytes(key), hmac))).toBe(echo)
    expect(decodeProbe(bytes(probe), bytes(key), hmac)).toEqual({ ok: true, value: bytes(nonce) })
    expect(decodeEcho(bytes(echo), bytes(key), hmac)).toEqual({ ok: true, value: bytes(nonce) })
  })
})

function tagOf(label: string, key: Uint8Array, nonce: Uint8Array): string {
  return createHmac('sha256', key).update(label).update(nonce).digest('hex').slice(0, 24)
}

describe('path probes', () => {
  const key = new Uint8Array(16).fill(1)
  const nonce = new Uint8Array(8).fill(2)
  const probe = encodeProbe(nonce, key)
  const echo = encodeEcho(nonce, key)

  test('the bytes are those the document describes', () => {
    expect(hex(probe)).toBe(`30${'02'.repeat(8)}${tagOf('hdp/1 path probe', key, nonce)}`)
    expect(hex(echo)).toBe(`31${'02'.repeat(8)}${tagOf('hdp/1 path echo', key, nonce)}`)
  })

  test('they are ours, of one length, and not each other', () => {
    expect([probe, echo].map((datagram) => [classifyDatagram(datagram), ownDatagramType(datagram), datagram.length])).toEqual([
      ['own', 'probe', PROBE_BYTES],
      ['own', 'echo', PROBE_BYTES],
    ])
    expect(decodeEcho(probe, key)).toMatchObject({ ok: false, error: { code: 'wrong-type' } })
    expect(decodeProbe(echo, key)).toMatchObject({ ok: false, error: { code: 'wrong-type' } })
    // A probe cannot be sent back as its own echo by changing the type.
    expect(decodeEcho(Uint8Array.from([0x31, ...probe.subarray(1)]), key)).toMatchObject({ ok: false, error: { code: 'wrong-tag' } })
    expect(decodeProbe(probe, nonce)).toMatchObject({ ok: false, error: { code: 'wrong-tag' } })
    expect(ownDatagramType(Uint8Array.of(0x32, ...probe.subarray(1)))).toBeUndefined()
  })

  test('every other bit and any other bytes are refused', () => {
    for (let bit = 0; bit < probe.length * 8; bit++) {
      const flipped = Uint8Array.from(probe)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(decodeProbe(flipped, key).ok).toBe(false)
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (noise) => {
      expect(decodeProbe(noise, key).ok || decodeEcho(noise, key).ok).toBe(false)
      expect(typeof classifyDatagram(noise)).toBe('string')
    }))
  })
})
