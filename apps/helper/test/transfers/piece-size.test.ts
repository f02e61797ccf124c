import { expect, it } from 'vitest'
import { LARGE_PIECE_BYTES, PieceSize, SMALL_PIECE_BYTES } from '../../src/core/transfers/piece-size.ts'

it('grows while pieces are quick, within its bound, and is small again after a slow one', () => {
  const size = new PieceSize()
  expect(size.bytes).toBe(SMALL_PIECE_BYTES)
  size.took(1)
  expect(size.bytes).toBe(2 * SMALL_PIECE_BYTES)
  for (let i = 0; i < 20; i++) size.took(1)
  expect(size.bytes).toBe(LARGE_PIECE_BYTES)
  size.took(5_000)
  expect(size.bytes).toBe(SMALL_PIECE_BYTES)
})
