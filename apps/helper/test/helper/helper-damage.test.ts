import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkLmdbFile } from '../../src/adapters/system/lmdb-file.ts'
import { openStore } from '../../src/adapters/system/store.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hdp-damage-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

describe('a damaged database', () => {
  it.each([['text', Buffer.from('hello')], ['noise', Buffer.alloc(20_000, 0xa5)], ['zeros', Buffer.alloc(4096)]])('of %s is refused instead of crashing the process', async (_name, content) => {
    await mkdir(join(directory, 'database'))
    await writeFile(join(directory, 'database/data.mdb'), content)
    expect(() => openStore(join(directory, 'database'))).toThrow(expect.objectContaining({ code: 'disk-error', message: expect.stringContaining('damaged') }))
  })

  it('is none where nothing was written yet, or lmdb itself did', async () => {
    checkLmdbFile(join(directory, 'absent'))
    await writeFile(join(directory, 'data.mdb'), '')
    checkLmdbFile(directory)
    for (let i = 0; i < 2; i++) {
      const store = openStore(join(directory, 'database'))
      await store.table<{ a: number }>('t', (raw) => raw as { a: number }).put('k', { a: 1 })
      await store.close()
      checkLmdbFile(join(directory, 'database'))
    }
  })
})
