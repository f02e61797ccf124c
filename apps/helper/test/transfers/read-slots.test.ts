import { MAX_READ_BYTES } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { setMaxListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { BufferPool, Slots } from '../../src/adapters/transfers/read-slots.ts'

const COUNT = 24
const never = new AbortController().signal
// A hundred reads wait under it.
setMaxListeners(0, never)
const turn = () => new Promise<void>((resolve) => void setImmediate(resolve))

/** Peers that always want eight buffers and take a while for each: in milliseconds, of a clock that the world moves. */
class World {
  now = 0
  readonly pool = new BufferPool(COUNT, () => this.now)
  readonly delivered = new Map<string, number>()
  held = 0
  mostHeld = 0
  readonly #due: { at: number; end: () => void }[] = []

  open(owner: string, tookMs: number): void {
    this.delivered.set(owner, 0)
    for (let i = 0; i < 8; i++) void this.#read(owner, tookMs)
  }

  async run(untilMs: number): Promise<void> {
    while (this.now < untilMs) {
      await turn()
      this.#due.sort((a, b) => a.at - b.at)
      const next = this.#due.shift()
      if (next === undefined) return
      this.now = next.at
      next.end()
    }
  }

  async #read(owner: string, tookMs: number): Promise<void> {
    for (;;) {
      const buffer = await this.pool.acquire(100, owner, never)
      this.held++
      this.mostHeld = Math.max(this.mostHeld, this.held)
      await new Promise<void>((resolve) => void this.#due.push({ at: this.now + tookMs, end: resolve }))
      this.held--
      this.pool.release(buffer)
      this.delivered.set(owner, (this.delivered.get(owner) ?? 0) + 1)
    }
  }
}

describe('the buffers of reads', () => {
  it.each([3, 6, 12, 20])('go to a fast peer whatever %i slow ones hold', async (slow) => {
    const world = new World()
    for (let i = 0; i < slow; i++) world.open(`slow ${i}`, 60_000)
    await world.run(1)
    world.open('fast', 100)
    await world.run(600_000)
    // At eight at a time it would be 48,000; at two, as beside very many, 12,000.
    const reached = world.delivered.get('fast')!
    expect(reached).toBeGreaterThan(slow <= 3 ? 40_000 : slow <= 6 ? 20_000 : 5_000)
    for (let i = 0; i < slow; i++) expect(world.delivered.get(`slow ${i}`)).toBeGreaterThanOrEqual(8)
    expect(world.mostHeld).toBeLessThanOrEqual(COUNT)
  })

  it('are eight at once for one that is alone, at once', async () => {
    const pool = new BufferPool(COUNT, () => 0)
    const buffers = await Promise.all(Array.from({ length: 8 }, () => pool.acquire(MAX_READ_BYTES, 'one', never)))
    expect(new Set(buffers).size).toBe(8)
    for (const buffer of buffers) pool.release(buffer)
    pool.shrink()
  })

  it('come to everybody who waits in the end, whoever gives up meanwhile', async () => {
    const asks = fc.array(fc.record({ owner: fc.constantFrom('a', 'b', 'c', 'd', 'e'), aborts: fc.boolean() }), { minLength: 1, maxLength: 120 })
    await fc.assert(fc.asyncProperty(asks, fc.array(fc.nat(), { minLength: 1, maxLength: 20 }), async (wanted, order) => {
      let now = 0
      const pool = new BufferPool(COUNT, () => now)
      const held: Uint8Array[] = []
      let ended = 0
      for (const { owner, aborts } of wanted) {
        const abort = new AbortController()
        void pool.acquire(10, owner, abort.signal).then((buffer) => held.push(buffer), () => ended++)
        if (aborts) abort.abort()
      }
      for (let i = 0; ended < wanted.length; i++) {
        await turn()
        expect(held.length).toBeGreaterThan(0)
        expect(held.length).toBeLessThanOrEqual(COUNT)
        now += order[i % order.length]! % 5_000
        const [buffer] = held.splice(order[i % order.length]! % held.length, 1)
        pool.release(buffer!)
        ended++
        // Twice is once.
        pool.release(buffer!)
        await turn()
      }
    }), { numRuns: 60 })
  })
})

describe('slots', () => {
  it('are given in the order in which they were asked for, and not to those who gave up', async () => {
    const slots = new Slots(1)
    const got: number[] = []
    await slots.acquire(never)
    const abort = new AbortController()
    const asked = [never, abort.signal, never].map((signal, i) => slots.acquire(signal).then(() => got.push(i), () => {}))
    abort.abort()
    slots.release()
    slots.release()
    await Promise.all(asked)
    expect(got).toEqual([0, 2])
  })
})
