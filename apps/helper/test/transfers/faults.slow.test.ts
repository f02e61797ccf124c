import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { appendFile, mkdir, mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type HelperProcess, type HelperProgram, buildHelper, hdp, killAll, startHelper } from '../support/helper-process.ts'

/** Real helpers on disks that fill up or may only be read, and with sources that change and vanish: the end is the same bytes, or a clear reason. */

const BUNDLE = fileURLToPath(new URL('../node_modules/.faults-bundle', import.meta.url))
const run = promisify(execFile)
const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

let root: string
let program: HelperProgram
let alice: HelperProcess
let bob: HelperProcess
/** A file system of its own, which only root may make. */
let isMounted = false

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hdp-faults-'))
  program = await buildHelper(BUNDLE, join(root, 'state'))
  await mkdir(join(root, 'library'))
  await writeFile(join(root, 'library/large.bin'), randomBytes(24_000_000))
  for (let i = 0; i < 20; i++) await writeFile(join(root, 'library', `${i}.txt`), randomBytes(1000))
  await mkdir(join(root, 'bob/downloads'), { recursive: true })
  isMounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'none', join(root, 'bob/downloads')]).then(() => true, () => false)
  const quiet = ['--no-mqtt', '--no-port-mapping']
  ;[alice, bob] = await Promise.all([startHelper(program, join(root, 'alice'), ['--share-dir', join(root, 'library'), ...quiet]), startHelper(program, join(root, 'bob'), quiet)])
  await bobs('connect', alice.code)
}, 60_000)

afterAll(async () => {
  await killAll()
  if (isMounted) await run('umount', [join(root, 'bob/downloads')])
  await rm(root, { recursive: true, force: true })
  await rm(BUNDLE, { recursive: true, force: true })
})

const bobs = (...args: string[]) => hdp(program, [...args, '--storage', bob.storage])
const transfers = async () => JSON.parse((await bobs('transfers', '--json')).stdout) as { path: string; state: string; reason?: string }[]
const late = async () => (await transfers()).filter(({ path }) => path.startsWith('library/late'))

test('a full disk is said, and the download goes on by itself when there is room', { timeout: 120_000 }, async ({ skip }) => {
  if (!isMounted) skip('only root may mount a small disk')
  await bobs('download', `${alice.peerId}/library`)
  await expect.poll(transfers, { timeout: 60_000 }).toMatchObject([{ state: 'waiting', reason: expect.stringContaining('disk-full') }])
  await run('mount', ['-o', 'remount,size=200m', join(root, 'bob/downloads')])
  const outcome = await bobs('download', `${alice.peerId}/library`, '--wait', '--json')
  expect(JSON.parse(outcome.stdout)).toMatchObject({ state: 'done' })
  for (const name of ['large.bin', '0.txt', '19.txt']) {
    expect(hashOf(await readFile(join(bob.downloads, 'library', name)))).toBe(hashOf(await readFile(join(root, 'library', name))))
  }
  expect((await bobs('verify', `${alice.peerId}/library`)).code).toBe(0)
})

test('what changed since it was listed comes as it is now, and what is gone is said', { timeout: 120_000 }, async () => {
  await appendFile(join(root, 'library/1.txt'), 'and more')
  await unlink(join(root, 'library/2.txt'))
  const changed = await bobs('download', `${alice.peerId}/library/1.txt`, '--wait', '--json')
  expect(JSON.parse(changed.stdout)).toMatchObject({ state: 'done' })
  const { target } = JSON.parse(changed.stdout) as { target: string }
  expect(hashOf(await readFile(target))).toBe(hashOf(await readFile(join(root, 'library/1.txt'))))
  const gone = await bobs('download', `${alice.peerId}/library/2.txt`, '--wait', '--json')
  expect(gone.code).not.toBe(0)
  expect(gone.stderr).toContain('not-found')
  expect((await bobs('verify', `${alice.peerId}/library`)).code).toBe(1)
})

test('a download directory that may only be read is said, what was there stays, and it goes on when it may be written', { timeout: 120_000 }, async ({ skip }) => {
  // Permissions do not bind root, who runs tests in containers: a file system that is read-only binds everybody.
  const target = join(root, 'bob/downloads')
  if (!isMounted) skip('only root may mount a file system')
  const before = await readFile(join(bob.downloads, 'library/large.bin'))
  const remounted = await run('mount', ['-o', 'remount,ro', target]).then(() => true, () => false)
  if (!remounted) skip('this kernel does not make it read-only')
  await writeFile(join(root, 'library/late.bin'), randomBytes(9_000_000))
  await writeFile(join(root, 'library/late.txt'), 'late')
  // Watching tells of them sooner or later.
  await expect.poll(async () => (await bobs('ls', `${alice.peerId}/library`)).stdout, { timeout: 30_000 }).toContain('late.txt')
  for (const name of ['late.bin', 'late.txt']) expect((await bobs('download', `${alice.peerId}/library/${name}`)).code).toBe(0)
  await expect.poll(late, { timeout: 30_000 }).toMatchObject([{ state: 'failed', reason: expect.stringContaining('the disk is read-only') }, { state: 'failed', reason: expect.stringContaining('the disk is read-only') }])
  expect(hashOf(await readFile(join(bob.downloads, 'library/large.bin')))).toBe(hashOf(before))
  await run('mount', ['-o', 'remount,rw', target])
  for (const name of ['late.bin', 'late.txt']) {
    const outcome = await bobs('download', `${alice.peerId}/library/${name}`, '--wait', '--json')
    expect(JSON.parse(outcome.stdout)).toMatchObject({ state: 'done' })
    expect(hashOf(await readFile((JSON.parse(outcome.stdout) as { target: string }).target))).toBe(hashOf(await readFile(join(root, 'library', name))))
  }
})
