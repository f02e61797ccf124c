import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { comparePart, sortParts } from '../../src/core/listing.ts'

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
