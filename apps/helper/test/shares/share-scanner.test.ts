import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ScanOptions, scanTree } from '../../src/adapters/shares/share-scanner.ts'

let base: string
let directory: string

beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'share-scanner-')))
  directory = join(base, 'tree')
  mkdirSync(directory)
})

afterEach(() => rmSync(base, { recursive: true, force: true }))

/** @returns the result, and all names by directory id */
function scan(options: Partial<ScanOptions> = {}) {
  const names: string[] = []
  const result = scanTree({
    directory,
    excluded: [],
    onDirectory: ({ id, columns }) => names.push(...columns.names.map((name) => `${id}:${name}`)),
    ...options,
  })
  return { result, names: names.sort() }
}

describe.skipIf(process.platform === 'win32')('the scanner', () => {
  it('follows no links and lists none', () => {
    writeFileSync(join(base, 'secret'), 'secret')
    writeFileSync(join(directory, 'file'), 'abc')
    symlinkSync(join(base, 'secret'), join(directory, 'out'))
    symlinkSync('file', join(directory, 'in'))
    symlinkSync('..', join(directory, 'loop'))
    symlinkSync('nowhere', join(directory, 'dangling'))
    expect(scan()).toMatchObject({ names: ['0:file'], result: { files: 1, directories: 0, bytes: 3, skipped: 4 } })
  })

  it('leaves out and counts what is neither a file nor a directory, and names that no path can have', () => {
    execFileSync('mkfifo', [join(directory, 'pipe')])
    for (const name of ['a\nb', 'dot.', 'space ', 'CON', 'c:x', 'a\\b', 'x\u202ey', 'nul.txt', 'fine', 'Ünïcode', 'com', 'console.log']) {
      writeFileSync(join(directory, name), '')
    }
    execFileSync('sh', ['-c', String.raw`cd "$1" && : > "$(printf 'bad\377')"`, 'sh', directory])
    const { result, names } = scan()
    expect(names).toEqual(['0:com', '0:console.log', '0:fine', '0:Ünïcode'].sort())
    expect(result).toMatchObject({ files: 4, skipped: 10 })
  })

  it('lists hidden files, but no litter and nothing of our own', () => {
    mkdirSync(join(directory, '.harddrive-party'))
    mkdirSync(join(directory, 'storage'))
    for (const name of ['.hidden', '.DS_Store', 'Thumbs.db', 'desktop.ini', '.harddrive-party/x', 'storage/key']) writeFileSync(join(directory, name), 'x')
    expect(scan({ excluded: [join(directory, 'storage')] })).toMatchObject({ names: ['0:.hidden'], result: { files: 1, directories: 0, skipped: 0 } })
  })

  it.skipIf(process.getuid?.() === 0)('leaves out and counts what cannot be read', () => {
    mkdirSync(join(directory, 'locked'))
    writeFileSync(join(directory, 'file'), 'x')
    chmodSync(join(directory, 'locked'), 0)
    try {
      expect(scan()).toMatchObject({ names: ['0:file'], result: { skipped: 1 } })
    } finally {
      chmodSync(join(directory, 'locked'), 0o700)
    }
  })

  it('stops at the depth that paths may have', () => {
    mkdirSync(join(directory, ...Array.from({ length: 200 }, () => 'd')), { recursive: true })
    expect(scan().result).toMatchObject({ directories: 127, skipped: 1 })
  })

  it('refuses a root that is gone, or is a link now', () => {
    symlinkSync(directory, join(base, 'link'))
    writeFileSync(join(base, 'file'), '')
    for (const root of ['nothing', 'link', 'file']) {
      expect(() => scan({ directory: join(base, root) })).toThrow(expect.objectContaining({ code: 'not-found' }))
    }
  })

  it('tells how far it is, and stops when it is told to', () => {
    for (let i = 0; i < 5000; i++) writeFileSync(join(directory, `f${i}`), '')
    const progress: number[] = []
    expect(scan({ onProgress: ({ files }) => progress.push(files) }).result.files).toBe(5000)
    expect(progress).toEqual([4095])
    expect(() => scan({ isAborted: () => true })).toThrow(expect.objectContaining({ code: 'aborted' }))
  })
})
