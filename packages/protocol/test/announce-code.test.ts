import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import identities from '../../../docs/vectors/identities.json' with { type: 'json' }
import vectors from '../../../docs/vectors/announce-codes.json' with { type: 'json' }
import {
  type AnnounceCode, type Endpoint, MAX_CODE_ADDRESSES, MAX_CODE_TEXT_LENGTH, NAT_KINDS, type NatKind, type NatPorts, type PeerId, announceCodeQrText, formatAnnounceCode, formatAnnounceLink, keyHashOf,
  parseAnnounceCode, parseHost,
} from '../src/index.ts'
import { bytes, hex } from './vector-values.ts'

const SAMPLE: AnnounceCode = {
  version: 1, name: 'Brave Otter', keyHash: new Uint8Array(16).fill(1), knockSecret: new Uint8Array(16).fill(2), natKind: 'counting',
  addresses: [{ host: '192.0.2.1', port: 4433 }, { host: '2001:db8::1', port: 5 }],
}
const TEXT = formatAnnounceCode(SAMPLE)

/** A second bech32m, written from BIP 350, so that the first is not only held to itself. */
function bech32m(body: readonly number[]): string {
  const alphabet = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
  const bits = body.map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const words = (bits.padEnd(Math.ceil(bits.length / 5) * 5, '0').match(/.{5}/g) ?? []).map((word) => Number.parseInt(word, 2))
  const expanded = [...'hdp'].map((letter) => letter.charCodeAt(0))
  let sum = 1
  for (const value of [...expanded.map((x) => x >> 5), 0, ...expanded.map((x) => x & 31), ...words, 0, 0, 0, 0, 0, 0]) {
    const top = sum >>> 25
    sum = ((sum & 0x1ffffff) << 5) ^ value
    for (const [i, term] of [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3].entries()) if ((top >> i) & 1) sum ^= term
  }
  sum ^= 0x2bc830a3
  const check = [25, 20, 15, 10, 5, 0].map((shift) => (sum >>> shift) & 31)
  return `hdp1${[...words, ...check].map((word) => alphabet[word]).join('')}`
}

/** The code with these bytes, whatever they say. */
const coded = (rest: readonly number[], version = 1) => bech32m([version, rest.length + 2, ...rest])
const KEYS = Array.from({ length: 32 }, (_, i) => i)
const V4 = [4, 192, 0, 2, 1, 0x11, 0x51]

describe('vectors', () => {
  test.each(vectors.codes)('$code', (vector) => {
    const { code, link, qr, keyHash, knockSecret, ...rest } = vector
    const value = { ...rest, keyHash: bytes(keyHash), knockSecret: bytes(knockSecret) } as AnnounceCode
    expect(formatAnnounceCode(value)).toBe(code)
    expect(formatAnnounceLink('http://127.0.0.1:3030/', value)).toBe(link)
    expect(announceCodeQrText(value)).toBe(qr)
    for (const text of [code, link, qr]) expect(parseAnnounceCode(text)).toEqual({ ok: true, value })
  })

  test.each(identities.identities)('key hash of $peerId', ({ peerId, keyHash }) => {
    expect(hex(keyHashOf(peerId as PeerId))).toBe(keyHash)
    expect(createHash('sha256').update('hdp/1 key hash').update(bytes(peerId)).digest('hex').slice(0, 32)).toBe(keyHash)
  })
})

