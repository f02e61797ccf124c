import type { DirectoryColumns } from './share-chunk.ts'
import { encodeDirectory } from './share-chunk.ts'
import { BLOCK_ROWS, type DirectoryRow, type DirectoryTable, GONE, NOBODY, encodeNames, encodeRows, hashName } from './share-directories.ts'
import { COLUMNS, type Generation, NAMES, ROWS, SIGNATURE, type ShareIndexTables, TEXT, indexKey } from './share-index-tables.ts'
import type { IndexChange } from './share-rescan.ts'
import { SegmentBuilder, SegmentColumns } from './share-segment.ts'
import { SegmentSignature } from './share-signature.ts'
import { storedChunks } from './share-stored.ts'

/** Works out what a change means for the tables of the index: which keys get which values. It writes nothing itself. */

/** A value to be put, or with undefined a key to be removed. */
export type IndexItem = readonly [table: 'chunks' | 'directories' | 'segments', key: Buffer, value: Buffer | undefined]

/** Small segments cost a search a step each: this many, and they are made one. */
const MAX_SMALL_SEGMENTS = 24
const SMALL_SEGMENT_ENTRIES = 2_048

/** @param table the directories as they were when the change was found */
export function planUpdate(tables: ShareIndexTables, before: Generation, table: DirectoryTable, change: IndexChange, now: number): { items: IndexItem[]; generation: Generation } {
  return new Update(tables, before, table).plan(change, now)
}

/** @param end called whenever the segment is full */
export function addFiles(files: SegmentBuilder, id: number, { names, sizes, mtimes, children }: DirectoryColumns, end: () => void): void {
  for (let i = 0; i < names.length; i++) {
    if (children[i] !== 0) continue
    files.add(names[i] ?? '', sizes[i] ?? 0, mtimes[i] ?? 0, id, i)
    if (files.isFull) end()
  }
}

class Update {
  readonly #tables: ShareIndexTables
  readonly #before: Generation
  readonly #table: DirectoryTable
  readonly #items: IndexItem[] = []
  /** Rows that are not as they were. */
  readonly #rows = new Map<number, DirectoryRow>()
  readonly #names = new Map<number, string>()
  readonly #segment = new SegmentBuilder()
  #segments: number
  #files: number
  #directories: number
  #dead: number

  constructor(tables: ShareIndexTables, before: Generation, table: DirectoryTable) {
    this.#tables = tables
    this.#before = before
    this.#table = table
    this.#segments = before.segments
    this.#files = before.files
    this.#directories = before.directories
    this.#dead = before.dead
  }

