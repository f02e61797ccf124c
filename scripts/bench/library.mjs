// A library of a million files in a real helper: how long until it is indexed, beside `find -printf` over the same tree, with how much memory and how
// quick the helper stays meanwhile; then searching, listing, one change, resting and starting with it.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { callApi } from '../../e2e/support/api.ts'
import { makeHelperFolder, startHelper } from '../../e2e/support/helper-process.ts'
import { openShareIndexReader } from '../../apps/helper/src/adapters/shares/share-index-reader.ts'
import { memoryParts, residentBytes, sum } from '../../apps/helper/bench/process-figures.ts'
import { median, round } from './lib/figures.mjs'

const FILES = 1_000_000
const QUICK_FILES = 50_000
const FLAT_FILES = 100_000
/** Rare words and common ones, one letter, phrases, filters, folders' names, words that are nowhere. */
const SEARCHES = [
  'song', 'usual length', '99999', 'zzzq', 'album 4711', 'album numero', 'e', 'ong', 'a e', 'artist 12 song 3', 'ext:flac', 'type:video', '*.mp3 song', 'size:>1', 'remastered', '"length 12"', 'usual zzz',
  'usual 12345', 'lbum 77', 'artist 1',
]
const ROUNDS = 5
/** Idle means settled: what is kept for half a minute for those who search on has been given back. */
const SETTLE_MS = 35_000
const LOOK_MS = 50

export default async function measureLibrary(bench) {
  const files = bench.quick ? QUICK_FILES : FILES
  const base = await makePlace(files)
  bench.onTidy(() => rm(base, { recursive: true, force: true }))
  const tree = join(base, 'Music')
  bench.say(`  making ${files} files …`)
  await growTree(tree, files)
  const folder = await makeHelperFolder('library')
  bench.onTidy(() => folder.remove())
  const find = () => timed(() => promisify(execFile)('find', [tree, '-printf', '%s %T@ %p\n'], { maxBuffer: 2 ** 31 }))
  await find()

  let helper = await startHelper(folder)
  const findMs = await find()
  await callApi(helper, 'diagnostics')
  const indexing = watchMemory(helper.pid)
  const began = performance.now()
  const { shareId } = await callApi(helper, 'addShare', { directory: tree })
  await untilShare(helper, ({ state }) => state === 'ready')
  const seconds = (performance.now() - began) / 1000
  const { control } = await callApi(helper, 'diagnostics')
  const rssBytes = await indexing.most()
  await untilShare(helper, ({ watching }) => watching !== 'preparing')
  const changes = []
  for (let i = 0; i < ROUNDS; i++) {
    await writeFile(join(tree, 'Artist 0', `changed ${i}`), 'x')
    changes.push(await timed(() => callApi(helper, 'rescanShare', { shareId, quick: true })))
  }
  const answers = { search: await searchHelper(helper), ls: { millionFirstPageMs: round(await firstPage(helper, 'Music'), 1) } }

  const flat = join(base, 'Flat')
  await mkdir(flat)
  for (let i = 0; i < FLAT_FILES; i += 1000) await Promise.all(Array.from({ length: 1000 }, (_, j) => writeFile(join(flat, `Track ${i + j}.flac`), '')))
  await callApi(helper, 'addShare', { directory: flat })
  await untilShare(helper, ({ name, state }) => name === 'Flat' && state === 'ready')
  const first = await firstPage(helper, 'Flat')
  const sorted = await firstPage(helper, 'Flat', { sort: 'name' })
  await wait(SETTLE_MS)
  const pids = [helper.pid, (await callApi(helper, 'diagnostics')).network?.pid].filter((pid) => pid !== undefined)
  const idle = await sum(pids, residentBytes)
  const parts = await Promise.all(pids.map(memoryParts))
  await helper.stop()
  const readyMs = await timed(async () => {
    helper = await startHelper(folder)
  })
  await helper.stop()
  const inside = await searchIndex(folder.storage, shareId, tree)
  return {
    index: {
      files, millionSeconds: round(seconds * (FILES / files), 2), vsFind: round((seconds * 1000) / findMs, 2), rssMB: megabytes(rssBytes), controlP99Ms: round(control.eventLoopP99Ms, 1),
      rescanOneChangeMs: round(median(changes), 0),
    },
    search: { ...inside, askedP99Ms: answers.search },
    ls: { firstPageMs: round(first, 1), firstSortedPageMs: round(sorted, 1), ...answers.ls },
    library: { idleRssMB: idle === null ? null : megabytes(idle), idleAnonMB: partMB(parts, 'anon'), idleFileMB: partMB(parts, 'file'), readyMs: round(readyMs, 0) },
  }
}

