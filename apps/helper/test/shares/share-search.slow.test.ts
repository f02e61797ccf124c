import { type Entry, parseSearch, rankEntry } from '@harddrive-party/protocol'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { NOBODY } from '../../src/adapters/shares/share-directories.ts'
import { openShareIndexReader } from '../../src/adapters/shares/share-index-reader.ts'
import { openShareIndexWriter } from '../../src/adapters/shares/share-index-writer.ts'
import { sortParts } from '../../src/core/listing.ts'
import { sizeKeyOf, timeKeyOf } from '../../src/core/punch/search-order.ts'

const WORDS = ['love', 'the', 'ka', 'lo', 'mi', 'summer', 'te', 'nove', 'é', 'live', 'a', 'in', 'kalo', '12', 'relive', 'mer']
const SEARCHES = [
  'love', 'the love', 'th', 'ove', 'e', 'e size:1KB..1MB', 'live -the', '*.flac love', 'type:audio ka', 'size:>1MB summer', '"the love"', 'part 3 love', 'part', 'a e i', '-love', '12', '1', 'mer ka', 'kalo part', 'zzzq',
]
const PART_FILES = 6_000
const PARTS = 8

/** The same numbers every time, evenly between 0 and 1. */
function makeNumbers(): () => number {
  let state = 0x2545_f491
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

describe('searching several segments for words that are common in them', () => {
  it('finds the best first, page by page, as ranking every entry does', async () => {
    const directory = realpathSync(mkdtempSync(join(tmpdir(), 'share-search-')))
    const writer = openShareIndexWriter(directory)
    const reader = openShareIndexReader({ directory, shares: [{ shareId: 's', name: 'Share', directory }] })
    try {
      const number = makeNumbers()
      const entries: (Omit<Entry, 'path'> & { path: string })[] = [{ path: 'Share', size: 1, mtime: 1, isDirectory: true }]
      const generation = writer.begin('s')
      const parts = sortParts(Array.from({ length: PARTS }, (_, i) => `Part ${i} of ${WORDS[i] ?? ''}`))
      for (const [part, name] of parts.entries()) {
        const names = sortParts(Array.from({ length: PART_FILES }, (_, i) => `${Array.from({ length: 1 + Math.floor(number() * 4) }, () => WORDS[Math.floor(number() * WORDS.length)]).join(number() < 0.2 ? '' : ' ')} ${i}.${number() < 0.5 ? 'flac' : 'txt'}`))
        const sizes = names.map(() => Math.floor(Math.exp(number() * 20)))
        const mtimes = names.map(() => 1.5e12 + Math.floor(number() * 1e11))
        generation.put({ id: part + 1, parent: 0, name, columns: { names, sizes, mtimes, children: names.map(() => 0) }, skipped: 0, size: 1, mtime: 1, seen: 0 })
        entries.push({ path: `Share/${name}`, size: 1, mtime: 1, isDirectory: true })
        for (const [i, file] of names.entries()) entries.push({ path: `Share/${name}/${file}`, size: sizes[i] ?? 0, mtime: mtimes[i] ?? 0, isDirectory: false })
      }
      generation.put({ id: 0, parent: NOBODY, name: '', columns: { names: parts, sizes: parts.map(() => 0), mtimes: parts.map(() => 0), children: parts.map((_, i) => i + 1) }, skipped: 0, size: 1, mtime: 1, seen: 0 })
      generation.commit({ files: PARTS * PART_FILES, directories: PARTS, bytes: 1, skipped: 0, mtime: 1 }, 1)
      for (const search of SEARCHES) {
        const query = parseSearch(search)
        const keyOf = (entry: Omit<Entry, 'path'> & { path: string }) => {
          const rank = rankEntry(query, entry)
          return rank === undefined ? [] : [[rank, -sizeKeyOf(entry.size), -timeKeyOf(entry.mtime)] as const]
        }
        const best = entries.flatMap(keyOf).sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]).slice(0, 300)
        const found: Entry[] = []
        let cursor: string | undefined
        do {
          const page = await reader.list({ recursive: true, search, limit: 100, ...(cursor === undefined ? {} : { cursor }) })
          found.push(...page.entries)
          cursor = page.cursor
        } while (cursor !== undefined && found.length < 300)
        expect(found.slice(0, 300).flatMap(keyOf), search).toEqual(best)
      }
    } finally {
      await reader.close()
      await writer.close()
      rmSync(directory, { recursive: true, force: true })
    }
  })
})
