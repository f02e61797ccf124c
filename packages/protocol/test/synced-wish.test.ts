import { type Arbitrary, anything, array, assert, boolean, constant, constantFrom, double, integer, maxSafeInteger, oneof, property, record, tuple } from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  FIELDS, MAX_CLOCK_DRIFT_MS, type SyncedWish, type WishFields, WishClock, completeWish, editWish, isSameWish, mergeWishes, newSyncedWish, parseStamp, parseSyncedWish, restampWish, stampTime,
  stampsOf, valuesOf,
} from '../src/control/index.ts'
import type { SharePath } from '../src/index.ts'
import { search } from './wish-samples.ts'

const stamp = tuple(integer({ min: 0, max: 3 }), integer({ min: 0, max: 2 }), integer({ min: 0, max: 2 }))
  .map(([time, counter, writer]) => `${time.toString(16).padStart(12, '0')}-${counter.toString(16).padStart(4, '0')}-${writer.toString(16).padStart(16, '0')}`)
const written = <T>(value: Arbitrary<T>) => record({ at: stamp, value })
const flag = written(boolean())
const fields: Arbitrary<WishFields> = record({
  what: written(constantFrom(search('a'), search('b'))), paused: flag, priority: written(constantFrom('low', 'normal', 'high')),
  repeat: flag, automatic: flag, folder: written(constantFrom(null, 'Films' as SharePath)), removed: flag,
})
/** Few stamps, so that many are equal, also with different values. */
const wish: Arbitrary<SyncedWish> = record({ id: constant('w'), addedAt: integer({ min: 0, max: 3 }), fields })

describe('merging', () => {
  test('does not care in which order, in which company or how often', () => {
    assert(property(wish, wish, wish, (a, b, c) => {
      expect(mergeWishes(a, b)).toEqual(mergeWishes(b, a))
      expect(mergeWishes(mergeWishes(a, b), c)).toEqual(mergeWishes(a, mergeWishes(b, c)))
      expect(mergeWishes(a, a)).toBe(a)
      expect(mergeWishes(mergeWishes(a, b), b)).toEqual(mergeWishes(a, b))
    }))
  })

  test('keeps of each field what was written last', () => {
    assert(property(wish, wish, (a, b) => {
      const merged = mergeWishes(a, b)
      for (const name of FIELDS) expect(merged.fields[name].at).toBe([a.fields[name].at, b.fields[name].at].sort()[1])
    }))
  })

  test('keeps both of two changes to different fields', () => {
    const [one, two] = [new WishClock('1'.repeat(16)), new WishClock('2'.repeat(16))]
    const start = newSyncedWish('w', 5, { what: search('a') }, one.tick(5))
    for (const at of stampsOf(start)) two.see(at)
    const merged = mergeWishes(editWish(start, { paused: true }, one, 9), editWish(start, { priority: 'high', what: search('b') }, two, 7))
    expect(valuesOf(merged)).toMatchObject({ paused: true, priority: 'high', what: search('b'), removed: false })
  })

  test('writes only what is new', () => {
    const clock = new WishClock('1'.repeat(16))
    const start = newSyncedWish('w', 5, { what: search('a') }, clock.tick(5))
    const { kind, text, ...rest } = search('a')
    expect(editWish(start, { paused: false, what: { ...rest, text, kind } }, clock, 6)).toBe(start)
    expect(isSameWish(editWish(start, { paused: true }, clock, 6), start)).toBe(false)
  })
})

