import { createHmac } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import punches from '../../../docs/vectors/punches.json' with { type: 'json' }
import {
  type Hmac, PUNCH_BYTES, classifyDatagram, decodePunch, encodePunch, nobleHmac, ownDatagramType, punchBucketOf, punchHintOf, punchKeyOf, punchTypeOf,
} from '../src/index.ts'
import { bytes, hex } from './vector-values.ts'

const nodeHmac: Hmac = (key, data) => createHmac('sha256', key).update(data).digest()

describe.each([['noble', nobleHmac], ['node', nodeHmac]] as const)('knocks that open NATs, with the HMAC of %s', (_, hmac) => {
  test.each(punches.punches)('$type made at $madeAt, checked at $checkedAt: $accepted', ({ secret, sender, receiver, type, nonce, chosen, madeAt, checkedAt, accepted, packet }) => {
    const key = punchKeyOf(bytes(secret), bytes(sender), bytes(receiver), hmac)
    expect(hex(encodePunch({ type: type === 'knock' ? 'knock' : 'answer', nonce: bytes(nonce), chosen }, key, madeAt, hmac))).toBe(packet)
    const decoded = decodePunch(bytes(packet), key, checkedAt, hmac)
    if (accepted) expect(decoded).toEqual({ ok: true, value: { type, nonce: bytes(nonce), chosen } })
    else expect(decoded.ok).toBe(false)
  })
})

function mac(by: Uint8Array, ...data: (string | Uint8Array)[]): Buffer {
  const sum = createHmac('sha256', by)
  for (const part of data) sum.update(part)
  return sum.digest()
}

describe('knocks that open NATs', () => {
  const now = 1_700_000_000_000
  const [secret, alice, bob, nonce] = [1, 2, 3, 4].map((byte) => new Uint8Array(byte === 4 ? 8 : 16).fill(byte)) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  const key = punchKeyOf(secret, alice, bob)
  const knock = encodePunch({ type: 'knock', nonce, chosen: false }, key, now)
  const answer = encodePunch({ type: 'answer', nonce, chosen: false }, key, now)

  test('the bytes are those the document describes', () => {
    const bucket = Buffer.alloc(8)
    bucket.writeBigUInt64BE(BigInt(Math.floor(now / 30_000)))
    const pair = mac(secret, 'hdp/1 punch', alice, bob)
    const hint = mac(pair, 'hdp/1 punch hint', bucket).subarray(0, 6).toString('hex')
    for (const [type, first, packet] of [['knock', '32', knock], ['answer', '33', answer]] as const) {
      const tag = mac(pair, `hdp/1 punch ${type}`, Uint8Array.of(0), nonce, bucket).subarray(0, 12).toString('hex')
      expect(hex(packet)).toBe(`${first}00${hint}${hex(nonce)}${tag}`)
    }
  })

  test('both are ours, of one length, and not each other', () => {
    expect([knock, answer].map((packet) => [classifyDatagram(packet), punchTypeOf(packet), packet.length, ownDatagramType(packet)])).toEqual([
      ['own', 'knock', PUNCH_BYTES, undefined],
      ['own', 'answer', PUNCH_BYTES, undefined],
    ])
    expect(decodePunch(Uint8Array.from([0x33, ...knock.subarray(1)]), key, now)).toMatchObject({ ok: false, error: { code: 'wrong-tag' } })
    expect(decodePunch(Uint8Array.from([0x34, ...knock.subarray(1)]), key, now)).toMatchObject({ ok: false, error: { code: 'wrong-type' } })
    expect(decodePunch(Uint8Array.from([0x32, 2, ...knock.subarray(2)]), key, now)).toMatchObject({ ok: false, error: { code: 'bad-flags' } })
  })

  test('a knock is for one direction between two peers, under one secret', () => {
    for (const other of [punchKeyOf(secret, bob, alice), punchKeyOf(secret, alice, alice), punchKeyOf(bob, alice, bob)]) {
      expect(decodePunch(knock, other, now)).toMatchObject({ ok: false, error: { code: 'wrong-hint' } })
    }
    expect(() => punchKeyOf(secret.subarray(1), alice, bob)).toThrow(TypeError)
    expect(() => encodePunch({ type: 'knock', nonce: alice, chosen: false }, key, now)).toThrow(TypeError)
  })

  test('the hint is the same within half a minute and another one after it, for another pair, and for another secret', () => {
    const bucket = punchBucketOf(now)
    const hints = [punchHintOf(key, bucket), punchHintOf(key, bucket + 1), punchHintOf(punchKeyOf(secret, alice, secret), bucket), punchHintOf(punchKeyOf(bob, alice, bob), bucket)]
    expect(new Set(hints.map(hex)).size).toBe(hints.length)
    expect(hex(punchHintOf(key, bucket))).toBe(hex(knock.subarray(2, 8)))
  })

  test('clocks may be half a minute apart at least, and never more than a minute', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: -200_000, max: 200_000 }), (madeAt, skew) => {
        const accepted = decodePunch(encodePunch({ type: 'answer', nonce, chosen: true }, key, madeAt, nodeHmac), key, madeAt + skew, nodeHmac).ok
        if (Math.abs(skew) <= 30_000 && madeAt + skew >= 0) expect(accepted).toBe(true)
        if (Math.abs(skew) >= 60_000 && madeAt + skew >= 0) expect(accepted).toBe(false)
      }),
    )
  })

  test('every other bit, length and any other bytes are refused', () => {
    for (let bit = 0; bit < knock.length * 8; bit++) {
      const flipped = Uint8Array.from(knock)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(decodePunch(flipped, key, now).ok, `bit ${bit}`).toBe(false)
    }
    for (let length = 0; length < PUNCH_BYTES; length++) expect(decodePunch(knock.subarray(0, length), key, now)).toMatchObject({ ok: false, error: { code: 'wrong-length' } })
    expect(decodePunch(Uint8Array.from([...knock, 0]), key, now).ok).toBe(false)
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(4e12), (noise, time) => {
      expect(decodePunch(noise, key, time, nodeHmac).ok).toBe(false)
      expect(['knock', 'answer', undefined]).toContain(punchTypeOf(noise))
    }))
    // Noise behind a good beginning.
    fc.assert(fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), (noise) => {
      expect(decodePunch(Uint8Array.from([...knock.subarray(0, 8), ...noise]), key, now, nodeHmac).ok).toBe(false)
    }))
  })
})
