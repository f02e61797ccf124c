import { describe, expect, it } from 'vitest'
import { World, seededRandom } from './world.ts'
import type { WorldOptions } from './world.ts'

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
