import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Bandwidth, type BandwidthEffect, type BandwidthLimits, NO_LIMITS, burstOf } from '../../src/core/transfers/bandwidth.ts'
import { FairTurns } from '../../src/core/transfers/fair-turns.ts'
import { type ScheduledRates, ruleAt } from '../../src/core/transfers/limit-schedule.ts'

interface Piece {
  readonly at: number
  readonly peer: string
  readonly bytes: number
  readonly isLocal: boolean
}

/** Peers that each want pieces without end (or `wants` of them), on a virtual clock. */
function run(limits: BandwidthLimits, peers: readonly { name: string; isLocal: boolean; parallel: number; pieceBytes?: number }[], untilMs: number): Piece[] {
  const bandwidth = new Bandwidth(limits)
  const passed: Piece[] = []
  const asked = new Map<number, Piece>()
  let now = 0
  let nextId = 1
  const ask = ({ name, isLocal, pieceBytes }: (typeof peers)[number]): BandwidthEffect[] => {
    const id = nextId++
    const bytes = pieceBytes ?? bandwidth.pieceBytes(name, isLocal) ?? 64 * 1024
    asked.set(id, { at: now, peer: name, bytes, isLocal })
    return bandwidth.step(now, { type: 'ask', id, peer: name, bytes, isLocal })
  }
  const take = (effects: BandwidthEffect[]): void => {
    const granted = [...effects]
    for (let effect = granted.shift(); effect !== undefined; effect = granted.shift()) {
      const piece = asked.get(effect.id)
      if (piece === undefined || !asked.delete(effect.id)) throw new Error(`${effect.id} was granted twice or never asked`)
      passed.push({ ...piece, at: now })
      const peer = peers.find(({ name }) => name === piece.peer)
      // Whoever nothing limits would go on for ever.
      if (peer !== undefined && bandwidth.limitOf(peer.name, peer.isLocal) !== null) granted.push(...ask(peer))
    }
  }
  for (const peer of peers) for (let i = 0; i < peer.parallel; i++) take(ask(peer))
  for (let wakes = 0; bandwidth.deadline !== undefined && bandwidth.deadline <= untilMs; wakes++) {
    expect(wakes).toBeLessThan(200_000)
    now = Math.max(now, bandwidth.deadline)
    take(bandwidth.step(now, { type: 'tick' }))
  }
  return passed
}

const sum = (pieces: readonly Piece[]) => pieces.reduce((total, { bytes }) => total + bytes, 0)

/** The most that passed in any time, above what the rate allows for it. */
function excess(pieces: readonly Piece[], rate: number): number {
  let most = -Infinity
  let level = 0
  let before = pieces[0]?.at ?? 0
  for (const { at, bytes } of pieces) {
    level = Math.max(0, level - ((at - before) * rate) / 1000) + bytes
    most = Math.max(most, level)
    before = at
  }
  return most
}

const rate = fc.integer({ min: 10_000, max: 2_000_000 })

