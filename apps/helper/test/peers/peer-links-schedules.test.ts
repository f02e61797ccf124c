import { afterEach, describe, expect, it, vi } from 'vitest'
import { MemoryNetwork } from '../support/memory-transport.ts'
import { PeerNode } from '../support/peer-node.ts'
import { seededRandom } from '../support/world.ts'

// Thousands of schedules: a slow machine may take its time.
vi.setConfig({ testTimeout: 60_000 })

const signal = new AbortController().signal
let nodes: PeerNode[] = []

afterEach(async () => {
  for (const node of nodes) await node.close()
})

describe('the whole session layer under random delays', () => {
  it('two who dial each other talk over one connection, the same, and every ping on the way is answered', async () => {
    let twice = 0
    for (let seed = 1; seed <= 150; seed++) {
      const random = seededRandom(seed)
      const network = new MemoryNetwork({ turns: () => 1 + Math.floor(random() * 12) })
      // A connection that lost is not closed within this test's turns: that is time's to do, and the machine's tests have it.
      const [anna, ben] = nodes = [new PeerNode(network, 1), new PeerNode(network, 2)] as const
      const wishes = await Promise.all([
        anna.links.connect(ben.code).then(() => anna.links.ping(ben.peerId, { signal })),
        ben.links.connect(anna.code).then(() => ben.links.ping(anna.peerId, { signal })),
      ])
      expect(wishes.map(({ path }) => path.kind)).toEqual(['lan', 'lan'])
      await anna.until(() => anna.status(ben)?.state === 'connected')
      await ben.until(() => ben.status(anna)?.state === 'connected')
      const both = anna.events.filter(({ type }) => type === 'peer-known').length > 1
      if (both) {
        twice++
        await anna.until(() => anna.links.connection(ben.peerId)?.role === 'dialler')
        await ben.until(() => ben.links.connection(anna.peerId)?.role === 'listener')
      }
      expect(anna.links.connection(ben.peerId)?.role, `seed ${seed}`).not.toBe(ben.links.connection(anna.peerId)?.role)
      for (const node of nodes) await node.close()
    }
    // In many of the schedules there were two.
    expect(twice).toBeGreaterThan(10)
  })
})
