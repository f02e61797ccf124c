import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ControlChange, type ControlEvent, type ControlSnapshot, applyChange, openControlMirror } from '../src/control/index.ts'
import { createFakeApi, emptySnapshot } from './control-fake-api.ts'

function createHelper() {
  const listeners = new Set<(event: ControlEvent) => void>()
  const asked: ((snapshot: ControlSnapshot) => void)[] = []
  const { api } = createFakeApi({ snapshot: () => new Promise((resolve) => asked.push(resolve)) })
  return {
    client: { api, onEvent: (listener: (event: ControlEvent) => void) => (listeners.add(listener), () => listeners.delete(listener)) },
    emit: (event: ControlEvent) => listeners.forEach((listener) => listener(event)),
    /** Answers the oldest snapshot that was asked for. */
    answer: async (snapshot: ControlSnapshot) => {
      asked.shift()?.(snapshot)
      await Promise.resolve()
      await Promise.resolve()
    },
    asked,
    listeners,
  }
}

const setting = (seq: number, downloadDirectory: string): ControlEvent => ({ seq, type: 'settings', settings: { ...emptySnapshot(0).settings, downloadDirectory } })

describe('the mirror of the helper', () => {
  it('applies events in order and tells what changed', async () => {
    const { client, emit, answer } = createHelper()
    const mirror = openControlMirror(client)
    const told: unknown[] = []
    mirror.subscribe((state, changes) => told.push([state.seq, changes?.length ?? null]))
    await answer(emptySnapshot(5))
    await mirror.ready
    emit(setting(6, '/a'))
    emit(setting(7, '/b'))
    expect(mirror.state).toMatchObject({ seq: 7, settings: { downloadDirectory: '/b' } })
    expect(told).toEqual([[5, null], [6, 1], [7, 1]])
  })

  it('keeps events that overtake the snapshot, and drops those it already has', async () => {
    const { client, emit, answer } = createHelper()
    const mirror = openControlMirror(client)
    emit(setting(4, '/old'))
    emit(setting(5, '/old'))
    emit(setting(6, '/new'))
    await answer(emptySnapshot(5))
    expect(mirror.state).toMatchObject({ seq: 6, settings: { downloadDirectory: '/new' } })
  })

  it('asks for a new snapshot when a number is missing', async () => {
    const { client, emit, answer, asked } = createHelper()
    const mirror = openControlMirror(client)
    await answer(emptySnapshot(5))
    emit(setting(7, '/lost one'))
    expect(mirror.state?.seq).toBe(5)
    expect(asked).toHaveLength(1)
    emit(setting(8, '/after'))
    expect(asked).toHaveLength(1)
    await answer({ ...emptySnapshot(7), settings: { ...emptySnapshot(0).settings, askBeforeAccepting: true, downloadDirectory: '/lost one' } })
    expect(mirror.state).toMatchObject({ seq: 8, settings: { downloadDirectory: '/after' } })
  })

  it('asks again when even the snapshot leaves a gap', async () => {
    const { client, emit, answer, asked } = createHelper()
    const mirror = openControlMirror(client)
    emit(setting(9, '/far ahead'))
    await answer(emptySnapshot(5))
    expect(asked).toHaveLength(1)
    await answer(emptySnapshot(9))
    await expect(mirror.ready).resolves.toMatchObject({ seq: 9 })
  })

  it('stops when closed, and keeps the last state when the connection ends', async () => {
    const { client, emit, answer, listeners } = createHelper()
    const mirror = openControlMirror(client)
    await answer(emptySnapshot(1))
    mirror.close()
    mirror.close()
    emit(setting(2, '/late'))
    expect(mirror.state?.seq).toBe(1)
    expect(listeners.size).toBe(0)
  })

  it('rejects when the first snapshot fails', async () => {
    const { api } = createFakeApi({ snapshot: () => Promise.reject(new Error('gone')) })
    await expect(openControlMirror({ api, onEvent: () => () => {} }).ready).rejects.toThrow('gone')
  })

  it('ends up where the helper is, whatever is lost on the way', async () => {
    const step = fc.record({ lost: fc.boolean(), directory: fc.string({ maxLength: 3 }) })
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const helper = createHelper()
      const mirror = openControlMirror(helper.client)
      let truth = emptySnapshot(0)
      await helper.answer(truth)
      for (const { lost, directory } of [...steps, { lost: false, directory: 'end' }]) {
        const event = setting(truth.seq + 1, directory)
        truth = applyChange({ ...truth, seq: event.seq }, event)
        if (!lost) helper.emit(event)
        while (helper.asked.length > 0) await helper.answer(truth)
      }
      expect(mirror.state).toEqual(truth)
    }), { numRuns: 50 })
  })
})

describe('applying a change', () => {
  it('puts, replaces and removes by id without touching the state before', () => {
    const before = emptySnapshot(1)
    const share = { shareId: 'a', name: 'A', directory: '/a', state: 'ready', files: 1, directories: 0, bytes: 1, skipped: 0, scannedAt: 1 } as const
    const added = applyChange(before, { type: 'share', share })
    const replaced = applyChange(added, { type: 'share', share: { ...share, files: 2 } })
    expect(before.shares).toEqual([])
    expect(added.shares).toEqual([share])
    expect(replaced.shares).toEqual([{ ...share, files: 2 }])
    expect(applyChange(replaced, { type: 'share-removed', shareId: 'a' }).shares).toEqual([])
    expect(applyChange(before, { type: 'of a newer helper' } as unknown as ControlChange)).toBe(before)
  })
})
