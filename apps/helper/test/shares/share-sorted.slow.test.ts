import { type Entry, type ListPage, type ListRequest, type SharePath, compareNatural, parseSharePath } from '@harddrive-party/protocol'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { NOBODY } from '../../src/adapters/shares/share-directories.ts'
import { openShareIndexTables } from '../../src/adapters/shares/share-index-tables.ts'
import { openShareIndexWriter } from '../../src/adapters/shares/share-index-writer.ts'
import { type SortedOptions, sortedPage } from '../../src/adapters/shares/share-sorted.ts'
import { SortedWindows } from '../../src/adapters/shares/share-sorted-windows.ts'
import { sortParts } from '../../src/core/listing.ts'

/** Pages of one large directory in orders of their own, and what is kept between them. */

const DIRECTORY = { path: parsed('Share'), recursive: false }
const LIMIT = 500

function parsed(text: string): SharePath {
  const result = parseSharePath(text)
  if (!result.ok) throw new Error(result.error.message)
  return result.value
}

function openDirectory() {
  const base = mkdtempSync(join(tmpdir(), 'share-sorted-'))
  const writer = openShareIndexWriter(join(base, 'index'))
  const tables = openShareIndexTables(join(base, 'index'))
  const windows = new SortedWindows()
  const kept = vi.spyOn(windows, 'keep')
  onTestFinished(async () => {
    windows.clear()
    await tables.root.close()
    await writer.close()
    rmSync(base, { recursive: true, force: true })
  })
  const write = (names: string[]) => {
    const generation = writer.begin('s1')
    const columns = { names: sortParts(names), sizes: names.map((_, i) => (i * 31) % 977), mtimes: names.map((_, i) => (i * 17) % 4001 + 0.25), children: names.map(() => 0) }
    generation.put({ id: 0, parent: NOBODY, name: '', columns, skipped: 0, size: 0, mtime: 1, seen: 0 })
    generation.commit({ files: names.length, directories: 0, bytes: 0, skipped: 0, mtime: 1 }, 1)
    tables.root.resetReadTxn()
  }
  const page = (sort: SortedOptions['sort'], more: Partial<ListRequest> = {}): ListPage => {
    const steps = sortedPage({ tables, windows, sort, shares: [{ shareId: 's1', name: 'Share', directory: '/nowhere' }], request: { ...DIRECTORY, limit: LIMIT, ...more } })
    for (;;) {
      const { done, value } = steps.next()
      if (done === true) return value
    }
  }
  const all = (sort: SortedOptions['sort'], more: Partial<ListRequest> = {}): Entry[] => {
    const entries: Entry[] = []
    for (let cursor: string | undefined, isOver = false; !isOver; isOver = cursor === undefined) {
      const next = page(sort, { ...more, ...(cursor === undefined ? {} : { cursor }) })
      entries.push(...next.entries)
      cursor = next.cursor
    }
    return entries
  }
  return { write, page, all, /** How often all entries were looked at for more than one page. */ passes: () => new Set(kept.mock.calls.map(([, window]) => window)).size }
}

test('every order is whole, from windows and across their ends, and all entries are looked at for few of the pages', () => {
  const { write, all, passes } = openDirectory()
  const names = Array.from({ length: 40_000 }, (_, i) => `${i % 3 === 0 ? 'Träck' : 'track'} ${(i * 7919) % 40_000}`)
  write(names)
  const byName = sortParts([...names]).toSorted(compareNatural).map((name) => `Share/${name}`)
  expect(all('name').map(({ path }) => path)).toEqual(byName)
  expect(passes()).toBe(3)
  expect(all('name', { reverse: true, limit: 777 }).map(({ path }) => path)).toEqual(byName.toReversed())
  const bySize = all('size')
  const byDate = all('date')
  expect(new Set(bySize.map(({ path }) => path)).size).toBe(names.length)
  expect(bySize.map(({ size }) => size)).toEqual(bySize.map(({ size }) => size).toSorted((a, b) => b - a))
  expect(new Set(byDate.map(({ path }) => path)).size).toBe(names.length)
  expect(byDate.map(({ mtime }) => mtime)).toEqual(byDate.map(({ mtime }) => mtime).toSorted((a, b) => b - a))
  expect(passes()).toBe(12)
})

test('a window says nothing of what the directory has become, nor of another order', () => {
  const { write, page } = openDirectory()
  const names = Array.from({ length: 5_000 }, (_, i) => `Track ${i}`)
  write([...names])
  const { cursor = '' } = page('name')
  expect(page('name', { cursor }).entries[0]?.path).toBe('Share/Track 500')
  expect(page('name', { cursor, reverse: true }).entries[0]?.path).toBe('Share/Track 498')
  write(names.filter((name) => name !== 'Track 500'))
  expect(page('name', { cursor }).entries[0]?.path).toBe('Share/Track 501')
  expect(page('name', { cursor: cursor.replace('499', '100') }).entries[0]?.path).toBe('Share/Track 101')
})
