import type { ControlSnapshot } from '@harddrive-party/protocol/control'
import type { ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callHelper, snapshotOf } from '../support/helper-api.ts'
import { type HelperProcess, type HelperProgram, buildHelper, hdp, killAll, startHelper } from '../support/helper-process.ts'

/**
 * Real helpers that are killed, the receiver's or the sender's, at any moment of a start or a download, again and again. What has begun goes on by itself.
 * HDP_KILLS for a long run, HDP_KILL_SEED for the choices of an earlier one (when exactly a process dies is up to the machine).
 */

const BUNDLE = fileURLToPath(new URL('../node_modules/.kill-bundle', import.meta.url))
const KILLS = Number(process.env['HDP_KILLS'] ?? 8)
const SEED = Number(process.env['HDP_KILL_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
/** Milliseconds after its start at which a helper is killed at the latest: a download of this library takes about as long. */
const LATEST_MS = 900
/** The same for one that is killed on its way up. */
const LATEST_START_MS = 600

let root: string
let program: HelperProgram
const files = new Map<string, string>()

const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
let state = SEED
const random = () => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return state / 2 ** 32
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hdp-kills-'))
  program = await buildHelper(BUNDLE, join(root, 'state'))
  await addFile('large.bin', 14_000_000)
  await addFile('middle.bin', 5_000_000)
  await addFile('empty', 0)
  for (let i = 0; i < 60; i++) await addFile(`small ${i % 4}/${i}.txt`, 200 + 400 * i)
}, 60_000)

afterAll(async () => {
  await killAll()
  await rm(root, { recursive: true, force: true })
  await rm(BUNDLE, { recursive: true, force: true })
})

async function addFile(path: string, size: number): Promise<void> {
  const content = randomBytes(size)
  await mkdir(join(root, 'library', path, '..'), { recursive: true })
  await writeFile(join(root, 'library', path), content)
  files.set(path, hashOf(content))
}

/** @returns how many files are there; each must be right */
async function checkDownloads(downloads: string): Promise<number> {
  const found = await readdir(join(downloads, 'library'), { recursive: true, withFileTypes: true }).catch(() => [])
  let count = 0
  for (const entry of found) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name).slice(join(downloads, 'library').length + 1)
    expect(hashOf(await readFile(join(downloads, 'library', path))), path).toBe(files.get(path))
    count++
  }
  return count
}

const argsOf = (name: string) => [...(name === 'alice' ? ['--share-dir', join(root, 'library')] : []), '--no-mqtt', '--no-port-mapping']
const start = (name: string) => startHelper(program, join(root, name), argsOf(name))

/** Killed before it is ready, or just after. */
async function killedStart(name: string): Promise<void> {
  const child = await new Promise<ChildProcess>((resolve, reject) => {
    // That it does not get ready is what is meant to happen.
    startHelper(program, join(root, name), argsOf(name), { onSpawn: resolve }).catch(reject)
  })
  const ended = once(child, 'exit')
  await wait(random() * LATEST_START_MS)
  child.kill('SIGKILL')
  await ended
}

const transferOf = async (bob: HelperProcess): Promise<ControlSnapshot['transfers'][number] | undefined> => (await snapshotOf(bob)).transfers.at(-1)

test(`however often helpers are killed, no finished file is wrong and in the end all are there (seed ${SEED})`, { timeout: 120_000 + KILLS * 8_000 }, async () => {
  let alice: HelperProcess = await start('alice')
  let bob: HelperProcess = await start('bob')
  await callHelper(bob, 'connect', { code: alice.code })
  const download = () => callHelper(bob, 'download', { peerId: alice.peerId, path: 'library' })
  await download()
  let [before, kills, rounds] = [0, 0, 0]
  while (kills < KILLS) {
    await wait(random() * LATEST_MS)
    const name = random() < 1 / 3 ? 'alice' : 'bob'
    const victim = name === 'alice' ? alice : bob
    victim.kill('SIGKILL')
    await victim.ended
    for (kills++; kills < KILLS && random() < 1 / 3; kills++) await killedStart(name)
    const count = await checkDownloads(bob.downloads)
    expect(count, 'finished files are gone').toBeGreaterThanOrEqual(before)
    before = count
    const helper = await start(name)
    if (name === 'alice') alice = helper
    else bob = helper
    if (count < files.size) continue
    // It had come: once more from the beginning.
    rounds++
    await expect.poll(async () => (await transferOf(bob))?.state, { timeout: 60_000 }).toBe('done')
    await rename(join(bob.downloads, 'library'), join(root, `done ${rounds}`))
    await rm(join(root, `done ${rounds}`), { recursive: true })
    before = 0
    await callHelper(bob, 'clearFinished')
    await download()
  }
  await expect.poll(async () => (await transferOf(bob))?.state, { timeout: 90_000, message: 'the download goes on by itself' }).toBe('done')
  console.info(`${kills} kills, ${rounds} whole downloads in between`)
  expect(await checkDownloads(bob.downloads)).toBe(files.size)
  expect(await readdir(bob.downloads), 'unfinished data is left').toEqual(['library'])
  const verify = (...args: string[]) => hdp(program, ['verify', `${alice.peerId}/library`, '--storage', bob.storage, ...args])
  const verified = await verify('--json')
  expect([verified.code, JSON.parse(verified.stdout.trim().split('\n').at(-1) ?? '')]).toMatchObject([0, { state: 'done', same: files.size, different: 0, missing: 0, extra: 0, unreadable: 0 }])
  await writeFile(join(bob.downloads, 'library', 'small 0/0.txt'), randomBytes(200))
  await rm(join(bob.downloads, 'library', 'small 1/1.txt'))
  await writeFile(join(bob.downloads, 'library', 'new.txt'), 'x')
  const changed = await verify()
  expect(changed.code).toBe(1)
  expect(changed.stdout).toContain('different   small 0/0.txt')
  expect(changed.stdout).toContain('missing     small 1/1.txt')
  expect(changed.stdout).toContain('extra       new.txt')
})
