import { type Entry, type SharePath, collisionKey, compareTreeOrder, utf8Length } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { numberedName } from '../../src/core/numbered-name.ts'
import { WishListing, type WishRow } from '../../src/core/wishes/wish-listing.ts'

const ROOT = 'Music' as SharePath
const entry = (path: string, isDirectory = false): Entry => ({ path: path as SharePath, size: isDirectory ? 99 : 7, mtime: 1, isDirectory })

function rowsOf(entries: readonly Entry[]): WishRow[] {
  const added = new WishListing(ROOT).add({ entries })
  if (!added.ok) throw new Error(added.error.message)
  return added.value
}

test('rows are relative, a directory counts no bytes, and the wished directory itself is none', () => {
  const listing = new WishListing(ROOT)
  const added = listing.add({ entries: [entry('Music', true), entry('Music/a', true), entry('Music/a/x'), entry('Music/b')], rejected: 2 })
  expect(added).toEqual({
    ok: true,
    value: [
      { remote: 'a', local: 'a', size: 0, mtime: 1, isDirectory: true }, { remote: 'a/x', local: 'a/x', size: 7, mtime: 1, isDirectory: false },
      { remote: 'b', local: 'b', size: 7, mtime: 1, isDirectory: false },
    ],
  })
  expect(listing).toMatchObject({ isDirectory: true, files: 2, bytes: 14, rejected: 2, renamed: 0 })
})

test('a file is listed as itself and alone', () => {
  const listing = new WishListing(ROOT)
  expect(listing.add({ entries: [entry('Music')] })).toMatchObject({ ok: true, value: [{ remote: '', local: '', size: 7 }] })
  expect(listing.isDirectory).toBe(false)
  expect(listing.add({ entries: [entry('Music/a')] })).toMatchObject({ ok: false, error: { code: 'bad-answer' } })
})

test('order, bounds and the ends of a listing hold over pages', () => {
  const bad: (readonly (readonly Entry[])[])[] = [
    [[entry('Music/b')], [entry('Music/a')]], [[entry('Music/a')], [entry('Music/a')]], [[entry('Musical/a')]], [[entry('Other')]],
    [[entry('Music/a')], [entry('Music')]], [[entry('Music/a/x'), entry('Music/a', true)]],
  ]
  for (const pages of bad) {
    const listing = new WishListing(ROOT)
    const outcomes = pages.map((entries, index) => listing.add({ entries, cursor: `c${index}` }))
    expect(outcomes.at(-1)).toMatchObject({ ok: false, error: { code: 'bad-answer' } })
  }
  const listing = new WishListing(ROOT)
  let pages = 0
  while (listing.add({ entries: [], cursor: `c${pages}` }).ok) pages++
  expect(pages).toBe(100)
})

const part = fc.constantFrom('a', 'A', 'b', 'é', 'e\u0301', 'É', 'ß', 'SS', 'ss', 'a (2)', 'A (2)', 'x.txt', 'X.TXT', 'x (2).txt', '\u{1d11e}')
const tree = fc.uniqueArray(fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')), { maxLength: 40 })

test('whatever the names, no two land on the same one, each lands in its parent, and pages make no difference', () => {
  fc.assert(
    fc.property(tree, fc.boolean(), fc.integer({ min: 1, max: 7 }), (paths, withDirectories, pageSize) => {
      const isParent = (path: string) => paths.some((other) => other.startsWith(`${path}/`))
      const directories = new Set(withDirectories ? paths.flatMap((path) => path.split('/').map((_, end, parts) => parts.slice(0, end).join('/'))) : [])
      directories.delete('')
      const entries = [...new Set([...paths, ...directories])]
        .map((path) => entry(`Music/${path}`, directories.has(path) || isParent(path)))
        .filter(({ isDirectory }) => withDirectories || !isDirectory)
        .sort((a, b) => compareTreeOrder(a.path, b.path))
      const rows = rowsOf(entries)
      expect(new Set(rows.map(({ local }) => collisionKey(local))).size).toBe(rows.length)
      const locals = new Map(rows.map(({ remote, local }) => [remote, local]))
      for (const { remote, local } of rows) {
        expect(local.split('/')).toHaveLength(remote.split('/').length)
        const parent = locals.get(remote.slice(0, Math.max(0, remote.lastIndexOf('/'))))
        if (parent !== undefined) expect(local.slice(0, local.lastIndexOf('/'))).toBe(parent)
      }
      const paged = new WishListing(ROOT)
      const again: WishRow[] = []
      for (let from = 0; from < entries.length; from += pageSize) {
        const added = paged.add({ entries: entries.slice(from, from + pageSize), cursor: String(from) })
        if (added.ok) again.push(...added.value)
      }
      expect(again).toEqual(rows)
    }),
    { numRuns: 200 },
  )
})

test('numbered names keep their extension and fit', () => {
  expect(numberedName('song.flac', 2, false)).toBe('song (2).flac')
  expect(numberedName('v1.2 live', 3, true)).toBe('v1.2 live (3)')
  expect(numberedName('.profile', 2, false)).toBe('.profile (2)')
  expect(numberedName('song.flac', 1, false)).toBe('song.flac')
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 120 }), fc.integer({ min: 2, max: 10_000 }), fc.boolean(), (name, number, isDirectory) => {
      const numbered = numberedName(name, number, isDirectory)
      expect(utf8Length(numbered)).toBeLessThanOrEqual(255)
      expect(numbered).toContain(` (${number})`)
      expect(numbered).not.toBe(name)
    }),
  )
})
