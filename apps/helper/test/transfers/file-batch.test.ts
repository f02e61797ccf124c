import { CodedError, MAX_BUNDLE_FILES, MAX_READ_BYTES, type SharePath } from '@harddrive-party/protocol'
import { mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { cutBundles } from '../../src/adapters/transfers/bulk-requests.ts'
import { type FileEvent, openFileJobs } from '../../src/adapters/transfers/file-jobs.ts'
import type { FileJob } from '../../src/network/network-api.ts'
import { FakePeer, gate, hang, readTree, temporaryDirectory } from '../support/transfer-fakes.ts'

/** Small files fetched together: what of one goes wrong is that one's alone, and each is on the disk or not there. */

type Ended = Exclude<FileEvent, { type: 'file-progress' }>

async function openBench(count: number, size = 100) {
  const peer = new FakePeer()
  for (let i = 0; i < count; i++) peer.put(`Music/${i % 7}/${i}`, size + (i % 5))
  const directory = await temporaryDirectory()
  const ended: Ended[] = []
  let heard = gate()
  const jobs = openFileJobs({
    connection: () => (peer.connected ? peer.connection : undefined), downloadDirectory: directory, read: peer.read, readBundle: peer.readBundle, readHashes: peer.readHashes,
    onEvent: (event) => {
      if (event.type !== 'file-progress') ended.push(event)
      heard.open()
      heard = gate()
    },
  })
  onTestFinished(() => jobs.close())
  const job = (path: string, fields: Partial<FileJob> = {}): FileJob => {
    const { bytes, mtime } = peer.files.get(path)!
    return { jobId: path, peerId: peer.peerId, path: path as SharePath, size: bytes.length, mtime, target: join(directory, path), ...fields }
  }
  const all = () => [...peer.files.keys()].map((path) => job(path))
  const until = async (count: number) => {
    while (ended.length < count) await heard.opened
    return ended.splice(0)
  }
  return { peer, directory, jobs, job, all, until }
}

test('come in one request, each under its name with the time of its source, and nothing else stays', async () => {
  const { peer, directory, jobs, all, until } = await openBench(100)
  jobs.start(all())
  expect((await until(100)).every(({ type }) => type === 'file-done')).toBe(true)
  expect(peer.bundles).toEqual([100])
  expect(peer.busyCalls).toEqual([true, false])
  for (const [path, { bytes, mtime }] of peer.files) {
    expect(await readFile(join(directory, path))).toEqual(Buffer.from(bytes))
    expect(Math.abs((await stat(join(directory, path))).mtimeMs - mtime)).toBeLessThan(1)
  }
  expect(await readdir(directory)).toEqual(['Music'])
})

test('what is wrong with one file is told of that file, and the others come', async () => {
  const { peer, directory, jobs, job, all, until } = await openBench(10)
  const started = all()
  peer.files.delete('Music/3/3')
  peer.put('Music/4/4', 55, 99)
  await mkdir(join(directory, 'Music'))
  await symlink('/tmp', join(directory, 'Music', '5'))
  jobs.start([...started, { ...job('Music/0/0'), jobId: 'outside', target: '/etc/x', path: 'Music/x' as SharePath }])
  const ended = await until(11)
  const failed = ended.filter((event) => event.type === 'file-failed')
  expect(new Map(failed.map(({ jobId, code }) => [jobId, code]))).toEqual(new Map([['Music/3/3', 'not-found'], ['Music/4/4', 'source-changed'], ['Music/5/5', 'bad-path'], ['outside', 'bad-path']]))
  expect(failed.find(({ code }) => code === 'source-changed')).toMatchObject({ now: { size: 55, mtime: 99 } })
  expect((await readdir(join(directory, 'Music/0'))).toSorted()).toEqual(['0', '7'])
  expect(await readdir(directory)).toEqual(['Music'])
})

test('files of others keep their names, and those finished before a crash are not fetched again', async () => {
  const { peer, directory, jobs, all, until } = await openBench(4)
  await mkdir(join(directory, 'Music/1'), { recursive: true })
  await writeFile(join(directory, 'Music/1/1'), 'mine')
  jobs.start(all())
  await until(4)
  expect(await readFile(join(directory, 'Music/1/1'), 'utf8')).toBe('mine')
  expect(await readdir(join(directory, 'Music/1'))).toHaveLength(2)
  peer.reads = []
  jobs.start(all().map((job) => ({ ...job, since: Date.now() - 60_000 })))
  const again = await until(4)
  expect(again.every(({ type }) => type === 'file-done')).toBe(true)
  expect(again.find(({ jobId }) => jobId === 'Music/1/1')).toMatchObject({ target: join(directory, 'Music/1/1 (2)') })
  expect(peer.reads).toEqual([])
})

test('a lost line ends those that have not come, and what has come is kept', async () => {
  const { peer, directory, jobs, all, until } = await openBench(20)
  peer.beforeRead = ({ path }) => {
    if (path === 'Music/5/12') throw new CodedError('connection-lost', 'gone')
  }
  jobs.start(all())
  const ended = await until(20)
  expect(ended.filter(({ type }) => type === 'file-done')).toHaveLength(12)
  for (const event of ended) if (event.type === 'file-failed') expect(event.code).toBe('connection-lost')
  peer.connected = false
  jobs.start(all().slice(12))
  for (const event of await until(8)) expect(event).toMatchObject({ type: 'file-failed', code: 'offline' })
  peer.connected = true
  peer.beforeRead = () => undefined
  jobs.start(all().slice(12))
  await until(8)
  expect([...(await readTree(directory)).keys()].filter((path) => !path.endsWith('/'))).toHaveLength(20)
})

test('the place in the queue is told of every file that has not come', async () => {
  const { peer, jobs, all, until } = await openBench(4)
  peer.placeBefore = (index) => [7, undefined, null][index]
  jobs.start(all())
  const told = (await until(10)).flatMap((event) => (event.type === 'file-waiting' ? [[event.jobId, event.place]] : []))
  expect(told).toEqual([['Music/0/0', 7], ['Music/1/1', 7], ['Music/2/2', 7], ['Music/3/3', 7], ['Music/2/2', null], ['Music/3/3', null]])
})

test('one that is stopped does not come, and the others do; when all are, nothing is left', async () => {
  const { peer, directory, jobs, all, until } = await openBench(5)
  const { opened, open } = gate()
  peer.beforeRead = ({ path }) => (path === 'Music/2/2' ? opened : undefined)
  jobs.start(all())
  while (peer.reads.length < 3) await new Promise((resolve) => setImmediate(resolve))
  const stopped = jobs.stop('Music/1/1', true)
  open()
  await stopped
  expect((await until(4)).map(({ jobId }) => jobId)).not.toContain('Music/1/1')
  expect([...(await readTree(directory)).keys()]).not.toContain('Music/1/1')

  peer.beforeRead = (_, signal) => hang(signal)
  const jobIds = all().map((job) => ({ ...job, jobId: `again ${job.jobId}`, target: `${job.target} again` }))
  jobs.start(jobIds)
  await Promise.all(jobIds.map(({ jobId }) => jobs.stop(jobId, true)))
  expect(await readdir(directory)).toEqual(['Music'])
})

test('a peer that knows no bundles is asked for one after the other', async () => {
  const { peer, directory, jobs, all, until } = await openBench(30)
  peer.knowsBundles = false
  jobs.start(all())
  expect((await until(30)).every(({ type }) => type === 'file-done')).toBe(true)
  expect(peer.reads).toHaveLength(30)
  expect(await readdir(directory)).toEqual(['Music'])
})

const versions = (count: number, size: number, path = 'a') => Array.from({ length: count }, () => ({ path: path as SharePath, size, mtime: 0 }))

test('a bundle fits its bounds, in order', () => {
  expect(cutBundles(versions(MAX_BUNDLE_FILES + 1, 0)).map((bundle) => bundle.length)).toEqual([MAX_BUNDLE_FILES, 1])
  expect(cutBundles(versions(3, MAX_READ_BYTES / 2)).map((bundle) => bundle.length)).toEqual([2, 1])
  expect(cutBundles(versions(10, 0, 'x'.repeat(4000))).map((bundle) => bundle.length)).toEqual([4, 4, 2])
  expect(cutBundles([])).toEqual([])
})
