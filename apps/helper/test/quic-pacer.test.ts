import { describe, expect, it } from 'vitest'
import { Pacer } from '../src/adapters/quic/pacer.ts'

/** Sends full packets whenever allowed, once a millisecond. @returns bytes per millisecond */
function pace(pacer: Pacer, ms: number): number {
  let sent = 0
  for (let now = 1; now <= ms; now++) {
    for (let allowed = pacer.available(now); allowed > 0; allowed -= 1350) {
      pacer.sent(1350)
      sent += 1350
      if (sent > 1e9) return Number.POSITIVE_INFINITY
    }
  }
  return sent / ms
}

describe('the pacer', () => {
  it('keeps to a little more than the measured rate on a long path', () => {
    const pacer = new Pacer(false)
    pacer.update({ rttMs: 20, cwnd: 500_000, quantum: 12_500 })
    const rate = pace(pacer, 1000)
    expect(rate).toBeGreaterThan(12_500)
    expect(rate).toBeLessThan(12_500 * 1.3)
  })

  it('goes by the window where the engine does not say its rate', () => {
    for (const quantum of [2700, 65_536]) {
      const pacer = new Pacer(false)
      pacer.update({ rttMs: 100, cwnd: 100_000, quantum })
      expect(pacer.rate).toBeCloseTo(1250)
    }
  })

  it('does not slow down what is near or fast', () => {
    const near = new Pacer(false)
    near.update({ rttMs: 1, cwnd: 14_000, quantum: 10_000 })
    // Later its own traffic fills the queues: it is near all the same.
    near.update({ rttMs: 15, cwnd: 14_000, quantum: 10_000 })
    const fast = new Pacer(false)
    fast.update({ rttMs: 10, cwnd: 4_000_000, quantum: 65_536 })
    const loopback = new Pacer(true)
    loopback.update({ rttMs: 30, cwnd: 14_000, quantum: 5000 })
    for (const pacer of [near, fast, loopback]) expect(pacer.available(1)).toBe(Number.POSITIVE_INFINITY)
  })

  it('lets the first flight go at once, and saves up no more than a few milliseconds', () => {
    const pacer = new Pacer(false)
    pacer.update({ rttMs: 50, cwnd: 14_000, quantum: 5000 })
    expect(pacer.available(0)).toBeGreaterThanOrEqual(10 * 1350)
    expect(pacer.available(60_000)).toBeLessThanOrEqual(4 * 5000 * 1.25)
  })
})
