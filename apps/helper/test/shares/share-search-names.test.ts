import { foldName, parseSearch, rankName } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { NameRanker } from '../../src/adapters/shares/share-search-names.ts'
import { SegmentBuilder } from '../../src/adapters/shares/share-segment.ts'
import { SegmentSignature, typeCodeOf } from '../../src/adapters/shares/share-signature.ts'

const piece = fc.constantFrom('a', 'b', 'ab', 'é', 'ß', '日', '😀', ' ', '.', '-', '(', '1', 'mp3', '.mp3', 'A')
const names = fc.array(piece, { minLength: 1, maxLength: 8 }).map((pieces) => pieces.join(''))
const searches = fc.array(fc.oneof(names, names.map((name) => `"${name}"`), names.map((name) => `-${name}`)), { maxLength: 4 }).map((words) => words.join(' '))

describe('a name ranked as bytes', () => {
  it('has the rank that it has as a string, or none where that is not asked for', () => {
    fc.assert(fc.property(names, searches, fc.integer({ min: 0, max: 3 }), (name, search, worst) => {
      const query = parseSearch(search)
      const folded = foldName(name)
      const text = Buffer.from(`\n${folded}\nmp3.a`)
      const ranker = new NameRanker(query)
      const end = 1 + Buffer.byteLength(folded)
      const rank = rankName(query, folded)
      expect(ranker.rank(text, 1, end, 3)).toBe(rank)
      const found = ranker.rank(text, 1, end, worst)
      if (rank !== undefined && rank <= worst) expect(found).toBe(rank)
      else expect(found === undefined || found === rank).toBe(true)
      expect(ranker.isExcluded(text, 1, end)).toBe(query.excluded.some((word) => folded.includes(word)))
    }))
  })
})

describe('the signature of a segment', () => {
  it('never denies what is there', () => {
    fc.assert(fc.property(fc.array(names, { minLength: 1, maxLength: 10 }), names, (all, search) => {
      const builder = new SegmentBuilder()
      for (const [i, name] of all.entries()) builder.add(name, i * 10, 5, 1, i)
      const signature = new SegmentSignature(builder.take().signature)
      expect([signature.count, signature.smallest, signature.largest]).toEqual([all.length, 0, (all.length - 1) * 10])
      const query = parseSearch(search)
      for (const name of all.map(foldName)) {
        const rank = rankName(query, name)
        if (rank === undefined) continue
        const words = query.words.map((word) => Buffer.from(word))
        expect(words.every((word) => signature.mayContain(word))).toBe(true)
        if (rank <= 2) expect(words.every((word) => signature.mayStart(word))).toBe(true)
        if (rank <= 1) expect(signature.mayBegin(Buffer.from(query.words.join(' ')))).toBe(true)
      }
    }))
  })

  it('denies what is not there: words, beginnings, kinds and extensions', () => {
    const builder = new SegmentBuilder()
    builder.add('Abbey Road.FLAC', 7, 5, 1, 0)
    const signature = new SegmentSignature(builder.take().signature)
    expect(signature.mayContain(Buffer.from('zzzq'))).toBe(false)
    expect(signature.mayContain(Buffer.from('bbey'))).toBe(true)
    expect(signature.mayStart(Buffer.from('bbey'))).toBe(false)
    expect(signature.mayStart(Buffer.from('road'))).toBe(true)
    expect(signature.mayBegin(Buffer.from('road'))).toBe(false)
    expect(signature.mayBegin(Buffer.from('ab'))).toBe(true)
    expect([typeCodeOf('flac'), typeCodeOf('mkv')].map((code) => signature.hasType(code))).toEqual([true, false])
    expect(['flac', 'mp3'].map((extension) => signature.mayHaveExtension(extension))).toEqual([true, false])
  })
})
