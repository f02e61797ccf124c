import type { SharePath } from '@harddrive-party/protocol'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openStore } from '../../src/adapters/system/store.ts'
import { openWishStore } from '../../src/adapters/wishes/wish-store.ts'
import { FakePeer, hang, readTree, temporaryDirectory } from '../support/transfer-fakes.ts'
import { World, openWorld } from '../support/transfer-world.ts'

const path = (text: string) => text as SharePath

function album(): FakePeer {
  const peer = new FakePeer()
  for (const name of ['a/1', 'a/2', 'b/1', 'b/c/1']) peer.put(`Music/${name}`, 300_000)
  return peer
}

test('a part is paused, left out and wanted after all, over a restart', async () => {
  const peer = album()
  const world = await new World(await temporaryDirectory(), [peer]).open()
  world.transfers.change('pause', { all: true })
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  expect(world.info(transferId)).toMatchObject({ state: 'paused', wait: { cause: 'all-paused' } })
  // Nobody knows yet whether there is such a part.
  world.transfers.change('cancel', { transferId, path: path('nowhere') })
  world.transfers.change('resume', { all: true })
  peer.beforeRead = (_wanted, signal) => hang(signal)
  await world.until(transferId, ({ files }) => files.total === 4)
  world.transfers.change('cancel', { transferId, path: path('a/2') })
  world.transfers.change('pause', { transferId, path: path('b') })
  expect(() => world.transfers.change('pause', { transferId, path: path('b/d') })).toThrow('nothing at this path')
  await world.close()
  peer.beforeRead = () => undefined
  await world.open()
  const rest = await world.until(transferId, ({ state, files }) => state === 'paused' && files.done === 1)
  expect(rest).toMatchObject({ wait: { cause: 'paused' }, files: { done: 1, failed: 0, total: 3 }, total: 900_000, skippedFiles: 1, held: false })
  expect(world.transfers.files(transferId, undefined, 10).files.map(({ source, state }) => `${source} ${state}`)).toEqual(['a/1 done', 'a/2 cancelled', 'b/1 paused', 'b/c/1 paused'])
  world.transfers.change('resume', { transferId, path: path('b') })
  expect(await world.ended(transferId)).toMatchObject({ state: 'done', files: { done: 3, total: 3 }, notices: [{ code: 'skipped', values: { count: 1 } }] })
  world.transfers.change('retry', { transferId, path: path('a/2') })
  expect(await world.ended(transferId)).toMatchObject({ state: 'done', files: { done: 4, total: 4 }, skippedFiles: 0 })
  expect([...(await readTree(world.downloads)).keys()].filter((name) => !name.endsWith('/')).sort()).toEqual(['Music/a/1', 'Music/a/2', 'Music/b/1', 'Music/b/c/1'])
  await world.close()
})

test('a folder follows its source: what is new comes, what was moved away does not, until it is asked for', async () => {
  const peer = album()
  const world = await openWorld(peer)
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  await world.ended(transferId)
  await rm(join(world.downloads, 'Music/a/1'))
  peer.put('Music/b/new', 10)
  peer.reads = []
  world.transfers.follow(transferId, true)
  await world.until(transferId, ({ state, files }) => state === 'done' && files.total === 5)
  expect(peer.reads.map((read) => read.path)).toEqual(['Music/b/new'])
  peer.reads = []
  world.transfers.fetchAgain(transferId)
  expect(() => world.transfers.fetchAgain(transferId)).toThrow('still being fetched')
  await world.until(transferId, ({ state }) => state === 'done')
  expect(peer.reads.map((read) => read.path)).toEqual(['Music/a/1'])
  world.transfers.clearFinished()
  expect(world.info(transferId).follow).toBe(true)
})

test('a preview counts what is here, what clashes and what is left', async () => {
  const peer = album()
  const world = await openWorld(peer)
  const wish = { peerId: peer.peerId, path: path('Music') }
  expect(await world.transfers.preview(wish)).toMatchObject({ files: 4, bytes: 1_200_000, here: { files: 0, bytes: 0 }, clashes: 0, target: join(world.downloads, 'Music'), isRenamed: false, fits: true, transferId: null })
  await world.ended(world.transfers.add(wish).transferId)
  await writeFile(join(world.downloads, 'Music/a/1'), 'mine')
  peer.put('Music/z', 7)
  expect(await world.transfers.preview(wish)).toMatchObject({ files: 5, bytes: 1_200_007, here: { files: 3, bytes: 900_000 }, clashes: 1, isRenamed: false })
  await writeFile(join(world.downloads, 'one'), 'foreign')
  peer.put('Other/one', 5)
  expect(await world.transfers.preview({ peerId: peer.peerId, path: path('Other/one') })).toMatchObject({ isDirectory: false, target: join(world.downloads, 'one (2)'), isRenamed: true })
})

test('a wish that an earlier version left while it made failed files ready is gone on with', async () => {
  const directory = await temporaryDirectory()
  const store = openStore(join(directory, 'store'))
  const peer = album()
  const rows = store.table<object>('wish-rows', (raw) => raw as object)
  const states = store.table<object>('wish-states', (raw) => raw as object)
  const old = {
    id: 'old', peerId: peer.peerId, path: 'Music/a', addedAt: 5, since: 5, downloadDirectory: join(directory, 'downloads'), endedAt: null, phase: 'rearm', reason: null, isDirectory: true,
    target: join(directory, 'downloads/a'), total: 600_000, totalFiles: 2, doneFiles: 0, failedFiles: 2, doneBytes: 0, pages: 1, firstPage: 1, changed: 0, restarted: 0, renamed: 0, rejected: 0, begun: {},
  }
  await store.table<object>('wishes', (raw) => raw as object).put('old', old)
  await rows.put('old.0', { remote: ['1', '2'], local: [null, null], size: [300_000, 300_000], mtime: [1_700_000_000_123.5, 1_700_000_000_123.5], directories: [] })
  await states.put('old.0', { states: Uint8Array.of(3, 3), reasons: [[0, 'timed-out', 'x'], [1, 'timed-out', 'x']], names: [] })
  expect(openWishStore(store).records()[0]).toMatchObject({ phase: 'fetch', rearm: [''], order: 5, base: 0 })
  await store.close()
  const world = await new World(directory, [peer]).open()
  expect(await world.ended('old')).toMatchObject({ state: 'done', files: { done: 2, failed: 0, total: 2 } })
  await world.close()
})

test('ten thousand files make a bounded number of changes, and their list stays at hand', async () => {
  const peer = new FakePeer()
  for (let n = 0; n < 10_200; n++) peer.put(`Many/${String(n % 100).padStart(2, '0')}/${n}`, 1)
  const world = await openWorld(peer)
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Many') })
  await world.until(transferId, ({ files }) => files.total === 10_200)
  expect(world.transfers.files(transferId, '20.0', 100).files).toHaveLength(100)
  world.transfers.change('pause', { transferId })
  const shown = world.changes
  world.transfers.change('pause', { transferId })
  expect(world.changes - shown).toBeLessThanOrEqual(1)
  world.transfers.change('cancel', { transferId, path: path('50') })
  world.transfers.change('resume', { transferId })
  const started = world.changes
  expect(await world.ended(transferId)).toMatchObject({ state: 'done', files: { done: 10_098, failed: 0, total: 10_098 }, skippedFiles: 102 })
  // Four a second for progress, and one for each change of state.
  expect(world.changes - started).toBeLessThan(1_000)
})
