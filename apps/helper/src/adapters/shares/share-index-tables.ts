import { CodedError } from '@harddrive-party/protocol'
import { decode as decodeCbor, encode as encodeCbor } from 'cbor-x'
import { type Database, type RootDatabase, open as openLmdb } from 'lmdb'
import { CHUNK_VERSION } from './share-chunk.ts'
import { BLOCK_ROWS, type DirectoryRow, DirectoryTable, NameBlock, rowIn } from './share-directories.ts'
import type { ScanResult } from './share-scanner.ts'

/**
 * The tables of the share index, for its one writer and its readers. A generation is one whole scan; later changes are made in it, each in one
 * transaction. Its record is written last, so a scan or a change that was cut off is not visible to anybody.
 */
export interface ShareIndexTables {
  readonly root: RootDatabase
  /** Key: share id. */
  readonly generations: Database<Buffer, string>
  /** What is in directories. Key: generation, directory, chunk. */
  readonly chunks: Database<Buffer, Buffer>
  /** What directories are. Key: generation, block, ROWS or NAMES. */
  readonly directories: Database<Buffer, Buffer>
  /** What is searched. Key: generation, segment, TEXT, COLUMNS or SIGNATURE. */
  readonly segments: Database<Buffer, Buffer>
}

export const ROWS = 0
export const NAMES = 1
export const TEXT = 0
export const COLUMNS = 1
export const SIGNATURE = 2

export interface Generation extends Omit<ScanResult, 'mtime'> {
  /** Its number, in all keys; never used twice. */
  readonly generation: number
  /** Counts the changes made in it. */
  readonly revision: number
  readonly scannedAt: number
  readonly version: number
  /** Directories there ever were in it: ids are below. */
  readonly ids: number
  /** Segments there ever were in it: numbers are below. */
  readonly segments: number
  /** Of the segments still there, in ascending order. */
  readonly live: readonly number[]
  /** Entries in them that no longer count. */
  readonly dead: number
}

export function openShareIndexTables(directory: string): ShareIndexTables {
  try {
    const root = openLmdb({ path: directory, maxDbs: 6, noSubdir: false })
    const binary = { encoding: 'binary', keyEncoding: 'binary' } as const
    return {
      root,
      generations: root.openDB<Buffer, string>({ name: 'generations', encoding: 'binary' }),
      chunks: root.openDB<Buffer, Buffer>({ name: 'chunks', ...binary }),
      directories: root.openDB<Buffer, Buffer>({ name: 'directories', ...binary }),
      segments: root.openDB<Buffer, Buffer>({ name: 'segments', ...binary }),
    }
  } catch (cause) {
    throw new CodedError('disk-error', `cannot open the index in ${directory}`, { cause })
  }
}

/** 12 bytes, so that all of a generation, and of a directory in it, lie together. */
export function indexKey(generation: number, part: number, index: number): Buffer {
  const key = Buffer.allocUnsafe(12)
  key.writeUInt32BE(generation, 0)
  key.writeUInt32BE(part, 4)
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
  const { generation, files, directories, bytes, skipped, scannedAt, revision, ids, segments, dead, live } = value
  const numbers = [generation, files, directories, bytes, skipped, scannedAt, revision, ids, segments, dead]
  return Array.isArray(live) && numbers.every((number) => typeof number === 'number') ? (value as Generation) : undefined
}

export function readGeneration(tables: ShareIndexTables, { shareId }: { readonly shareId: string }): Generation | undefined {
  return decodeGeneration(tables.generations.get(shareId))
}

/** Another one whenever anything has changed. */
export function revisionOf({ generation, revision }: Generation): string {
  return `${generation}.${revision}`
}

/** Rows of single directories, each block read once. For one page of a listing. */
export class RowReader {
  readonly #tables: ShareIndexTables
  readonly #generation: number
  readonly #blocks = new Map<number, Buffer | undefined>()
  readonly #names = new Map<number, NameBlock | undefined>()

  constructor(tables: ShareIndexTables, generation: number) {
    this.#tables = tables
    this.#generation = generation
  }

  row(id: number): DirectoryRow | undefined {
    const number = Math.floor(id / BLOCK_ROWS)
    if (!this.#blocks.has(number)) this.#blocks.set(number, this.#tables.directories.get(indexKey(this.#generation, number, ROWS)))
    const block = this.#blocks.get(number)
    return block === undefined ? undefined : rowIn(block, id)
  }

  name(id: number): string {
    const number = Math.floor(id / BLOCK_ROWS)
    if (!this.#names.has(number)) {
      const bytes = this.#tables.directories.get(indexKey(this.#generation, number, NAMES))
      this.#names.set(number, bytes === undefined ? undefined : new NameBlock(bytes))
    }
    return this.#names.get(number)?.name(id % BLOCK_ROWS) ?? ''
  }
}

export function loadDirectories(tables: ShareIndexTables, { generation, ids }: Pick<Generation, 'generation' | 'ids'>): DirectoryTable {
  const rows: Buffer[] = []
  const names: NameBlock[] = []
  for (let block = 0; block * BLOCK_ROWS < ids; block++) {
    const rowBytes = tables.directories.get(indexKey(generation, block, ROWS))
    const nameBytes = tables.directories.get(indexKey(generation, block, NAMES))
    if (rowBytes === undefined || nameBytes === undefined) throw new CodedError('disk-error', 'the index lost a part of itself')
    rows.push(rowBytes)
    names.push(new NameBlock(nameBytes))
  }
  return new DirectoryTable(rows, names)
}
