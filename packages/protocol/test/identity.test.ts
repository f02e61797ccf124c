import { createPrivateKey, createPublicKey, sign as nodeSign } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import words from '../../../docs/vectors/name-words.json' with { type: 'json' }
import vectors from '../../../docs/vectors/identities.json' with { type: 'json' }
import { type PeerId, cleanText, cutToBytes, parsePeerId, peerIdFromKey, peerIdToKey, publicKeyOf, sign, utf8Length, verify, wellFormed } from '../src/index.ts'
import { NAME_WORDS, peerName } from '../src/peer-name.ts'
import { bytes, hex } from './vector-values.ts'

const MESSAGE = new TextEncoder().encode('hdp')

describe('identities', () => {
  test.each(vectors.identities)('$peerId', ({ seed, peerId, name, signature }) => {
    expect(hex(publicKeyOf(bytes(seed)))).toBe(peerId)
    expect(peerIdFromKey(bytes(peerId))).toBe(peerId)
    expect(parsePeerId(peerId)).toEqual({ ok: true, value: peerId })
    expect(hex(peerIdToKey(peerId as PeerId))).toBe(peerId)
    expect(peerName(peerId as PeerId)).toBe(name)
    expect(hex(sign(MESSAGE, bytes(seed)))).toBe(signature)
    expect(verify(bytes(signature), MESSAGE, bytes(peerId))).toBe(true)
    // The platform's own Ed25519 gives the same key and the same signature.
    const key = createPrivateKey({ key: Buffer.concat([bytes('302e020100300506032b657004220420'), bytes(seed)]), format: 'der', type: 'pkcs8' })
    expect(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex')).toBe(peerId)
    expect(nodeSign(null, MESSAGE, key).toString('hex')).toBe(signature)
  })

  test('other messages, keys and shapes are just false', () => {
    const { peerId = '', signature = '' } = vectors.identities[0] ?? {}
    expect(verify(bytes(signature), Uint8Array.of(1), bytes(peerId))).toBe(false)
    expect(verify(bytes(signature), MESSAGE, bytes(vectors.identities[1]?.peerId ?? ''))).toBe(false)
    fc.assert(fc.property(fc.uint8Array({ maxLength: 70 }), fc.uint8Array({ maxLength: 40 }), (noise, key) => {
      expect(verify(noise, MESSAGE, key)).toBe(false)
    }))
    // The key of order one with the signature that fits every message: refused by the strict rules.
    expect(verify(bytes(`01${'00'.repeat(63)}`), MESSAGE, bytes(`01${'00'.repeat(31)}`))).toBe(false)
  })

  test.each(['', 'a', 'A'.repeat(64), `${'a'.repeat(63)}g`, 'a'.repeat(65), `${'a'.repeat(64)}\n`])('%j is not a peer id', (text) => {
    expect(parsePeerId(text).ok).toBe(false)
  })
})

describe('names', () => {
  test('the words are plain, apart, and exactly these', () => {
    const { adjectives, animals } = NAME_WORDS
    for (const list of [adjectives, animals]) {
      for (const word of list) expect(word).toMatch(/^[a-z]{3,9}$/)
      expect(new Set(list).size).toBe(list.length)
    }
    // A new version of the word lists would rename everybody: that is a decision, not an update.
    expect({ adjectives, animals }).toEqual({ adjectives: words.adjectives, animals: words.animals })
  })

  test('every key has a name of two words in title case', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
      expect(peerName(peerIdFromKey(key))).toMatch(/^[A-Z][a-z]+ [A-Z][a-z]+$/)
    }))
  })
})

describe('text', () => {
  test('lengths in UTF-8 are those of the encoder', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(utf8Length(text)).toBe(Buffer.byteLength(text))
    }))
    for (const text of ['\ud800', '\udc00', 'a\ud800b', '\ud800\ud800\udc00']) expect(utf8Length(text)).toBe(Buffer.byteLength(text))
  })
  test('a cut text is the longest that fits, and whole', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, max) => {
        const cut = cutToBytes(text, max)
        expect(text.startsWith(cut)).toBe(true)
        expect(utf8Length(cut)).toBeLessThanOrEqual(max)
        const next = String.fromCodePoint(text.codePointAt(cut.length) ?? 0)
        if (cut !== text) expect(utf8Length(cut + next)).toBeGreaterThan(max)
      }),
    )
  })
  test('cleaned text is short and steers nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(40), (text, max) => {
        const clean = cleanText(text, max)
        expect(utf8Length(clean)).toBeLessThanOrEqual(max)
        // oxlint-disable-next-line no-control-regex -- the point of the test
        expect(clean).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u206f]/)
      }),
    )
    expect(cleanText('  a\r\nb\u001b[1m  ', 100)).toBe('a b [1m')
    expect(wellFormed('a\ud800')).toBe('a\ufffd')
    // Replacing half a character makes it longer: the limit still holds.
    expect(utf8Length(cleanText('\ud800\ud800\ud800\ud800', 4))).toBeLessThanOrEqual(4)
  })
})
