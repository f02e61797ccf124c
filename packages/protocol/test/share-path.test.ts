import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import vectors from '../../../docs/vectors/share-paths.json' with { type: 'json' }
import {
  CollisionSet, MAX_PATH_BYTES, MAX_PATH_PARTS, MAX_PATH_PART_BYTES, type SharePath, collisionKey, compareTreeOrder, isBelow, isPortablePart,
  joinSharePath, parentOf, parsePathPart, parseSharePath, relativeTo, shareOf, sharePathBaseName, sharePathParts, utf8Length,
} from '../src/index.ts'

function path(text: string): SharePath {
  const result = parseSharePath(text)
  if (!result.ok) throw new Error(`${JSON.stringify(text)}: ${result.error.message}`)
  return result.value
}

function textOf(entry: { text?: string; utf16?: number[]; repeat?: unknown[] }): string {
  if (entry.text !== undefined) return entry.text
  if (entry.utf16 !== undefined) return String.fromCharCode(...entry.utf16)
  const [text, times, separator] = entry.repeat as [string, number, string]
  return Array.from({ length: times }, () => text).join(separator)
}

function treeKey(text: string): Buffer {
  return Buffer.from(text.replaceAll('/', '\0'))
}

/** Names made of what makes trouble, so that random search finds the borders of the rules. */
const troubled = fc
  .array(fc.constantFrom('.', '..', '/', '\\', ':', 'C:', 'con', 'NUL', ' ', 'a', 'é', '\0', '\u202e', '\ud800', '\u{1f600}', '\n', '?', '*', '~', '¹', 'com'), { maxLength: 12 })
  .map((pieces) => pieces.join(''))
const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), troubled)

describe('share paths', () => {
  test.each(vectors.accepted)('accepts %j', (text) => {
    expect(parseSharePath(text)).toEqual({ ok: true, value: text })
  })

  test.each(vectors.refused.map((entry) => [entry.rule, textOf(entry as { text?: string })] as const))('refuses for %s: %j', (rule, text) => {
    expect(parseSharePath(text)).toMatchObject({ ok: false, error: { code: rule } })
  })

  test('accepts exactly up to the limits', () => {
    expect(parseSharePath('a'.repeat(MAX_PATH_PART_BYTES)).ok).toBe(true)
    expect(parseSharePath(Array.from({ length: MAX_PATH_PARTS }, () => 'a').join('/')).ok).toBe(true)
    const part = '音'.repeat(85)
    expect(utf8Length(part)).toBe(255)
    const longest = `${Array.from({ length: 15 }, () => part).join('/')}/${'a'.repeat(256 - 1)}`
    expect(utf8Length(longest)).toBe(4095)
    expect(parseSharePath(longest).ok).toBe(true)
    expect(parseSharePath(`${longest.slice(0, -2)}/aa`).ok).toBe(true)
    expect(utf8Length(`${longest.slice(0, -2)}/aa`)).toBe(MAX_PATH_BYTES)
    expect(parseSharePath(`${longest.slice(0, -2)}/aaa`)).toMatchObject({ ok: false, error: { code: 'too-long' } })
  })

  test('whatever is accepted stays inside the directory it is joined to, on both kinds of system', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const result = parseSharePath(text)
        if (!result.ok) return
        expect(result.value).toBe(text)
        for (const part of text.split(/[/\\]/)) {
          expect(['', '.', '..']).not.toContain(part)
          expect(part).not.toMatch(/[. ]$/)
          expect(part).not.toMatch(/^[a-z]:/i)
        }
        // oxlint-disable-next-line no-control-regex -- the point of the test
        expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f\\\u202a-\u202e\u2066-\u2069]/)
        expect(new TextDecoder().decode(new TextEncoder().encode(text))).toBe(text)
        expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(MAX_PATH_BYTES)
        expect(sharePathParts(result.value).join('/')).toBe(text)
      }),
      { numRuns: 3000 },
    )
  })

  test('a path is accepted exactly when all its parts are', () => {
    fc.assert(
      fc.property(fc.array(anyText, { minLength: 1, maxLength: 6 }), (parts) => {
        const whole = parseSharePath(parts.join('/'))
        const each = parts.join('/').split('/').every((part) => parsePathPart(part).ok)
        // A long path of good parts is the only difference; it cannot arise at these sizes.
        expect(whole.ok).toBe(each)
      }),
      { numRuns: 2000 },
    )
  })

  test('joining and taking apart are inverse', () => {
    fc.assert(
      fc.property(fc.array(anyText, { minLength: 1, maxLength: 8 }), (names) => {
        let whole: SharePath | undefined
        for (const name of names) {
          const joined = joinSharePath(whole, name)
          expect(joined.ok).toBe(parsePathPart(name).ok)
          if (!joined.ok) return
          expect(sharePathBaseName(joined.value)).toBe(name)
          expect(parentOf(joined.value)).toBe(whole)
          expect(isBelow(joined.value, whole)).toBe(true)
          expect(relativeTo(joined.value, whole)).toBe(name)
          whole = joined.value
        }
        if (whole) expect(shareOf(whole)).toBe(names[0])
      }),
    )
  })

  test('a name that only begins like a directory is not below it', () => {
    expect(isBelow(path('Music2/x'), path('Music'))).toBe(false)
    expect(isBelow(path('Music'), path('Music'))).toBe(false)
    expect(relativeTo(path('Music2/x'), path('Music'))).toBeUndefined()
    expect(joinSharePath(path('Music'), '../x')).toMatchObject({ ok: false })
    expect(joinSharePath(path('Music'), 'a/b')).toMatchObject({ ok: false, error: { code: 'separator' } })
  })

  test('tree order: contents before the next sibling, names by their UTF-8 bytes', () => {
    const sorted = ['a', 'a/b', 'a/b/c', 'a/c', 'a b', 'a!', 'a.txt', 'b', 'é', '\uffee', '\u{1f600}'].map(path)
    // ' ' is 0x20 and '!' 0x21, both below '/': a plain comparison of texts would put them before the contents of `a`.
    expect(sorted.toReversed().sort(compareTreeOrder)).toEqual(sorted)
  })

  test('tree order is the order of the bytes with the lowest one for the slash', () => {
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        const left = parseSharePath(a)
        const right = parseSharePath(b)
        if (left.ok && right.ok) expect(compareTreeOrder(left.value, right.value)).toBe(Buffer.compare(treeKey(a), treeKey(b)))
      }),
      { numRuns: 2000 },
    )
  })
})

