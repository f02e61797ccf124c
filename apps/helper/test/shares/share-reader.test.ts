import { MAX_READ_BYTES, type SharePath, parseSharePath } from '@harddrive-party/protocol'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  appendFileSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, unlinkSync, utimesSync, writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openShareIndexReader } from '../../src/adapters/shares/share-index-reader.ts'
import { openShareIndexWriter } from '../../src/adapters/shares/share-index-writer.ts'
import type { ShareIndexReader } from '../../src/adapters/shares/share-index.ts'
import { type ShareReader, openShareReader } from '../../src/adapters/shares/share-reader.ts'
import { scanTree } from '../../src/adapters/shares/share-scanner.ts'

let base: string
let directory: string
let index: ShareIndexReader
let reader: ShareReader
const { signal } = new AbortController()

function path(text: string): SharePath {
  const parsed = parseSharePath(text)
  if (!parsed.ok) throw new Error(parsed.error.message)
  return parsed.value
}

const read = (text: string, range: { start?: number; end?: number; expect?: { size: number; mtime: number } } = {}) =>
  reader.readRange({ path: path(text), ...range }, { signal })
const refuses = (text: string, code: string, range = {}) => expect(read(text, range)).rejects.toMatchObject({ code })

/** The reader looks at its signal right before it reads, after its first look at the file: the moment for `change` to happen. */
function meanwhile(change: () => void): AbortSignal {
  let done = false
  const handler: ProxyHandler<AbortSignal> = {
    get: (target, key) => {
      if (key === 'aborted' && !done) {
        done = true
        change()
      }
      return Reflect.get(target, key, target) as unknown
    },
  }
  return new Proxy(new AbortController().signal, handler)
}

const big = randomBytes(MAX_READ_BYTES + 1000)

beforeEach(async () => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'share-reader-')))
  directory = join(base, 'tree')
  mkdirSync(join(directory, 'sub', 'deep'), { recursive: true })
  writeFileSync(join(base, 'secret'), 'a secret outside of the share')
  writeFileSync(join(directory, 'file'), 'hello, world')
  writeFileSync(join(directory, 'empty'), '')
  writeFileSync(join(directory, 'big'), big)
  writeFileSync(join(directory, 'sub', 'deep', 'file'), 'deep')
  const writer = openShareIndexWriter(join(base, 'index'))
  const generation = writer.begin('s1')
  generation.commit(scanTree({ directory, excluded: [], onDirectory: (found) => generation.put(found) }), 1)
  await writer.close()
  index = openShareIndexReader({ directory: join(base, 'index'), shares: [{ shareId: 's1', name: 'Share', directory }] })
  reader = openShareReader({ index })
})

afterEach(async () => {
  reader.close()
  await index.close()
  rmSync(base, { recursive: true, force: true })
})

