import { CodedError, type SharePath } from '@harddrive-party/protocol'
import { appendFile, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FakePeer, gate, hang, pattern, readTree } from '../support/transfer-fakes.ts'
import { openWorld } from '../support/transfer-world.ts'

const path = (text: string) => text as SharePath

test('a file lands under its name, with the time of its source', async () => {
  const peer = new FakePeer()
  peer.put('Music/song.flac', 9_000_000)
  const world = await openWorld(peer)
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music/song.flac') })
  const info = await world.ended(transferId)
  expect(info).toMatchObject({
    state: 'done', bytes: 9_000_000, total: 9_000_000, isDirectory: false, files: { done: 1, failed: 0, total: 1 }, reason: null, notices: [],
    target: join(world.downloads, 'song.flac'),
  })
  expect(Buffer.compare(await readFile(info.target!), pattern('Music/song.flac', 9_000_000))).toBe(0)
  expect((await stat(info.target!)).mtimeMs).toBeCloseTo(1_700_000_000_123.5, 0)
  expect(world.transfers.finishedFile(transferId)).toBe(info.target)
  expect(world.transfers.files(transferId, undefined, 10).files).toEqual([
    { path: 'song.flac', source: '', size: 9_000_000, bytes: 9_000_000, state: 'done', reason: null, wait: null },
  ])
})

test('a folder lands with its empty folders and empty files, and several files come at once', async () => {
  const peer = new FakePeer()
  peer.knowsBundles = false
  for (let i = 0; i < 40; i++) peer.put(`Music/Ärtist ${i % 3}/${i}.flac`, 1000 + i)
  peer.put('Music/empty.txt', 0)
  peer.directories.add('Music/nothing/in here')
  peer.directories.add('Music/nothing')
  peer.put('Musical/other.txt', 5)
  const { opened: joined, open: second } = gate()
  // The first read is not answered before another one is asked.
  peer.beforeRead = () => (peer.inFlight === 1 ? joined : second())
  const world = await openWorld(peer)
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  expect(await world.ended(transferId)).toMatchObject({ state: 'done', isDirectory: true, files: { done: 41, failed: 0, total: 41 } })
  const expected = new Map(peer.entries().filter(({ path }) => path.startsWith('Music')).map(({ path, isDirectory }) =>
    [isDirectory ? `${path}/` : path, isDirectory ? null : Buffer.from(peer.files.get(path)!.bytes)]))
  expected.delete('Musical/')
  expected.delete('Musical/other.txt')
  expect(await readTree(world.downloads)).toEqual(expected)
  expect(peer.mostInFlight).toBeGreaterThan(1)
  expect(peer.mostInFlight).toBeLessThanOrEqual(8)
  expect(peer.busyCalls.at(-1)).toBe(false)
})

test('the same wish twice is one transfer, and what is there from the last time is not fetched again', async () => {
  const peer = new FakePeer()
  peer.put('Music/a', 10)
  peer.put('Music/b', 20)
  peer.put('Music/c', 30)
  const world = await openWorld(peer)
  const first = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  expect(world.transfers.add({ peerId: peer.peerId, path: path('Music') }).transferId).toBe(first.transferId)
  await world.ended(first.transferId)
  await rm(join(world.downloads, 'Music/b'))
  await appendFile(join(world.downloads, 'Music/c'), 'mine')
  peer.put('Music/d', 40)
  peer.reads = []
  const second = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  expect(second.transferId).not.toBe(first.transferId)
  const info = await world.ended(second.transferId)
  expect(info).toMatchObject({ state: 'done', target: join(world.downloads, 'Music') })
  expect(peer.reads.map((read) => read.path).sort()).toEqual(['Music/b', 'Music/c', 'Music/d'])
  expect([...(await readTree(world.downloads)).keys()].sort()).toEqual(['Music/', 'Music/a', 'Music/b', 'Music/c', 'Music/c (2)', 'Music/d'])
  expect(world.transfers.files(second.transferId, undefined, 10).files.map((file) => file.path)).toEqual(['a', 'b', 'c (2)', 'd'])
})

test('names that are taken get a number, for files and folders that are not ours', async () => {
  const peer = new FakePeer()
  peer.put('Music/song.flac', 10)
  const world = await openWorld(peer)
  await mkdir(join(world.downloads, 'Music'), { recursive: true })
  await writeFile(join(world.downloads, 'song.flac'), 'foreign')
  const file = world.transfers.add({ peerId: peer.peerId, path: path('Music/song.flac') })
  const folder = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  await world.ended(file.transferId)
  await world.ended(folder.transferId)
  expect([...(await readTree(world.downloads)).keys()].sort()).toEqual(['Music (2)/', 'Music (2)/song.flac', 'Music/', 'song (2).flac', 'song.flac'])
  expect(await readFile(join(world.downloads, 'song.flac'), 'utf8')).toBe('foreign')
})