describe('bandwidth', () => {
  it('passes no more in any time than rate x time and a burst, for all and for each', () => {
    const peer = fc.record({ isLocal: fc.boolean(), parallel: fc.integer({ min: 1, max: 4 }) })
    fc.assert(fc.property(fc.option(rate), fc.option(rate), fc.option(rate), fc.array(peer, { minLength: 1, maxLength: 6 }), fc.boolean(), (all, each, own, list, localIsFree) => {
      const peers = list.map((one, i) => ({ ...one, name: `p${i}` }))
      const limits = { ...NO_LIMITS, all, each, own: new Map(own === null ? [] : [['p0', own]]), localIsFree }
      const passed = run(limits, peers, 5_000)
      const counted = passed.filter(({ isLocal }) => !(isLocal && localIsFree))
      if (all !== null) expect(excess(counted, all)).toBeLessThanOrEqual(burstOf(all) + 1)
      for (const { name, isLocal } of peers) {
        const limit = name === 'p0' && own !== null ? own : isLocal && localIsFree ? null : each
        if (limit !== null) expect(excess(passed.filter(({ peer: other }) => other === name), limit)).toBeLessThanOrEqual(burstOf(limit) + 1)
      }
    }), { numRuns: 40 })
  })

  it('uses what it may: all of the limit, whoever asks', () => {
    fc.assert(fc.property(rate, fc.integer({ min: 1, max: 8 }), (all, count) => {
      const peers = Array.from({ length: count }, (_, i) => ({ name: `p${i}`, isLocal: false, parallel: 2 }))
      const passed = sum(run({ ...NO_LIMITS, all }, peers, 10_000))
      const piece = Math.max(4096, all / 10)
      expect(passed).toBeGreaterThanOrEqual(all * 10 - piece)
      expect(passed).toBeLessThanOrEqual(all * 10 + burstOf(all))
    }), { numRuns: 30 })
  })

  it('shares fairly between peers, however many parts each asks for and however long its pieces are', () => {
    const peer = fc.record({ parallel: fc.integer({ min: 1, max: 16 }), pieceBytes: fc.integer({ min: 1_000, max: 20_000 }) })
    fc.assert(fc.property(fc.array(peer, { minLength: 2, maxLength: 8 }), (list) => {
      const peers = list.map((one, i) => ({ ...one, name: `p${i}`, isLocal: false }))
      const passed = run({ ...NO_LIMITS, all: 200_000 }, peers, 20_000)
      const shares = peers.map(({ name }) => sum(passed.filter(({ peer: other }) => other === name)))
      // Who came first had the burst for itself.
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(burstOf(200_000) + 2 * 20_000)
    }), { numRuns: 20 })
  })

  it('gives chosen peers more, and the others their part', () => {
    const limits = { ...NO_LIMITS, all: 100_000, weights: new Map([['vip', 4], ['last', 0.25]]) }
    const passed = run(limits, ['vip', 'plain', 'last'].map((name) => ({ name, isLocal: false, parallel: 3 })), 60_000)
    const [vip = 0, plain = 0, last = 0] = ['vip', 'plain', 'last'].map((name) => sum(passed.filter(({ peer }) => peer === name)))
    expect(vip / plain).toBeGreaterThan(3.8)
    expect(vip / plain).toBeLessThan(4.2)
    expect(plain / last).toBeGreaterThan(3.8)
    expect(plain / last).toBeLessThan(4.2)
  })

  it('gives what a limited peer leaves to the others', () => {
    const limits = { ...NO_LIMITS, all: 100_000, own: new Map([['slow', 10_000]]) }
    const passed = run(limits, ['slow', 'quick'].map((name) => ({ name, isLocal: false, parallel: 2 })), 30_000)
    expect(sum(passed.filter(({ peer }) => peer === 'quick'))).toBeGreaterThan(89_000 * 30)
    expect(sum(passed.filter(({ peer }) => peer === 'slow'))).toBeGreaterThan(9_800 * 30)
  })

  it('limits a peer on the same network only where it has a limit of its own', () => {
    const bandwidth = new Bandwidth({ ...NO_LIMITS, all: 10_000, each: 5_000, own: new Map([['named', 1_000]]) })
    expect(bandwidth.limitOf('any', true)).toBeNull()
    expect(bandwidth.limitOf('any', false)).toBe(5_000)
    expect(bandwidth.limitOf('named', true)).toBe(1_000)
    expect(bandwidth.step(0, { type: 'ask', id: 1, peer: 'any', bytes: 10_000_000, isLocal: true })).toEqual([{ type: 'grant', id: 1 }])
    bandwidth.step(0, { type: 'limits', limits: { ...NO_LIMITS, all: 10_000, localIsFree: false } })
    expect(bandwidth.limitOf('any', true)).toBe(10_000)
  })

  it('takes new limits at once, and forgets who gave up', () => {
    const bandwidth = new Bandwidth({ ...NO_LIMITS, all: 10_000 })
    expect(bandwidth.step(0, { type: 'ask', id: 1, peer: 'a', bytes: burstOf(10_000), isLocal: false })).toHaveLength(1)
    expect(bandwidth.step(0, { type: 'ask', id: 2, peer: 'a', bytes: 8_000, isLocal: false })).toEqual([])
    expect(bandwidth.step(0, { type: 'ask', id: 3, peer: 'b', bytes: 8_000, isLocal: false })).toEqual([])
    expect(bandwidth.deadline).toBeCloseTo(800, 0)
    bandwidth.step(0, { type: 'end', id: 2 })
    expect(bandwidth.waiting).toBe(1)
    expect(bandwidth.step(1, { type: 'limits', limits: NO_LIMITS })).toEqual([{ type: 'grant', id: 3 }])
    expect(bandwidth.deadline).toBeUndefined()
  })

  it('lets a piece pass that became longer than the burst when the limit was lowered', () => {
    const bandwidth = new Bandwidth({ ...NO_LIMITS, all: 10_000_000 })
    bandwidth.step(0, { type: 'ask', id: 1, peer: 'a', bytes: burstOf(10_000_000), isLocal: false })
    bandwidth.step(0, { type: 'ask', id: 2, peer: 'a', bytes: 1_000_000, isLocal: false })
    bandwidth.step(0, { type: 'limits', limits: { ...NO_LIMITS, all: 10_000 } })
    const { deadline = Infinity } = bandwidth
    expect(deadline).toBeLessThan(1_000)
    expect(bandwidth.step(deadline, { type: 'tick' })).toEqual([{ type: 'grant', id: 2 }])
  })
})

