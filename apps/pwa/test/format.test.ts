import { describe, expect, it } from 'vitest'
import * as fc from 'fast-check'
import { formatAgo, formatBytes, formatDate, formatDuration, formatPercent, fractionDone, lastPart, parentPath, secondsLeft } from '../src/format.ts'

describe('sizes', () => {
  it.each([
    [0, '0 B'], [999, '999 B'], [1000, '1.0 KB'], [999_499, '999 KB'], [999_500, '1.0 MB'], [1_234_567, '1.2 MB'], [734_003_200, '734 MB'], [1e15, '1.0 PB'], [-1, '–'], [Number.NaN, '–'],
  ])('%d bytes are %s', (bytes, words) => expect(formatBytes(bytes)).toBe(words))

  it('never needs more than seven characters up to a petabyte', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (bytes) => formatBytes(bytes).length <= 7))
  })
})

describe('time left', () => {
  it('is unknown without a total or a speed', () => {
    expect(secondsLeft(5, null, 10)).toBeNull()
    expect(secondsLeft(5, 10, 0)).toBeNull()
  })
  it('counts what is missing, and never below nothing', () => {
    expect(secondsLeft(40, 100, 30)).toBe(2)
    expect(secondsLeft(120, 100, 30)).toBe(0)
  })
  it.each([
    [0, 'a few seconds'], [4.9, 'a few seconds'], [43, '45 s'], [61, '1 min'], [3599, '1 h'], [4800, '1 h 20 min'], [90_000, '1 day'], [200_000, '2 days'], [Number.POSITIVE_INFINITY, 'a long time'],
  ])('%d seconds are said as %s', (seconds, words) => expect(formatDuration(seconds)).toBe(words))
})

describe('progress', () => {
  it('stays between nothing and everything', () => {
    fc.assert(fc.property(fc.nat(), fc.option(fc.nat()), (bytes, total) => {
      const fraction = fractionDone(bytes, total)
      expect(fraction).toBeGreaterThanOrEqual(0)
      expect(fraction).toBeLessThanOrEqual(1)
    }))
  })
  it('says 100% only at the end', () => {
    expect(formatPercent(fractionDone(999_999, 1_000_000))).toBe('99%')
    expect(formatPercent(fractionDone(0, 0))).toBe('100%')
  })
})

it('takes dates that strangers send, whatever they are', () => {
  for (const time of [Number.NaN, 1e300, -1e300, Number.POSITIVE_INFINITY]) expect(formatDate(time)).toBe('–')
  expect(formatAgo(0, 30_000)).toBe('just now')
  expect(formatAgo(0, 5 * 60_000)).toBe('5 min ago')
})

it('takes paths apart', () => {
  expect([lastPart('a/b/c'), lastPart('c'), parentPath('a/b/c'), parentPath('c')]).toEqual(['c', 'c', 'a/b', ''])
})
