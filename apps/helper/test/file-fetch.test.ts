import { MAX_READ_BYTES } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { FileFetch, bitmapLength } from '../src/core/file-fetch.ts'

const sizes = fc.oneof(fc.integer({ min: 0, max: 20 * MAX_READ_BYTES }), fc.constantFrom(0, 1, MAX_READ_BYTES, MAX_READ_BYTES + 1, 16 * MAX_READ_BYTES))

test('whatever fails on the way, the ranges written are exactly the file, each once', () => {
  fc.assert(
    fc.property(sizes, fc.infiniteStream(fc.nat(5)), (size, dice) => {
      let fetch = new FileFetch(size)
      const flying: { index: number; start: number; end: number }[] = []
      const written = new Map<number, number>()
      for (const roll of dice) {
        if (fetch.complete) break
        const range = roll < 3 ? fetch.next() : undefined
        if (range !== undefined) {
          expect(range.end - range.start).toBeLessThanOrEqual(MAX_READ_BYTES)
          expect(flying.some(({ index }) => index === range.index)).toBe(false)
          flying.push(range)
        } else if (roll === 5 && flying.length === 0) fetch = new FileFetch(size, fetch.bitmap())
        else {
          const landed = flying.splice(roll % Math.max(1, flying.length), 1)[0]
          if (landed === undefined) continue
          if (roll === 4) fetch.release(landed.index)
          else {
            expect(written.has(landed.start)).toBe(false)
            written.set(landed.start, landed.end)
            fetch.written(landed.index)
          }
        }
        expect(fetch.bytes).toBe([...written].reduce((sum, [start, end]) => sum + end - start, 0))
        expect(fetch.writtenEnd()).toBe(Math.max(0, ...written.values()))
      }
      expect(fetch.bytes).toBe(size)
      expect([...written].reduce((sum, [start, end]) => sum + end - start, 0)).toBe(size)
      expect(fetch.next()).toBeUndefined()
    }),
  )
})

test('any bytes for a bitmap are taken as what they are worth', () => {
  fc.assert(
    fc.property(sizes, fc.uint8Array({ maxLength: 8 }), (size, bitmap) => {
      const fetch = new FileFetch(size, bitmap)
      expect(fetch.bytes).toBeLessThanOrEqual(size)
      expect(fetch.bitmap()).toHaveLength(bitmapLength(size))
      expect(new FileFetch(size, fetch.bitmap()).bytes).toBe(fetch.bytes)
    }),
  )
})
