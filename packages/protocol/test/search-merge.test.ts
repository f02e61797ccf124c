import { expect, it } from 'vitest'
import { type PeerFound, type PeerId, type SearchOrder, mergeResults, parseSharePath } from '../src/index.ts'

function found(peer: string, path: string, size: number, { mtime = 0, isDirectory = false } = {}): PeerFound {
  const parsed = parseSharePath(path)
  if (!parsed.ok) throw new Error(parsed.error.message)
  return { peerId: peer.repeat(64) as PeerId, peerName: peer, entry: { path: parsed.value, size, mtime, isDirectory } }
}

const RESULTS = [
  found('b', 'Music/Abbey Road/02 Something.flac', 30, { mtime: 3 }), found('b', 'Music/Abbey Road', 90, { isDirectory: true }), found('a', 'Sets/abbey road.zip', 80, { mtime: 9 }),
  found('a', 'Old/02 Something.flac', 30), found('a', 'Music/Abbey Road', 90, { isDirectory: true }), found('a', 'x/My Abbey 10.txt', 5), found('a', 'x/My Abbey 9.txt', 4),
]
const paths = (order: SearchOrder, search = 'abbey road') => mergeResults(RESULTS, search, order).map(({ peerName, entry }) => `${peerName}/${entry.path}`)

it('puts what several peers sent in one order, and the same file there once', () => {
  expect(paths('rank').slice(0, 2).sort()).toEqual(['a/Music/Abbey Road', 'b/Music/Abbey Road'])
  expect(paths('rank').slice(2)).toEqual(['a/Sets/abbey road.zip', 'b/Music/Abbey Road/02 Something.flac', 'a/x/My Abbey 10.txt', 'a/x/My Abbey 9.txt'])
  const something = mergeResults(RESULTS, 'abbey', 'rank').find(({ entry }) => entry.path.endsWith('Something.flac'))
  expect(something).toMatchObject({ peerName: 'b', also: [{ peerName: 'a', entry: { path: 'Old/02 Something.flac' } }] })
})

it('sorts by name as people count, by size, date and peer', () => {
  expect(paths('name').filter((path) => path.includes('/x/'))).toEqual(['a/x/My Abbey 9.txt', 'a/x/My Abbey 10.txt'])
  expect(paths('size')[2]).toBe('a/Sets/abbey road.zip')
  expect(paths('date')[0]).toBe('a/Sets/abbey road.zip')
  expect(paths('peer').map((path) => path[0])).toEqual(['a', 'a', 'a', 'a', 'b', 'b'])
})