test('two peers with the same path get a name each, whatever the files say of themselves', async () => {
  const [one, two] = [new FakePeer(1), new FakePeer(2)]
  one.put('Music/song.flac', pattern('one', 1000))
  two.put('Music/song.flac', pattern('two', 1000))
  const world = await openWorld(one, two)
  const wishes = [one, two].map(({ peerId }) => world.transfers.add({ peerId, path: path('Music/song.flac') }))
  const infos = await Promise.all(wishes.map(({ transferId }) => world.ended(transferId)))
  expect(Buffer.from(await readFile(infos[0]!.target!)).equals(pattern('one', 1000))).toBe(true)
  expect(Buffer.from(await readFile(infos[1]!.target!)).equals(pattern('two', 1000))).toBe(true)
})

test('names that differ only by case or normal form do not meet', async () => {
  const peer = new FakePeer()
  for (const name of ['A/x', 'a/x', 'file', 'FILE', 'caf\u00e9', 'cafe\u0301']) peer.put(`S/${name}`, pattern(name, 20))
  const world = await openWorld(peer)
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('S') })
  const info = await world.ended(transferId)
  expect(info.state).toBe('done')
  expect(info.notices).toEqual([{ code: 'renamed', values: { count: 3 } }])
  const names = [...(await readTree(world.downloads)).keys()].map((name) => name.normalize('NFC').toLowerCase())
  expect(new Set(names).size).toBe(9)
})

test('a wish for a peer that is away waits and goes on by itself', async () => {
  const peer = new FakePeer()
  peer.put('Music/a', 10)
  peer.connected = false
  const world = await openWorld(peer)
  const { transferId, state, reason } = world.transfers.add({ peerId: peer.peerId, path: path('Music/a') })
  expect({ state, code: reason?.code }).toEqual({ state: 'waiting', code: 'offline' })
  peer.connected = true
  world.tellPeer(peer)
  expect(await world.ended(transferId)).toMatchObject({ state: 'done' })
})

test('a file that fails does not hold up the rest, and can be tried again', async () => {
  const peer = new FakePeer()
  for (const name of ['a', 'b', 'c']) peer.put(`Music/${name}`, 10)
  const world = await openWorld(peer)
  peer.beforeRead = ({ path: wanted }) => {
    if (wanted === 'Music/b') throw new CodedError('hash-mismatch', 'the bytes are not what was sent')
  }
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  const info = await world.ended(transferId)
  expect(info).toMatchObject({ state: 'failed', files: { done: 2, failed: 1, total: 3 }, reason: { code: 'hash-mismatch' }, bytes: 20 })
  expect(world.transfers.files(transferId, undefined, 10).files.map(({ state }) => state)).toEqual(['done', 'failed', 'done'])
  peer.beforeRead = () => undefined
  peer.reads = []
  world.transfers.retry(transferId)
  expect(await world.ended(transferId)).toMatchObject({ state: 'done', files: { done: 3, failed: 0, total: 3 }, bytes: 30, endedAt: expect.any(Number) })
  expect(peer.reads.map((read) => read.path)).toEqual(['Music/b'])
})

test('a file that changes at its source is fetched anew, and the person is told', async () => {
  const peer = new FakePeer()
  peer.put('Music/a', 12_000_000)
  peer.put('Music/b', 10)
  const world = await openWorld(peer)
  let changed = false
  peer.beforeRead = ({ start }) => {
    if (start === 0 || changed) return
    changed = true
    peer.put('Music/a', pattern('new', 11_000_000), 1_700_000_009_000)
  }
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  const info = await world.ended(transferId)
  expect(info).toMatchObject({ state: 'done', total: 11_000_010, bytes: 11_000_010, notices: [{ code: 'changed', values: { count: 1 } }] })
  expect(Buffer.compare(await readFile(join(world.downloads, 'Music/a')), pattern('new', 11_000_000))).toBe(0)
})

test('cancelling removes what is unfinished and leaves what is done', async () => {
  const peer = new FakePeer()
  peer.put('Music/a', 10)
  peer.put('Music/b', 20_000_000)
  const world = await openWorld(peer)
  const { opened: reached, open: second } = gate()
  peer.beforeRead = ({ path: wanted, start }, signal) => {
    if (wanted !== 'Music/b' || start === 0) return undefined
    second()
    return hang(signal)
  }
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  await reached
  await world.until(transferId, ({ files }) => files.done === 1)
  world.transfers.cancel(transferId)
  expect(world.info(transferId).state).toBe('cancelled')
  await world.transfers.close()
  await expect(stat(join(world.downloads, '.harddrive-party'))).rejects.toThrow('ENOENT')
  expect([...(await readTree(world.downloads)).keys()]).toEqual(['Music/', 'Music/a'])
})

test('after a restart only what is missing is fetched, and nothing is listed again', async () => {
  const peer = new FakePeer()
  peer.knowsBundles = false
  for (let i = 0; i < 30; i++) peer.put(`Music/${i}`, 100)
  const world = await openWorld(peer)
  let count = 0
  peer.beforeRead = (_, signal) =>
    ++count > 12 ? hang(signal) : undefined
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  await world.until(transferId, ({ files }) => files.done === 12)
  await world.close()
  peer.beforeRead = () => undefined
  peer.reads = []
  peer.put('Music/new', 5)
  await world.open()
  expect(await world.ended(transferId)).toMatchObject({ state: 'done', files: { done: 30, failed: 0, total: 30 }, bytes: 3000, total: 3000 })
  expect(peer.reads).toHaveLength(18)
})

