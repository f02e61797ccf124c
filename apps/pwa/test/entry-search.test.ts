import { expect, it } from 'vitest'
import { type ListPage, type PeerId, type SharePath, CodedError } from '@harddrive-party/protocol'
import type { ControlApi } from '@harddrive-party/protocol/control'
import { type Found, type SearchedPeer, MAX_RESULTS_PER_PEER, replacePeer, searchPeers, searchTerm } from '../src/entries/entry-search.ts'

const A = { peerId: 'a'.repeat(64) as PeerId, name: 'amber-otter' }
const B = { peerId: 'b'.repeat(64) as PeerId, name: 'brave-lynx' }
const page = (paths: readonly string[], cursor?: string): ListPage => ({
  entries: paths.map((path) => ({ path: path as SharePath, size: 1, mtime: 0, isDirectory: false })), ...(cursor === undefined ? {} : { cursor }),
})

async function search(list: ControlApi['list'], peers = [A, B], abort = new AbortController()) {
  const found: Found[] = []
  let states: SearchedPeer[] = []
  await searchPeers({ list }, peers, { search: 'x' }, { onFound: (more) => void found.push(...more), onPeer: (peer) => { states = replacePeer(states, peer) } }, { signal: abort.signal })
  return { found, states }
}

it('merges what all peers have, and follows their pages', async () => {
  const { found, states } = await search(async ({ peerId, cursor }) => {
    if (peerId === B.peerId) return page(['b1'])
    return cursor === undefined ? page(['a1'], 'next') : page(['a2'])
  })
  expect(found.map(({ peerName, entry }) => `${peerName}/${entry.path}`).sort()).toEqual(['amber-otter/a1', 'amber-otter/a2', 'brave-lynx/b1'])
  expect(states).toEqual([expect.objectContaining({ peerId: A.peerId, status: 'ready', count: 2 }), expect.objectContaining({ peerId: B.peerId, status: 'ready', count: 1 })])
})

it('keeps the results of the others when one peer fails', async () => {
  const { found, states } = await search(async ({ peerId }) => {
    if (peerId === A.peerId) throw new CodedError('connection-lost', 'gone')
    return page(['b1'])
  })
  expect(found.map(({ entry }) => entry.path)).toEqual(['b1'])
  expect(states.find(({ peerId }) => peerId === A.peerId)).toMatchObject({ status: 'failed', problem: 'The connection was lost.' })
})

it('stops listening to a peer that never ends', async () => {
  let calls = 0
  const endless = await search(async () => page([`x${calls++}`], 'more'), [A])
  expect(endless.states).toEqual([expect.objectContaining({ status: 'ready', cut: true })])
  expect(calls).toBe(500)
  calls = 0
  const empty = await search(async () => (calls++, page([], 'more')), [A])
  expect(empty.found).toEqual([])
  expect(calls).toBe(500)
})

it('takes no more than the limit of one peer, and no path twice', async () => {
  let from = 0
  const { found } = await search(async () => {
    from += 200
    return page([...Array.from({ length: 200 }, (_, index) => `f${from + index}`), `f${from}`], 'more')
  }, [A])
  expect(found).toHaveLength(MAX_RESULTS_PER_PEER)
  expect(new Set(found.map(({ entry }) => entry.path)).size).toBe(found.length)
})

it('reports nothing once another search has begun', async () => {
  const abort = new AbortController()
  const { found, states } = await search(async () => {
    abort.abort()
    return page(['late'])
  }, [A], abort)
  expect(found).toEqual([])
  expect(states).toEqual([expect.objectContaining({ status: 'loading' })])
})

it('sends only terms that may be sent', () => {
  expect([searchTerm('  '), searchTerm(' a '), searchTerm('é'.repeat(129)), searchTerm('é'.repeat(128))]).toEqual([null, 'a', null, 'é'.repeat(128)])
})
