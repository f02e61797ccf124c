import { CodedError } from '@harddrive-party/protocol'
import { CHUNK_VERSION } from './share-chunk.ts'
import { type Generation, chunkKey, decodeGeneration, encodeGeneration, openShareIndexTables } from './share-index-tables.ts'
import type { ScanResult } from './share-scanner.ts'

/**
 * The only writer of the share index. Synchronous within a scan; meant for the scan worker.
 * A new generation is written beside the old one and takes its place in one transaction; whatever nothing points to is swept away.
 * A scan that finds nothing new writes nothing but its time, and keeps the old generation and with it everybody's cursors.
 */
export interface ShareIndexWriter {
  begin(shareId: string): GenerationWriter
  /** The share's last finished scan. */
  current(shareId: string): Generation | undefined
  /** Forgets shares that are not in the list, and all chunks that no generation owns. */
  sweep(shareIds: readonly string[]): void
  close(): Promise<void>
}

export interface GenerationWriter {
  put(directoryId: number, index: number, chunk: Buffer): void
  /** Makes this the share's index, durably. @returns the valid generation: the old one, with the new time, when the scan found nothing new */
  commit(result: ScanResult, scannedAt: number): Generation
}

/** One transaction writes about this much: large enough that the flush to disk hardly counts, small enough to hold in memory. */
const BATCH_BYTES = 8 * 1024 * 1024
/** Removing in slices keeps transactions short; others may want to read. */
const SWEEP_KEYS = 2_000

/** @throws CodedError `disk-error` */
export function openShareIndexWriter(directory: string): ShareIndexWriter {
  const { root, generations, chunks } = openShareIndexTables(directory)
  let closing: Promise<void> | undefined
  const current = (shareId: string) => decodeGeneration(generations.get(shareId))

  /** Above every number in use, also of scans that were cut off. */
  const nextGeneration = () => {
    let highest = 0
    for (const key of chunks.getKeys({ reverse: true, limit: 1 })) highest = key.readUInt32BE(0)
    for (const { value } of generations.getRange()) highest = Math.max(highest, decodeGeneration(value)?.generation ?? 0)
    return highest + 1
  }

  /** @param keep generations in use */
  const dropOthers = (keep: ReadonlySet<number>) => {
    for (let generation = 0; ; generation++) {
      const [first] = chunks.getKeys({ start: chunkKey(generation, 0, 0), limit: 1 })
      if (first === undefined) return
      generation = first.readUInt32BE(0)
      if (keep.has(generation)) continue
      const range = { start: chunkKey(generation, 0, 0), end: chunkKey(generation + 1, 0, 0), limit: SWEEP_KEYS }
      for (let keys = [...chunks.getKeys(range)]; keys.length > 0; keys = [...chunks.getKeys(range)]) {
        const slice = keys
        root.transactionSync(() => {
          for (const key of slice) chunks.removeSync(key)
        })
      }
    }
  }

  const begin = (shareId: string): GenerationWriter => {
    const generation = nextGeneration()
    const old = current(shareId)
    /** While nothing differs from the old generation: what was compared so far, directory ids and chunk numbers by turns. Nothing is written yet. */
    let same: number[] | undefined = old === undefined ? undefined : []
    let batch: { key: Buffer; chunk: Buffer }[] = []
    let batchBytes = 0
    const flush = (after?: () => void) => {
      const items = batch
      batch = []
      batchBytes = 0
      root.transactionSync(() => {
        for (const { key, chunk } of items) chunks.putSync(key, chunk)
        after?.()
      })
    }
    const write = (directoryId: number, index: number, chunk: Buffer) => {
      batch.push({ key: chunkKey(generation, directoryId, index), chunk })
      batchBytes += chunk.length
      if (batchBytes >= BATCH_BYTES) flush()
    }
    const oldChunk = (directoryId: number, index: number) => (old === undefined ? undefined : chunks.get(chunkKey(old.generation, directoryId, index)))
    return {
      put: (directoryId, index, chunk) => {
        if (same !== undefined) {
          if (oldChunk(directoryId, index)?.equals(chunk) === true) {
            same.push(directoryId, index)
            return
          }
          const compared = same
          same = undefined
          for (let i = 0; i < compared.length; i += 2) {
            const [id = 0, at = 0] = compared.slice(i, i + 2)
            const copy = oldChunk(id, at)
            if (copy === undefined) throw new CodedError('disk-error', 'the index lost a part of itself')
            write(id, at, copy)
          }
        }
        write(directoryId, index, chunk)
      },
      commit: (result, scannedAt) => {
        // The root's chunks name everything else by number, so if all chunks are the old ones there are no others.
        const unchanged = same !== undefined && old !== undefined
        const valid: Generation = { ...result, generation: unchanged ? old.generation : generation, scannedAt, version: CHUNK_VERSION }
        flush(() => generations.putSync(shareId, encodeGeneration(valid)))
        return valid
      },
    }
  }

  return {
    begin,
    current,
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
      dropOthers(keep)
    },
    close: () => (closing ??= root.flushed.then(() => root.close())),
  }
}
