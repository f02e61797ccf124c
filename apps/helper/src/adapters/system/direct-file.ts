import { constants } from 'node:fs'
import { open, statfs } from 'node:fs/promises'
import { PAGE_BYTES, isPart } from './part-memory.ts'

/**
 * Writes large files past the memory in which the system keeps what it has seen of files: all of a download has to reach the disk soon anyway, and what
 * the person works with stays in that memory. Only where it is known to work well; the first failure is the caller's sign to write as usual.
 */
export interface DirectFile {
  /** How many of these bytes, from the first, it takes as they are. */
  takes(bytes: Uint8Array, position: number): number
  write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>
  close(): Promise<void>
}

/** Smaller ones may stay in memory: somebody is about to look at them. */
const LARGE_BYTES = 64 * 1024 * 1024
/** As `statfs` names them: ext4, XFS, F2FS. Others copy, compress or sum what is written, and want it to pass through the system's memory. */
const FILE_SYSTEMS: ReadonlySet<number> = new Set([0xef53, 0x58465342, 0xf2f52010])
/** Elsewhere than on Linux there is no such flag. */
const DIRECT = (constants as Partial<typeof constants>).O_DIRECT ?? 0

/** @param path an existing file @returns undefined where files of this size are to be written as usual; never rejects */
export async function openDirect(path: string, size: number): Promise<DirectFile | undefined> {
  if (DIRECT === 0 || size < LARGE_BYTES) return undefined
  try {
    const { type } = await statfs(path)
    if (!FILE_SYSTEMS.has(type)) return undefined
    const handle = await open(path, constants.O_WRONLY | constants.O_NOFOLLOW | DIRECT)
    return {
      takes: (bytes, position) => (isPart(bytes) && bytes.byteOffset % PAGE_BYTES === 0 && position % PAGE_BYTES === 0 ? bytes.length - (bytes.length % PAGE_BYTES) : 0),
      write: (bytes, offset, length, position) => handle.write(bytes, offset, length, position),
      close: () => handle.close(),
    }
  } catch {
    return undefined
  }
}
