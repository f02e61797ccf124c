import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createStorageUse } from '../../src/control/storage-use.ts'

let base: string
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'hdp-storage-'))
})
afterEach(() => rm(base, { recursive: true, force: true }))

async function put(path: string, bytes: number): Promise<void> {
  await mkdir(join(base, path, '..'), { recursive: true })
  await writeFile(join(base, path), randomBytes(bytes))
}

const folders = () => ({ downloads: () => join(base, 'downloads'), index: join(base, 'index'), thumbnails: join(base, 'thumbnails'), staging: join(base, 'staging') })

describe('the room that is taken', () => {
  it('is told apart by what it is for', async () => {
    await put('downloads/a.bin', 10_000)
    await put('downloads/deep/er/b.bin', 20_000)
    await put('downloads/.harddrive-party/x/c.part', 40_000)
    await put('downloads/deep/.harddrive-party', 1_000)
    await put('index/data.mdb', 8_000)
    await put('thumbnails/ab/1', 3_000)
    await symlink(join(base, 'index'), join(base, 'downloads/link'))
    expect(await createStorageUse(folders()).look(5)).toEqual({
      freeBytes: 5, downloads: { bytes: 31_000, files: 3 }, unfinishedBytes: 40_000, indexBytes: 8_000, thumbnailBytes: 3_000, stagedBytes: 0, isComplete: true,
    })
  })

  it('is nothing where there is nothing, and is looked at once for all who ask at once', async () => {
    const use = createStorageUse(folders())
    const [one, two] = await Promise.all([use.look(null), use.look(7)])
    expect(one).toEqual({ freeBytes: null, downloads: { bytes: 0, files: 0 }, unfinishedBytes: 0, indexBytes: 0, thumbnailBytes: 0, stagedBytes: 0, isComplete: true })
    expect(two).toEqual({ ...one, freeBytes: 7 })
    await put('staging/s/a', 5_000)
    expect(await use.look(null)).toMatchObject({ stagedBytes: 5_000 })
  })

  it('says when there is too much to look at', async () => {
    for (let i = 0; i < 5; i++) await put(`downloads/${i}`, 100)
    expect(await createStorageUse(folders(), 3).look(null)).toMatchObject({ downloads: { files: 3 }, isComplete: false })
  })
})