describe('the clock', () => {
  test('goes forward whatever the one on the wall does', () => {
    assert(property(array(oneof(integer({ min: -10, max: 10 }), double(), maxSafeInteger()), { maxLength: 50 }), (walls) => {
      const clock = new WishClock('a'.repeat(16))
      const stamps = walls.map((wall) => clock.tick(wall))
      expect(stamps).toEqual([...new Set(stamps)].sort())
      for (const text of stamps) expect(parseStamp(text).ok).toBe(true)
    }))
  })

  test('goes on when its counter is full, also at the end of its time', () => {
    for (const wall of [7, Number.MAX_SAFE_INTEGER]) {
      const clock = new WishClock('a'.repeat(16))
      const first = clock.tick(wall)
      let last = first
      for (let i = 0; i <= 0xffff; i++) {
        const next = clock.tick(wall)
        if (next <= last) throw new Error(`${next} after ${last}`)
        last = next
      }
      expect(stampTime(last)).toBe(stampTime(first) + 1)
      expect(parseStamp(last).ok).toBe(true)
    }
  })

  test('is later than what it has seen', () => {
    const [ahead, behind] = [new WishClock('f'.repeat(16)), new WishClock('0'.repeat(16))]
    const seen = ahead.tick(1_000)
    behind.see(seen)
    expect(behind.tick(3) > seen).toBe(true)
    expect(behind.horizon(3)).toBe(1_000 + MAX_CLOCK_DRIFT_MS)
  })

  test('writes anew only what is too far ahead', () => {
    const [wrong, right] = [new WishClock('f'.repeat(16)), new WishClock('0'.repeat(16))]
    const start = newSyncedWish('w', 9_000_000, { what: search('a') }, right.tick(5))
    const edited = editWish(start, { paused: true }, wrong, 9_000_000)
    const again = restampWish(edited, 1_000, right, 20)
    expect(valuesOf(again)).toEqual(valuesOf(edited))
    expect(stampTime(again.fields.paused.at)).toBe(20)
    expect(again.fields.what).toEqual(start.fields.what)
    expect(restampWish(again, 1_000, right, 30)).toBe(again)
  })
})

describe('reading a stored wish', () => {
  const good = newSyncedWish('w', 5, { what: search('a') }, new WishClock('1'.repeat(16)).tick(5))

  test('takes back what was written', () => {
    expect(parseSyncedWish(JSON.parse(JSON.stringify(good)))).toEqual({ ok: true, value: good })
  })

  test('takes back what was written before wishes had folders, and any folder wins over none', () => {
    const { folder: _none, ...fields } = good.fields
    const old = { ...good, fields } as SyncedWish
    const read = parseSyncedWish(JSON.parse(JSON.stringify(old)))
    expect(read).toEqual({ ok: true, value: completeWish(old) })
    expect(valuesOf(completeWish(old))).toEqual(valuesOf(good))
    expect(completeWish(good)).toBe(good)
    const edited = editWish(good, { folder: 'Films' as SharePath }, new WishClock('1'.repeat(16)), 9)
    expect(valuesOf(mergeWishes(completeWish(old), edited)).folder).toBe('Films')
  })

  test.each([
    ['a search for nothing', search(' ')],
    ['a search without end', search('x'.repeat(300))],
    ['a search at nobody known', { ...search('a'), peerId: 'me' }],
    ['a path with ..', { kind: 'path', peerId: 'ab'.repeat(32), peerName: 'x', path: 'a/../b', isDirectory: null, size: null }],
    ['another size than a number', { kind: 'path', peerId: 'ab'.repeat(32), peerName: 'x', path: 'a', isDirectory: null, size: '5' }],
    ['a kind that there is not', { kind: 'dream' }],
  ])('refuses %s', (_name, what) => {
    expect(parseSyncedWish({ ...good, fields: { ...good.fields, what: { at: good.fields.what.at, value: what } } }).ok).toBe(false)
  })

  test('refuses anything else without an exception', () => {
    assert(property(anything(), (raw) => {
      expect(parseSyncedWish(raw).ok).toBe(false)
      expect(parseSyncedWish({ ...good, fields: raw }).ok).toBe(false)
      expect(parseSyncedWish({ ...good, fields: { ...good.fields, paused: raw } }).ok).toBe(false)
    }))
  })
})
