import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openShareIndexReader } from '../src/adapters/share-index-reader.ts'
import { openShareIndexWriter } from '../src/adapters/share-index-writer.ts'
import { scanTree } from '../src/adapters/share-scanner.ts'

/**
 * Measures indexing against `find -printf` over the same generated tree, and what listing and searching that index cost.
 * It judges nothing. Run it as a program, or call `measureIndexSpeed` from a larger benchmark.
 */
export interface IndexSpeed {
  readonly files: number
  readonly filesPerSecond: number
  /** Our time divided by find's, both the best of several runs over a warm cache. */
  readonly vsFind: number
  /** One search over everything, all pages. */
  readonly searchMs: number
  /** The slowest single page of that search: how long the process is held up. */
  readonly longestPageMs: number
  /** A whole recursive listing in pages of 1000. */
  readonly listMs: number
  /** Growth of resident memory during the scans. */
  readonly scanRssMB: number
}

const RUNS = 5

export async function measureIndexSpeed(files = 100_000): Promise<IndexSpeed> {
  const base = mkdtempSync(join(tmpdir(), 'index-speed-'))
  try {
    const tree = join(base, 'tree')
    growTree(tree, files)
    return await measure(tree, join(base, 'index'), files)
  } finally {
    rmSync(base, { recursive: true, force: true })
  }
}

/** Albums of 20 files, with some non-ASCII names among them. */
function growTree(tree: string, files: number): void {
  for (let i = 0; i < files; ) {
    const artist = Math.floor(i / 400)
    const album = Math.floor(i / 20)
    const directory = join(tree, `Artist ${artist}`, album % 7 === 0 ? `Álbum número ${album}` : `Album ${album} (Remastered)`)
    mkdirSync(directory, { recursive: true })
    for (let track = 0; track < 20 && i < files; track++, i++) writeFileSync(join(directory, `${track} - A song with a name of usual length ${i}.flac`), '')
  }
}

async function measure(tree: string, indexDirectory: string, files: number): Promise<IndexSpeed> {
  const writer = openShareIndexWriter(indexDirectory)
  const rssBefore = process.memoryUsage.rss()
  let rss = rssBefore
  let findMs = Infinity
  let scanMs = Infinity
  for (let run = 0; run < RUNS; run++) {
    findMs = Math.min(findMs, time(() => execFileSync('find', [tree, '-printf', '%s %T@ %p\n'], { stdio: 'ignore' })))
    scanMs = Math.min(scanMs, time(() => {
      // A share of its own for each run, so that every run writes everything.
      const generation = writer.begin(`run${run}`)
      const result = scanTree({ directory: tree, excluded: [], onDirectory: (found) => generation.put(found) })
      generation.commit(result, Date.now())
    }))
    rss = Math.max(rss, process.memoryUsage.rss())
  }
  const reader = openShareIndexReader({ directory: indexDirectory, shares: [{ shareId: 'run0', name: 'Music', directory: tree }] })
  let longestPageMs = 0
  const walk = (search?: string) => timeAsync(async () => {
    for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
      const request = { recursive: true, limit: 1000, ...(search === undefined ? {} : { search }), ...(cursor === undefined ? {} : { cursor }) }
      const start = performance.now()
      ;({ cursor } = await reader.list(request))
      longestPageMs = Math.max(longestPageMs, performance.now() - start)
    }
  })
  const listMs = Math.min(await walk(), await walk(), await walk())
  longestPageMs = 0
  const searchMs = Math.min(await walk('usual 99999'), await walk('usual 99999'), await walk('usual 99999'))
  await reader.close()
  await writer.close()
  return {
    files,
    filesPerSecond: Math.round((files * 1000) / scanMs),
    vsFind: round(scanMs / findMs),
    searchMs: round(searchMs),
    longestPageMs: round(longestPageMs),
    listMs: round(listMs),
    scanRssMB: round((rss - rssBefore) / 1e6),
  }
}

async function timeAsync(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

function time(work: () => unknown): number {
  const start = performance.now()
  work()
  return performance.now() - start
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

if (process.argv[1] !== undefined && import.meta.filename === process.argv[1]) console.log(JSON.stringify(await measureIndexSpeed(Number(process.argv[2] ?? 100_000))))
