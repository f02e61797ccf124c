import { CodedError, type Entry, type ListRequest, MAX_PAGE_ENTRIES, type SharePath, compareTreeOrder, parseSharePath } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeDirectory } from '../src/adapters/share-chunk.ts'
import { openShareIndexReader } from '../src/adapters/share-index-reader.ts'
import { type ShareIndexWriter, openShareIndexWriter } from '../src/adapters/share-index-writer.ts'
import type { ShareIndexReader } from '../src/adapters/share-index.ts'
import { scanTree } from '../src/adapters/share-scanner.ts'
import { matchesWords, foldName, searchWords, sortParts } from '../src/core/listing.ts'

let base: string
let writer: ShareIndexWriter
let reader: ShareIndexReader
let trees = 0

beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'share-index-')))
  writer = openShareIndexWriter(join(base, 'index'))
  reader = openShareIndexReader({ directory: join(base, 'index'), shares: [] })
})

afterEach(async () => {
  await reader.close()
  await writer.close()
  rmSync(base, { recursive: true, force: true })
})

function path(text: string): SharePath {
  const parsed = parseSharePath(text)
  if (!parsed.ok) throw new Error(parsed.error.message)
  return parsed.value
}

function scan(shareId: string, directory: string) {
  const generation = writer.begin(shareId)
  return generation.commit(scanTree({ directory, excluded: [], onChunk: (id, index, chunk) => generation.put(id, index, chunk) }), 1)
}

/** An index of one flat directory, without a disk. */
function scanNames(shareId: string, names: string[]) {
  const generation = writer.begin(shareId)
  const sorted = sortParts(names)
  const columns = { names: sorted, sizes: sorted.map((_, i) => i), mtimes: sorted.map(() => 5.25), children: sorted.map(() => 0) }
  for (const [index, chunk] of encodeDirectory(columns).entries()) generation.put(0, index, chunk)
  return generation.commit({ files: names.length, directories: 0, bytes: 0, skipped: 0, mtime: 1 }, 1)
}

async function all(request: Omit<ListRequest, 'limit'>, limit: number = MAX_PAGE_ENTRIES): Promise<Entry[]> {
  const entries: Entry[] = []
  let cursor: string | undefined
  do {
    const page = await reader.list({ ...request, limit, ...(cursor === undefined ? {} : { cursor }) })
    expect(page.entries.length).toBeLessThanOrEqual(limit)
    expect(page.cursor).not.toBe(cursor ?? '')
    entries.push(...page.entries)
    cursor = page.cursor
  } while (cursor !== undefined)
  return entries
}

async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work()
  } catch (error) {
    if (error instanceof CodedError) return error.code
    throw error
  }
  return 'none'
}

type Tree = { [name: string]: Tree | number }

const name = fc.oneof(
  fc.constantFrom('a', 'b', 'A b', 'é', 'E\u0301x', 'Ærø', '\uffee', '\u{1f600}', 'song.flac', 'Song (1).FLAC', '.hidden', 'con', 'x ', 'a\u202eb'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }).filter((text) => !/[/\0]/.test(text) && text !== '.' && text !== '..' && Buffer.from(text).toString() === text),
)
const { tree } = fc.letrec<{ tree: Tree; node: Tree | number }>((tie) => ({
  tree: fc.dictionary(name, tie('node'), { maxKeys: 6, noNullPrototype: true }),
  node: fc.oneof({ depthSize: 'small' }, fc.nat(9), tie('tree')) as fc.Arbitrary<Tree | number>,
}))

function grow(directory: string, content: Tree): void {
  mkdirSync(directory, { recursive: true })
  for (const [child, value] of Object.entries(content)) {
    if (typeof value === 'number') writeFileSync(join(directory, child), 'x'.repeat(value))
    else grow(join(directory, child), value)
  }
  utimesSync(directory, 1_000, 1_000.5)
}

