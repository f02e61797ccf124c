import { CHUNK_VERSION, encodeDirectory } from './share-chunk.ts'
import { BLOCK_ROWS, type DirectoryRow, type DirectoryTable, GONE, encodeNames, encodeRows, hashName } from './share-directories.ts'
import {
  COLUMNS, type Generation, NAMES, ROWS, SIGNATURE, type ShareIndexTables, TEXT, decodeGeneration, encodeGeneration, indexKey, loadDirectories, openShareIndexTables,
} from './share-index-tables.ts'
import { type IndexItem, addFiles, planUpdate } from './share-index-update.ts'
import type { IndexChange } from './share-rescan.ts'
import type { ScanResult, ScannedDirectory } from './share-scanner.ts'
import { SegmentBuilder } from './share-segment.ts'

/**
 * The only writer of the share index. Synchronous within a scan; meant for the scan worker.
 * A new generation is written beside the old one and takes its place in one transaction; a change is made in a generation in one transaction.
 * Whatever nothing points to is swept away.
 */
export interface ShareIndexWriter {
  readonly tables: ShareIndexTables
  begin(shareId: string): GenerationWriter
  /** Makes a change that was found against `table`, durably. */
  update(shareId: string, table: DirectoryTable, change: IndexChange, now: number): Generation
  /** The share's last finished scan, with what was changed in it since. */
  current(shareId: string): Generation | undefined
  directories(generation: Generation): DirectoryTable
  /** Forgets shares that are not in the list, and everything that no generation owns. */
  sweep(shareIds: readonly string[]): void
  close(): Promise<void>
}

export interface GenerationWriter {
  /** Children before their parents. */
  put(directory: ScannedDirectory): void
  /** Makes this the share's index, durably. */
  commit(result: ScanResult, scannedAt: number): Generation
}

/** One transaction writes about this much: large enough that the flush to disk hardly counts, small enough to hold in memory. */
const BATCH_BYTES = 8 * 1024 * 1024
/** Removing in slices keeps transactions short; others may want to read. */
const SWEEP_KEYS = 2_000

/** @throws CodedError `disk-error` */
export function openShareIndexWriter(directory: string): ShareIndexWriter {
  const tables = openShareIndexTables(directory)
  const { root, generations } = tables
  let closing: Promise<void> | undefined
  const current = (shareId: string) => decodeGeneration(generations.get(shareId))

  const write = (items: readonly IndexItem[], after?: () => void) => {
    root.transactionSync(() => {
      for (const [name, key, value] of items) {
        if (value === undefined) tables[name].removeSync(key)
        else tables[name].putSync(key, value)
      }
      after?.()
    })
  }

  /** Above every number in use, also of scans that were cut off. */
  const nextGeneration = () => {
    let highest = 0
    for (const table of [tables.chunks, tables.directories, tables.segments]) {
      for (const key of table.getKeys({ reverse: true, limit: 1 })) highest = Math.max(highest, key.readUInt32BE(0))
    }
    for (const { value } of generations.getRange()) highest = Math.max(highest, decodeGeneration(value)?.generation ?? 0)
    return highest + 1
  }

  /** @param keep generations in use */
  const dropOthers = (table: ShareIndexTables['chunks'], keep: ReadonlySet<number>) => {
    for (let generation = 0; ; generation++) {
      const [first] = table.getKeys({ start: indexKey(generation, 0, 0), limit: 1 })
      if (first === undefined) return
      generation = first.readUInt32BE(0)
      if (keep.has(generation)) continue
      const range = { start: indexKey(generation, 0, 0), end: indexKey(generation + 1, 0, 0), limit: SWEEP_KEYS }
      for (let keys = [...table.getKeys(range)]; keys.length > 0; keys = [...table.getKeys(range)]) {
        const slice = keys
        root.transactionSync(() => {
          for (const key of slice) table.removeSync(key)
        })
      }
    }
  }

  const begin = (shareId: string): GenerationWriter => {
    const generation = nextGeneration()
    const rows: (Omit<DirectoryRow, 'hash'> & { readonly name: string })[] = []
    const files = new SegmentBuilder()
    let segments = 0
    let batch: IndexItem[] = []
    let batchBytes = 0
    const flush = (after?: () => void) => {
      const items = batch
      batch = []
      batchBytes = 0
      write(items, after)
    }
    const put = (table: IndexItem[0], key: Buffer, value: Buffer) => {
      batch.push([table, key, value])
      batchBytes += value.length
      if (batchBytes >= BATCH_BYTES) flush()
    }
    const endSegment = () => {
      const { text, columns, signature } = files.take()
      put('segments', indexKey(generation, segments, TEXT), text)
      put('segments', indexKey(generation, segments, COLUMNS), columns)
      put('segments', indexKey(generation, segments, SIGNATURE), signature)
      segments++
    }
    return {
      put: ({ id, parent, name, columns, skipped, size, mtime, seen }) => {
        for (const [index, chunk] of encodeDirectory(columns).entries()) put('chunks', indexKey(generation, id, index), chunk)
        rows[id] = { parent, since: 0, skipped, size, mtime, seen, name }
        addFiles(files, id, columns, endSegment)
      },
      commit: ({ files: fileCount, directories, bytes, skipped }, scannedAt) => {
        if (files.count > 0) endSegment()
        // Ids were given to directories that could not be read after all.
        const whole = Array.from(rows, (row) => row ?? { parent: 0, since: GONE, skipped: 0, size: 0, mtime: 0, seen: 0, name: '' })
        const hashes: number[] = []
        // The same in every generation: a search goes on behind a place that has this in it.
        const above = hashName(0, shareId)
        const hashed = whole.map(({ name, ...row }, id): DirectoryRow => ({ ...row, hash: (hashes[id] = hashName(hashes[row.parent] ?? above, name)) }))
        for (let first = 0; first < hashed.length; first += BLOCK_ROWS) {
          const block = first / BLOCK_ROWS
          put('directories', indexKey(generation, block, ROWS), encodeRows(hashed.slice(first, first + BLOCK_ROWS)))
          put('directories', indexKey(generation, block, NAMES), encodeNames(whole.slice(first, first + BLOCK_ROWS).map(({ name }) => name)))
        }
        const valid: Generation = {
          files: fileCount, directories, bytes, skipped, scannedAt, generation, revision: 0, version: CHUNK_VERSION,
          ids: whole.length, segments, live: Array.from({ length: segments }, (_, i) => i), dead: 0,
        }
        flush(() => generations.putSync(shareId, encodeGeneration(valid)))
        return valid
      },
    }
  }

  return {
    tables,
    begin,
    update: (shareId, table, change, now) => {
      const before = current(shareId)
      if (before === undefined) throw new TypeError('a change needs an index to change')
      const { items, generation } = planUpdate(tables, before, table, change, now)
      write(items, () => generations.putSync(shareId, encodeGeneration(generation)))
      return generation
    },
    current,
    directories: (generation) => loadDirectories(tables, generation),
    sweep: (shareIds) => {
      const keep = new Set<number>()
      const known = new Set(shareIds)
      // All keys first: what follows changes the table.
      const stored = Array.from(generations.getKeys())
      for (const shareId of stored) {
        const generation = known.has(shareId) ? current(shareId)?.generation : undefined
        if (generation === undefined) generations.removeSync(shareId)
        else keep.add(generation)
      }
      for (const table of [tables.chunks, tables.directories, tables.segments]) dropOthers(table, keep)
    },
    close: () => (closing ??= root.flushed.then(() => root.close())),
  }
}
