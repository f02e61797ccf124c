import type { ControlSnapshot } from '@harddrive-party/protocol/control'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, open, readFile, rename, rm, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callHelper, snapshotOf } from '../support/helper-api.ts'
import { type HelperProcess, type HelperProgram, buildHelper, killAll, startHelper } from '../support/helper-process.ts'

/** Real helpers in the middle of a download, when files change and clocks are set: what lands is one version whole, and the person is told. */

const CLOCK = new URL('../support/shifted-clock.mjs', import.meta.url).href
const HOUR = 3_600_000
const BUNDLE = fileURLToPath(new URL('../node_modules/.faults-midway-bundle', import.meta.url))
/** More parts than are asked for at a time. */
const SIZE = 48_000_000
/** Slow enough that there is a middle, without a bound on how slow the machine is. */
const SLOW = 6_000_000

let root: string
let program: HelperProgram
let alice: HelperProcess
let bob: HelperProcess

type Transfer = ControlSnapshot['transfers'][number]

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hdp-midway-'))
  program = await buildHelper(BUNDLE, join(root, 'state'))
  await mkdir(join(root, 'library'))
  for (const name of ['replaced', 'rewritten', 'cut', 'gone', 'whole']) await writeFile(join(root, 'library', name), randomBytes(SIZE))
  ;[alice, bob] = await Promise.all([start('alice'), start('bob')])
  await callHelper(bob, 'connect', { code: alice.code })
}, 60_000)

async function start(name: 'alice' | 'bob'): Promise<HelperProcess> {
  // Not yet there at the first start.
  await writeFile(clockOf(name), await readFile(clockOf(name)).catch(() => '0'))
  const args = ['--no-mqtt', '--no-port-mapping', ...(name === 'alice' ? ['--share-dir', join(root, 'library')] : [])]
  return startHelper(program, join(root, name), args, { env: { NODE_OPTIONS: `--import=${CLOCK}`, HDP_CLOCK_FILE: clockOf(name) } })
}

const clockOf = (name: 'alice' | 'bob') => join(root, `${name}.clock`)

/** Resolves when both of its processes go by it. */
async function setClock(name: 'alice' | 'bob', helper: HelperProcess, offsetMs: number): Promise<void> {
  const { control, network } = await callHelper<{ control: { pid: number }; network: { pid: number } }>(helper, 'diagnostics')
  await writeFile(`${clockOf(name)}.new`, String(offsetMs))
  await rename(`${clockOf(name)}.new`, clockOf(name))
  for (const { pid } of [control, network]) {
    await expect.poll(() => readFile(`${clockOf(name)}.${pid}`, 'latin1').catch(() => ''), { timeout: 20_000, interval: 10 }).toBe(String(offsetMs))
  }
}

afterAll(async () => {
  await killAll()
  await rm(root, { recursive: true, force: true })
  await rm(BUNDLE, { recursive: true, force: true })
})

const source = (name: string) => join(root, 'library', name)
const hashOf = async (path: string) => createHash('sha256').update(await readFile(path)).digest('hex')
const transferOf = async (transferId: string): Promise<Transfer> => (await snapshotOf(bob)).transfers.find((transfer) => transfer.transferId === transferId)!
const download = (name: string) => callHelper<{ transferId: string }>(bob, 'download', { peerId: alice.peerId, path: `library/${name}` })
const limit = (up: number | null) => callHelper(alice, 'setLimits', { up, localIsFree: false })

/** As its owner lists it; undefined while it is not there. */
async function sizeOfGone(): Promise<number | undefined> {
  const { entries } = await callHelper<{ entries: { path: string; size: number }[] }>(bob, 'list', { peerId: alice.peerId, path: 'library', recursive: false, limit: 100 })
  return entries.find(({ path }) => path === 'library/gone')?.size
}

/** Begins a download and does something when some of it, and not all, has come. */
async function whileSent(name: string, change: () => Promise<void>): Promise<string> {
  await limit(SLOW)
  const { transferId } = await download(name)
  await expect.poll(async () => (await transferOf(transferId)).bytesPerSecond, { timeout: 60_000, interval: 20 }).toBeGreaterThan(0)
  expect((await transferOf(transferId)).state).not.toBe('done')
  await change()
  await limit(null)
  return transferId
}

