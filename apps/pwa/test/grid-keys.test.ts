import { describe, expect, it } from 'vitest'
import { moveInGrid } from '../src/entries/grid-keys.ts'

/** Ten tiles in rows of four, two rows to be seen. */
const GRID = { count: 10, columns: 4, rows: 2 }

describe('keys among tiles', () => {
  it.each([
    ['ArrowRight', 3, 4], ['ArrowRight', 9, 9], ['ArrowLeft', 4, 3], ['ArrowLeft', 0, 0],
    ['ArrowDown', 1, 5], ['ArrowDown', 7, 9], ['ArrowDown', 9, 9], ['ArrowUp', 9, 5], ['ArrowUp', 2, 2],
    ['PageDown', 0, 4], ['PageUp', 9, 5], ['Home', 7, 0], ['End', 0, 9],
  ] as const)('%s from %i leads to %i', (key, at, to) => {
    expect(moveInGrid(GRID, at, key)).toBe(to)
  })

  it('leaves other keys alone, and does not leave a grid of one', () => {
    expect(moveInGrid(GRID, 0, 'd')).toBeNull()
    for (const key of ['ArrowRight', 'ArrowDown', 'ArrowUp', 'PageDown', 'End']) expect(moveInGrid({ count: 1, columns: 4, rows: 2 }, 0, key)).toBe(0)
  })

  it('goes through screens of a long list one by one', () => {
    expect(moveInGrid({ count: 1_000_000, columns: 6, rows: 5 }, 7, 'PageDown')).toBe(7 + 4 * 6)
    expect(moveInGrid({ count: 1_000_000, columns: 6, rows: 5 }, 7 + 4 * 6, 'PageUp')).toBe(7)
  })
})
