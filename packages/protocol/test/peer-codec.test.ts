import { Encoder, Tag } from 'cbor-x'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Entry, MAX_BUNDLE_FILES, MAX_CURSOR_BYTES, MAX_ERROR_MESSAGE_BYTES, MAX_GOSSIP_RECORDS, MAX_HASHED_BYTES, MAX_HASH_RANGES, MAX_PAGE_ENTRIES, MAX_PAGE_FRAME_BYTES, MAX_READ_BYTES, MAX_RECORD_BYTES, MAX_REQUEST_FRAME_BYTES, MAX_SMALL_FRAME_BYTES, MAX_HELLO_FRAME_BYTES,
  PageMeter, type PeerAnswer, type SharePath, decodeAnswer, decodeRequest, encodeAnswer, encodeRequest, entryWireBytes, parseSharePath, utf8Length,
} from '../src/index.ts'
import { MAX_CBOR_DEPTH, MAX_CBOR_ITEMS, MAX_CBOR_KEYS, decodeCbor } from '../src/cbor.ts'
import { HELLO, path } from './sample-messages.ts'
import { bytes } from './vector-values.ts'

const plain = new Encoder({ useRecords: false, variableMapSize: true, tagUint8Array: false } as object)
const encode = (value: unknown) => Uint8Array.from(plain.encode(value))
const request = (value: unknown) => decodeRequest(encode(value))
const answer = (value: unknown) => decodeAnswer(encode(value))
const OFFER = { type: 'offer', offerId: new Uint8Array(16), name: 'a', files: 1, bytes: 1, isDirectory: false }
const badRequest = { ok: false, error: { code: 'bad-request' } }
const badAnswer = { ok: false, error: { code: 'bad-answer' } }

/** type: ping */
const TYPE_PING = '64747970656470696e67'

function nested(depth: number): Uint8Array {
  return bytes(`a2${TYPE_PING}6178${'81'.repeat(depth)}00`)
}

function mapOf(keys: number): Uint8Array {
  return encode(Object.fromEntries(Array.from({ length: keys }, (_, i) => [`k${i}`, 0])))
}

function listOf(count: number): Uint8Array {
  return encode({ x: Array.from({ length: count }, () => 0) })
}