describe('fair turns', () => {
  it('serves whoever was given least, by weight; being away earns nothing', () => {
    const weights = new Map([['heavy', 3]])
    const turns = new FairTurns((key) => weights.get(key) ?? 1)
    for (const key of ['light', 'heavy']) turns.wait(key)
    const order = []
    for (let i = 0; i < 8; i++) {
      const key = turns.next() ?? ''
      turns.serve(key, 3)
      order.push(key)
    }
    expect(order.filter((key) => key === 'heavy')).toHaveLength(6)
    turns.wait('late')
    expect(turns.inOrder()).toContain('late')
    let inARow = 0
    while (turns.next() === 'late') {
      turns.serve('late', 3)
      inARow++
    }
    expect(inARow).toBeLessThanOrEqual(2)
    turns.leave('late')
    turns.leave('light')
    turns.leave('heavy')
    expect(turns.next()).toBeUndefined()
  })
})

const rule = (days: number[], from: number, to: number): ScheduledRates => ({ days, from, to, up: 1, down: 1 })

describe('the schedule of limits', () => {
  it('holds on its days and hours, over midnight too', () => {
    const night = [rule([1], 22 * 60, 6 * 60)]
    expect(ruleAt(night, 1, 21 * 60 + 59)).toBeUndefined()
    expect(ruleAt(night, 1, 22 * 60)).toBe(0)
    expect(ruleAt(night, 2, 5 * 60 + 59)).toBe(0)
    expect(ruleAt(night, 2, 6 * 60)).toBeUndefined()
    expect(ruleAt(night, 1, 3 * 60)).toBeUndefined()
    const sunday = [rule([0], 22 * 60, 6 * 60)]
    expect(ruleAt(sunday, 1, 60)).toBe(0)
    expect(ruleAt([rule([6], 23 * 60, 60)], 0, 59)).toBe(0)
  })

  it('takes the first of several, and a whole day where both times are the same', () => {
    const rules = [rule([1, 2], 9 * 60, 17 * 60), rule([0, 1, 2, 3, 4, 5, 6], 8 * 60, 8 * 60)]
    expect(ruleAt(rules, 1, 10 * 60)).toBe(0)
    expect(ruleAt(rules, 1, 18 * 60)).toBe(1)
    for (let day = 0; day < 7; day++) for (let minute = 0; minute < 1440; minute += 60) expect(ruleAt(rules.slice(1), day, minute)).toBe(0)
  })
})
