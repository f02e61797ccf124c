import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type HelperProcess, type HelperProgram, buildHelper, hdp, killAll, startHelper } from '../support/helper-process.ts'

/** Two real helpers, from the bundle, on loopback: the whole main job, and what happens when processes die in the middle of it. */

// Below the package, so that the bundle finds the packages that stay outside of it.
const BUNDLE = fileURLToPath(new URL('../node_modules/.test-bundle', import.meta.url))
const BIG_BYTES = 150_000_000

let root: string
let program: HelperProgram
let alice: HelperProcess
let bob: HelperProcess
const files = new Map<string, string>()

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hdp-loopback-'))
  program = await buildHelper(BUNDLE, join(root, 'state'))
  const library = join(root, 'library')
  await addFile(library, 'big.bin', randomBytes(BIG_BYTES))
  for (let i = 0; i < 25; i++) await addFile(library, `Größe ${i % 3}/東京 ${i}.txt`, Buffer.from(`file ${i}\n`.repeat(i * 40)))
  await addFile(library, 'leer/empty', Buffer.alloc(0))
  ;[alice, bob] = await Promise.all([startHelper(program, join(root, 'alice'), ['--share-dir', library]), startHelper(program, join(root, 'bob'))])
}, 60_000)

afterAll(async () => {
  await killAll()
  await rm(root, { recursive: true, force: true })
  await rm(BUNDLE, { recursive: true, force: true })
})

async function addFile(library: string, path: string, content: Buffer): Promise<void> {
  await mkdir(join(library, path, '..'), { recursive: true })
  await writeFile(join(library, path), content)
  files.set(`library/${path}`, hashOf(content))
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A command of Bob's. */
const bobs = (...args: string[]) => hdp(program, [...args, '--storage', bob.storage])
const json = async (...args: string[]): Promise<unknown> => JSON.parse((await bobs(...args, '--json')).stdout)
const lines = (text: string) => text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>)

/** Of a command that failed with --json. */
const messageOf = ({ stderr }: { stderr: string }) => (JSON.parse(stderr) as { error: { message: string } }).error.message

/** The child of a helper: its network process. */
async function networkPid(helper: HelperProcess): Promise<number> {
  const children = await readFile(`/proc/${helper.pid}/task/${helper.pid}/children`, 'utf8')
  return Number(children.trim().split(' ')[0])
}

const bigTransfer = async () => ((await json('transfers')) as { path: string; state: string; bytes: number; total: number | null }[]).find(({ path }) => path === 'library')

