import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { comparePart, foldName, formatCursor, matchesWords, parseCursor, searchWords, sortParts } from '../src/core/listing.ts'

const finds = (name: string, term: string) => matchesWords(foldName(name), searchWords(term))

describe('folding names', () => {
  it.each([
    ['Café Tacvba.flac', 'cafe'], ['cafe', 'CAFÉ'], ['Straße', 'STRASSE'], ['STRAẞE', 'strasse'], ['Strasse', 'STRAẞE'], ['ﬁlm', 'film'], ['ΟΔΟΣ', 'οδος'], ['İstanbul', 'istanbul'],
    ['Ⅻ', 'xii'], ['Ｆｕｌｌ', 'full'], ['Cafe\u0301', 'café'], ['עִבְרִית', 'עברית'],
  ])('%s is found by %s', (name, term) => expect(finds(name, term)).toBe(true))

  it('keeps marks that make another letter', () => {
    expect(finds('かき', 'がき')).toBe(false)
    expect(finds('कि', 'कु')).toBe(false)
    expect(finds('Ærø', 'aero')).toBe(false)
  })

  it('wants every word, in any order, and nothing for no words', () => {
    expect(finds('Bach - Mass in B minor.flac', 'minor  bach')).toBe(true)
    expect(finds('Bach - Mass in B minor.flac', 'bach major')).toBe(false)
    expect(finds('anything', ' \t ')).toBe(true)
  })

  it('finds a name by any part of itself, whatever the case', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (name) => {
      expect(foldName(foldName(name))).toBe(foldName(name))
      expect(finds(name, name)).toBe(true)
      expect(finds(name, name.toUpperCase())).toBe(true)
      expect(finds(`x${name}y`, name.normalize('NFD'))).toBe(true)
    }))
  })
})

describe('tree order', () => {
  it('is bytewise in UTF-8', () => {
    const text = fc.string({ unit: 'binary', maxLength: 8 })
    fc.assert(fc.property(text, text, (a, b) => {
      expect(Math.sign(comparePart(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
    }))
    fc.assert(fc.property(fc.array(text, { maxLength: 20 }), (names) => {
      expect(sortParts([...names])).toEqual([...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))))
    }))
    expect(sortParts(['\u{1f600}', '\uffee', 'z'])).toEqual(['z', '\uffee', '\u{1f600}'])
  })
})

describe('cursors', () => {
  const number = fc.integer({ min: 0, max: 0xffff_ffff })

  it('come back as they were', () => {
    const cursor = fc.record({ shareId: fc.stringMatching(/^[0-9a-f]{16}$/), generation: number, positions: fc.array(number, { maxLength: 128 }) })
    fc.assert(fc.property(cursor, (value) => {
      expect(parseCursor(formatCursor(value), 128)).toEqual(value)
    }))
  })

  it('are refused when nobody made them', () => {
    for (const text of ['', '.', 'a', 'a.', 'a.01', 'a.-1', 'A.1', 'a.1.', 'a.1e+1', 'a.zzzzzzz', 'a.1.1.1']) expect(parseCursor(text, 1)).toBeUndefined()
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 6000 }), (text) => {
      const cursor = parseCursor(text, 128)
      if (cursor !== undefined) expect(formatCursor(cursor)).toBe(text)
    }))
  })
})