test('files that came into place while nobody was told are recognised after a crash', async () => {
  const peer = new FakePeer()
  for (let i = 0; i < 7; i++) peer.put(`Music/${i}`, 100)
  peer.put('one', 50)
  const world = await openWorld(peer)
  world.lost = []
  const folder = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  await world.untilLost(7)
  await world.close()
  await world.open()
  const file = world.transfers.add({ peerId: peer.peerId, path: path('one') })
  await world.untilLost(7 + 8)
  await world.close()
  world.lost = undefined
  await world.open()
  expect(await world.ended(folder.transferId)).toMatchObject({ state: 'done', files: { done: 7 }, bytes: 700 })
  expect(await world.ended(file.transferId)).toMatchObject({ state: 'done', target: join(world.downloads, 'one') })
  expect(peer.reads).toHaveLength(8)
  expect((await readTree(world.downloads)).size).toBe(9)
})

test('closing does not wait for a listing that never comes, and it is asked for again', async () => {
  const peer = new FakePeer()
  peer.put('Music/a', 10)
  const world = await openWorld(peer)
  const asked = gate()
  const list = peer.list.bind(peer)
  peer.list = () => {
    asked.open()
    return new Promise(() => undefined) as never
  }
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  await asked.opened
  expect(world.info(transferId).state).toBe('listing')
  await world.close()
  peer.list = list
  await world.open()
  expect(await world.ended(transferId)).toMatchObject({ state: 'done' })
})

test('a network process that restarts gets its jobs again', async () => {
  const peer = new FakePeer()
  peer.put('Music/a', 10)
  const world = await openWorld(peer)
  const { opened: reading, open: reached } = gate()
  peer.beforeRead = (_, signal) => {
    reached()
    return hang(signal)
  }
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music/a') })
  await reading
  await world.closeNetwork()
  world.transfers.onNetworkRestart()
  expect(world.info(transferId)).toMatchObject({ state: 'waiting', reason: { code: 'offline' } })
  peer.beforeRead = () => undefined
  world.openNetwork()
  world.tellPeer(peer)
  expect(await world.ended(transferId)).toMatchObject({ state: 'done' })
})

test('a listing that leaves the folder, repeats itself or names itself a file is refused', async () => {
  const peer = new FakePeer()
  const entry = (name: string, isDirectory = false) => ({ path: path(name), size: 1, mtime: 1, isDirectory })
  const listings = [[entry('Other/a')], [entry('Music/a'), entry('Music/a')], [entry('Music/b'), entry('Music/a')], [entry('Music'), entry('Music/a')]]
  for (const entries of listings) {
    const world = await openWorld(peer)
    peer.list = () => ({ entries })
    const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
    expect(await world.ended(transferId)).toMatchObject({ state: 'failed', reason: { code: 'bad-answer' } })
    expect(peer.reads).toEqual([])
  }
  const world = await openWorld(peer)
  peer.list = () => ({ entries: [], cursor: 'again' })
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  expect(await world.ended(transferId)).toMatchObject({ state: 'failed', reason: { code: 'bad-answer' } })
})

test('finished transfers are cleared, their files stay', async () => {
  const peer = new FakePeer()
  peer.put('Music/a', 10)
  const world = await openWorld(peer)
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music'), id: 'wish-1' })
  expect(transferId).toBe('wish-1')
  await world.ended(transferId)
  world.transfers.clearFinished()
  expect(world.removed).toEqual(['wish-1'])
  expect(world.transfers.infos()).toEqual([])
  await world.close()
  await world.open()
  expect(world.transfers.infos()).toEqual([])
  expect([...(await readTree(world.downloads)).keys()]).toEqual(['Music/', 'Music/a'])
  expect(() => world.transfers.cancel('wish-1')).toThrow('no such transfer')
})

test('files are shown page by page, and a finished one is found by its path only inside its folder', async () => {
  const peer = new FakePeer()
  for (let i = 0; i < 1200; i++) peer.put(`Music/${String(i).padStart(4, '0')}`, 1)
  const world = await openWorld(peer)
  peer.connected = true
  const { transferId } = world.transfers.add({ peerId: peer.peerId, path: path('Music') })
  await world.ended(transferId)
  const seen: string[] = []
  let cursor: string | undefined
  do {
    const page = world.transfers.files(transferId, cursor, 333)
    seen.push(...page.files.map((file) => file.path))
    cursor = page.cursor
  } while (cursor !== undefined)
  expect(seen).toHaveLength(1200)
  expect(new Set(seen).size).toBe(1200)
  expect(world.transfers.finishedFile(transferId, '0007')).toBe(join(world.downloads, 'Music', '0007'))
  await writeFile(join(world.downloads, 'secret'), 'x')
  for (const bad of ['../secret', '', 'missing', '/etc/passwd']) expect(() => world.transfers.finishedFile(transferId, bad)).toThrow(CodedError)
  expect(() => world.transfers.files(transferId, 'x', 10)).toThrow(CodedError)
})
