import { describe, expect, it, vi } from 'vitest'
import { IDS, World, seededRandom } from '../support/world.ts'
import type { Side, WorldOptions } from '../support/world.ts'

// Thousands of schedules: a slow machine may take its time.
vi.setConfig({ testTimeout: 60_000 })

const WIRES = [
  ['the same room', { delayMs: [0.2, 1], lostDials: 0 }],
  ['a far country', { delayMs: [50, 400], lostDials: 0.1 }],
  ['a bad link', { delayMs: [5, 1_500], lostDials: 0.4 }],
] as const satisfies readonly (readonly [string, Omit<WorldOptions, 'seed'>])[]

/** Longer than every timer there is: whatever can happen by itself has happened. */
const QUIET_MS = 120_000

function expectOneSharedConnection(world: World, seed: number): void {
  const shared = world.shared()
  expect(shared.length, `seed ${seed}: connections`).toBe(1)
  expect([world.held(0).length, world.held(1).length], `seed ${seed}: held`).toEqual([1, 1])
  expect(world.chosen(0) === shared[0] && world.chosen(1) === shared[0], `seed ${seed}: both use it`).toBe(true)
}

describe.each(WIRES)('two peers in %s', (_, wire) => {
  it('who dial each other at any moments end with one connection, the same', () => {
    for (let seed = 1; seed <= 1_500; seed++) {
      const world = new World({ seed, ...wire })
      const spread = world.random() * 2_000
      for (const side of [0, 1] as const) world.at(world.random() * spread, () => world.input(side, { type: 'policy', policy: World.mutualPolicy(side) }))
      world.runUntil(QUIET_MS)
      expectOneSharedConnection(world, seed)
    }
  })

  it('find back to one connection after cuts and restarts on either side', () => {
    for (let seed = 1; seed <= 700; seed++) {
      const world = new World({ seed, ...wire })
      for (const side of [0, 1] as const) world.input(side, { type: 'policy', policy: World.mutualPolicy(side) })
      const random = seededRandom(seed + 1_000_000)
      const noticeMs = (): number => random() * 30_000
      for (let i = 0; i < 5; i++) {
        const kind = random()
        world.at(random() * 60_000, () => {
          if (kind < 0.4) world.cutAll(noticeMs)
          else world.restart(kind < 0.7 ? 0 : 1, World.mutualPolicy(kind < 0.7 ? 0 : 1), noticeMs)
        })
      }
      world.runUntil(60_000 + QUIET_MS)
      expectOneSharedConnection(world, seed)
    }
  })
})

/** Whether a side was connected and then, for a moment, was not. */
function wavered(world: World, side: Side): boolean {
  const states = world.effects[side].flatMap((effect) => (effect.type === 'status' ? [effect.status.state] : []))
  const first = states.indexOf('connected')
  return first === -1 || states.slice(first).some((state) => state !== 'connected')
}

describe.each([['the same room', [0.2, 1]], ['a far country', [50, 400]]] as const)('two peers in %s, where nothing is lost', (_, delayMs) => {
  it('dial each other at the same time without ever being apart again', () => {
    let duplicates = 0
    for (let seed = 1; seed <= 1_000; seed++) {
      const world = new World({ seed, delayMs, lostDials: 0 })
      for (const side of [0, 1] as const) {
        world.input(side, { type: 'policy', policy: World.mutualPolicy(side) })
        // At once, instead of at a moment of its own choosing.
        world.input(side, { type: 'reconnect', peerId: IDS[side === 0 ? 1 : 0] })
      }
      world.runUntil(10_000)
      expectOneSharedConnection(world, seed)
      expect([wavered(world, 0), wavered(world, 1)], `seed ${seed}`).toEqual([false, false])
      if (world.effects.some((effects) => effects.filter((effect) => effect.type === 'known').length > 1)) duplicates++
    }
    // The schedules do make both dial.
    expect(duplicates).toBeGreaterThan(100)
  })

  it.each([0, 1] as const)('are together soon after side %i restarts, though the other has not noticed', (side) => {
    for (let seed = 1; seed <= 500; seed++) {
      const world = new World({ seed, delayMs, lostDials: 0 })
      for (const each of [0, 1] as const) world.input(each, { type: 'policy', policy: World.mutualPolicy(each) })
      world.runUntil(10_000)
      world.restart(side, World.mutualPolicy(side), () => 30_000)
      world.effects[side].length = 0
      world.runUntil(15_500)
      const shared = world.shared()
      expect(shared.length, `seed ${seed}`).toBe(1)
      expect(world.chosen(0) === shared[0] && world.chosen(1) === shared[0], `seed ${seed}`).toBe(true)
      world.runUntil(60_000)
      expectOneSharedConnection(world, seed)
      expect([wavered(world, 0), wavered(world, 1)], `seed ${seed}`).toEqual([false, false])
    }
  })
})
