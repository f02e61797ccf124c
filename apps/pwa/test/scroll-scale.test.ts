import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_SCROLL_HEIGHT, TOP, follow, isStuck, maxOffset, maxScroll, offsetAt, rowsInView, scrollAt, scrollScale, settle, showRow } from '../src/ui/scroll-scale.ts'

const ROW = 44
const million = scrollScale(1_000_000, ROW, 600)
const small = scrollScale(1000, ROW, 600)
const anyScale = fc.tuple(fc.integer({ min: 1, max: 3_000_000 }), fc.integer({ min: 1, max: 2000 })).map(([rows, view]) => scrollScale(rows, ROW, view))
const part = fc.double({ min: 0, max: 1, noNaN: true })

describe('the place of the thumb', () => {
  it('is the place in the list while the list is short enough', () => {
    expect(small.height).toBe(44_000)
    expect(offsetAt(small, 1234)).toBe(1234)
    expect(scrollAt(small, 1234)).toBe(1234)
  })
  it('has a bounded height and still reaches both ends', () => {
    expect(million.height).toBe(MAX_SCROLL_HEIGHT)
    expect(offsetAt(million, 0)).toBe(0)
    expect(offsetAt(million, maxScroll(million))).toBe(44_000_000 - 600)
    expect(rowsInView(million, { scroll: 0, offset: offsetAt(million, 0) }, ROW, 0).first).toBe(0)
    expect(rowsInView(million, { scroll: 0, offset: offsetAt(million, maxScroll(million)) }, ROW, 0).end).toBe(1_000_000)
  })
  it('grows with the offset and back', () =>
    fc.assert(fc.property(anyScale, part, part, (scale, a, b) => {
      const [low, high] = [Math.min(a, b) * maxScroll(scale), Math.max(a, b) * maxScroll(scale)]
      expect(offsetAt(scale, low)).toBeLessThanOrEqual(offsetAt(scale, high))
      expect(scrollAt(scale, offsetAt(scale, low))).toBeCloseTo(low, 3)
    })))
})

describe('scrolling', () => {
  it('is exact in small steps, wherever it starts', () =>
    fc.assert(fc.property(anyScale, part, fc.array(fc.integer({ min: -400, max: 400 }), { maxLength: 30 }), (scale, from, steps) => {
      let place = settle(scale, { scroll: 0, offset: Math.round(from * maxOffset(scale)) })
      for (const wished of steps) {
        const scroll = Math.max(0, Math.min(maxScroll(scale), place.scroll + Math.max(-scale.view, Math.min(scale.view, wished))))
        const next = follow(scale, place, scroll)
        const exact = Math.max(0, Math.min(maxOffset(scale), place.offset + scroll - place.scroll))
        expect(next.offset).toBeCloseTo(exact, 3)
        place = isStuck(scale, next) ? settle(scale, next) : next
        expect(place.offset).toBe(next.offset)
      }
    })))
  it('goes where the thumb is dragged', () => {
    const half = follow(million, TOP, maxScroll(million) / 2)
    expect(half.offset).toBeCloseTo(maxOffset(million) / 2, 3)
  })
  it('reaches the first and the last row by wheel after any drag', () => {
    for (const [drag, wheel] of [[2000, -100], [maxScroll(million) - 2000, 100]] as const) {
      let place = follow(million, TOP, drag)
      const goal = wheel < 0 ? 0 : maxOffset(million)
      let turns = 0
      while (place.offset !== goal && turns++ < 100) {
        place = follow(million, place, Math.max(0, Math.min(maxScroll(million), place.scroll + wheel)))
        if (isStuck(million, place)) place = settle(million, place)
      }
      expect(turns).toBeLessThan(25)
    }
  })
  it('is never stuck once it has settled', () =>
    fc.assert(fc.property(anyScale, part, (scale, at) => {
      expect(isStuck(scale, settle(scale, { scroll: 0, offset: Math.round(at * maxOffset(scale)) }))).toBe(false)
    })))
})

describe('a row that gets the focus', () => {
  it('is seen whole, from anywhere, and drawn', () =>
    fc.assert(fc.property(fc.integer({ min: 1, max: 2_000_000 }), fc.integer({ min: ROW, max: 2000 }), part, part, (rows, view, from, to) => {
      const scale = scrollScale(rows, ROW, view)
      const row = Math.floor(to * (rows - 1))
      const place = showRow(scale, settle(scale, { scroll: 0, offset: from * maxOffset(scale) }), row, ROW)
      expect(place.offset).toBeLessThanOrEqual(row * ROW)
      expect(place.offset + view).toBeGreaterThanOrEqual(row * ROW + ROW - 0.001)
      const { first, end } = rowsInView(scale, place, ROW, 10)
      expect(row >= first && row < end && end - first <= Math.ceil(view / ROW) + 22).toBe(true)
    })))
  it('does not move the list when it is seen already', () => {
    const place = { scroll: 5000, offset: 20_000 }
    expect(showRow(million, place, Math.ceil(20_000 / ROW), ROW)).toBe(place)
  })
})