describe('what people paste', () => {
  const fine = { ok: true, value: SAMPLE }
  test.each([
    ['as it is', TEXT],
    ['white space around it', `\n\t ${TEXT} \r\n`],
    ['broken into lines', TEXT.replaceAll(/.{20}/g, '$&\r\n  ')],
    ['upper case', TEXT.toUpperCase()],
    ['a capital at the start', TEXT.charAt(0).toUpperCase() + TEXT.slice(1)],
    ['soft hyphens and zero-width spaces', TEXT.replaceAll(/.{9}/g, '$&\u200b').replaceAll(/.{15}/g, '$&\u00ad')],
    ['a link', `http://127.0.0.1:3030/#/add/${TEXT}`],
    ['a link of the app', `web+hdp:${TEXT}`],
    ['a link of the app, as addresses are written', `WEB+HDP://${TEXT}/`],
    ['a link of the app, escaped within an address', `http://127.0.0.1:3030/#/add/web%2Bhdp%3A${TEXT}`],
    ['a link elsewhere, broken', `https://example.org/app/index.html?x=1#/add/${TEXT.slice(0, 30)}\n${TEXT.slice(30)}`],
  ])('%s', (_, text) => expect(parseAnnounceCode(text)).toEqual(fine))

  test('without a name, or with another one, it means the same', () => {
    const bare = TEXT.slice(TEXT.indexOf('hdp1'))
    expect(parseAnnounceCode(bare)).toEqual({ ok: true, value: { ...SAMPLE, name: '' } })
    expect(parseAnnounceCode(`evil-weasel-${bare}`)).toEqual({ ok: true, value: { ...SAMPLE, name: 'Evil Weasel' } })
  })

  test('a link leaves out what the address of the app had after its #', () => {
    expect(formatAnnounceLink('http://127.0.0.1:3030/#/peers', SAMPLE)).toBe(`http://127.0.0.1:3030/#/add/${TEXT}`)
  })
})

