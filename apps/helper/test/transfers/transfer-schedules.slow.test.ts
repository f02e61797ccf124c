import { expect, test } from 'vitest'
import { playSchedules } from '../support/transfer-schedules.ts'

/** HDP_SCHEDULES for a long run. */
const LIVES = Number(process.env['HDP_SCHEDULES'] ?? 500)

test('nothing is lost, doubled or mixed in hundreds of lives', { timeout: 60_000 + LIVES * 300 }, () => {
  expect(playSchedules(10_000, LIVES)).toBeGreaterThan(0)
})
