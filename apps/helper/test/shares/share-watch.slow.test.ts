import type { ShareInfo } from '@harddrive-party/protocol/control'
import { EventEmitter, once } from 'node:events'
import { watch } from 'node:fs'
import { mkdir, mkdtemp, realpath, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { openShareWatch } from '../../src/adapters/shares/share-watch.ts'
import { type SharesOptions, openShares } from '../../src/adapters/shares/shares.ts'
import { openStore } from '../../src/adapters/system/store.ts'

// Each scan starts a thread that compiles its own source.
vi.setConfig({ testTimeout: 60_000 })

const NEVER_MS = 3_600_000
const restMs = 20

let base: string
let directory: string
let infos: ShareInfo[]
let wake: () => void
const closers: (() => Promise<void> | void)[] = []

beforeEach(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), 'share-watch-')))
  directory = join(base, 'Music')
  infos = []
  wake = () => {}
  await mkdir(join(directory, 'a', 'deep'), { recursive: true })
  await writeFile(join(directory, 'a', 'one'), '1')
})

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
  await rm(base, { recursive: true, force: true })
})

async function open(upkeep: SharesOptions['upkeep']) {
  const store = openStore(join(base, 'storage', 'db'))
  const shares = await openShares({
    indexDirectory: join(base, 'storage', 'index'), store, workerUrl: new URL('../support/share-scan-worker.mjs', import.meta.url),
    onChange: (change) => {
      if (change.type === 'share') infos.push(change.share)
      wake()
    },
    ...(upkeep === undefined ? {} : { upkeep }),
  })
  closers.push(store.close, shares.close)
  return shares
}

/** Resolves when the share says so. */
async function until(isSo: (info: ShareInfo) => boolean): Promise<void> {
  while (infos.length === 0 || !isSo(infos.at(-1)!)) await new Promise<void>((resolve) => (wake = resolve))
}

const times = { quickMs: NEVER_MS, deepMs: NEVER_MS, deepWatchedMs: NEVER_MS, missingMs: 50 }

describe('watching a share', () => {
  it('notices files that come, grow, move and go, also in directories that are new', async () => {
    const shares = await open({ times, watch: { restMs } })
    await shares.add(directory)
    await until(({ state, watching, bytes }) => state === 'ready' && watching === 'on' && bytes === 1)
    await writeFile(join(directory, 'a', 'deep', 'two'), '22')
    await until(({ bytes }) => bytes === 3)
    await writeFile(join(directory, 'a', 'one'), 'grown')
    await until(({ bytes }) => bytes === 7)
    await mkdir(join(directory, 'b', 'c'), { recursive: true })
    await until(({ directories }) => directories === 4)
    await writeFile(join(directory, 'b', 'c', 'three'), '333')
    await until(({ bytes }) => bytes === 10)
    await rename(join(directory, 'b'), join(directory, 'a', 'b'))
    await writeFile(join(directory, 'a', 'b', 'c', 'four'), '4444')
    await until(({ bytes, directories }) => bytes === 14 && directories === 4)
    expect((await shares.list({ recursive: true, limit: 20, search: 'four' })).entries).toMatchObject([{ path: 'Music/a/b/c/four', size: 4 }])
    await rm(join(directory, 'a'), { recursive: true })
    await until(({ files, directories }) => files === 0 && directories === 0)
  })

  it('looks from time to time where the system has no more watches, and says so', async () => {
    let left = 2
    const scarce: typeof watch = ((...args: Parameters<typeof watch>) => {
      if (left-- === 0) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
      return watch(...args)
    }) as typeof watch
    const shares = await open({ times: { ...times, quickMs: 30 }, watch: { restMs, watch: scarce, isRecursive: false } })
    await shares.add(directory)
    await until(({ watching }) => watching === 'rescans')
    await writeFile(join(directory, 'a', 'deep', 'two'), '22')
    await until(({ bytes, watching }) => bytes === 3 && watching === 'rescans')
  })

  it('keeps what it knows of a folder that goes missing, and takes it up when it is back', async () => {
    const shares = await open({ times, watch: { restMs } })
    await shares.add(directory)
    await until(({ state, watching }) => state === 'ready' && watching === 'on')
    await rename(directory, `${directory}-away`)
    await until(({ state, files }) => state === 'missing' && files === 1)
    await writeFile(join(`${directory}-away`, 'two'), '22')
    await rename(`${directory}-away`, directory)
    await until(({ state, files, watching }) => state === 'ready' && files === 2 && watching === 'on')
    await writeFile(join(directory, 'three'), '333')
    await until(({ files }) => files === 3)
  })

  it('names many changed directories no longer one by one', async () => {
    const many = Array.from({ length: 600 }, (_, i) => `d${i}`)
    for (const name of many) await mkdir(join(directory, name))
    const told = new EventEmitter()
    const opened = openShareWatch({
      directory, directories: () => ['', ...many], onChange: (paths) => told.emit('change', paths), onState: (state) => told.emit(state), restMs: 200, isRecursive: false,
    })
    closers.push(opened.close.bind(opened))
    await once(told, 'on')
    const change = once(told, 'change')
    await Promise.all(many.map((name) => writeFile(join(directory, name, 'x'), '')))
    expect(await change).toEqual([null])
  })
})