describe('what is refused, and why', () => {
  test.each([
    ['empty', ''],
    ['empty', ' \n\t '],
    ['empty', 'http://127.0.0.1:3030/#/add/'],
    ['too-long', 'x'.repeat(MAX_CODE_TEXT_LENGTH + 1)],
    ['not-a-code', 'hello'],
    ['not-a-code', 'http://example.org/'],
    ['not-a-code', `look: ${TEXT}`],
    ['not-a-code', `${TEXT}!`],
    ['not-a-code', 'hdp1'],
    ['not-a-code', 'bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq'],
    ['bad-character', `${TEXT.slice(0, 40)}o${TEXT.slice(41)}`],
    ['truncated', TEXT.slice(0, -1)],
    ['truncated', TEXT.slice(0, -20)],
    ['truncated', TEXT.slice(0, 30)],
    ['truncated', 'hdp1q'],
    ['checksum', `${TEXT.slice(0, -1)}${TEXT.endsWith('q') ? 'p' : 'q'}`],
    ['checksum', `${TEXT}${TEXT.slice(-8)}`],
    ['version', coded([0, ...KEYS, ...V4], 2)],
    ['version', bech32m([0])],
    ['bad-layout', bech32m([1])],
    ['bad-layout', bech32m([1, 3, 0])],
    ['bad-layout', bech32m([1, 200, 0, ...KEYS, ...V4])],
    ['bad-nat-kind', coded([6, ...KEYS, ...V4])],
    ['bad-nat-kind', coded([0x86, ...KEYS, ...V4])],
    ['bad-nat-kind', coded([0x44, ...KEYS, ...V4])],
    ['bad-ports', coded([0x80, ...KEYS, 156, 64, 158, 63, ...V4])],
    ['bad-ports', coded([0x85, ...KEYS, 156, 64, 158, 63, ...V4])],
    ['bad-ports', coded([0x84, ...KEYS])],
    ['bad-ports', coded([0x84, ...KEYS, 156, 64, 158])],
    ['bad-ports', coded([0x84, ...KEYS, 0, 0, 158, 63, ...V4])],
    ['bad-ports', coded([0x84, ...KEYS, 158, 63, 156, 64, ...V4])],
    ['bad-ports', coded([0x83, ...KEYS, 1, 156])],
    ['bad-ports', coded([0x83, ...KEYS, 0, 156, 64, ...V4])],
    ['bad-ports', coded([0x83, ...KEYS, 1, 0, 0, ...V4])],
    ['no-addresses', coded([0x84, ...KEYS, 156, 64, 158, 63])],
    ['bad-address', coded([4, ...KEYS, 156, 64, 158, 63, ...V4])],
    ['no-addresses', coded([0, ...KEYS])],
    ['bad-address', coded([0, ...KEYS, 5, 192, 0, 2, 1, 0x11, 0x51])],
    ['bad-address', coded([0, ...KEYS, ...V4.slice(0, -1)])],
    ['bad-address', coded([0, ...KEYS, ...V4, 6])],
    ['bad-address', coded([0, ...KEYS, 4, 192, 0, 2, 1, 0, 0])],
    ['bad-address', coded([0, ...KEYS, 4, 0, 0, 0, 0, 1, 1])],
    ['bad-address', coded([0, ...KEYS, 4, 224, 0, 0, 251, 0x14, 0xe9])],
    ['bad-address', coded([0, ...KEYS, 4, 255, 255, 255, 255, 1, 1])],
    ['bad-address', coded([0, ...KEYS, 6, 0xff, 2, ...Array.from({ length: 13 }, () => 0), 1, 1, 1])],
    ['bad-address', coded([0, ...KEYS, 6, ...Array.from({ length: 10 }, () => 0), 0xff, 0xff, 192, 0, 2, 1, 1, 1])],
    ['bad-address', coded([0, ...KEYS, ...Array.from({ length: MAX_CODE_ADDRESSES + 1 }, () => V4).flat()])],
  ])('%s: %s', (code, text) => {
    const result = parseAnnounceCode(text)
    expect(result).toMatchObject({ ok: false, error: { code } })
    expect(result.ok ? '' : result.error.message).toMatch(/\w+ \w+/)
  })

  test('the second bech32m agrees on a good code', () => {
    expect(parseAnnounceCode(coded([0, ...KEYS, ...V4]))).toMatchObject({ ok: true, value: { addresses: [{ host: '192.0.2.1', port: 4433 }], natKind: 'unknown' } })
  })

  test('ports of a network are where they belong', () => {
    expect(parseAnnounceCode(coded([0x84, ...KEYS, 156, 64, 158, 63, ...V4]))).toMatchObject({ ok: true, value: { natKind: 'block', nat: { block: { low: 40_000, high: 40_511 } } } })
    expect(parseAnnounceCode(coded([0x83, ...KEYS, 64, 156, 64, ...V4]))).toMatchObject({ ok: true, value: { natKind: 'counting', nat: { step: 64, lastPort: 40_000 } } })
  })

  test.each<[NatKind, NatPorts]>([
    ['random', { block: { low: 1, high: 2 } }],
    ['block', {}],
    ['block', { block: { low: 0, high: 2 } }],
    ['block', { block: { low: 3, high: 2 } }],
    ['block', { block: { low: 1, high: 65_536 } }],
    ['block', { block: { low: 1, high: 2 }, lastPort: 2 }],
    ['counting', { step: 1 }],
    ['counting', { step: 256, lastPort: 1 }],
    ['counting', { step: 1.5, lastPort: 1 }],
  ])('no code is made of ports that do not go with %s: %o', (natKind, nat) => {
    expect(() => formatAnnounceCode({ ...SAMPLE, natKind, nat })).toThrow(TypeError)
  })

  test('left-over bits that are not zero are refused', () => {
    // 43 bytes are 344 bits: 69 characters with one bit left over. bech32m cannot see it, so the decoder must.
    const good = coded([0, ...KEYS, ...V4, ...V4.slice(0, 0)])
    expect(parseAnnounceCode(good).ok).toBe(true)
    const all = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
    for (const letter of all) {
      const changed = `${good.slice(0, -7)}${letter}${good.slice(-6)}`
      expect(parseAnnounceCode(changed).ok).toBe(changed === good)
    }
  })
})

