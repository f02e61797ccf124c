import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ControlChange, ControlEvent, TransferInfo } from '@harddrive-party/protocol/control'
import type { PeerId, SharePath } from '@harddrive-party/protocol'
import { createControlHub } from '../../src/control/control-events.ts'
import { defaultSettings } from '../../src/control/settings.ts'

const transfer = (transferId: string, bytes: number, state: TransferInfo['state'] = 'running'): ControlChange => ({
  type: 'transfer',
  transfer: {
    transferId, peerId: 'aa'.repeat(32) as PeerId, peerName: 'x', path: 'a' as SharePath, isDirectory: false, state, reason: null, bytes, total: 100,
    files: { done: 0, failed: 0, total: 1 }, bytesPerSecond: 1, target: null, notices: [], addedAt: 0, endedAt: null, wait: null, order: 1, held: false, follow: false, skippedFiles: 0,
  },
})
const setting = (downloadDirectory: string): ControlChange => ({ type: 'settings', settings: defaultSettings(downloadDirectory) })

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function open() {
  const hub = createControlHub()
  const sent: ControlEvent[] = []
  const output = { unread: 0 }
  const feed = hub.openFeed({ bufferedAmount: () => output.unread, sendEvent: (event) => sent.push(event) })
  return { hub, sent, feed, output }
}

describe('events to a UI', () => {
  it('begin with the first snapshot', () => {
    const { hub, sent, feed } = open()
    hub.push(setting('/before'))
    vi.advanceTimersByTime(1000)
    expect(sent).toEqual([])
    expect(feed.restart()).toBe(0)
    hub.push(setting('/after'))
    vi.advanceTimersByTime(1000)
    expect(sent).toEqual([{ seq: 1, ...setting('/after') }])
  })

  it('are numbered for each UI by itself', () => {
    const hub = createControlHub()
    const sent: [string, number][] = []
    const [one, two] = ['one', 'two'].map((name) => hub.openFeed({ bufferedAmount: () => 0, sendEvent: ({ seq }) => sent.push([name, seq]) }))
    one?.restart()
    hub.push(setting('/a'))
    vi.advanceTimersByTime(1000)
    two?.restart()
    hub.push(setting('/b'))
    vi.advanceTimersByTime(1000)
    expect(sent).toEqual([['one', 1], ['one', 2], ['two', 1]])
  })

  it('leave out what a new snapshot has', () => {
    const { hub, sent, feed } = open()
    feed.restart()
    hub.push(setting('/a'))
    expect(feed.restart()).toBe(0)
    vi.advanceTimersByTime(1000)
    expect(sent).toEqual([])
  })

  it('become one when they replace each other', () => {
    const { hub, sent, feed } = open()
    feed.restart()
    for (let bytes = 0; bytes < 100; bytes++) hub.push(transfer('a', bytes))
    hub.push(transfer('b', 1))
    hub.push({ type: 'transfer-removed', transferId: 'b' })
    vi.advanceTimersByTime(1000)
    expect(sent).toMatchObject([{ seq: 1, type: 'transfer', transfer: { bytes: 99 } }, { seq: 2, type: 'transfer-removed' }])
  })

  it('come at once when a state changes, four times a second while it only moves on', () => {
    const { hub, sent, feed } = open()
    feed.restart()
    hub.push(transfer('a', 0, 'queued'))
    vi.advanceTimersByTime(50)
    expect(sent).toHaveLength(1)
    for (let tick = 0; tick < 100; tick++) {
      hub.push(transfer('a', tick, 'queued'))
      vi.advanceTimersByTime(10)
    }
    expect(sent.length).toBeLessThanOrEqual(6)
    sent.length = 0
    hub.push(transfer('a', 100, 'queued'))
    hub.push(transfer('a', 100, 'done'))
    vi.advanceTimersByTime(50)
    expect(sent).toMatchObject([{ transfer: { state: 'done' } }])
  })

  it('wait while a UI does not read, and then tell only the latest', () => {
    const { hub, sent, feed, output } = open()
    feed.restart()
    output.unread = 10_000_000
    for (let i = 0; i < 50; i++) {
      hub.push(setting(`/${i}`))
      vi.advanceTimersByTime(1000)
    }
    expect(sent).toEqual([])
    output.unread = 0
    vi.advanceTimersByTime(1000)
    expect(sent).toEqual([{ seq: 1, ...setting('/49') }])
  })

  it('of a slow UI are dropped beyond a bound, leaving a gap that makes it ask again', () => {
    const { hub, sent, feed, output } = open()
    feed.restart()
    output.unread = 10_000_000
    for (let i = 0; i < 12_000; i++) hub.push(transfer(`t${i}`, 0))
    output.unread = 0
    vi.advanceTimersByTime(1000)
    expect(sent).toHaveLength(2000)
    expect(sent[0]?.seq).toBe(3)
  })

  it('end when it is closed', () => {
    const { hub, sent, feed } = open()
    feed.restart()
    hub.push(setting('/a'))
    feed.close()
    feed.close()
    hub.push(setting('/b'))
    vi.advanceTimersByTime(1000)
    expect(sent).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })
})
