import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { natFactsOf } from '../../src/core/punch/nat-kind.ts'
import { seededRandom } from '../support/world.ts'

const at = (ports: readonly number[], host = '198.51.100.7') => ports.map((port) => ({ mapped: { host, port } }))
const drawn = (seed: number, count: number, low: number, high: number) => {
  const random = seededRandom(seed)
  return Array.from({ length: count }, () => low + Math.floor(random() * (high - low + 1)))
}

describe('the kind of a hard NAT', () => {
  it.each([1, 2, 4])('counting by %i', (step) => {
    expect(natFactsOf(at(Array.from({ length: 32 }, (_, i) => 20_000 + i * step)))).toEqual({ kind: 'counting', step, lastPort: 20_000 + 31 * step })
  })

  it.each([1, 2])('counting by %i with other flows between, some packets overtaken, and a new start at the bottom', (step) => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = seededRandom(seed)
      let port = 60_000 + Math.floor(random() * 2_000) * step
      const ports = Array.from({ length: 32 }, () => {
        port += step * (1 + Math.floor(random() * 4))
        if (port > 63_000) port = 1_024 + (port % step)
        return port
      })
      for (let i = 0; i + 1 < ports.length; i += 5) [ports[i], ports[i + 1]] = [ports[i + 1] ?? 0, ports[i] ?? 0]
      expect(natFactsOf(at(ports)), `seed ${seed}`).toMatchObject({ kind: 'counting', step })
    }
  })

  it.each([128, 512, 1024, 2048])('a block of %i ports, whose bounds are found within a tenth', (size) => {
    for (let seed = 1; seed <= 300; seed++) {
      const { kind, block } = natFactsOf(at(drawn(seed, 32, 40_000, 40_000 + size - 1)))
      expect(kind, `seed ${seed}`).toBe('block')
      const covered = Math.min(block?.high ?? 0, 40_000 + size - 1) - Math.max(block?.low ?? 0, 40_000) + 1
      expect(covered / size, `seed ${seed}`).toBeGreaterThan(0.75)
      expect((block?.high ?? 0) - (block?.low ?? 0) + 1, `seed ${seed}`).toBeLessThan(size * 1.15)
    }
  })

  it('random over all ports', () => {
    for (let seed = 1; seed <= 300; seed++) expect(natFactsOf(at(drawn(seed, 32, 1_024, 65_535))).kind, `seed ${seed}`).toBe('random')
  })

  it('is not guessed at from a few samples, and one address of several is looked at', () => {
    expect(natFactsOf([])).toEqual({ kind: 'random' })
    expect(natFactsOf(at([5_000, 5_001, 5_002]))).toEqual({ kind: 'random', lastPort: 5_002 })
    expect(natFactsOf([...at([9, 60_000], '198.51.100.8'), ...at(Array.from({ length: 20 }, (_, i) => 3_000 + i))])).toEqual({ kind: 'counting', step: 1, lastPort: 3_019 })
  })

  it('is something for any samples', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 65_535 }), { maxLength: 64 }), (ports) => {
      const facts = natFactsOf(at(ports))
      expect(['counting', 'block', 'random']).toContain(facts.kind)
      if (facts.block) expect(facts.block.low).toBeLessThanOrEqual(facts.block.high)
      if (facts.kind === 'counting') expect(facts.step).toBeGreaterThanOrEqual(1)
    }))
  })
})
