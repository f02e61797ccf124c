import { MAX_READ_BYTES, type SharePath } from '@harddrive-party/protocol'
import { mkdir, stat } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { openPartial, partialPaths } from '../../src/adapters/transfers/partial-file.ts'
import { FakePeer, gate, hang } from '../support/transfer-fakes.ts'
import { type World, openWorld } from '../support/transfer-world.ts'

const path = (text: string) => text as SharePath
const SIZE = 3 * MAX_READ_BYTES

const ownerOf = (world: World, peer: FakePeer, name: string) => ({ downloadDirectory: world.downloads, peerId: peer.peerId, path: path(name) })

/** As after a start of long ago: the first range is on the disk. */
async function leave(world: World, peer: FakePeer, name: string, mtime = 5): Promise<void> {
  await mkdir(world.downloads, { recursive: true })
  const partial = await openPartial(ownerOf(world, peer, name), { size: SIZE, mtime })
  const range = partial.fetch.next()!
  await partial.write(new Uint8Array(MAX_READ_BYTES), range.start)
  partial.fetch.written(range.index)
  await partial.record()
  await partial.close()
}

const isKept = async (world: World, peer: FakePeer, name: string) => {
  const { data, record } = partialPaths(ownerOf(world, peer, name))
  const found = await Promise.all([data, record].map((file) => stat(file).then(() => true, () => false)))
  expect(found[0]).toBe(found[1])
  return found[0]
}

test.each(['done', 'cancelled', 'removed'] as const)('unfinished data of files that vanished goes when what wished for them is %s, and no other', async (how) => {
  const [peer, other] = [new FakePeer(1), new FakePeer(2)]
  peer.put('Music/a', 10)
  const world = await openWorld(peer, other)
  for (const name of ['Music/vanished', 'Music/deep/vanished', 'Musical/film', 'Films/film']) await leave(world, peer, name)
  await leave(world, other, 'Music/vanished')
  if (how !== 'done') peer.beforeRead = (_, signal) => hang(signal)
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  if (how === 'done') await world.ended(transferId)
  else if (how === 'cancelled') {
    await world.until(transferId, ({ state }) => state === 'running')
    world.transfers.cancel(transferId)
  } else {
    await world.until(transferId, ({ state }) => state === 'running')
    world.transfers.cancel(transferId)
    world.transfers.clearFinished()
  }
  await expect.poll(() => isKept(world, peer, 'Music/vanished'), { timeout: 10_000 }).toBe(false)
  await expect.poll(() => isKept(world, peer, 'Music/deep/vanished'), { timeout: 10_000 }).toBe(false)
  for (const name of ['Musical/film', 'Films/film']) expect(await isKept(world, peer, name), name).toBe(true)
  expect(await isKept(world, other, 'Music/vanished')).toBe(true)
})

test('unfinished data that another transfer may go on with stays, also one that waits, and one that failed', async () => {
  const peer = new FakePeer()
  peer.put('Music/a', 10)
  peer.put('Music/large', SIZE)
  peer.put('Music/sub/large', SIZE)
  const world = await openWorld(peer)
  const { opened: reached, open: second } = gate()
  peer.beforeRead = ({ path: wanted }, signal) => {
    if (!wanted.endsWith('large')) return undefined
    second()
    return hang(signal)
  }
  const waiting = world.transfers.add({ peerId: peer.peerId, path: path('Music/large') })
  const folder = world.transfers.add({ peerId: peer.peerId, path: path('Music/sub') })
  await reached
  world.transfers.change('pause', { transferId: waiting.transferId })
  world.transfers.change('pause', { transferId: folder.transferId })
  await world.until(waiting.transferId, ({ state }) => state === 'paused')
  await world.until(folder.transferId, ({ state }) => state === 'paused')
  await leave(world, peer, 'Music/large')
  await leave(world, peer, 'Music/sub/large')
  await leave(world, peer, 'Music/vanished')
  peer.files.delete('Music/large')
  peer.files.delete('Music/sub/large')
  const whole = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  await world.ended(whole.transferId)
  await expect.poll(() => isKept(world, peer, 'Music/vanished'), { timeout: 10_000 }).toBe(false)
  for (const name of ['Music/large', 'Music/sub/large']) expect(await isKept(world, peer, name), name).toBe(true)
})