describe('reading shared files', () => {
  it('reads ranges, cut at the end of the file and at the protocol bound', async () => {
    const { size, mtimeMs: mtime } = statSync(join(directory, 'file'))
    const whole = await read('Share/file')
    expect({ ...whole, bytes: whole.bytes.toString() }).toMatchObject({ size, mtime, start: 0, bytes: 'hello, world' })
    expect((await read('Share/file', { start: 7, end: 9 })).bytes.toString()).toBe('wo')
    expect((await read('Share/file', { start: 7, end: 900 })).bytes.toString()).toBe('world')
    expect((await read('Share/file', { start: 12 })).bytes).toHaveLength(0)
    expect((await read('Share/empty')).bytes).toHaveLength(0)
    const first = await read('Share/big', { end: big.length })
    expect(first.bytes.equals(big.subarray(0, MAX_READ_BYTES))).toBe(true)
    const rest = await read('Share/big', { start: MAX_READ_BYTES })
    expect(rest.bytes.equals(big.subarray(MAX_READ_BYTES))).toBe(true)
    first.release()
    rest.release()
    const again = await read('Share/big', { start: 1000 })
    expect(again.bytes.equals(big.subarray(1000))).toBe(true)
  })

  it('gives no memory to two readers at once, even when one releases twice', async () => {
    const a = await read('Share/big')
    a.release()
    a.release()
    const b = await read('Share/big', { start: 1 })
    const c = await read('Share/big', { start: 2 })
    for (const [lease, start] of [[b, 1], [c, 2]] as const) expect(lease.bytes.equals(big.subarray(start, start + MAX_READ_BYTES))).toBe(true)
  })

  it('refuses directories, ranges outside of the file, and what the index does not have', async () => {
    await refuses('Share', 'bad-request')
    await refuses('Share/sub', 'bad-request')
    await refuses('Share/file', 'bad-request', { start: 13 })
    await refuses('Share/file', 'bad-request', { start: 5, end: 4 })
    writeFileSync(join(directory, 'later'), 'not scanned yet')
    await refuses('Share/later', 'not-found')
    await refuses('Share/file/x', 'not-found')
    await refuses('Other/file', 'not-found')
    for (const text of ['../secret', 'Share/../secret', '/etc/passwd', 'Share/./file', 'Share//file']) expect(parseSharePath(text).ok).toBe(false)
    // Even if such a path were made, the index knows no such name.
    for (const text of ['Share/../../secret', 'Share/sub/../file', '..', '']) {
      await expect(reader.readRange({ path: text as SharePath }, { signal })).rejects.toMatchObject({ code: 'not-found' })
    }
  })

  it('serves a changed file as it is now, and refuses it to who expects the old one', async () => {
    const { size, mtimeMs: mtime } = statSync(join(directory, 'file'))
    expect((await read('Share/file', { expect: { size, mtime } })).bytes.toString()).toBe('hello, world')
    appendFileSync(join(directory, 'file'), '!')
    expect(await read('Share/file')).toMatchObject({ size: size + 1 })
    await refuses('Share/file', 'source-changed', { expect: { size, mtime } })
    truncateSync(join(directory, 'file'), size)
    utimesSync(join(directory, 'file'), 1, 1)
    await refuses('Share/file', 'source-changed', { expect: { size, mtime } })
    expect((await read('Share/file', { expect: { size, mtime: 1000 } })).mtime).toBe(1000)
  })

  it('notices that a file is gone, or became a directory or a pipe', async () => {
    unlinkSync(join(directory, 'file'))
    await refuses('Share/file', 'not-found')
    mkdirSync(join(directory, 'file'))
    await refuses('Share/file', 'not-found')
    unlinkSync(join(directory, 'empty'))
    if (process.platform !== 'win32') {
      execFileSync('mkfifo', [join(directory, 'empty')])
      await refuses('Share/empty', 'not-found')
    }
    rmSync(join(directory, 'sub'), { recursive: true })
    await refuses('Share/sub/deep/file', 'not-found')
    rmSync(directory, { recursive: true })
    await refuses('Share/big', 'not-found')
  })

  it('follows no link put there after the scan: file, directory on the way, or the share itself', async () => {
    unlinkSync(join(directory, 'file'))
    symlinkSync(join(base, 'secret'), join(directory, 'file'))
    await refuses('Share/file', 'not-allowed')
    unlinkSync(join(directory, 'file'))
    symlinkSync('big', join(directory, 'file'))
    await refuses('Share/file', 'not-allowed')
    mkdirSync(join(base, 'outside', 'deep'), { recursive: true })
    writeFileSync(join(base, 'outside', 'deep', 'file'), 'outside')
    renameSync(join(directory, 'sub'), join(base, 'sub-away'))
    symlinkSync(join(base, 'outside'), join(directory, 'sub'))
    await refuses('Share/sub/deep/file', 'not-allowed')
    unlinkSync(join(directory, 'sub'))
    mkdirSync(join(directory, 'sub'))
    symlinkSync(join(base, 'outside', 'deep'), join(directory, 'sub', 'deep'))
    await refuses('Share/sub/deep/file', 'not-allowed')
    renameSync(directory, join(base, 'tree-away'))
    symlinkSync(join(base, 'tree-away'), directory)
    await refuses('Share/big', 'not-allowed')
  })

  it.each([
    ['longer', () => appendFileSync(join(directory, 'big'), 'x'), 'source-changed'],
    ['shorter', () => truncateSync(join(directory, 'big'), 100), 'source-changed'],
    ['another of the same size', () => utimesSync(join(directory, 'big'), 5, 5), 'source-changed'],
    ['empty', () => truncateSync(join(directory, 'big'), 0), 'source-changed'],
  ])('sends nothing of a file that becomes %s while it is read', async (_, change, code) => {
    await expect(reader.readRange({ path: path('Share/big') }, { signal: meanwhile(change) })).rejects.toMatchObject({ code })
  })

  it('finishes reading a file whose name vanishes meanwhile', async () => {
    const lease = await reader.readRange({ path: path('Share/big') }, { signal: meanwhile(() => renameSync(join(directory, 'big'), join(base, 'away'))) }).catch(
      (error: unknown) => error,
    )
    // Renaming touches the inode's change time on most file systems: then it counts as changed, which is also right.
    if (lease instanceof Error) expect(lease).toMatchObject({ code: 'source-changed' })
    else expect(lease).toMatchObject({ size: big.length })
  })

  it('stops when it is no longer wanted', async () => {
    await expect(reader.readRange({ path: path('Share/file') }, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' })
  })
})
