import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openShareIndexWriter } from '../../src/adapters/shares/share-index-writer.ts'
import { NOBODY } from '../../src/adapters/shares/share-directories.ts'
import { checkLmdbFile } from '../../src/adapters/system/lmdb-file.ts'
import { findLmdbDamage } from '../../src/adapters/system/lmdb-pages.ts'
import { openStore } from '../../src/adapters/system/store.ts'

const SCRIPT = fileURLToPath(new URL('../support/lmdb-damage.mjs', import.meta.url))
/** HDP_DAMAGE_FLIPS for a long run, HDP_DAMAGE_SEED to see one again. */
const FLIPS = Number(process.env['HDP_DAMAGE_FLIPS'] ?? 100)
const SEED = Number(process.env['HDP_DAMAGE_SEED'] ?? Math.floor(Math.random() * 2 ** 32))

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hdp-damage-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

interface Text {
  readonly text: string
}

/** Random changes, small and large values, over several lives. */
async function fill(lives: number, random: () => number): Promise<void> {
  for (let life = 0; life < lives; life++) {
    const store = openStore(join(directory, 'whole'))
    const tables = ['small', 'large'].map((name) => store.table<Text>(name, (raw) => raw as Text))
    for (let round = 0; round < 12; round++) {
      const changes = Array.from({ length: 60 }, () => {
        const key = `k${Math.floor(random() * 300)}`
        const table = tables[random() < 0.8 ? 0 : 1]!
        return random() < 0.4 ? table.remove(key) : table.put(key, { text: 'x'.repeat(random() * (table === tables[1] ? 40_000 : 400)) })
      })
      await Promise.all(changes)
    }
    await store.flushed()
    await store.close()
    checkLmdbFile(join(directory, 'whole'))
  }
}

const fileOf = (content: Buffer) => ({ size: content.length, read: (into: Buffer, position: number) => content.copy(into, 0, position) })

describe('a database file', () => {
  it('is never taken for damaged as lmdb leaves it, and never crashes the process when it is', { timeout: 60_000 + FLIPS * 100 }, async () => {
    await fill(8, Math.random)
    const outcome = await promisify(execFile)(process.execPath, [SCRIPT, join(directory, 'whole'), join(directory, 'cases'), String(SEED), String(FLIPS)], { encoding: 'utf8' }).catch((error: unknown) => {
      const { stdout, signal } = error as { stdout: string; signal: string | null }
      throw new Error(`seed ${SEED}: the process died (${signal}) of a database with ${stdout.trim().split('\n').at(-1)}`)
    })
    const sum = JSON.parse(outcome.stdout.trim().split('\n').at(-1)!) as { refused: number; usable: number; failed: number }
    expect(sum.refused).toBeGreaterThan(100)
    expect(sum.usable).toBeGreaterThan(10)
  })

  it('of an index of many directories is whole, and its missing end is seen', async () => {
    const writer = openShareIndexWriter(join(directory, 'index'))
    for (const shareId of ['s1', 's2', 's1']) {
      const generation = writer.begin(shareId)
      for (let id = 1_500; id >= 0; id--) {
        const names = Array.from({ length: 20 }, (_, i) => `file ${id} ${i}`)
        const columns = { names, sizes: names.map(() => 1), mtimes: names.map(() => 1), children: names.map(() => 0) }
        generation.put({ id, parent: id === 0 ? NOBODY : 0, name: `${id}`, columns, skipped: 0, size: 20, mtime: 1, seen: 0 })
      }
      generation.commit({ files: 30_000, directories: 1_500, bytes: 1, skipped: 0, mtime: 1 }, 1)
      writer.sweep(['s1', 's2'])
    }
    await writer.close()
    checkLmdbFile(join(directory, 'index'))
    const file = join(directory, 'index/data.mdb')
    const bytes = await readFile(file)
    await truncate(file, Math.floor(bytes.length / 2))
    expect(() => checkLmdbFile(join(directory, 'index'))).toThrow(expect.objectContaining({ code: 'disk-error', message: expect.stringContaining('is damaged') }))
    await writeFile(file, bytes)
    checkLmdbFile(join(directory, 'index'))
  })

  it.skipIf(process.platform === 'win32')('is read as lmdb reads it after a power cut: by what is known to be on the disk', async () => {
    await fill(2, Math.random)
    const bytes = await readFile(join(directory, 'whole/data.mdb'))
    const pageBytes = bytes.readUInt32LE(48)
    const [first, second] = [0, pageBytes].map((page) => bytes.readBigUInt64LE(page + 152)) as [bigint, bigint]
    const newest = first > second ? 0 : pageBytes
    const torn = Buffer.from(bytes)
    // A later transaction of which nothing but this reached the disk.
    torn.writeBigUInt64LE((first > second ? first : second) + 2n, newest + 152)
    torn.writeUInt16LE(torn.readUInt16LE(newest + 52) | 0x1000, newest + 52)
    torn.writeBigUInt64LE(1_000_000n, newest + 96 + 40)
    const boot = torn.readBigInt64LE(newest + 160)
    expect(findLmdbDamage(fileOf(torn), () => boot + 1n)).toBeUndefined()
    // The same machine still runs: then it was written.
    if (boot !== 0n) expect(findLmdbDamage(fileOf(torn), () => boot)).toBe('a part of it is missing')
  })
})
