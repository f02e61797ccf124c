import { describe, expect, it } from 'vitest'
import { Pacer } from '../../src/adapters/quic/pacer.ts'

const PACKET = 1350

/** One direction of a path: so many bytes per millisecond after a queue, millisecond by millisecond. */
class Path {
  bytesPerMs: number
  readonly rttMs: number
  readonly queueBytes: number
  /** Every so-maniest packet is lost on the way; 0 = none. */
  readonly losesEach: number
  now = 0
  queue = 0
  sent = 0
  lost = 0
  /** Bytes acknowledged in each millisecond. */
  readonly #acked: number[] = []

  constructor(setup: { bytesPerMs: number; rttMs: number; queueBytes: number; losesEach?: number }) {
    this.bytesPerMs = setup.bytesPerMs
    this.rttMs = setup.rttMs
    this.queueBytes = setup.queueBytes
    this.losesEach = setup.losesEach ?? 0
  }

  /** Lets a sender with endless data, or without, go on for a while. @returns what was acknowledged of it, and the longest queue */
  run(pacer: Pacer, ms: number, hasData = true): { acked: number; longestQueueMs: number } {
    let acked = 0
    let longestQueueMs = 0
    for (const end = this.now + ms; this.now < end; this.now++) {
      const delay = Math.round(this.queue / this.bytesPerMs)
      longestQueueMs = Math.max(longestQueueMs, delay)
      if (this.now % 10 === 0) pacer.update(this.now, { rtt: this.rttMs + delay, deliveryRate: this.#deliveryRate(), sent: this.sent, lost: this.lost })
      if (hasData) this.#send(pacer)
      else pacer.idle(this.now)
      const through = Math.min(this.queue, this.bytesPerMs)
      this.queue -= through
      this.#acked[this.now + this.rttMs] = through
      acked += this.#acked[this.now] ?? 0
    }
    return { acked, longestQueueMs }
  }

  #send(pacer: Pacer): void {
    for (let allowed = pacer.available(this.now); allowed > 0 && this.queue < 1e8; allowed -= PACKET) {
      pacer.sent(PACKET)
      this.sent++
      if (this.queue + PACKET > this.queueBytes || (this.losesEach > 0 && this.sent % this.losesEach === 0)) this.lost++
      else this.queue += PACKET
    }
  }

  /** Bytes per second over the last round trip. */
  #deliveryRate(): number {
    let bytes = 0
    for (let at = Math.max(0, this.now - this.rttMs); at < this.now; at++) bytes += this.#acked[at] ?? 0
    return (bytes / this.rttMs) * 1000
  }
}

/** A pacer that has seen the first round trip. */
function openPacer(path: Path): Pacer {
  const pacer = new Pacer(false)
  pacer.update(path.now, { rtt: path.rttMs, deliveryRate: 0, sent: 0, lost: 0 })
  return pacer
}

