import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { inflateSync } from 'node:zlib'
import { parseSharePath } from '@harddrive-party/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeDemoLibrary } from '../../src/adapters/system/demo-library.ts'

let root: string
let folders: string[]
let files: { readonly path: string; readonly content: Buffer }[]

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hdp-library-'))
  folders = await writeDemoLibrary(root)
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  files = await Promise.all(entries.filter((entry) => entry.isFile()).map(async (entry) => {
    const file = join(entry.parentPath, entry.name)
    return { path: file.slice(root.length + 1), content: await readFile(file) }
  }))
})
afterAll(() => rm(root, { recursive: true, force: true }))

describe('demo library', () => {
  it('is large enough to see progress, and small enough to make', () => {
    expect(folders.map((folder) => basename(folder))).toEqual(['Music', 'Pictures', 'Texts'])
    expect(files.length).toBeGreaterThanOrEqual(50)
    const bytes = files.reduce((sum, { content }) => sum + content.length, 0)
    expect(bytes).toBeGreaterThan(30e6)
    expect(bytes).toBeLessThan(70e6)
  })

  it('has only names that may be shared, in several scripts', () => {
    for (const { path } of files) expect(parseSharePath(path), path).toMatchObject({ ok: true })
    // oxlint-disable-next-line no-control-regex -- everything beyond ASCII is the point
    expect(files.filter(({ path }) => /[^\u0000-\u007f]/.test(path)).length).toBeGreaterThan(10)
  })

  it('has sound that plays as long as its header says', () => {
    const sounds = files.filter(({ path }) => path.endsWith('.wav'))
    expect(sounds.length).toBeGreaterThan(10)
    for (const { content } of sounds) {
      expect([content.toString('latin1', 0, 4), content.toString('latin1', 8, 16), content.toString('latin1', 36, 40)]).toEqual(['RIFF', 'WAVEfmt ', 'data'])
      expect([content.readUInt32LE(4), content.readUInt32LE(40)]).toEqual([content.length - 8, content.length - 44])
      expect(content.subarray(44, 50_000).some((byte) => byte !== 0)).toBe(true)
    }
  })

  it('has pictures whose rows are all there', () => {
    const pictures = files.filter(({ path }) => path.endsWith('.png'))
    expect(pictures.length).toBeGreaterThan(10)
    for (const { content } of pictures) {
      const [width, height] = [content.readUInt32BE(16), content.readUInt32BE(20)]
      const length = content.readUInt32BE(33)
      expect(content.toString('latin1', 37, 41)).toBe('IDAT')
      expect(inflateSync(content.subarray(41, 41 + length))).toHaveLength((width * 3 + 1) * height)
    }
  })

  it('has an empty file and a deep one', () => {
    expect(files.some(({ content }) => content.length === 0)).toBe(true)
    expect(Math.max(...files.map(({ path }) => path.split('/').length))).toBeGreaterThan(5)
  })
})