describe('CBOR of strangers', () => {
  test('the base of the cases below is fine', () => expect(decodeCbor(bytes(`a2${TYPE_PING}617801`)).ok).toBe(true))
  test.each([
    ['empty', ''],
    ['not a map', '80'],
    ['a text', '6161'],
    ['two values', `a1${TYPE_PING}00`],
    ['an indefinite map', `bf${TYPE_PING}ff`],
    ['an indefinite list', `a2${TYPE_PING}61789fff`],
    ['an indefinite text', `a2${TYPE_PING}61787f6161ff`],
    ['a lone break', `a2${TYPE_PING}6178ff`],
    ['a list that claims 4 billion', `a2${TYPE_PING}61789affffffff`],
    ['a list that claims 2^64', `a2${TYPE_PING}61789bffffffffffffffff`],
    ['bytes that claim 4 GB', `a2${TYPE_PING}61785affffffff00`],
    ['a text that claims 2^53', `a2${TYPE_PING}61787b0020000000000000`],
    ['a map that claims 4 billion', `baffffffff${TYPE_PING}`],
    ['a reserved length', `a2${TYPE_PING}61781c`],
    ['a date', `a2${TYPE_PING}6178c11a00000000`],
    ['a date in text', `a2${TYPE_PING}6178c06161`],
    ['a big number', `a2${TYPE_PING}6178c249010000000000000000`],
    ['a decimal fraction that is huge', `a2${TYPE_PING}6178c4821b7fffffffffffffff01`],
    ['a regular expression', `a2${TYPE_PING}6178d81b8366526567457870632861296167`],
    ['an error object', `a2${TYPE_PING}6178d81b82654572726f726161`],
    ['a shared value', `a2${TYPE_PING}6178d81c8100`],
    ['a reference to one', `a2${TYPE_PING}6178d81d00`],
    ['a packed table', `a2${TYPE_PING}6178d83384816161808000`],
    ['a packed reference', `a2${TYPE_PING}6178c600`],
    ['a simple value of a packed table', `a2${TYPE_PING}6178e0`],
    ['a record definition', `a2${TYPE_PING}6178d9dfff8319e000816161f5`],
    ['a bundle of strings', `a2${TYPE_PING}6178d9dff9820060`],
    ['a typed array', `a2${TYPE_PING}6178d84d4400000000`],
    ['a set', `a2${TYPE_PING}6178d9010280`],
    ['a real map', `a2${TYPE_PING}6178d90103a0`],
    ['undefined', `a2${TYPE_PING}6178f7`],
    ['a key that is a number', `a2${TYPE_PING}0100`],
    ['a key that is a list', `a2${TYPE_PING}8000`],
    ['a key twice', `a2${TYPE_PING}${TYPE_PING}`],
    ['an overlong slash', `a2${TYPE_PING}617862c0af`],
    ['an overlong dot', `a2${TYPE_PING}617863e080ae`],
    ['a surrogate in UTF-8', `a2${TYPE_PING}617863eda080`],
    ['beyond Unicode', `a2${TYPE_PING}617864f4908080`],
    ['a cut character', `a2${TYPE_PING}617861c3`],
    ['a stray continuation', `a2${TYPE_PING}61786180`],
    ['a negative number of eight bytes', `a2${TYPE_PING}61783b0000000100000000`],
  ])('%s is refused', (_, text) => {
    expect(decodeRequest(bytes(text))).toMatchObject(badRequest)
    expect(decodeAnswer(bytes(text))).toMatchObject(badAnswer)
  })

  test('nesting is bounded, far below the stack', () => {
    expect(decodeCbor(nested(MAX_CBOR_DEPTH - 1)).ok).toBe(true)
    expect(decodeCbor(nested(MAX_CBOR_DEPTH)).ok).toBe(false)
    expect(decodeCbor(nested(400_000)).ok).toBe(false)
    expect(decodeCbor(bytes(`${'a16178'.repeat(100_000)}00`)).ok).toBe(false)
  })

  test('the number of keys is bounded', () => {
    expect(decodeCbor(mapOf(MAX_CBOR_KEYS)).ok).toBe(true)
    expect(decodeCbor(mapOf(MAX_CBOR_KEYS + 1)).ok).toBe(false)
  })

  test('the number of items is bounded, with room for a full page of fuller entries', () => {
    // The map, its key and the list itself count too.
    expect(decodeCbor(listOf(MAX_CBOR_ITEMS - 3)).ok).toBe(true)
    expect(decodeCbor(listOf(MAX_CBOR_ITEMS - 2)).ok).toBe(false)
    expect(MAX_CBOR_ITEMS).toBeGreaterThan(MAX_PAGE_ENTRIES * 10)
  })

  test('no key reaches a prototype', () => {
    // {"__proto__": {"polluted": 1}, "type": "ping"} and the same inside
    const inner = '695f5f70726f746f5f5fa168706f6c6c7574656401'
    for (const text of [`a2${inner}${TYPE_PING}`, `a2${TYPE_PING}6178a1${inner}`]) {
      const map = decodeCbor(bytes(text))
      expect(map.ok && Object.getPrototypeOf(map.value) === Object.prototype).toBe(true)
      expect(decodeRequest(bytes(text))).toEqual({ ok: true, value: { type: 'ping' } })
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    }
    expect(request({ constructor: 1, hasOwnProperty: 2, toString: 3, valueOf: 4, type: 'ping' })).toEqual({ ok: true, value: { type: 'ping' } })
  })

  test('random well-formed CBOR of other kinds never throws', () => {
    const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
      node: fc.oneof(
        { depthSize: 'small' },
        fc.string(), fc.double(), fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n - 1n }), fc.boolean(), fc.constant(null), fc.constant(undefined), fc.date(), fc.uint8Array(),
        fc.float32Array(), fc.constant(/a/g), fc.array(tie('node'), { maxLength: 4 }), fc.dictionary(fc.string(), tie('node'), { maxKeys: 4 }),
        fc.tuple(fc.nat(70_000), tie('node')).map(([tag, inner]) => new Tag(inner, tag)),
      ),
    })).node
    const names = ['type', 'path', 'search', 'entries', 'cursor', 'size', 'mtime', 'start', 'end', 'expect', 'hash', 'bytes', 'code', 'message', 'versions', 'limit']
    const types = fc.constantFrom('hello', 'ls', 'read', 'bundle', 'hashes', 'hashed', 'offer', 'offer-news', 'ping', 'page', 'data', 'sent', 'pong', 'error', 'wait', 'other')
    const message = fc.tuple(types, fc.dictionary(fc.constantFrom(...names), value)).map(([type, fields]) => ({ ...fields, type }))
    fc.assert(
      fc.property(fc.oneof(message, value), (sample) => {
        let body: Uint8Array
        try {
          body = encode(sample)
        } catch {
          return // the library cannot write this one
        }
        expect(typeof decodeRequest(body).ok).toBe('boolean')
        expect(typeof decodeAnswer(body).ok).toBe('boolean')
      }),
      { numRuns: 2000 },
    )
  })
})

