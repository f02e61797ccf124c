import { CodedError, type SharePath, joinSharePath } from '@harddrive-party/protocol'
import { CHUNK_ENTRIES, DirectoryChunk } from './share-chunk.ts'
import { type Generation, RowReader, type ShareIndexTables, indexKey } from './share-index-tables.ts'

/** Finds one entry in the share index by its path. */
export interface Place {
  readonly size: number
  readonly mtime: number
  /** Undefined for a file. */
  readonly directoryId: number | undefined
}

/** Goes down from the share's root. @param parts none for the root itself */
export function locate(tables: ShareIndexTables, generation: Generation | undefined, parts: readonly string[]): Place | undefined {
  if (generation === undefined) return parts.length === 0 ? { size: 0, mtime: 0, directoryId: 0 } : undefined
  const { generation: number } = generation
  let id = 0
  for (const [depth, part] of parts.entries()) {
    const { index, entry } = findPosition(tables, number, id, Buffer.from(part))
    if (index === -1 || entry === undefined) return undefined
    const child = entry.chunk.child(entry.i)
    if (child === 0) return depth === parts.length - 1 ? { size: entry.chunk.size(entry.i), mtime: entry.chunk.mtime(entry.i), directoryId: undefined } : undefined
    id = child
  }
  const row = new RowReader(tables, number).row(id)
  return row === undefined ? undefined : { size: row.size, mtime: row.mtime, directoryId: id }
}

/**
 * Two binary searches: for the chunk, then in it.
 * @returns `index` of the last entry not after the name, -1 if there is none; `entry` if it has exactly this name
 */
export function findPosition(
  tables: ShareIndexTables, generation: number, directoryId: number, name: Buffer,
): { index: number; entry?: { readonly chunk: DirectoryChunk; readonly i: number } } {
  let chunk = readChunk(tables, generation, directoryId, 0)
  let low = 0
  let high = chunk === undefined ? 0 : Math.max(1, Math.ceil(chunk.total / CHUNK_ENTRIES)) - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    const candidate = readChunk(tables, generation, directoryId, middle)
    if (candidate !== undefined && candidate.lastNotAfter(name) >= 0) {
      low = middle
      chunk = candidate
    } else high = middle - 1
  }
  const i = chunk?.lastNotAfter(name) ?? -1
  if (chunk === undefined || i < 0) return { index: -1 }
  const index = low * CHUNK_ENTRIES + i
  return chunk.name(i) === name.toString() ? { index, entry: { chunk, i } } : { index }
}

export function readChunk(tables: ShareIndexTables, generation: number, directoryId: number, index: number): DirectoryChunk | undefined {
  const bytes = tables.chunks.get(indexKey(generation, directoryId, index))
  return bytes === undefined ? undefined : new DirectoryChunk(bytes)
}

export function pathOf(base: SharePath | undefined, name: string): SharePath {
  const joined = joinSharePath(base, name)
  // The scanner lets nothing else in, so this is a damaged index.
  if (!joined.ok) throw new CodedError('internal', `the index holds a bad name: ${joined.error.message}`)
  return joined.value
}
