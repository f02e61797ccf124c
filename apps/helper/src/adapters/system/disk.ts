import { type FileHandle, link, lstat, mkdir, open, readFile, realpath, rename, rm, rmdir, unlink } from 'node:fs/promises'
import { type DirectFile, openDirect } from './direct-file.ts'

/** What downloads need of a file system: the real one, or in tests one that loses power. Decides nothing. */

export type DiskFile = Pick<FileHandle, 'close' | 'datasync' | 'sync' | 'utimes' | 'writeFile'> & {
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>
  stat(): Promise<{ readonly size: number; readonly nlink: number; isFile(): boolean }>
  write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>
}

export interface FoundFile {
  readonly size: number
  readonly mtimeMs: number
  readonly ctimeMs: number
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
}

export interface Disk {
  /** @param flags of `node:fs` constants */
  open(path: string, flags: number, mode?: number): Promise<DiskFile>
  /** For writing a file of this size past the system's memory; undefined = there is no such way, or it is of no use. Never rejects. */
  openDirect(path: string, size: number): Promise<DirectFile | undefined>
  link(existing: string, path: string): Promise<void>
  lstat(path: string): Promise<FoundFile>
  /** @returns with `recursive` the first directory made, if any */
  mkdir(path: string, options: { readonly mode?: number; readonly recursive?: boolean }): Promise<string | undefined | void>
  readFile(path: string): Promise<Uint8Array>
  realpath(path: string): Promise<string>
  rename(from: string, to: string): Promise<void>
  rm(path: string, options: { readonly force: boolean }): Promise<void>
  rmdir(path: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Makes names in a directory survive a power cut. Never rejects. */
  syncDirectory(path: string): Promise<void>
}

interface DirectorySync {
  readonly running: Promise<void>
  next: Promise<void> | undefined
}

const syncs = new Map<string, DirectorySync>()

/** Many calls for one directory share one trip to the disk. */
function syncDirectory(directory: string): Promise<void> {
  const found = syncs.get(directory)
  // One that began before our change may have missed it; the next one, which has not begun, serves everybody who waits.
  if (found !== undefined) return (found.next ??= found.running.then(() => startSync(directory)))
  return startSync(directory)
}

function startSync(directory: string): Promise<void> {
  const running = syncOnce(directory).finally(() => {
    if (syncs.get(directory) === entry && entry.next === undefined) syncs.delete(directory)
  })
  const entry: DirectorySync = { running, next: undefined }
  syncs.set(directory, entry)
  return running
}

/** Windows cannot do it and some network file systems refuse; the data itself was synced before. */
async function syncOnce(directory: string): Promise<void> {
  if (process.platform === 'win32') return
  try {
    const handle = await open(directory, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch {
    // No worse than a file system that does not promise it.
  }
}

export const systemDisk: Disk = { open, openDirect, link, lstat, mkdir, readFile, realpath, rename, rm, rmdir, unlink, syncDirectory }