/** In memory where there is room: making a million files on a disk takes longer than measuring. */
async function makePlace(files) {
  for (const place of ['/dev/shm', tmpdir()]) {
    if (!existsSync(place)) continue
    const { ffree, files: inodes } = await statfs(place)
    if (inodes === 0 || ffree > (files + FLAT_FILES) * 1.2) return mkdtemp(join(place, 'hdp-bench-library-'))
  }
  throw new Error(`no temporary directory has room for ${files + FLAT_FILES} files (see df -i)`)
}

/** Albums of 20 files, with some names that are not ASCII among them. */
async function growTree(tree, files) {
  for (let i = 0; i < files; i += 20) {
    const album = i / 20
    const directory = join(tree, `Artist ${Math.floor(i / 400)}`, album % 7 === 0 ? `Álbum número ${album}` : `Album ${album} (Remastered)`)
    await mkdir(directory, { recursive: true })
    await Promise.all(Array.from({ length: Math.min(20, files - i) }, (_, track) => writeFile(join(directory, `${track} - A song with a name of usual length ${i + track}.flac`), '')))
  }
}

async function untilShare(helper, isSo) {
  for (;;) {
    const { shares } = await callApi(helper, 'snapshot')
    if (shares.some(isSo)) return
    await wait(LOOK_MS)
  }
}

/** The most that a process holds, looked at all the time. */
function watchMemory(pid) {
  let most = 0
  const look = async () => {
    most = Math.max(most, (await residentBytes(pid)) ?? 0)
  }
  const timer = setInterval(() => void look(), LOOK_MS)
  return {
    most: async () => {
      clearInterval(timer)
      await look()
      return most
    },
  }
}

/** As a person with the app waits for it, through the control API. */
async function searchHelper(helper) {
  const times = []
  for (const search of SEARCHES) times.push(await timed(() => callApi(helper, 'list', { peerId: null, recursive: true, search, limit: 100 })))
  return round(percentile(times, 0.99), 1)
}

/** As the network process answers a peer. */
async function searchIndex(storage, shareId, directory) {
  const reader = openShareIndexReader({ directory: join(storage, 'index'), shares: [{ shareId, name: 'Music', directory }] })
  try {
    const times = []
    for (let turn = 0; turn <= ROUNDS; turn++) {
      for (const search of SEARCHES) {
        const ms = await timed(() => reader.list({ recursive: true, search, limit: 100 }))
        // The first round reads the index from the disk.
        if (turn > 0) times.push(ms)
      }
    }
    return { p50Ms: round(percentile(times, 0.5), 1), p99Ms: round(percentile(times, 0.99), 1) }
  } finally {
    await reader.close()
  }
}

async function firstPage(helper, path, more = {}) {
  const times = []
  for (let i = 0; i < ROUNDS; i++) times.push(await timed(() => callApi(helper, 'list', { peerId: null, path, recursive: false, limit: 1000, ...more })))
  return median(times)
}

/** @returns null where the system does not tell */
function partMB(parts, which) {
  return parts.includes(null) ? null : megabytes(parts.reduce((total, part) => total + part[which], 0))
}

function percentile(times, part) {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
}

async function timed(work) {
  const began = performance.now()
  await work()
  return performance.now() - began
}

function megabytes(bytes) {
  return round(bytes / 1e6, 0)
}