describe('names that some systems cannot have', () => {
  test.each(['What? *live*.flac', 'ab:c', 'a|b', '<a>', 'say "hi"', 'Star Wars: IV.mkv'])('%s is not portable', (name) => {
    expect(parsePathPart(name).ok).toBe(true)
    expect(isPortablePart(name)).toBe(false)
  })
  test.each(['a', 'Für Elise (1).flac', '.profile', "it's", 'a;b&c'])('%s is', (name) => expect(isPortablePart(name)).toBe(true))
})

describe('collisions within one download', () => {
  test.each(vectors.collisions)('$paths', ({ paths, collide }) => {
    const set = new CollisionSet()
    const [first = '', second = ''] = paths
    expect(set.add(path(first), false)).toBeUndefined()
    if (collide) expect(set.add(path(second), false)).toBeDefined()
    else expect(set.add(path(second), false)).toBeUndefined()
  })

  test('says which two, also when they are directories above', () => {
    const set = new CollisionSet()
    set.add(path('Album'), true)
    expect(set.add(path('Album/1.flac'), false)).toBeUndefined()
    expect(set.add(path('Album/2.flac'), false)).toBeUndefined()
    expect(set.add(path('ALBUM/3.flac'), false)).toEqual({ first: 'Album', second: 'ALBUM' })
    expect(set.add(path('Album/1.FLAC'), false)).toEqual({ first: 'Album/1.flac', second: 'Album/1.FLAC' })
    expect(set.add(path('Album/2.flac'), false)).toBeUndefined()
  })

  test('the key does not change when it is taken again, nor with case or normal form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const key = collisionKey(text)
        expect(collisionKey(key)).toBe(key)
        for (const form of ['NFC', 'NFD'] as const) expect(collisionKey(text.normalize(form))).toBe(key)
        expect(collisionKey(text.toUpperCase())).toBe(key)
        expect(collisionKey(text.toLowerCase())).toBe(key)
      }),
      { numRuns: 2000 },
    )
  })
})