describe('properties', () => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6()).map((text) => parseHost(text)).filter((result) => result.ok).map((result) => (result.ok ? result.value : ''))
  const endpoint: fc.Arbitrary<Endpoint> = fc.record({ host, port: fc.integer({ min: 1, max: 65535 }) })
  const key = fc.uint8Array({ minLength: 16, maxLength: 16 })
  const word = fc.stringMatching(/^[A-Z][a-z]{0,19}$/)
  const port = fc.integer({ min: 1, max: 65535 })
  const network: fc.Arbitrary<Pick<AnnounceCode, 'natKind' | 'nat'>> = fc.oneof(
    fc.record({ natKind: fc.constantFrom(...NAT_KINDS) }),
    fc.tuple(port, port).map(([a, b]) => ({ natKind: 'block' as const, nat: { block: { low: Math.min(a, b), high: Math.max(a, b) } } })),
    fc.record({ natKind: fc.constant('counting' as const), nat: fc.record({ step: fc.integer({ min: 1, max: 255 }), lastPort: port }) }),
  )
  const code: fc.Arbitrary<AnnounceCode> = fc.tuple(network, fc.record({
    version: fc.constant(1 as const), name: fc.array(word, { maxLength: 4 }).map((words) => words.join(' ')), keyHash: key, knockSecret: key,
    addresses: fc.array(endpoint, { minLength: 1, maxLength: MAX_CODE_ADDRESSES }),
  })).map(([nat, rest]) => ({ ...rest, ...nat }))

  test('every code comes back as it was, or is refused for an address that nobody can have', () => {
    fc.assert(
      fc.property(code, (value) => {
        const parsed = parseAnnounceCode(formatAnnounceCode(value))
        if (parsed.ok) expect(parsed.value).toEqual(value)
        else expect(parsed.error.code).toBe('bad-address')
      }),
    )
  })

  test('any text is answered, never thrown at', () => {
    fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.stringMatching(/^[a-z-]{0,9}hdp1[a-z0-9]*$/)), (text) => {
      const result = parseAnnounceCode(text)
      if (!result.ok) expect(result.error.message.length).toBeGreaterThan(10)
    }), { numRuns: 2000 })
  })

  test('one wrong or two exchanged characters are never taken for a good code', () => {
    const start = TEXT.indexOf('hdp1') + 4
    fc.assert(
      fc.property(fc.nat(TEXT.length - start - 1), fc.constantFrom(...'qpzry9x8gf2tvdw0s3jn54khce6mua7l'), (offset, letter) => {
        const at = start + offset
        const wrong = TEXT.slice(0, at) + letter + TEXT.slice(at + 1)
        expect(parseAnnounceCode(wrong).ok).toBe(wrong === TEXT)
        const swapped = TEXT.slice(0, at) + (TEXT[at + 1] ?? '') + (TEXT[at] ?? '') + TEXT.slice(at + 2)
        expect(parseAnnounceCode(swapped).ok).toBe(swapped === TEXT)
      }),
      { numRuns: 2000 },
    )
  })

  test('bodies of any bytes under a good checksum are answered', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(255), { maxLength: 250 }), (body) => {
        for (const text of [bech32m(body), coded(body)]) expect(typeof parseAnnounceCode(text).ok).toBe('boolean')
        const framed = parseAnnounceCode(coded([0, ...KEYS, ...body]))
        // What is accepted has one spelling.
        if (framed.ok) expect(formatAnnounceCode(framed.value)).toBe(coded([0, ...KEYS, ...body]))
        for (const kind of [0x83, 0x84]) {
          const text = coded([kind, ...KEYS, ...body.slice(0, 6), ...V4])
          const withPorts = parseAnnounceCode(text)
          if (withPorts.ok) expect(formatAnnounceCode(withPorts.value)).toBe(text)
        }
      }),
      { numRuns: 500 },
    )
  })
})
