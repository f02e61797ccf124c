import { CodedError } from '@harddrive-party/protocol'
import { decode as decodeCbor, encode as encodeCbor } from 'cbor-x'
import { type Database, type RootDatabase, open as openLmdb } from 'lmdb'
import type { ScanResult } from './share-scanner.ts'
import { CHUNK_VERSION } from './share-chunk.ts'

/**
 * The two tables of the share index, for its one writer and its readers: which generation of each share is valid, and the chunks of all generations.
 * A generation is one finished scan. Its record is written last, so a scan that was cut off is not visible to anybody.
 */
export interface ShareIndexTables {
  readonly root: RootDatabase
  /** Key: share id. */
  readonly generations: Database<Buffer, string>
  /** Key: `chunkKey`. */
  readonly chunks: Database<Buffer, Buffer>
}

export interface Generation extends ScanResult {
  /** Its number, in the keys of its chunks; never used twice. */
  readonly generation: number
  readonly scannedAt: number
  readonly version: number
}

export function openShareIndexTables(directory: string): ShareIndexTables {
  try {
    const root = openLmdb({ path: directory, maxDbs: 4, noSubdir: false })
    return {
      root,
      generations: root.openDB<Buffer, string>({ name: 'generations', encoding: 'binary' }),
      chunks: root.openDB<Buffer, Buffer>({ name: 'chunks', encoding: 'binary', keyEncoding: 'binary' }),
    }
  } catch (cause) {
    throw new CodedError('disk-error', `cannot open the index in ${directory}`, { cause })
  }
}

/** 12 bytes, so that all chunks of a generation, and of a directory in it, lie together. */
export function chunkKey(generation: number, directoryId: number, index: number): Buffer {
  const key = Buffer.allocUnsafe(12)
  key.writeUInt32BE(generation, 0)
  key.writeUInt32BE(directoryId, 4)
  key.writeUInt32BE(index, 8)
  return key
}

export function encodeGeneration(generation: Generation): Buffer {
  return encodeCbor(generation)
}

/** @returns undefined for what another version wrote */
export function decodeGeneration(stored: Buffer | undefined): Generation | undefined {
  if (stored === undefined) return undefined
  const value = decodeCbor(stored) as Partial<Generation>
  if (value.version !== CHUNK_VERSION) return undefined
  const { generation, files, directories, bytes, skipped, mtime, scannedAt } = value
  return [generation, files, directories, bytes, skipped, mtime, scannedAt].every((number) => typeof number === 'number') ? (value as Generation) : undefined
}
