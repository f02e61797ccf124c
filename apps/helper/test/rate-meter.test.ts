import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { RateMeter } from '../src/core/rate-meter.ts'

test('a steady stream shows its rate, silence fades to zero', () => {
  const meter = new RateMeter()
  expect(meter.rate(0)).toBe(0)
  for (let now = 0; now < 20_000; now += 100) meter.add(now, 1_000_000)
  expect(meter.rate(20_000) / 10_000_000).toBeCloseTo(1, 1)
  expect(meter.rate(22_500)).toBeLessThan(6_000_000)
  expect(meter.rate(26_000)).toBe(0)
  meter.add(60_000, 500)
  expect(meter.rate(60_000)).toBe(2000)
})

test('it is never negative, and never more than all bytes in a quarter of a second', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(8000), fc.nat(1_000_000))), (additions) => {
      const meter = new RateMeter()
      let now = 0
      let sum = 0
      for (const [wait, bytes] of additions) {
        now += wait
        sum += bytes
        meter.add(now, bytes)
        expect(meter.rate(now)).toBeGreaterThanOrEqual(0)
        expect(meter.rate(now)).toBeLessThanOrEqual(sum * 4)
      }
    }),
  )
})