describe('the pacer', () => {
  it.each([
    { bytesPerMs: 12_500, rttMs: 20 }, { bytesPerMs: 12_500, rttMs: 200 }, { bytesPerMs: 125_000, rttMs: 100 }, { bytesPerMs: 250, rttMs: 60 },
  ])('fills a path of $bytesPerMs bytes per millisecond and $rttMs ms, and leaves its queue nearly empty', ({ bytesPerMs, rttMs }) => {
    const path = new Path({ bytesPerMs, rttMs, queueBytes: Math.max(100_000, bytesPerMs * rttMs) })
    const pacer = openPacer(path)
    path.run(pacer, 40 * rttMs)
    const ms = 100 * rttMs
    const { acked, longestQueueMs } = path.run(pacer, ms)
    expect(acked).toBeGreaterThan(0.95 * bytesPerMs * ms)
    // On a slow path ten packets, which may always go at once, take their time.
    expect(longestQueueMs).toBeLessThan(0.6 * rttMs + (10 * PACKET) / bytesPerMs + 5)
  })

  it('fills a path that loses every fiftieth packet', () => {
    const path = new Path({ bytesPerMs: 12_500, rttMs: 100, queueBytes: 1_250_000, losesEach: 50 })
    const pacer = openPacer(path)
    path.run(pacer, 4000)
    expect(path.run(pacer, 10_000).acked).toBeGreaterThan(0.95 * 12_500 * 10_000)
  })

  it('loses little where the queue is short', () => {
    const path = new Path({ bytesPerMs: 12_500, rttMs: 50, queueBytes: 90_000 })
    const pacer = openPacer(path)
    path.run(pacer, 4000)
    const { sent, lost } = path
    const { acked } = path.run(pacer, 10_000)
    expect(acked).toBeGreaterThan(0.9 * 12_500 * 10_000)
    expect(path.lost - lost).toBeLessThan(0.06 * (path.sent - sent))
  })

  it('follows a path that becomes narrower, and one that becomes wider', () => {
    const path = new Path({ bytesPerMs: 12_500, rttMs: 50, queueBytes: 600_000 })
    const pacer = openPacer(path)
    path.run(pacer, 3000)
    path.bytesPerMs = 2500
    path.run(pacer, 6000)
    const narrow = path.run(pacer, 3000)
    expect(narrow.acked).toBeGreaterThan(0.9 * 2500 * 3000)
    expect(narrow.longestQueueMs).toBeLessThan(120)
    path.bytesPerMs = 12_500
    path.run(pacer, 3000)
    expect(path.run(pacer, 3000).acked).toBeGreaterThan(0.9 * 12_500 * 3000)
  })

  it('knows what the path carries after a time with nothing to say', () => {
    const path = new Path({ bytesPerMs: 12_500, rttMs: 100, queueBytes: 1_250_000 })
    const pacer = openPacer(path)
    path.run(pacer, 5000)
    path.run(pacer, 60_000, false)
    expect(pacer.rate).toBeGreaterThan(0.7 * 12_500)
    expect(path.run(pacer, 1000).acked).toBeGreaterThan(0.75 * 12_500 * 1000)
  })

  it('does not slow down what is near', () => {
    const near = new Pacer(false)
    near.update(0, { rtt: 1, deliveryRate: 10_000, sent: 10, lost: 0 })
    // Later its own traffic fills the queues: it is near all the same.
    near.update(10, { rtt: 15, deliveryRate: 10_000, sent: 20, lost: 0 })
    const loopback = new Pacer(true)
    loopback.update(0, { rtt: 30, deliveryRate: 10_000, sent: 10, lost: 0 })
    for (const pacer of [near, loopback]) expect(pacer.available(20)).toBe(Number.POSITIVE_INFINITY)
  })

  it('lets four packets go in each round trip, however little has arrived', () => {
    const pacer = new Pacer(false)
    expect(pacer.available(0)).toBe(Number.POSITIVE_INFINITY)
    pacer.update(0, { rtt: 100, deliveryRate: 0, sent: 1, lost: 0 })
    for (let now = 10; now < 2000; now += 10) pacer.update(now, { rtt: 100, deliveryRate: 10, sent: 1, lost: 0 })
    expect(pacer.rate).toBeGreaterThanOrEqual(4 * PACKET / 100)
  })

  it('saves up a part of a round trip, and does not spend it all at once', () => {
    const path = new Path({ bytesPerMs: 12_500, rttMs: 100, queueBytes: 1_250_000 })
    const pacer = openPacer(path)
    path.run(pacer, 5000)
    const { rate } = pacer
    const at = path.now + 10_000
    expect(pacer.available(at)).toBeLessThan(5 * rate)
    let spent = 0
    for (let ms = 0; ms < 10; ms++) {
      for (let allowed = pacer.available(at + ms); allowed > 0; allowed -= PACKET) {
        pacer.sent(PACKET)
        spent += PACKET
      }
    }
    expect(spent).toBeGreaterThan(20 * rate)
    expect(spent).toBeLessThan(40 * rate)
  })

  it('makes way on a bad line for no longer than what waits there takes', () => {
    // 30 ms wait, and a quarter of the rate is spared.
    expect(makingWay({ losesEach: 200 })).toBeLessThanOrEqual(130)
    // Elsewhere it may be somebody else's, and three round trips are given to it.
    expect(makingWay({ losesEach: 0 })).toBeGreaterThanOrEqual(290)
    expect(makingWay({ losesEach: 5000 })).toBeGreaterThanOrEqual(290)
  })

  it('takes losses where a queue is never empty for a bad line’s no more than other losses', () => {
    expect(makingWay({ losesEach: 200, waitsAlways: true })).toBeGreaterThanOrEqual(290)
  })
})

/**
 * For how long a pacer on a path of 12,500 bytes per millisecond and 100 ms sends less than that after it has tried more, and 30 ms wait on the way ever
 * after.
 */
function makingWay({ losesEach, waitsAlways = false }: { losesEach: number; waitsAlways?: boolean }): number {
  const rate = 12_500
  const pacer = new Pacer(false)
  let now = 0
  let sent = 0
  let lost = 0
  const step = (rtt: number): number => {
    now += 10
    sent += Math.round((10 * rate) / PACKET)
    lost = losesEach === 0 ? 0 : Math.floor(sent / losesEach)
    pacer.update(now, { rtt, deliveryRate: rate * 1000, sent, lost })
    return pacer.rate
  }
  step(100)
  for (let i = 0; i < 300; i++) step(waitsAlways ? 120 : 100)
  while (step(130) > 1.2 * rate);
  while (step(waitsAlways ? 120 : 100) < 1.2 * rate);
  let longest = 0
  while (step(130) > 1.2 * rate);
  for (; pacer.rate < 0.9 * rate; longest += 10) step(130)
  return longest
}
