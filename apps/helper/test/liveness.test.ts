import { describe, expect, it } from 'vitest'
import { Liveness } from '../src/core/liveness.ts'

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
})
