import type { PeerId } from '@harddrive-party/protocol'
import { describe, expect, test } from 'vitest'
import { ChangeNotices, NOTICE_MS } from '../../src/core/peers/change-notices.ts'

const ANNA = 'aa'.repeat(32) as PeerId
const BEN = 'bb'.repeat(32) as PeerId

describe('notices of changed shares', () => {
  test('come once after connecting, and only to those who listen', () => {
    const notices = new ChangeNotices()
    expect(notices.step(0, { type: 'connected', peerId: ANNA, listens: true })).toEqual([{ type: 'tell', peerId: ANNA }])
    expect(notices.step(0, { type: 'connected', peerId: BEN, listens: false })).toEqual([])
    expect(notices.deadline).toBeUndefined()
    notices.step(10_000, { type: 'shares' })
    expect(notices.step(10_000 + NOTICE_MS, { type: 'tick' })).toEqual([{ type: 'tell', peerId: ANNA }])
  })

  test('are few, however many changes there are, and the last change is told', () => {
    const notices = new ChangeNotices()
    notices.step(0, { type: 'connected', peerId: ANNA, listens: true })
    const told: number[] = []
    for (let now = 0; now <= 60_000; now += 100) {
      if (notices.step(now, { type: 'shares' }).length > 0) told.push(now)
    }
    expect(told.length).toBeGreaterThan(1)
    for (const [index, at] of told.entries()) if (index > 0) expect(at - (told[index - 1] ?? 0)).toBeGreaterThanOrEqual(NOTICE_MS)
    const deadline = notices.deadline ?? 0
    expect(deadline).toBeGreaterThan(60_000)
    expect(notices.step(deadline, { type: 'tick' })).toEqual([{ type: 'tell', peerId: ANNA }])
    expect(notices.deadline).toBeUndefined()
  })

  test('begin anew with a new connection and end with the last', () => {
    const notices = new ChangeNotices()
    notices.step(0, { type: 'connected', peerId: ANNA, listens: true })
    notices.step(1, { type: 'shares' })
    expect(notices.step(2, { type: 'disconnected', peerId: ANNA })).toEqual([])
    expect(notices.deadline).toBeUndefined()
    expect(notices.step(3, { type: 'connected', peerId: ANNA, listens: true })).toEqual([{ type: 'tell', peerId: ANNA }])
  })
})