/** What a listing should be, found the simple way. */
function naive(directory: string, prefix: string): Entry[] {
  const entries: Entry[] = []
  for (const child of readdirSync(directory)) {
    const checked = parseSharePath(`${prefix}/${child}`)
    if (!checked.ok) continue
    const stats = statSync(join(directory, child))
    const below = stats.isDirectory() ? naive(join(directory, child), checked.value) : []
    const size = stats.isDirectory() ? below.filter((entry) => !entry.isDirectory).reduce((sum, entry) => sum + entry.size, 0) : stats.size
    entries.push({ path: checked.value, size, mtime: stats.mtimeMs, isDirectory: stats.isDirectory() }, ...below)
  }
  return entries.sort((a, b) => compareTreeOrder(a.path, b.path))
}

describe('the share index', () => {
  it('lists and searches random trees as a simple walk does', async () => {
    const term = fc.oneof(fc.constantFrom('a', 'E', 'song', 'flac song', 'é', '1', ' '), fc.string({ unit: 'grapheme', maxLength: 2 }))
    await fc.assert(
      fc.asyncProperty(tree, term, fc.integer({ min: 1, max: 7 }), async (content, search, limit) => {
        const directory = join(base, `tree-${++trees}`)
        grow(directory, content)
        const { files, directories, bytes } = scan('s1', directory)
        reader.setShares([{ shareId: 's1', name: 'Share', directory }])
        const expected = naive(directory, 'Share')
        expect(await all({ path: path('Share'), recursive: true }, limit)).toEqual(expected)
        expect((await all({ recursive: true }, limit)).slice(1)).toEqual(expected)
        expect({ files, directories }).toEqual({
          files: expected.filter((entry) => !entry.isDirectory).length,
          directories: expected.filter((entry) => entry.isDirectory).length,
        })
        expect((await all({ recursive: false }))[0]).toMatchObject({ path: 'Share', size: bytes, isDirectory: true })
        const words = searchWords(search)
        const found = expected.filter((entry) => matchesWords(foldName(entry.path.slice(entry.path.lastIndexOf('/') + 1)), words))
        expect(await all({ path: path('Share'), recursive: true, search }, limit)).toEqual(found)
        expect(await all({ path: path('Share'), recursive: false, search }, limit)).toEqual(found.filter((entry) => entry.path.split('/').length === 2))
        for (const entry of expected) {
          expect(reader.find(entry.path)).toMatchObject({ entry, file: join(directory, entry.path.slice('Share/'.length)) })
          const prefix = `${entry.path}/`
          const below = entry.isDirectory ? expected.filter((other) => other.path.startsWith(prefix)) : [entry]
          expect(await all({ path: entry.path, recursive: true }, limit)).toEqual(below)
        }
        rmSync(directory, { recursive: true })
      }),
      { numRuns: 40 },
    )
  })

  it('lists several shares in order, also one that was never scanned', async () => {
    for (const share of ['b', 'a', 'c']) grow(join(base, share), { [`in-${share}`]: 3 })
    scan('s1', join(base, 'b'))
    scan('s2', join(base, 'a'))
    reader.setShares([
      { shareId: 's1', name: 'b', directory: join(base, 'b') },
      { shareId: 's3', name: 'c', directory: join(base, 'c') },
      { shareId: 's2', name: 'a', directory: join(base, 'a') },
    ])
    for (const limit of [1, 2, 3, 100]) {
      expect((await all({ recursive: true }, limit)).map((entry) => entry.path)).toEqual(['a', 'a/in-a', 'b', 'b/in-b', 'c'])
      expect((await all({ recursive: false }, limit)).map((entry) => entry.path)).toEqual(['a', 'b', 'c'])
      expect((await all({ recursive: true, search: 'IN' }, limit)).map((entry) => entry.path)).toEqual(['a/in-a', 'b/in-b'])
    }
    expect(await all({ path: path('c'), recursive: true })).toEqual([])
    expect(reader.find(path('c'))?.entry).toMatchObject({ size: 0, isDirectory: true })
    expect(reader.find(path('c/in-c'))).toBeUndefined()
  })

  it('refuses what does not exist, bad limits and bad cursors, and never throws anything else', async () => {
    grow(join(base, 'tree'), { a: { x: 1, y: 2 }, b: 3 })
    scan('s1', join(base, 'tree'))
    reader.setShares([{ shareId: 's1', name: 'Share', directory: join(base, 'tree') }])
    for (const missing of ['Nothing', 'Share/c', 'Share/b/x', 'share/a']) {
      expect(await codeOf(() => reader.list({ path: path(missing), recursive: false, limit: 1 }))).toBe('not-found')
      expect(reader.find(path(missing))).toBeUndefined()
    }
    for (const limit of [0, -1, 1.5, Number.NaN]) expect(await codeOf(() => reader.list({ recursive: true, limit }))).toBe('bad-request')
    expect((await reader.list({ recursive: true, limit: Number.MAX_SAFE_INTEGER })).entries).toHaveLength(5)
    const cursor = (await reader.list({ path: path('Share'), recursive: true, limit: 2 })).cursor ?? ''
    expect(await codeOf(() => reader.list({ path: path('Share'), recursive: false, limit: 2, cursor }))).toBe('bad-request')
    expect(await codeOf(() => reader.list({ path: path('Share/b'), recursive: false, limit: 2, cursor }))).toBe('bad-request')
    for (const wrong of ['s1.1.9.9', 's1.1.0.zzzzz', 's2.1.0', 's1.2.0', 's1.0', `s1.1${'.0'.repeat(128)}`, '']) {
      expect(['bad-request', 'none']).toContain(await codeOf(() => reader.list({ path: path('Share'), recursive: true, limit: 2, cursor: wrong })))
      expect(['bad-request', 'none']).toContain(await codeOf(() => reader.list({ recursive: true, limit: 2, cursor: wrong })))
    }
    const made = fc.tuple(fc.constantFrom('s1', 's2'), fc.array(fc.nat(0x7fff_ffff), { maxLength: 5 })).map(([id, numbers]) => [id, 1, ...numbers].join('.'))
    await fc.assert(fc.asyncProperty(fc.oneof(made, fc.string({ unit: 'binary' }), fc.constant(cursor)), fc.boolean(), fc.constantFrom(undefined, 'Share', 'Share/a'), async (text, recursive, where) => {
      const outcome = await codeOf(() => reader.list({ recursive, limit: 2, cursor: text, ...(where === undefined ? {} : { path: path(where) }) }))
      expect(['bad-request', 'none']).toContain(outcome)
    }))
  })

  it('pages through a directory of 100,000 entries, and finds any of them', async () => {
    const names = Array.from({ length: 100_000 }, (_, i) => `Träck ${i}.flac`)
    scanNames('s1', names)
    reader.setShares([{ shareId: 's1', name: 'Share', directory: '/nowhere' }])
    const entries = await all({ path: path('Share'), recursive: false })
    expect(entries.map((entry) => entry.path)).toEqual(sortParts([...names]).map((other) => `Share/${other}`))
    for (const i of [0, 511, 512, 513, 51_200, 99_999]) {
      expect(reader.find(path(`Share/Träck ${i}.flac`))?.entry).toEqual(entries.find((entry) => entry.path === `Share/Träck ${i}.flac`))
    }
    expect(reader.find(path('Share/Träck 100000.flac'))).toBeUndefined()
    expect(reader.find(path('Share/A'))).toBeUndefined()
    expect(reader.find(path('Share/zzz'))).toBeUndefined()
    expect((await all({ path: path('Share'), recursive: true, search: 'TRACK 9999' })).map((entry) => entry.path)).toEqual(
      sortParts(names.filter((other) => other.includes('9999'))).map((other) => `Share/${other}`),
    )
    expect(await all({ recursive: true, search: 'nothing like this' })).toEqual([])
  })

  it('ends a long search early, with a cursor and no entries', async () => {
    const generation = writer.begin('s1')
    const count = 3000
    for (let i = 1; i <= count; i++) {
      for (const chunk of encodeDirectory({ names: ['file'], sizes: [1], mtimes: [1], children: [0] })) generation.put(i, 0, chunk)
    }
    const names = sortParts(Array.from({ length: count }, (_, i) => `d${i}`))
    const columns = { names, sizes: names.map(() => 1), mtimes: names.map(() => 1), children: names.map((_, i) => i + 1) }
    for (const [index, chunk] of encodeDirectory(columns).entries()) generation.put(0, index, chunk)
    generation.commit({ files: count, directories: count, bytes: count, skipped: 0, mtime: 1 }, 1)
    reader.setShares([{ shareId: 's1', name: 'Share', directory: '/nowhere' }])
    const first = await reader.list({ recursive: true, limit: 10, search: 'd2999' })
    expect(first).toEqual({ entries: [], cursor: expect.any(String) })
    expect((await all({ recursive: true, search: 'd2999' })).map((entry) => entry.path)).toEqual(['Share/d2999'])
    expect(await all({ recursive: true, search: 'file' }, 7)).toHaveLength(count)
  })

  it('walks directories of exactly full chunks', async () => {
    for (const count of [0, 1, 511, 512, 513, 1024]) {
      scanNames('s1', Array.from({ length: count }, (_, i) => `f${i}`))
      reader.setShares([{ shareId: 's1', name: 'Share', directory: '/nowhere' }])
      for (const limit of [100, 512, 1000]) {
        expect(await all({ path: path('Share'), recursive: true }, limit)).toHaveLength(count)
        expect(await all({ path: path('Share'), recursive: true, search: 'f' }, limit)).toHaveLength(count)
        expect(await all({ path: path('Share'), recursive: false, search: 'g' }, limit)).toHaveLength(0)
      }
    }
  })

  it('keeps the last index while a scan runs or when it is cut off, and cleans up after it', async () => {
    scanNames('s1', ['old'])
    reader.setShares([{ shareId: 's1', name: 'Share', directory: '/nowhere' }])
    const cut = writer.begin('s1')
    cut.put(0, 0, Buffer.alloc(9 * 1024 * 1024))
    expect((await all({ recursive: true })).map((entry) => entry.path)).toEqual(['Share', 'Share/old'])
    writer.sweep(['s1'])
    expect((await all({ recursive: true })).map((entry) => entry.path)).toEqual(['Share', 'Share/old'])
    scanNames('s1', ['new'])
    writer.sweep(['s1'])
    expect((await all({ recursive: true })).map((entry) => entry.path)).toEqual(['Share', 'Share/new'])
    writer.sweep([])
    expect(writer.current('s1')).toBeUndefined()
    expect(await all({ recursive: true })).toHaveLength(1)
  })

  it('keeps cursors good over a scan that found nothing new, and refuses them after one that did', async () => {
    const names = Array.from({ length: 10 }, (_, i) => `f${i}`)
    scanNames('s1', names)
    reader.setShares([{ shareId: 's1', name: 'Share', directory: '/nowhere' }])
    const request = { path: path('Share'), recursive: true, limit: 4 }
    const { cursor = '' } = await reader.list(request)
    scanNames('s1', names)
    writer.sweep(['s1'])
    expect((await reader.list({ ...request, cursor })).entries.map((entry) => entry.path)).toEqual(['Share/f4', 'Share/f5', 'Share/f6', 'Share/f7'])
    scanNames('s1', [...names, 'one more'])
    expect(await codeOf(() => reader.list({ ...request, cursor }))).toBe('bad-request')
  })

  it('has what a rescan found wherever in the tree the change was', async () => {
    const directory = join(base, 'tree')
    const dirs = Object.fromEntries(['a', 'b', 'c'].map((dir) => [dir, { one: 1, two: 2, deep: { three: 3 } }]))
    grow(directory, dirs)
    reader.setShares([{ shareId: 's1', name: 'Share', directory }])
    let last = scan('s1', directory).generation
    const changes: (() => void)[] = [
      () => writeFileSync(join(directory, 'a', 'one'), 'longer'),
      () => writeFileSync(join(directory, 'c', 'deep', 'four'), ''),
      () => utimesSync(join(directory, 'b', 'two'), 7, 7),
      () => rmSync(join(directory, 'b'), { recursive: true }),
      () => rmSync(join(directory, 'c', 'deep'), { recursive: true }),
      () => grow(directory, { zz: {} }),
    ]
    for (const change of changes) {
      change()
      const { generation } = scan('s1', directory)
      expect(generation).toBeGreaterThan(last)
      last = generation
      writer.sweep(['s1'])
      expect(await all({ path: path('Share'), recursive: true })).toEqual(naive(directory, 'Share'))
      expect(scan('s1', directory).generation).toBe(generation)
    }
  })
})
