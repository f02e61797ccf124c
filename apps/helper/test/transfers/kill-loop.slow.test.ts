import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type HelperProcess, type HelperProgram, buildHelper, hdp, killAll, startHelper } from '../support/helper-process.ts'

/** Real helpers that are killed, the receiver's or the sender's, at any moment of a download, again and again. HDP_KILLS for a long run. */

const BUNDLE = fileURLToPath(new URL('../node_modules/.kill-bundle', import.meta.url))
const KILLS = Number(process.env['HDP_KILLS'] ?? 8)
/** Milliseconds after its start at which a helper is killed at the latest: a download of this library takes about as long. */
const LATEST_MS = 1_500

let root: string
let program: HelperProgram
const files = new Map<string, string>()

const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hdp-kills-'))
  program = await buildHelper(BUNDLE, join(root, 'state'))
  await addFile('large.bin', 30_000_000)
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

const start = (name: string) => startHelper(program, join(root, name), [...(name === 'alice' ? ['--share-dir', join(root, 'library')] : []), '--no-mqtt', '--no-port-mapping'])

test('however often helpers are killed, no finished file is wrong and in the end all are there', { timeout: 60_000 + KILLS * 8_000 }, async () => {
  let alice: HelperProcess = await start('alice')
  let bob: HelperProcess = await start('bob')
  const bobs = (...args: string[]) => hdp(program, [...args, '--storage', bob.storage])
  const again = async () => {
    await bobs('connect', alice.code)
    await bobs('download', `${alice.peerId}/library`)
  }
  await again()
  let before = 0
  for (let kills = 1; kills <= KILLS; kills++) {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * LATEST_MS))
    const victim = kills % 3 === 0 ? alice : bob
    victim.kill('SIGKILL')
    await victim.ended
    const count = await checkDownloads(bob.downloads)
    expect(count, 'finished files are gone').toBeGreaterThanOrEqual(before)
    before = count
    if (victim === alice) alice = await start('alice')
    else {
      if (count === files.size) {
        // It had come: from the beginning again.
        await rename(join(bob.downloads, 'library'), join(root, `done ${kills}`))
        await rm(join(root, `done ${kills}`), { recursive: true })
        await rm(bob.storage, { recursive: true })
        before = 0
      }
      bob = await start('bob')
      await again()
    }
  }
  await again()
  const outcome = await bobs('download', `${alice.peerId}/library`, '--wait', '--json')
  expect(outcome.stderr).toBe('')
  expect(await checkDownloads(bob.downloads)).toBe(files.size)
  const verified = await bobs('verify', `${alice.peerId}/library`, '--json')
  expect([verified.code, JSON.parse(verified.stdout.trim().split('\n').at(-1) ?? '')]).toMatchObject([0, { state: 'done', same: files.size, different: 0, missing: 0, extra: 0, unreadable: 0 }])
  await writeFile(join(bob.downloads, 'library', 'small 0/0.txt'), randomBytes(200))
  await rm(join(bob.downloads, 'library', 'small 1/1.txt'))
  await writeFile(join(bob.downloads, 'library', 'new.txt'), 'x')
  const changed = await bobs('verify', `${alice.peerId}/library`)
  expect(changed.code).toBe(1)
  expect(changed.stdout).toContain('different   small 0/0.txt')
  expect(changed.stdout).toContain('missing     small 1/1.txt')
  expect(changed.stdout).toContain('extra       new.txt')
})