const ended = async (transferId: string) => {
  await expect.poll(async () => (await transferOf(transferId)).state, { timeout: 90_000 }).toMatch(/^(done|failed)$/)
  return transferOf(transferId)
}

const changes: [string, () => Promise<void>][] = [
  ['replaced', async () => {
    await writeFile(source('new'), randomBytes(SIZE))
    await rename(source('new'), source('replaced'))
  }],
  ['rewritten', async () => {
    const file = await open(source('rewritten'), 'r+')
    for (let at = 0; at < SIZE; at += 1_000_000) await file.write(randomBytes(1_000_000), 0, 1_000_000, at)
    await file.close()
  }],
  ['cut', () => truncate(source('cut'), 19_000_000)],
]

test.each(changes)('a file that is %s while it is sent comes as it is then, with nothing of before', { timeout: 180_000 }, async (name, change) => {
  const before = await hashOf(source(name))
  const transferId = await whileSent(name, change)
  const transfer = await ended(transferId)
  expect(transfer).toMatchObject({ state: 'done', notices: [expect.anything()] })
  const after = await hashOf(source(name))
  expect(after).not.toBe(before)
  expect(await hashOf(transfer.target!)).toBe(after)
})

test('a file that vanishes while it is sent is said to be gone, and fetched when it is back, another one', { timeout: 180_000 }, async () => {
  const transferId = await whileSent('gone', () => unlink(source('gone')))
  const failed = await ended(transferId)
  expect(failed).toMatchObject({ state: 'failed', reason: { code: 'not-found' } })
  await writeFile(source('gone'), randomBytes(SIZE - 5_000_000))
  // Watching tells of it sooner or later; before that it is not there.
  await expect.poll(sizeOfGone, { timeout: 30_000 }).toBe(SIZE - 5_000_000)
  await callHelper(bob, 'retry', { transferId })
  await expect.poll(async () => (await transferOf(transferId)).state, { timeout: 90_000 }).toBe('done')
  const { target } = await transferOf(transferId)
  expect(await hashOf(target!)).toBe(await hashOf(source('gone')))
})

test('clocks that are set, forwards and back, on one side or on both, hold up nothing', { timeout: 240_000 }, async () => {
  const wish = { kind: 'search', text: 'something that nobody has', peerId: null, peerName: '' }
  let transferId = ''
  let address = ''
  const { transferId: finished } = await download('cut')
  await ended(finished)
  transferId = await whileSent('whole', async () => {
    ;({ url: address } = await callHelper<{ url: string }>(bob, 'downloadedFileUrl', { transferId: finished }))
    for (const offset of [1, 26, -50, 24 * 30]) {
      await setClock('bob', bob, offset * HOUR)
      await setClock('alice', alice, -offset * HOUR)
    }
  })
  const { wishId: first } = await callHelper<{ wishId: string }>(bob, 'addWish', { what: wish })
  const whole = await ended(transferId)
  expect(whole).toMatchObject({ state: 'done', notices: [] })
  expect(await hashOf(whole.target!)).toBe(await hashOf(source('whole')))
  // An address that was given out before is good for as long as was said.
  expect((await fetch(address)).status).toBe(200)
  for (const [name, helper] of [['alice', alice], ['bob', bob]] as const) await setClock(name, helper, -9 * 24 * HOUR)
  await callHelper(bob, 'editWish', { wishId: first, paused: true })
  const { wishId: second } = await callHelper<{ wishId: string }>(bob, 'addWish', { what: { ...wish, text: 'and something else' } })
  await callHelper(bob, 'removeWish', { wishId: first })
  const { wishes } = await callHelper<{ wishes: { wishId: string }[] }>(bob, 'wishes', { limit: 10 })
  expect(wishes.map(({ wishId }) => wishId)).toEqual([second])
  // Started anew in the past: they know each other, and what was wished for goes on.
  alice.kill('SIGKILL')
  await alice.ended
  const { transferId: waiting } = await download('replaced')
  alice = await start('alice')
  expect(await ended(waiting)).toMatchObject({ state: 'done' })
  bob.kill('SIGKILL')
  await bob.ended
  bob = await start('bob')
  const snapshot = await snapshotOf(bob)
  expect(snapshot.transfers.map(({ state }) => state)).toEqual(snapshot.transfers.map(() => 'done'))
  await expect.poll(async () => (await snapshotOf(bob)).peers.map(({ state }) => state), { timeout: 60_000 }).toEqual(['connected'])
})