describe('requests', () => {
  test('an unknown type is unsupported, none at all is bad', () => {
    expect(request({ type: 'unheard-of', x: 1 })).toMatchObject({ ok: false, error: { code: 'unsupported' } })
    expect(request({ type: 1 })).toMatchObject(badRequest)
    expect(request({})).toMatchObject(badRequest)
    // An answer is not a request.
    expect(request({ type: 'pong' })).toMatchObject({ ok: false, error: { code: 'unsupported' } })
  })

  test('fields of later versions are passed over', () => {
    expect(request({ type: 'ping', since: [1, { a: 2 }] })).toEqual({ ok: true, value: { type: 'ping' } })
  })

  test.each([
    ['no limit', { type: 'ls', recursive: false }],
    ['limit 0', { type: 'ls', limit: 0 }],
    ['limit 1.5', { type: 'ls', limit: 1.5 }],
    ['limit NaN', { type: 'ls', limit: Number.NaN }],
    ['limit as text', { type: 'ls', limit: '10' }],
    ['a path that climbs', { type: 'ls', limit: 1, path: '../x' }],
    ['an empty path', { type: 'ls', limit: 1, path: '' }],
    ['a path that is a list', { type: 'ls', limit: 1, path: ['a'] }],
    ['a long search', { type: 'ls', limit: 1, search: 'é'.repeat(129) }],
    ['a long cursor', { type: 'ls', limit: 1, cursor: 'c'.repeat(MAX_CURSOR_BYTES + 1) }],
    ['recursive 1', { type: 'ls', limit: 1, recursive: 1 }],
    ['no path', { type: 'read' }],
    ['a bundle of nothing', { type: 'bundle', files: [] }],
    ['a bundle of too many', { type: 'bundle', files: Array.from({ length: MAX_BUNDLE_FILES + 1 }, () => ['a', 0, 0]) }],
    ['a bundle of too much', { type: 'bundle', files: [['a', MAX_READ_BYTES, 0], ['b', 1, 0]] }],
    ['a bundle with a bad path', { type: 'bundle', files: [['../a', 0, 0]] }],
    ['a bundle without times', { type: 'bundle', files: [['a', 0]] }],
    ['hashes of nothing', { type: 'hashes', path: 'a', ranges: [] }],
    ['a hash of an empty range', { type: 'hashes', path: 'a', ranges: [[1, 1]] }],
    ['a range before the file', { type: 'hashes', path: 'a', ranges: [[-1, 1]] }],
    ['too many ranges', { type: 'hashes', path: 'a', ranges: Array.from({ length: MAX_HASH_RANGES + 1 }, () => [0, 1]) }],
    ['ranges of too much', { type: 'hashes', path: 'a', ranges: [[0, MAX_HASHED_BYTES], [0, 1]] }],
    ['an absolute path', { type: 'read', path: '/etc/passwd' }],
    ['places as a number', { type: 'read', path: 'a', places: 1 }],
    ['start -1', { type: 'read', path: 'a', start: -1 }],
    ['start infinite', { type: 'read', path: 'a', start: Number.POSITIVE_INFINITY }],
    ['start too large', { type: 'read', path: 'a', start: 2n ** 53n + 1n }],
    ['end before start', { type: 'read', path: 'a', start: 5, end: 4 }],
    ['expect as a map', { type: 'read', path: 'a', expect: { size: 1, mtime: 1 } }],
    ['expect with half', { type: 'read', path: 'a', expect: [1] }],
    ['expect with NaN', { type: 'read', path: 'a', expect: [1, Number.NaN] }],
    ['a short knock secret', { ...HELLO, knockSecret: new Uint8Array(15) }],
    ['a knock secret in text', { ...HELLO, knockSecret: 'a'.repeat(16) }],
    ['no versions', { ...HELLO, versions: [] }],
    ['version 0', { ...HELLO, versions: [0] }],
    ['17 versions', { ...HELLO, versions: Array.from({ length: 17 }, () => 1) }],
    ['17 addresses', { ...HELLO, addresses: Array.from({ length: 17 }, () => '1.2.3.4:5') }],
    ['an address that is a number', { ...HELLO, addresses: [1] }],
    ['gossip without a list', { type: 'gossip' }],
    ['gossip with too many records', { type: 'gossip', others: Array.from({ length: MAX_GOSSIP_RECORDS + 1 }, () => new Uint8Array(1)) }],
    ['gossip with a text', { type: 'gossip', others: ['record'] }],
    ['gossip with an endless record', { type: 'gossip', others: [new Uint8Array(MAX_RECORD_BYTES + 1)] }],
    ['gossip with a text of its own', { type: 'gossip', own: 'record', others: [] }],
    ['a change of no state', { type: 'changed' }],
    ['an offer without an id', { type: 'offer', name: 'a', files: 1, bytes: 1, isDirectory: false }],
    ['an offer of a path', { ...OFFER, name: 'a/b' }],
    ['an offer of what is above', { ...OFFER, name: '..' }],
    ['an offer without a name', { ...OFFER, name: '' }],
    ['an offer of too many files', { ...OFFER, files: 20_001, isDirectory: true }],
    ['an offer of a file that is two', { ...OFFER, files: 2 }],
    ['an offer of fewer bytes than none', { ...OFFER, bytes: -1 }],
    ['an offer with a book', { ...OFFER, note: 'x'.repeat(501) }],
    ['news that are none', { type: 'offer-news', offerId: new Uint8Array(16), state: 'lost' }],
    ['news of nothing', { type: 'offer-news', state: 'done' }],
    ['a change of half a state', { type: 'changed', revision: new Uint8Array(4) }],
    ['an introduction to nobody', { type: 'introduce', record: new Uint8Array(1), proof: new Uint8Array(16) }],
    ['an introduction to half a hash', { type: 'introduce', to: new Uint8Array(15), record: new Uint8Array(1), proof: new Uint8Array(16) }],
    ['an introduction of nobody', { type: 'introduce', to: new Uint8Array(16), proof: new Uint8Array(16) }],
    ['an introduction with a short proof', { type: 'introduce', to: new Uint8Array(16), record: new Uint8Array(1), proof: new Uint8Array(12) }],
    ['a long capability', { ...HELLO, capabilities: ['a'.repeat(65)] }],
  ])('refuses %s', (_, value) => expect(request(value)).toMatchObject(badRequest))

  test('what is absent, null and false', () => {
    expect(request({ type: 'ls', limit: 5, path: null, search: '', cursor: null })).toEqual({ ok: true, value: { type: 'ls', recursive: false, limit: 5 } })
    expect(request({ type: 'read', path: 'a', start: null })).toEqual({ ok: true, value: { type: 'read', path: 'a' } })
  })

  test('a larger limit is the largest', () => {
    expect(request({ type: 'ls', limit: 1e9 })).toMatchObject({ value: { limit: MAX_PAGE_ENTRIES } })
  })

  test('numbers may be integers or floats', () => {
    expect(request({ type: 'read', path: 'a', start: 2n ** 40n, end: 2n ** 53n - 1n })).toMatchObject({ value: { start: 2 ** 40, end: Number.MAX_SAFE_INTEGER } })
  })

  test('hello: the agent is fit for a terminal, bad addresses are left out, keys do not hold the frame', () => {
    const decoded = request({ ...HELLO, agent: `\u001b[31mevil\n\u202e${'x'.repeat(1000)}`, addresses: ['example.com:1', '192.0.2.1:4433', ''] })
    if (!decoded.ok || decoded.value.type !== 'hello') throw new Error('not a hello')
    expect(decoded.value.agent).toMatch(/^\[31mevil x+$/)
    expect(decoded.value.agent.length).toBeLessThanOrEqual(100)
    expect(decoded.value.addresses).toEqual(['192.0.2.1:4433'])
    expect(decoded.value.knockSecret.buffer.byteLength).toBe(16)
  })

  test('half a character in a search does not spoil the request', () => {
    expect(decodeRequest(encodeRequest({ type: 'ls', search: 'a\ud83d', recursive: true, limit: 1 }))).toMatchObject({ ok: true, value: { search: 'a\ufffd' } })
  })

  test('the largest requests fit their frames', () => {
    const part = '音'.repeat(85)
    const longest = path(Array.from({ length: 15 }, () => part).join('/') + `/${'a'.repeat(255)}`)
    const ls = encodeRequest({ type: 'ls', path: longest, search: 'é'.repeat(128), cursor: 'c'.repeat(MAX_CURSOR_BYTES), recursive: true, limit: 1000 })
    expect(ls.length).toBeLessThanOrEqual(MAX_REQUEST_FRAME_BYTES)
    expect(decodeRequest(ls).ok).toBe(true)
    const hello = encodeRequest({ ...HELLO, capabilities: Array.from({ length: 32 }, () => 'c'.repeat(64)), addresses: Array.from({ length: 16 }, () => '[2001:db8:1111:2222:3333:4444:5555:6666]:65535') })
    expect(hello.length).toBeLessThanOrEqual(MAX_HELLO_FRAME_BYTES)
    expect(decodeRequest(hello).ok).toBe(true)
  })
})

describe('answers', () => {
  const good = ['a', 1, 1, false]
  test.each([
    ['an unknown type', { type: 'other' }],
    ['a wait for something else', { type: 'wait', reason: 'tea' }],
    ['place 0', { type: 'wait', reason: 'queue', place: 0 }],
    ['no place', { type: 'wait', reason: 'queue' }],
    ['a place beyond all peers', { type: 'wait', reason: 'queue', place: 10_001 }],
    ['entries missing', { type: 'page' }],
    ['too many entries', { type: 'page', entries: Array.from({ length: MAX_PAGE_ENTRIES + 1 }, () => good) }],
    ['an entry that is a map', { type: 'page', entries: [{ path: 'a' }] }],
    ['an entry cut short', { type: 'page', entries: [['a', 1, 1]] }],
    ['a negative size', { type: 'page', entries: [['a', -1, 1, false]] }],
    ['half a byte', { type: 'page', entries: [['a', 0.5, 1, false]] }],
    ['a size of NaN', { type: 'page', entries: [['a', Number.NaN, 1, false]] }],
    ['a size beyond counting', { type: 'page', entries: [['a', 2 ** 53, 1, false]] }],
    ['an infinite time', { type: 'page', entries: [['a', 1, Number.NEGATIVE_INFINITY, false]] }],
    ['a directory flag of 1', { type: 'page', entries: [['a', 1, 1, 1]] }],
    ['a long cursor', { type: 'page', entries: [], cursor: 'c'.repeat(MAX_CURSOR_BYTES + 1) }],
    ['a hash that is short', { type: 'hashed', size: 1, mtime: 0, hashes: [new Uint8Array(31)] }],
    ['more data than one read', { type: 'data', size: 1e9, mtime: 0, start: 0, length: MAX_READ_BYTES + 1 }],
    ['data past the end', { type: 'data', size: 10, mtime: 0, start: 5, length: 6 }],
    ['data from past the end', { type: 'data', size: 10, mtime: 0, start: 11, length: 0 }],
    ['an introduction without a record', { type: 'introduced' }],
    ['an introduction with an endless record', { type: 'introduced', record: new Uint8Array(MAX_RECORD_BYTES + 1) }],
    ['a short hash', { type: 'sent', bytes: 1, hash: new Uint8Array(31) }],
    ['no count', { type: 'sent', hash: new Uint8Array(32) }],
    ['an error without text', { type: 'error', code: 'busy' }],
    ['an error with a number for a code', { type: 'error', code: 5, message: '' }],
  ])('refuses %s', (_, value) => expect(answer(value)).toMatchObject(badAnswer))

  test('bad paths are left out of a page and counted; the rest stays', () => {
    const entries = [good, ['../x', 1, 1, false], ['b', 2, 2, true], ['/abs', 1, 1, false], ['nul', 1, 1, false]]
    expect(answer({ type: 'page', entries })).toEqual({
      ok: true,
      value: { type: 'page', entries: [{ path: 'a', size: 1, mtime: 1, isDirectory: false }, { path: 'b', size: 2, mtime: 2, isDirectory: true }], rejected: 3 },
    })
  })

  test('codes of later versions become internal and keep their text', () => {
    expect(answer({ type: 'error', code: 'new-thing', message: 'try later' })).toEqual({ ok: true, value: { type: 'error', code: 'internal', message: 'try later' } })
  })

  test('texts of errors are cut and cleaned, in both directions', () => {
    const message = `a\u001b[2J\u0000\u202eb${'音'.repeat(900)}`
    for (const decoded of [answer({ type: 'error', code: 'busy', message }), decodeAnswer(encodeAnswer({ type: 'error', code: 'busy', message }))]) {
      if (!decoded.ok || decoded.value.type !== 'error') throw new Error('not an error')
      expect(decoded.value.message).toMatch(/^a \[2J b音+$/)
      expect(utf8Length(decoded.value.message)).toBeLessThanOrEqual(MAX_ERROR_MESSAGE_BYTES)
    }
    expect(encodeAnswer({ type: 'error', code: 'busy', message }).length).toBeLessThanOrEqual(MAX_SMALL_FRAME_BYTES)
  })

  test('any entries survive the way there and back', () => {
    const entry = fc
      .record({ path: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 120 }), size: fc.maxSafeNat(), mtime: fc.double({ min: -1e14, max: 1e14, noNaN: true }), isDirectory: fc.boolean() })
      .filter((candidate) => parseSharePath(candidate.path).ok && !Object.is(candidate.mtime, -0)) as fc.Arbitrary<Entry>
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 30 }), (entries) => {
        const page: PeerAnswer = { type: 'page', entries }
        expect(decodeAnswer(encodeAnswer(page))).toEqual({ ok: true, value: page })
      }),
      { numRuns: 200 },
    )
  })
})

