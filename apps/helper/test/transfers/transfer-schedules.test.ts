import { expect, test } from 'vitest'
import { playSchedules } from '../support/transfer-schedules.ts'

test('whatever happens in sixty random lives, nothing is lost, doubled or mixed, nobody starves, and all come to their end', () => {
  expect(playSchedules(1, 60)).toBeGreaterThan(0)
})
