import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, realpath, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ShareChange, openShares } from '../../src/adapters/shares/shares.ts'
import { openStore } from '../../src/adapters/system/store.ts'

const workerUrl = new URL('../support/share-scan-worker.mjs', import.meta.url)

// Each scan starts a thread that compiles its own source.
vi.setConfig({ testTimeout: 30_000 })

let base: string
let changes: ShareChange[]
const closers: (() => Promise<void>)[] = []

beforeEach(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), 'shares-')))
  changes = []
})

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
  await rm(base, { recursive: true, force: true })
})

async function open(worker = workerUrl) {
  const store = openStore(join(base, 'storage', 'db'))
  const shares = await openShares({ indexDirectory: join(base, 'storage', 'index'), store, workerUrl: worker, onChange: (change) => changes.push(change) })
  closers.push(store.close, shares.close)
  return { store, shares }
}

async function tree(name: string, files: Record<string, string>) {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(base, name, path, '..'), { recursive: true })
    await writeFile(join(base, name, path), text)
  }
  return join(base, name)
}

describe('shares', () => {
  it('scans what is added and lists it', async () => {
    const { shares } = await open()
    const added = await shares.add(await tree('Music', { 'a/x.flac': '12345', 'b.txt': '123' }))
    expect(added).toMatchObject({ name: 'Music', state: 'scanning', files: 0 })
    const ready = await shares.rescan(added.shareId)
    expect(ready).toMatchObject({ state: 'ready', files: 2, directories: 1, bytes: 8, skipped: 0 })
    expect(shares.infos()).toEqual([ready])
    const page = await shares.list({ recursive: true, limit: 100 })
    expect(page.entries.map(({ path, size }) => [path, size])).toEqual([
      ['Music', 8], ['Music/a', 5], ['Music/a/x.flac', 5], ['Music/b.txt', 3],
    ])
    expect(changes.at(-1)).toEqual({ type: 'share', share: ready })
  })

  it('refuses the same directory twice, what is not a directory, and its own storage', async () => {
    const { shares } = await open()
    const directory = await tree('Music', { 'a.txt': 'a' })
    await shares.add(directory)
    await expect(shares.add(join(directory, '..', 'Music'))).rejects.toMatchObject({ code: 'conflict' })
    await expect(shares.add(join(directory, 'a.txt'))).rejects.toMatchObject({ code: 'not-found' })
    await expect(shares.add(join(base, 'nothing'))).rejects.toMatchObject({ code: 'not-found' })
    await expect(shares.add(join(base, 'storage'))).rejects.toMatchObject({ code: 'not-allowed' })
    await expect(shares.add(await tree('Other', { a: '' }), '../up')).rejects.toMatchObject({ code: 'bad-path' })
    await expect(shares.remove('nobody')).rejects.toMatchObject({ code: 'not-found' })
    await expect(shares.rescan('nobody')).rejects.toMatchObject({ code: 'not-found' })
  })

  it('refuses the same directory twice also when asked at once', async () => {
    const { shares } = await open()
    const directory = await tree('Music', { 'a.txt': 'a' })
    const outcomes = await Promise.allSettled([shares.add(directory), shares.add(directory)])
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(shares.infos()).toHaveLength(1)
  })

  it('gives directories of one name distinct names that stay', async () => {
    const first = await open()
    const one = await first.shares.add(await tree('1/Music', { 'a.txt': 'a' }))
    const two = await first.shares.add(await tree('2/Music', { 'b.txt': 'b' }))
    const three = await first.shares.add(await tree('3/music', { 'c.txt': 'c' }))
    expect([one.name, two.name, three.name]).toEqual(['Music', 'Music (2)', 'music (3)'])
    await first.shares.rescan(three.shareId)
    await first.shares.remove(one.shareId)
    await first.shares.close()
    await first.store.close()
    const { shares } = await open()
    expect(shares.infos().map(({ name }) => name)).toEqual(['Music (2)', 'music (3)'])
    expect((await shares.list({ recursive: true, limit: 100 })).entries.map(({ path }) => path)).toEqual([
      'Music (2)', 'Music (2)/b.txt', 'music (3)', 'music (3)/c.txt',
    ])
  })

  it('lists the last index at once after a restart, and then what has changed', async () => {
    const first = await open()
    const directory = await tree('Music', { 'a.txt': 'a' })
    const { shareId } = await first.shares.add(directory)
    await first.shares.rescan(shareId)
    await first.shares.close()
    await first.store.close()
    await writeFile(join(directory, 'b.txt'), 'bb')
    const { shares } = await open()
    expect(shares.infos()[0]).toMatchObject({ state: 'scanning', files: 1, bytes: 1 })
    expect((await shares.list({ recursive: true, limit: 100 })).entries.map(({ path }) => path)).toEqual(['Music', 'Music/a.txt'])
    await shares.rescan(shareId)
    expect(shares.infos()[0]).toMatchObject({ state: 'ready', files: 2, bytes: 3 })
  })

  it('keeps the index of a directory that is gone, until it is back', async () => {
    const { shares } = await open()
    const directory = await tree('Music', { 'a.txt': 'a' })
    const { shareId } = await shares.add(directory)
    await shares.rescan(shareId)
    await rename(directory, `${directory}-away`)
    expect(await shares.rescan(shareId)).toMatchObject({ state: 'missing', files: 1 })
    expect((await shares.list({ recursive: true, limit: 10 })).entries).toHaveLength(2)
    await rename(`${directory}-away`, directory)
    expect(await shares.rescan(shareId)).toMatchObject({ state: 'ready', files: 1 })
  })

  it('forgets a removed share at once and for good', async () => {
    const { shares } = await open()
    const { shareId } = await shares.add(await tree('Music', { 'a.txt': 'a' }))
    await shares.remove(shareId)
    expect(shares.infos()).toEqual([])
    expect(await shares.list({ recursive: true, limit: 10 })).toEqual({ entries: [] })
    expect(changes.at(-1)).toEqual({ type: 'share-removed', shareId })
  })

  it('says so when a scan cannot run, and goes on', async () => {
    const { shares } = await open(new URL('./no-such-worker.mjs', import.meta.url))
    const { shareId } = await shares.add(await tree('Music', { 'a.txt': 'a' }))
    await expect(shares.rescan(shareId)).rejects.toMatchObject({ code: 'disk-error' })
    await expect(shares.rescan(shareId)).rejects.toMatchObject({ code: 'disk-error' })
    expect(shares.infos()).toMatchObject([{ shareId, files: 0, scannedAt: null }])
    await shares.remove(shareId)
    expect(shares.infos()).toEqual([])
  })

  it('makes one scan of many wishes that wait', async () => {
    const { shares } = await open()
    const { shareId } = await shares.add(await tree('Music', { 'a.txt': 'a' }))
    const rescans = await Promise.all(Array.from({ length: 20 }, () => shares.rescan(shareId)))
    expect(new Set(rescans.map(({ scannedAt }) => scannedAt)).size).toBe(1)
  })

  it('closes in the middle of a scan', async () => {
    const { shares } = await open()
    const { shareId } = await shares.add(await tree('Music', { 'a.txt': 'a' }))
    const rescan = shares.rescan(shareId)
    await Promise.all([shares.close(), expect(rescan).rejects.toMatchObject({ code: 'aborted' })])
    await expect(shares.rescan(shareId)).rejects.toMatchObject({ code: 'closed' })
    expect(existsSync(join(base, 'storage', 'index'))).toBe(true)
  })
})
