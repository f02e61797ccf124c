import { DirectoryChunk } from './share-chunk.ts'
import { type ShareIndexTables, indexKey } from './share-index-tables.ts'

/** What the index has of a directory, chunk by chunk. Decides nothing. */
export function* storedChunks(tables: ShareIndexTables, generation: number, id: number): Generator<DirectoryChunk> {
  for (let index = 0; ; index++) {
    const bytes = tables.chunks.get(indexKey(generation, id, index))
    if (bytes === undefined) return
    yield new DirectoryChunk(bytes)
  }
}
