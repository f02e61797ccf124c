import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_SEARCH_WORDS, compareNatural, extensionOf, fileTypeOf, foldName, naturalKey, parseSearch, rankEntry } from '../src/index.ts'

const entry = (path: string, size = 5, isDirectory = false) => ({ path, size, isDirectory })
const rank = (search: string, path: string, size?: number, isDirectory?: boolean) => rankEntry(parseSearch(search), entry(path, size, isDirectory))
const finds = (name: string, search: string) => rank(search, name) !== undefined

describe('searching', () => {
  it.each([
    ['Café Tacvba.flac', 'cafe'], ['cafe', 'CAFÉ'], ['Straße', 'STRASSE'], ['STRAẞE', 'strasse'], ['Strasse', 'STRAẞE'], ['ﬁlm', 'film'], ['ΟΔΟΣ', 'οδος'], ['İstanbul', 'istanbul'],
    ['Ⅻ', 'xii'], ['Ｆｕｌｌ', 'full'], ['Cafe\u0301', 'café'], ['עִבְרִית', 'עברית'],
  ])('%s is found by %s', (name, search) => expect(finds(name, search)).toBe(true))

  it('keeps marks that make another letter', () => {
    expect(finds('かき', 'がき')).toBe(false)
    expect(finds('कि', 'कु')).toBe(false)
    expect(finds('Ærø', 'aero')).toBe(false)
  })

  it('wants every word, in any order, and nothing for no words', () => {
    expect(finds('Bach - Mass in B minor.flac', 'minor  bach')).toBe(true)
    expect(finds('Bach - Mass in B minor.flac', 'bach - mass')).toBe(true)
    expect(finds('Bach - Mass in B minor.flac', 'bach major')).toBe(false)
    expect(finds('anything', ' \t ')).toBe(true)
  })

  it('takes phrases, words to leave out, ends of names, sizes and types', () => {
    expect(parseSearch('Abbey "The  End" -live *.FLAC size:>10MB type:audio')).toEqual({
      words: ['abbey', 'the end'], excluded: ['live'], extensions: ['flac'], types: ['audio'], minSize: 10_000_001, maxSize: Number.MAX_SAFE_INTEGER,
    })
    expect(parseSearch('ext:flac,.mp3,*.ogg')).toMatchObject({ words: [], extensions: ['flac', 'mp3', 'ogg'] })
    expect(parseSearch('size:1.5k..2M')).toMatchObject({ minSize: 1500, maxSize: 2_000_000 })
    expect(parseSearch('size:<=1GiB')).toMatchObject({ minSize: 0, maxSize: 1e9 })
    expect(parseSearch('size:=7')).toMatchObject({ minSize: 7, maxSize: 7 })
    expect(finds('a b.txt', '"a b"')).toBe(true)
    expect(finds('b a.txt', '"a b"')).toBe(false)
    expect(finds('song live.mp3', 'song -live')).toBe(false)
    expect(finds('song.mp3', 'type:audio')).toBe(true)
    expect(finds('song.mp3', 'type:video type:audio')).toBe(true)
    expect(finds('song.mp3', 'type:folder')).toBe(false)
    expect(rank('type:folder', 'Music', 1, true)).toBe(0)
    expect(rank('*.mp3', 'Music.mp3', 1, true)).toBeUndefined()
    expect(finds('.mp3', '*.mp3')).toBe(false)
  })

  it('searches for what it does not understand as it stands', () => {
    for (const text of ['size:big', 'type:unknown', 'ext:', 'size:1..', 're:zero', 'size:>1..2']) {
      expect(parseSearch(text).words).toHaveLength(1)
      expect(finds(`x ${text} y`, text)).toBe(true)
    }
    expect(parseSearch('12" remix')).toMatchObject({ words: ['12', 'remix'] })
    expect(parseSearch('wild*card')).toMatchObject({ words: ['wild', 'card'] })
  })

  it('ranks the name itself, then its beginning, then words, then parts, then folders above', () => {
    expect(rank('abbey road', 'Music/Abbey Road')).toBe(0)
    expect(rank('abbey road', 'Music/Abbey Road.zip')).toBe(0)
    expect(rank('abbey road', 'Music/Abbey Road (Remastered)')).toBe(1)
    expect(rank('road abbey', 'Music/Abbey Road')).toBe(2)
    expect(rank('bbey', 'Music/Abbey Road')).toBe(3)
    expect(rank('abbey something', 'Music/Abbey Road/02 Something.flac')).toBe(4)
    expect(rank('abbey', 'Music/Abbey Road/02 Something.flac')).toBe(4)
    expect(rankEntry(parseSearch('abbey'), entry('Music/Abbey Road/02 Something.flac'), 'Music/Abbey Road')).toBeUndefined()
  })

  it('finds a name by any part of itself, whatever the case, and never fails', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }).filter((text) => !/\s\s/u.test(text)), (name) => {
      expect(foldName(foldName(name))).toBe(foldName(name))
      const phrase = name.replace(/["/]/gu, '')
      expect(finds(phrase, `"${phrase}"`)).toBe(true)
      expect(finds(phrase, `"${phrase.toUpperCase()}"`)).toBe(true)
      expect(finds(`x${phrase.trim()}y`, `"${phrase.normalize('NFD')}"`)).toBe(true)
    }))
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 256 }), fc.string({ unit: 'binary', maxLength: 40 }), (text, path) => {
      const query = parseSearch(text)
      expect(query.words.length).toBeLessThanOrEqual(MAX_SEARCH_WORDS)
      expect(query.excluded.length).toBeLessThanOrEqual(MAX_SEARCH_WORDS)
      expect(query.extensions.length).toBeLessThanOrEqual(MAX_SEARCH_WORDS)
      for (const word of query.words) expect(foldName(word)).toBe(word)
      expect([undefined, 0, 1, 2, 3, 4]).toContain(rankEntry(query, entry(path)))
    }))
  })
})

describe('the natural order', () => {
  it('counts', () => {
    expect(['Track 10', 'track 2', 'Träck 1', 'Track 02b', 'a', 'Z'].sort(compareNatural)).toEqual(['a', 'Träck 1', 'track 2', 'Track 02b', 'Track 10', 'Z'])
    expect(compareNatural('99999999999999999999', '100000000000000000000')).toBeLessThan(0)
  })

  it('has keys of many names at once', () => {
    const name = fc.stringMatching(/^(?:[aB0-2é ΣßÅ.²]|\u0301){0,8}$/)
    fc.assert(fc.property(fc.array(name, { minLength: 1 }), (names) => {
      expect(naturalKey(names.join('\n')).split('\n')).toEqual(names.map(naturalKey))
    }))
  })

  it('is one order', () => {
    const name = fc.stringMatching(/^[aB0-2é ]{0,5}$/)
    fc.assert(fc.property(name, name, name, (a, b, c) => {
      expect(Math.sign(compareNatural(a, b))).toBe(-Math.sign(compareNatural(b, a)) + 0)
      if (compareNatural(a, b) <= 0 && compareNatural(b, c) <= 0) expect(compareNatural(a, c)).toBeLessThanOrEqual(0)
    }), { numRuns: 1000 })
  })
})

it('knows files by the ends of their names', () => {
  expect(extensionOf('a.b.FLAC')).toBe('flac')
  expect(extensionOf('.profile')).toBe('')
  expect(extensionOf('README')).toBe('')
  expect([fileTypeOf('x.Mp3'), fileTypeOf('x.mkv'), fileTypeOf('x.jpeg'), fileTypeOf('x.pdf'), fileTypeOf('x.exe')]).toEqual(['audio', 'video', 'image', 'document', undefined])
})
