import { describe, expect, it } from 'vitest'
import { RestartPlan } from '../../src/core/restart-plan.ts'

const LIMITS = { heartbeatMs: 500, silenceMs: 4_000, firstSilenceMs: 20_000, maxRssBytes: 1_000 }

/** A plan whose process was started at 0 and heard at `heardAt`. */
function running(heardAt?: number): RestartPlan {
  const plan = new RestartPlan(LIMITS)
  plan.step(0, { type: 'started' })
  if (heardAt !== undefined) plan.step(heardAt, { type: 'heard', rssBytes: 1 })
  return plan
}

/** Ticks when the plan wants to, until it wants something done. */
function tickUntilEffect(plan: RestartPlan, limit: number): { at: number; effects: unknown[] } {
  for (;;) {
    const at = plan.deadline
    if (at === undefined || at > limit) return { at: limit, effects: [] }
    const effects = plan.step(at, { type: 'tick' })
    if (effects.length > 0) return { at, effects }
  }
}

describe('restart plan', () => {
  it('kills a process that was heard and then falls silent', () => {
    expect(tickUntilEffect(running(100), 60_000)).toEqual({ at: 4_000, effects: [{ type: 'kill', reason: 'silent' }] })
  })

  it('gives a new process longer for its first sign of life', () => {
    expect(tickUntilEffect(running(), 60_000)).toEqual({ at: 20_000, effects: [{ type: 'kill', reason: 'silent' }] })
  })

  it('leaves a process alone that is heard often enough', () => {
    const plan = running(0)
    for (let now = 500; now < 120_000; now += 500) {
      expect(plan.step(now, { type: 'tick' })).toEqual([])
      if (now % 3_500 === 0) expect(plan.step(now, { type: 'heard', rssBytes: 1 })).toEqual([])
    }
  })

  it('is slower to kill on a machine too busy to run us in time, and kills all the same', () => {
    const plan = running(0)
    let now = 0
    let ticks = 0
    for (let effects: unknown[] = []; effects.length === 0; ticks++) effects = plan.step((now += 1_000), { type: 'tick' })
    // Twice the time for each tick, of which half counts for half.
    expect(ticks).toBe(4_000 / 250)
  })

  it('counts a long gap between its own ticks for next to nothing: a suspended laptop kills nothing', () => {
    const plan = running(0)
    plan.step(500, { type: 'tick' })
    expect(plan.step(8 * 3_600_000, { type: 'tick' })).toEqual([])
    expect(plan.step(8 * 3_600_000 + 500, { type: 'tick' })).toEqual([])
    plan.step(8 * 3_600_000 + 700, { type: 'heard', rssBytes: 1 })
    expect(tickUntilEffect(plan, 8 * 3_600_000 + 3_000).effects).toEqual([])
  })

  it('kills a process that is too large, once', () => {
    const plan = running(0)
    expect(plan.step(10, { type: 'heard', rssBytes: 1_001 })).toEqual([{ type: 'kill', reason: 'too-large' }])
    expect(plan.step(20, { type: 'heard', rssBytes: 1_001 })).toEqual([])
    expect(plan.deadline).toBeUndefined()
  })

  it('starts a process again at once, and later and later when it keeps dying young', () => {
    const plan = running(0)
    let now = 1_000
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      plan.step(now, { type: 'exited' })
      const { at, effects } = tickUntilEffect(plan, now + 100_000)
      expect(effects).toEqual([{ type: 'start' }])
      waits.push(at - now)
      now = at
      plan.step(now, { type: 'started' })
      now += 10
    }
    expect(waits).toEqual([0, 250, 1_000, 4_000, 15_000, 30_000, 30_000, 30_000])
    plan.step(now, { type: 'heard', rssBytes: 1 })
    plan.step(now + 60_000, { type: 'exited' })
    expect(plan.deadline).toBe(now + 60_000)
  })

  it('ignores a death that it has heard of, and signs of life of the dead', () => {
    const plan = running(0)
    plan.step(5, { type: 'exited' })
    expect(plan.step(6, { type: 'exited' })).toEqual([])
    expect(plan.step(6, { type: 'heard', rssBytes: 1e12 })).toEqual([])
    expect(plan.deadline).toBe(5)
  })
})
