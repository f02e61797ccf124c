import type { Entry, PeerId, SharePath } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { distinctMatches, matchKeyOf } from '../../src/core/wishes/wish-match.ts'
import { AGAIN_MS, POLL_MS, SETTLE_MS, type WatchEffect, type WatchInput, WishWatch } from '../../src/core/wishes/wish-watch.ts'

const ANNA = 'aa'.repeat(32) as PeerId
const BEN = 'bb'.repeat(32) as PeerId
const wish = (id: string, peerId: PeerId | null = null, version = 'v1') => ({ id, version, peerId })
const search = (id: string, peerId: PeerId): WatchEffect => ({ type: 'search', id, peerId })

/** Moves the clock on to every deadline until nothing is left to do before `until`. */
function run(watch: WishWatch, from: number, until: number): [number, WatchEffect][] {
  const seen: [number, WatchEffect][] = []
  for (let now = from; watch.deadline !== undefined && watch.deadline <= until;) {
    now = Math.max(now, watch.deadline)
    for (const effect of watch.step(now, { type: 'tick' })) seen.push([now, effect])
  }
  return seen
}

describe('when a search wish is looked for', () => {
  test('soon after a peer connects, and again only when it says that its shares have changed', () => {
    const watch = new WishWatch()
    watch.step(0, { type: 'wishes', wishes: [wish('w')] })
    watch.step(0, { type: 'peer', peerId: ANNA, connected: true })
    watch.step(10, { type: 'changed', peerId: ANNA, revision: 'r1' })
    expect(run(watch, 10, 100_000)).toEqual([[SETTLE_MS, search('w', ANNA)]])
    watch.step(2_000, { type: 'searched', id: 'w', peerId: ANNA, outcome: 'done' })
    expect(run(watch, 2_000, 10 * POLL_MS)).toEqual([])
    watch.step(60_000, { type: 'changed', peerId: ANNA, revision: 'r1' })
    expect(watch.deadline).toBeUndefined()
    expect(watch.step(61_000, { type: 'changed', peerId: ANNA, revision: 'r2' })).toEqual([search('w', ANNA)])
  })

  test('not again when a peer comes back unchanged', () => {
    const watch = new WishWatch()
    watch.step(0, { type: 'wishes', wishes: [wish('w')] })
    for (const at of [0, 100_000]) {
      watch.step(at, { type: 'peer', peerId: ANNA, connected: true })
      watch.step(at + 10, { type: 'changed', peerId: ANNA, revision: 'r1' })
      expect(run(watch, at + 10, at + 50_000)).toHaveLength(at === 0 ? 1 : 0)
      watch.step(at + 50_000, { type: 'searched', id: 'w', peerId: ANNA, outcome: 'done' })
      watch.step(at + 50_000, { type: 'peer', peerId: ANNA, connected: false })
    }
  })

  test('now and then at a peer that tells nothing', () => {
    const watch = new WishWatch()
    watch.step(0, { type: 'wishes', wishes: [wish('w')] })
    watch.step(0, { type: 'peer', peerId: ANNA, connected: true })
    expect(run(watch, 0, SETTLE_MS)).toHaveLength(1)
    watch.step(2_000, { type: 'searched', id: 'w', peerId: ANNA, outcome: 'done' })
    expect(run(watch, 2_000, 2_000 + POLL_MS)).toEqual([[2_000 + POLL_MS, search('w', ANNA)]])
  })

  test('at one peer only where the wish says so, and anew when it is changed', () => {
    const watch = new WishWatch()
    for (const peerId of [ANNA, BEN]) watch.step(0, { type: 'peer', peerId, connected: true })
    watch.step(5_000, { type: 'wishes', wishes: [] })
    expect(watch.step(6_000, { type: 'wishes', wishes: [wish('w', BEN)] })).toEqual([search('w', BEN)])
    watch.step(7_000, { type: 'searched', id: 'w', peerId: BEN, outcome: 'done' })
    expect(watch.step(7_001, { type: 'wishes', wishes: [wish('w', BEN, 'v2')] })).toEqual([search('w', BEN)])
    // What was looked for meanwhile was the old one.
    watch.step(7_002, { type: 'wishes', wishes: [wish('w', BEN, 'v3')] })
    expect(watch.step(7_003, { type: 'searched', id: 'w', peerId: BEN, outcome: 'done' })).toEqual([search('w', BEN)])
  })

  test('later after it failed, each time later', () => {
    const watch = new WishWatch()
    watch.step(0, { type: 'wishes', wishes: [wish('w')] })
    watch.step(0, { type: 'peer', peerId: ANNA, connected: true })
    const waits: number[] = []
    let now = SETTLE_MS
    watch.step(now, { type: 'tick' })
    for (let i = 0; i < 6; i++) {
      watch.step(now, { type: 'searched', id: 'w', peerId: ANNA, outcome: 'failed' })
      waits.push((watch.deadline ?? 0) - now)
      now = watch.deadline ?? 0
      expect(watch.step(now, { type: 'tick' })).toHaveLength(1)
    }
    expect(waits).toEqual([30_000, 60_000, 120_000, 240_000, 480_000, POLL_MS])
  })

  test('never at two places of one peer at once, never too often, and never forgotten', () => {
    const input = fc.oneof(
      fc.record({ type: fc.constant('peer' as const), peerId: fc.constantFrom(ANNA, BEN), connected: fc.boolean() }),
      fc.record({ type: fc.constant('changed' as const), peerId: fc.constantFrom(ANNA, BEN), revision: fc.constantFrom('r1', 'r2') }),
      fc.record({ type: fc.constant('wishes' as const), wishes: fc.subarray([wish('a'), wish('b', ANNA), wish('c', null, 'v2')]) }),
      fc.constant({ type: 'tick' as const }),
    )
    fc.assert(fc.property(fc.array(fc.tuple(input, fc.integer({ min: 0, max: 5_000 }), fc.constantFrom('done' as const, 'more' as const, 'failed' as const)), { maxLength: 60 }), (steps) => {
      const watch = new WishWatch()
      const running = new Map<PeerId, string>()
      const ended = new Map<string, number>()
      let wishes: readonly { id: string; peerId: PeerId | null }[] = []
      let now = 0
      const take = (input: WatchInput) => {
        for (const { id, peerId } of watch.step(now, input)) {
          expect(running.has(peerId)).toBe(false)
          running.set(peerId, id)
          expect(now - (ended.get(`${id} ${peerId}`) ?? -Infinity)).toBeGreaterThanOrEqual(AGAIN_MS)
        }
      }
      const end = (outcome: 'done' | 'more' | 'failed') => {
        const [first] = running
        if (first === undefined) return
        const [peerId, id] = first
        running.delete(peerId)
        // One that was removed while it was looked for is forgotten with it.
        if (wishes.some((one) => one.id === id)) ended.set(`${id} ${peerId}`, now)
        take({ type: 'searched', id, peerId, outcome })
      }
      for (const [next, wait, outcome] of steps) {
        now += wait
        // A wish that was gone and is back is a new one.
        if (next.type === 'wishes') {
          for (const key of ended.keys()) if (!next.wishes.some(({ id }) => key.startsWith(`${id} `))) ended.delete(key)
          wishes = next.wishes
        }
        take(next)
        if (wait % 2 === 0) end(outcome)
      }
      // In the end everybody who is there has been asked for everything.
      take({ type: 'peer', peerId: ANNA, connected: false })
      take({ type: 'peer', peerId: ANNA, connected: true })
      take({ type: 'changed', peerId: ANNA, revision: 'new' })
      const asked = new Set<string>()
      for (let i = 0; i < 100; i++) {
        if (running.get(ANNA) !== undefined) asked.add(running.get(ANNA) as string)
        if (running.size > 0) end('done')
        else if (watch.deadline === undefined) break
        else {
          now = Math.max(now, watch.deadline)
          take({ type: 'tick' })
        }
      }
      for (const { id, peerId } of wishes) if (peerId !== BEN) expect(asked).toContain(id)
    }), { numRuns: 200 })
  })
})

const entry = (path: string, size = 5, isDirectory = false): Entry => ({ path: path as SharePath, size, mtime: 0, isDirectory })

describe('what is offered of what was found', () => {
  test('the same file once, wherever it lies, and another version of it again', () => {
    expect(distinctMatches([entry('A/x.flac'), entry('B/X.FLAC'), entry('B/x.flac', 6)]).map(({ path }) => path)).toEqual(['A/x.flac', 'B/x.flac'])
    expect(matchKeyOf(entry('A/x.flac'))).toBe(matchKeyOf(entry('B/c/X.flac')))
  })

  test('a folder instead of everything in it, in whatever order they come', () => {
    const album = entry('A/Blue Train', 50, true)
    expect(distinctMatches([entry('A/Blue Train/Blue Train.flac'), album, entry('A/Blue Train 2.flac')])).toEqual([album, entry('A/Blue Train 2.flac')])
    // What is in a folder may become more: it is still that folder.
    expect(matchKeyOf(album)).toBe(matchKeyOf({ ...album, size: 99 }))
  })
})
