import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { SlidingBest } from '../src/core/sliding-best.ts'

it('is the best of what is not too old, and the last one at least', () => {
  const steps = fc.array(fc.record({ ms: fc.nat(50), value: fc.nat(20) }), { minLength: 1, maxLength: 100 })
  fc.assert(fc.property(steps, fc.integer({ min: 1, max: 200 }), (all, span) => {
    const highest = new SlidingBest((a, b) => a > b)
    const lowest = new SlidingBest((a, b) => a < b)
    const seen: { value: number; at: number }[] = []
    let now = 0
    for (const { ms, value } of all) {
      now += ms
      seen.push({ value, at: now })
      highest.add(now, value, span)
      lowest.add(now, value, span)
      const recent = seen.filter(({ at }) => at >= now - span).map((each) => each.value)
      expect(highest.best).toBe(Math.max(...recent))
      expect(lowest.best).toBe(Math.min(...recent))
    }
  }))
})

it('forgets nothing over a time that does not count', () => {
  const highest = new SlidingBest((a, b) => a > b)
  expect(highest.best).toBeUndefined()
  highest.add(0, 9, 100)
  highest.stretch(1000)
  highest.add(1000, 5, 100)
  expect(highest.best).toBe(9)
})