  plan({ changed, added, removed, touched }: IndexChange, now: number): { items: IndexItem[]; generation: Generation } {
    const since = this.#before.segments
    const ids = added.reduce((most, { id }) => Math.max(most, id + 1), this.#before.ids)
    const own = this.#ownBytes(ids)
    for (const id of withAllBelow(this.#table, removed)) {
      this.#forgetFiles(id, [])
      this.#directories--
      own[id] = 0
      this.#rows.set(id, { ...this.#table.row(id), parent: NOBODY, since: GONE, skipped: 0, size: 0 })
    }
    for (const { id, mtime, seen } of touched) this.#rows.set(id, { ...this.#table.row(id), mtime, seen })
    for (const { id, columns, skipped, mtime, seen } of changed) {
      this.#forgetFiles(id, this.#putChunks(id, columns))
      own[id] = bytesOfFiles(columns)
      this.#rows.set(id, { ...this.#table.row(id), since, skipped, mtime, seen })
      addFiles(this.#segment, id, columns, () => this.#endSegment())
    }
    for (const { id, parent, name, columns, skipped, mtime, seen } of added.toSorted((a, b) => a.id - b.id)) {
      this.#putChunks(id, columns)
      own[id] = bytesOfFiles(columns)
      this.#directories++
      this.#names.set(id, name)
      this.#rows.set(id, { parent, since, hash: hashName(this.#row(parent).hash, name), skipped, size: 0, mtime, seen })
      addFiles(this.#segment, id, columns, () => this.#endSegment())
    }
    if (this.#segment.count > 0) this.#endSegment()
    this.#sumUp(own, ids)
    const live = this.#mergeSmall([...this.#before.live, ...Array.from({ length: this.#segments - since }, (_, i) => since + i)])
    this.#putBlocks(ids)
    const generation: Generation = {
      ...this.#before, revision: this.#before.revision + (changed.length + added.length + removed.length === 0 ? 0 : 1), scannedAt: now, ids, segments: this.#segments, live, dead: this.#dead,
      files: this.#files, directories: this.#directories, bytes: this.#row(0).size, skipped: this.#skipped(),
    }
    return { items: this.#items, generation }
  }

  #row(id: number): DirectoryRow {
    return this.#rows.get(id) ?? this.#table.row(id)
  }

  #skipped(): number {
    let skipped = this.#before.skipped
    for (const [id, row] of this.#rows) skipped += row.skipped - (id < this.#before.ids ? this.#table.skipped(id) : 0)
    return skipped
  }

  /** Bytes of the files in each directory itself. */
  #ownBytes(ids: number): Float64Array {
    const own = new Float64Array(ids)
    for (let id = 0; id < this.#before.ids; id++) {
      if (!this.#table.isLive(id)) continue
      const size = this.#table.size(id)
      own[id] = (own[id] ?? 0) + size
      if (id !== 0) own[this.#table.parent(id)] = (own[this.#table.parent(id)] ?? 0) - size
    }
    return own
  }

  /** Bytes below each directory, and rows for those where they are others than before. */
  #sumUp(total: Float64Array, ids: number): void {
    for (let id = ids - 1; id >= 0; id--) {
      const row = this.#rows.get(id)
      const parent = row === undefined ? this.#table.parent(id) : row.parent
      if ((row === undefined ? this.#table.since(id) : row.since) === GONE) continue
      const size = total[id] ?? 0
      if (row !== undefined || this.#table.size(id) !== size) this.#rows.set(id, { ...this.#row(id), size })
      if (parent !== NOBODY) total[parent] = (total[parent] ?? 0) + size
    }
  }

  /** Takes a directory's files out of the count, and away what is left of its chunks. @param keys those that stay */
  #forgetFiles(id: number, keys: readonly number[]): void {
    let index = 0
    for (const chunk of storedChunks(this.#tables, this.#before.generation, id)) {
      for (let i = 0; i < chunk.count; i++) {
        if (chunk.child(i) !== 0) continue
        this.#files--
        this.#dead++
      }
      if (index >= keys.length) this.#items.push(['chunks', indexKey(this.#before.generation, id, index), undefined])
      index++
    }
  }

  /** @returns the numbers of its chunks */
  #putChunks(id: number, columns: DirectoryColumns): number[] {
    this.#files += columns.children.reduce((sum, child) => sum + (child === 0 ? 1 : 0), 0)
    const chunks = encodeDirectory(columns)
    for (const [index, chunk] of chunks.entries()) this.#items.push(['chunks', indexKey(this.#before.generation, id, index), chunk])
    return [...chunks.keys()]
  }

  #endSegment(): void {
    const { text, columns, signature } = this.#segment.take()
    const number = this.#segments++
    for (const [part, bytes] of [[TEXT, text], [COLUMNS, columns], [SIGNATURE, signature]] as const) this.#items.push(['segments', indexKey(this.#before.generation, number, part), bytes])
  }

  /** @param live numbers of all segments @returns those left */
  #mergeSmall(live: number[]): number[] {
    const { generation } = this.#before
    const stored = live.filter((number) => number < this.#before.segments)
    const small = stored.filter((number) => {
      const signature = this.#tables.segments.get(indexKey(generation, number, SIGNATURE))
      return signature !== undefined && new SegmentSignature(signature).count <= SMALL_SEGMENT_ENTRIES
    })
    if (small.length < MAX_SMALL_SEGMENTS) return live
    const first = this.#segments
    for (const number of small) {
      const text = this.#tables.segments.get(indexKey(generation, number, TEXT))
      const bytes = this.#tables.segments.get(indexKey(generation, number, COLUMNS))
      if (text === undefined || bytes === undefined) continue
      const columns = new SegmentColumns(bytes)
      for (let i = 0; i < columns.count; i++) {
        const id = columns.directory(i)
        const { since } = this.#row(id)
        if (since > number) this.#dead--
        else {
          const name = text.toString('utf8', (i === 0 ? 0 : (columns.ends[i - 1] ?? 0)) + 1, columns.ends[i])
          this.#segment.add(name, columns.size(i), columns.mtime(i), id, columns.position(i))
          if (this.#segment.isFull) this.#endSegment()
        }
      }
      for (const part of [TEXT, COLUMNS, SIGNATURE]) this.#items.push(['segments', indexKey(generation, number, part), undefined])
    }
    if (this.#segment.count > 0) this.#endSegment()
    const gone = new Set(small)
    return [...live.filter((number) => !gone.has(number)), ...Array.from({ length: this.#segments - first }, (_, i) => first + i)]
  }

  #putBlocks(ids: number): void {
    const blocks = new Set([...this.#rows.keys()].map((id) => Math.floor(id / BLOCK_ROWS)))
    const named = new Set([...this.#names.keys()].map((id) => Math.floor(id / BLOCK_ROWS)))
    const nameOf = (id: number) => this.#names.get(id) ?? (id < this.#before.ids ? this.#table.name(id) : '')
    // Ids given to directories that could not be read lie in between.
    for (let id = this.#before.ids; id < ids; id++) {
      blocks.add(Math.floor(id / BLOCK_ROWS))
      named.add(Math.floor(id / BLOCK_ROWS))
    }
    const idsOf = (block: number) => Array.from({ length: Math.min(BLOCK_ROWS, ids - block * BLOCK_ROWS) }, (_, i) => block * BLOCK_ROWS + i)
    for (const block of blocks) this.#items.push(['directories', indexKey(this.#before.generation, block, ROWS), encodeRows(idsOf(block).map((id) => this.#row(id)))])
    for (const block of named) this.#items.push(['directories', indexKey(this.#before.generation, block, NAMES), encodeNames(idsOf(block).map(nameOf))])
  }
}

function bytesOfFiles({ sizes, children }: DirectoryColumns): number {
  return sizes.reduce((sum, size, i) => sum + (children[i] === 0 ? size : 0), 0)
}

/** Parents have smaller ids than what is in them: one pass finds everything below. */
function withAllBelow(table: DirectoryTable, ids: readonly number[]): number[] {
  if (ids.length === 0) return []
  const found = new Set(ids)
  for (let id = Math.min(...ids) + 1; id < table.count; id++) if (table.isLive(id) && found.has(table.parent(id))) found.add(id)
  return [...found]
}