function fill(entry: Entry, wanted: number): Entry[] {
  const meter = new PageMeter(wanted)
  const entries: Entry[] = []
  while (meter.admit(entry)) entries.push(entry)
  return entries
}

describe('the room in a page', () => {
  test('the estimate is never too small, and not much too large', () => {
    for (const size of [0, 100, 70_000, 5e9]) {
      for (const name of ['a', 'a'.repeat(30), '音'.repeat(80)]) {
        const entry: Entry = { path: path(name), size, mtime: 1.5, isDirectory: false }
        const empty = encodeAnswer({ type: 'page', entries: [] }).length
        const real = encodeAnswer({ type: 'page', entries: [entry] }).length - empty
        expect(entryWireBytes(entry)).toBeGreaterThanOrEqual(real)
        expect(entryWireBytes(entry) - real).toBeLessThanOrEqual(12)
      }
    }
  })

  test('a page of the longest paths ends early and fits; one of short names ends at its count', () => {
    const longPath = Array.from({ length: 16 }, () => 'a'.repeat(255)).join('/') as SharePath
    const entries = fill({ path: longPath, size: 5e9, mtime: 1.5, isDirectory: false }, 1000)
    const body = encodeAnswer({ type: 'page', entries, cursor: 'c'.repeat(MAX_CURSOR_BYTES) })
    expect(body.length).toBeLessThanOrEqual(MAX_PAGE_FRAME_BYTES)
    expect(body.length).toBeGreaterThan(MAX_PAGE_FRAME_BYTES - 5000)
    expect(decodeAnswer(body).ok).toBe(true)
    expect(fill({ path: 'a' as SharePath, size: 1, mtime: 1, isDirectory: false }, 10)).toHaveLength(10)
    expect(fill({ path: 'a' as SharePath, size: 1, mtime: 1, isDirectory: false }, 5000)).toHaveLength(MAX_PAGE_ENTRIES)
  })
})
