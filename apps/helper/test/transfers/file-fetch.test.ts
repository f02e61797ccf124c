import { MAX_HASHED_BYTES, MAX_HASH_RANGES, MAX_READ_BYTES } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { FileFetch, bitmapLength } from '../../src/core/transfers/file-fetch.ts'

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

test('a sample is of what is on the disk, fits one request, and has its last range', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 400 * MAX_READ_BYTES }), fc.uint8Array({ minLength: 50, maxLength: 50 }), fc.infiniteStream(fc.double({ min: 0, max: 0.999_999, noNaN: true })), (size, bitmap, dice) => {
      const fetch = new FileFetch(size, bitmap)
      const sample = fetch.sample(() => dice.next().value ?? 0)
      expect(sample.length === 0).toBe(fetch.bytes === 0)
      expect(sample.length).toBeLessThanOrEqual(MAX_HASH_RANGES)
      expect(sample.reduce((sum, { start, end }) => sum + end - start, 0)).toBeLessThanOrEqual(MAX_HASHED_BYTES)
      for (const { start, end } of sample) {
        expect(start).toBeLessThan(end)
        expect(end).toBeLessThanOrEqual(size)
        const index = Math.floor(start / MAX_READ_BYTES)
        expect(Math.floor((end - 1) / MAX_READ_BYTES)).toBe(index)
        expect((fetch.bitmap()[index >> 3]! >> (index & 7)) & 1).toBe(1)
      }
      if (sample.length > 0) expect(sample.at(-1)?.end).toBe(fetch.writtenEnd())
    }),
  )
})

test('a sample reaches all over a large file', () => {
  const size = 200_000 * MAX_READ_BYTES
  const fetch = new FileFetch(size, new Uint8Array(bitmapLength(size)).fill(0xff))
  const sample = fetch.sample(Math.random)
  for (let tenth = 0; tenth < 10; tenth++) expect(sample.some(({ start }) => Math.floor((start * 10) / size) === tenth)).toBe(true)
})
