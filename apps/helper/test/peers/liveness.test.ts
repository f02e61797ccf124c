import { describe, expect, it } from 'vitest'
import { Liveness } from '../../src/core/peers/liveness.ts'

/** Runs until it is dead or `until`. @returns when it was given up, and how often it asked */
function run(liveness: Liveness, until: number, received: (now: number) => number): { deadAt: number | null; pings: number } {
  let pings = 0
  while (liveness.deadline !== undefined && liveness.deadline <= until) {
    const now = liveness.deadline
    for (const effect of liveness.step(now, { type: 'tick', received: received(now) })) {
      if (effect.type === 'dead') return { deadAt: now, pings }
      pings++
    }
  }
  return { deadAt: null, pings }
}

describe('liveness', () => {
  it('notices a silent death within 5 s while busy, whenever it happens', () => {
    for (let death = 0; death < 3000; death += 37) {
      const liveness = new Liveness(0)
      liveness.step(0, { type: 'busy', busy: true })
      const { deadAt } = run(liveness, 60_000, (now) => 1 + Math.min(now, death))
      expect(deadAt).toBeLessThanOrEqual(death + 5000)
      expect(deadAt).toBeGreaterThan(death + 1500)
      expect(liveness.deadline).toBeUndefined()
    }
  })

  it('notices it within 30 s when idle', () => {
    for (let death = 0; death < 15_000; death += 370) {
      const { deadAt } = run(new Liveness(0), 120_000, (now) => 1 + Math.min(now, death))
      expect(deadAt).toBeLessThanOrEqual(death + 30_000)
      expect(deadAt).toBeGreaterThan(death + 10_000)
    }
  })

  it('lets nobody die who answers, and does not ask who talks', () => {
    const busy = new Liveness(0)
    busy.step(0, { type: 'busy', busy: true })
    expect(run(busy, 600_000, (now) => now)).toEqual({ deadAt: null, pings: 0 })
    expect(run(new Liveness(0), 600_000, (now) => now)).toEqual({ deadAt: null, pings: 120 })
  })

  it('counts a long standstill of our own once', () => {
    const liveness = new Liveness(0)
    liveness.step(0, { type: 'busy', busy: true })
    expect(liveness.step(3_600_000, { type: 'tick', received: 0 })).toEqual([{ type: 'ping' }])
    expect(liveness.step(3_600_800, { type: 'tick', received: 1 })).toEqual([])
    expect(liveness.deadline).toBe(3_601_600)
  })

  it('asks sooner once busy, and starts counting anew', () => {
    const liveness = new Liveness(0)
    for (const at of [5000, 10_000, 15_000]) expect(liveness.step(at, { type: 'tick', received: 0 })).toEqual([{ type: 'ping' }])
    expect(liveness.step(15_100, { type: 'busy', busy: true })).toEqual([])
    expect(liveness.deadline).toBe(15_900)
    expect(liveness.step(15_900, { type: 'tick', received: 0 })).toEqual([{ type: 'ping' }])
  })

  it('does nothing before its time', () => {
    expect(new Liveness(0).step(4999, { type: 'tick', received: 0 })).toEqual([])
  })

  it('asks at once when in doubt, and notices a silent death within 5 s then, idle or not', () => {
    for (let doubt = 1; doubt < 15_000; doubt += 370) {
      const liveness = new Liveness(0)
      run(liveness, doubt, (now) => 1 + now)
      expect(liveness.step(doubt, { type: 'doubt', received: 1 + doubt })).toEqual([{ type: 'ping' }])
      expect(run(liveness, doubt + 60_000, () => 1 + doubt).deadAt).toBeLessThanOrEqual(doubt + 5000)
    }
  })

  it('is as calm as before once the peer was heard again', () => {
    const liveness = new Liveness(0)
    liveness.step(1_000, { type: 'doubt', received: 5 })
    liveness.step(liveness.deadline ?? 0, { type: 'tick', received: 6 })
    const { deadline = 0 } = liveness
    expect(liveness.step(deadline, { type: 'tick', received: 6 })).toEqual([{ type: 'ping' }])
    expect((liveness.deadline ?? 0) - deadline).toBe(5_000)
  })
})
