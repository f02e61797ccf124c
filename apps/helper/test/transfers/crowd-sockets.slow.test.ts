import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callHelper, snapshotOf } from '../support/helper-api.ts'
import { type HelperProcess, buildHelper, killAll, startHelper } from '../support/helper-process.ts'

/** One real helper and many peers that fetch at once over real sockets, while others hold on to all they are given. HDP_CROWD for as many over TCP, too. */

const BUNDLE = fileURLToPath(new URL('../node_modules/.crowd-bundle', import.meta.url))
const CROWD = fileURLToPath(new URL('../support/crowd-peers.mjs', import.meta.url))
const SIZE = 4 * 1024 * 1024 + 54_321
const CROWDS: ['quic' | 'tcp', number][] = [['quic', 64], ['tcp', Number(process.env['HDP_CROWD'] ?? 16)]]
const PROCESSES = 4

let root: string
let alice: HelperProcess
let hash: string
const children = new Set<ChildProcess>()

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hdp-crowd-'))
  const program = await buildHelper(BUNDLE, join(root, 'state'))
  await mkdir(join(root, 'library'))
  const content = randomBytes(SIZE)
  hash = createHash('sha256').update(content).digest('hex')
  await writeFile(join(root, 'library/file.bin'), content)
  alice = await startHelper(program, join(root, 'alice'), ['--share-dir', join(root, 'library'), '--no-mqtt', '--no-port-mapping'])
}, 60_000)

afterAll(async () => {
  await Promise.all([...children].map((child) => {
    child.kill('SIGKILL')
    return once(child, 'exit')
  }))
  await killAll()
  await rm(root, { recursive: true, force: true })
  await rm(BUNDLE, { recursive: true, force: true })
})

/** @returns its lines as they come */
function startCrowd(options: { readonly transport: 'quic' | 'tcp'; readonly count: number; readonly slow: number }): AsyncIterableIterator<string> {
  const child = spawn(process.execPath, [CROWD, JSON.stringify({ ...options, code: alice.code, path: 'library/file.bin', size: SIZE })], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.add(child)
  child.once('exit', () => children.delete(child))
  return createInterface({ input: child.stdout })[Symbol.asyncIterator]()
}

test.each(CROWDS)('over %s, %i peers get the same bytes, beside peers that take and never read', { timeout: 240_000 }, async (transport, peers) => {
  await expect.poll(async () => (await snapshotOf(alice)).shares.map(({ state }) => state), { timeout: 20_000 }).toEqual(['ready'])
  const slow = startCrowd({ transport, count: 0, slow: 8 })
  expect((await slow.next()).value).toBe('8 slow, 8 silent')
  const crowds = Array.from({ length: PROCESSES }, () => startCrowd({ transport, count: peers / PROCESSES, slow: 0 }))
  const got = await Promise.all(crowds.map(async (lines) => {
    const hashes: string[] = []
    for await (const line of lines) if (!line.endsWith('silent')) hashes.push(line)
    return hashes
  }))
  expect(got.flat()).toEqual(Array.from({ length: peers }, () => hash))
  // The owner is not kept waiting either.
  const listed = await callHelper<{ entries: { path: string }[] }>(alice, 'list', { peerId: null, recursive: true, limit: 10 })
  expect(listed.entries.map(({ path }) => path)).toEqual(['library', 'library/file.bin'])
})
