import { expect, test } from 'vitest'
import { playSchedules } from './transfer-schedules.ts'

test('nothing is lost, doubled or mixed in thousands of lives', { timeout: 300_000 }, () => {
  expect(playSchedules(10_000, 2000)).toBeGreaterThan(0)
})