describe('two helpers on loopback', { timeout: 90_000 }, () => {
  it('says where it is in one line', () => {
    for (const helper of [alice, bob]) {
      expect(helper.ui).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
      expect(helper.pairUrl.startsWith(`${helper.ui}/#/pair/`)).toBe(true)
      expect(helper.peerId).toMatch(/^[0-9a-f]{64}$/)
      expect(helper.udp.v4).toBeGreaterThan(0)
      expect(helper.log()).toBe('')
    }
  })

  it('refuses a second start with the same storage, and says who is running', async () => {
    const second = await hdp(program, ['start', '--json', '--no-open', '--loopback-only', '--no-stun', '--ui-address', 'http://127.0.0.1:0', '--storage', bob.storage])
    expect(second.code).toBe(1)
    expect(second.stdout).toBe('')
    expect(JSON.parse(second.stderr)).toEqual({ error: { code: 'already-running', message: expect.stringContaining(`process ${bob.pid}, ${bob.ui}`) } })
  })

  it('does not start where it cannot work, and says why', async () => {
    const start = (...args: string[]) => hdp(program, ['start', '--json', '--no-open', '--loopback-only', '--no-stun', '--storage', join(root, 'other'), '--download-dir', join(root, 'other-downloads'), '--ui-address', 'http://127.0.0.1:0', ...args])
    const taken = await start('--ui-address', bob.ui)
    expect([taken.code, messageOf(taken)]).toEqual([1, expect.stringContaining('is taken')])
    const missing = await start('--share-dir', join(root, 'nowhere'))
    expect([missing.code, messageOf(missing)]).toEqual([4, expect.stringContaining('nowhere')])
    const blocked = await start('--download-dir', join(root, 'library/big.bin/x'))
    expect([blocked.code, messageOf(blocked)]).toEqual([1, expect.stringContaining('cannot be used')])
    await writeFile(join(root, 'other/identity.key'), 'junk')
    const damaged = await start()
    expect([damaged.code, messageOf(damaged)]).toEqual([1, expect.stringContaining('damaged')])
    expect((await start('--stun-server', 'not a server')).code).toBe(2)
  })

  it('is found by its address alone', async () => {
    const status = await hdp(program, ['status', '--json', '--ui-address', bob.ui])
    expect(JSON.parse(status.stdout)).toMatchObject({ ui: bob.ui, peerId: bob.peerId, name: bob.name, udp: bob.udp, natKind: 'unknown', counts: { peers: 0 } })
    expect((await hdp(program, ['status'], { env: { HDP_STORAGE: bob.storage } })).code).toBe(0)
  })

  it('connects by code', async () => {
    expect((await bobs('connect', 'xyz')).code).toBe(1)
    expect(await json('connect', alice.code)).toEqual({ id: alice.peerId, name: alice.name, state: 'connected' })
    expect(await json('peers')).toEqual([{ id: alice.peerId, name: alice.name, state: 'connected', path: expect.objectContaining({ kind: 'loopback' }) }])
    expect(await json('ping', alice.name)).toMatchObject({ rttMs: expect.any(Number) })
    expect(await json('code')).toEqual({ code: bob.code })
  })

  it('lists and searches', async () => {
    await expect.poll(async () => lines((await bobs('ls', `${alice.name}/library`, '--recursive', '--json')).stdout).filter(({ isDirectory }) => isDirectory === false).length, { timeout: 20_000 }).toBe(files.size)
    const all = lines((await bobs('ls', alice.peerId.slice(0, 12), '--recursive', 'true', '--json')).stdout)
    expect(new Set(all.filter(({ isDirectory }) => isDirectory === false).map(({ path }) => path))).toEqual(new Set(files.keys()))
    for (const entry of all) expect(Object.keys(entry)).toEqual(['path', 'size', 'isDirectory', 'mtime'])
    expect(lines((await bobs('ls', '--json')).stdout)).toMatchObject([{ isDirectory: true, path: alice.name.toLowerCase().replace(' ', '-') }])
    expect(lines((await bobs('ls', `${alice.name}/library`, '--search', 'TOKYO', '--json')).stdout)).toEqual([])
    expect(lines((await bobs('ls', alice.name, '--search', '東京 17', '--json')).stdout)).toMatchObject([{ path: 'library/Größe 2/東京 17.txt' }])
    expect((await bobs('ls', `${alice.name}/nothing`)).code).toBe(4)
    expect((await bobs('ls', 'nobody')).code).toBe(4)
  })

  it('reads a range to standard output', async () => {
    const big = await readFile(join(root, 'library/big.bin'))
    const range = await bobs('read', `${alice.name}/library/big.bin`, '--start', '1000000', '--end', '6000001')
    expect(range.code).toBe(0)
    expect(hashOf(range.bytes)).toBe(hashOf(big.subarray(1_000_000, 6_000_001)))
    expect((await bobs('read', `${alice.name}/library/leer/empty`)).bytes).toHaveLength(0)
    expect((await bobs('read', `${alice.name}/library/leer`)).code).toBe(4)
  })

  it('downloads a directory byte for byte although both network processes die in the middle of it', async () => {
    const queued = (await json('download', `${alice.name}/library`)) as { id: string }
    expect(queued.id).toEqual(expect.any(String))
    // Asking again is the same wish.
    expect(await json('download', `${alice.name}/library`)).toEqual(queued)
    await expect.poll(async () => (await bigTransfer())?.bytes, { timeout: 60_000, interval: 20 }).toBeGreaterThan(0)
    process.kill(await networkPid(bob), 'SIGKILL')
    const hung = await networkPid(alice)
    process.kill(hung, 'SIGSTOP')
    expect((await bigTransfer())?.state).not.toBe('done')
    const outcome = await bobs('download', `${alice.name}/library`, '--wait', '--json')
    expect(outcome.stderr).toBe('')
    expect(JSON.parse(outcome.stdout)).toMatchObject({ id: queued.id, state: 'done', peer: alice.peerId, total: expect.any(Number) })
    expect(() => process.kill(hung, 0)).toThrow('ESRCH')

    const found = (await readdir(join(bob.downloads, 'library'), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
    expect(found).toHaveLength(files.size)
    for (const [path, hash] of files) expect(hashOf(await readFile(join(bob.downloads, path))), path).toBe(hash)
    const { udp } = (await json('status')) as HelperProcess
    expect(udp).toEqual(bob.udp)
  })

  it('keeps files that are not its own', async () => {
    const path = join(bob.downloads, 'empty')
    await writeFile(path, 'mine')
    expect((await bobs('download', `${alice.name}/library/leer/empty`, '--wait')).code).toBe(0)
    expect(await readFile(path, 'utf8')).toBe('mine')
    expect((await readdir(bob.downloads)).filter((name) => name.startsWith('empty'))).toHaveLength(2)
  })

  it('remembers peers and identity over a restart', async () => {
    bob.kill('SIGTERM')
    expect(await bob.ended).toBe(0)
    expect((await bobs('peers')).code).toBe(3)
    bob = await startHelper(program, join(root, 'bob'))
    await expect.poll(() => json('peers'), { timeout: 30_000 }).toMatchObject([{ id: alice.peerId, state: 'connected' }])
    expect((await stat(join(bob.storage, 'identity.key'))).mode & 0o077).toBe(0)
  })

  it('stops when it is told to', async () => {
    expect((await bobs('stop')).code).toBe(0)
    expect(await bob.ended).toBe(0)
    expect((await bobs('stop')).code).toBe(3)
    alice.kill('SIGINT')
    expect(await alice.ended).toBe(0)
    expect(alice.log()).not.toContain('nhandled')
  })
})
