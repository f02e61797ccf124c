import { CodedError } from '@harddrive-party/protocol'
import { constants } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type Disk, type DiskFile, systemDisk } from '../system/disk.ts'
import { systemCode, toDiskError } from '../system/disk-error.ts'
import { PARTIAL_DIRECTORY, isInPlace, makeDirectories, partsBelow } from './download-path.ts'
import { type PartialOwner, type SourceVersion, linkNumbered, partialPaths } from './partial-file.ts'

/**
 * Puts many whole small files into place as safely as one large one: each is on the disk before it gets its name, and keeps its unfinished name until the
 * new one is on the disk too; but directories are looked at and synced once for all.
 */

export interface SmallFile {
  readonly owner: PartialOwner
  /** Absolute, below the download directory. */
  readonly target: string
}

/**
 * Writes a whole file under its unfinished name, safely on the disk.
 * @throws CodedError `disk-full`, `disk-error`, `bad-path`
 */
export async function storeSmall(owner: PartialOwner, { mtime }: SourceVersion, bytes: Uint8Array, disk = systemDisk): Promise<void> {
  const { data } = partialPaths(owner)
  try {
    const file = await openFresh(owner, data, disk)
    try {
      await writeAll(file, bytes, data)
      await file.utimes(mtime / 1000, mtime / 1000)
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (error) {
    throw toDiskError(error, data)
  }
}

const FRESH = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0)
const OPEN_TRIES = 5

async function openFresh({ downloadDirectory }: PartialOwner, data: string, disk: Disk): Promise<DiskFile> {
  for (let tries = 1; ; tries++) {
    try {
      return await disk.open(data, FRESH, 0o666)
    } catch (error) {
      const code = systemCode(error)
      if (tries === OPEN_TRIES || (code !== 'EEXIST' && code !== 'ENOENT')) throw error
      // Left over from a time before a crash, or in a folder that is not there yet.
      if (code === 'EEXIST') await disk.rm(data, { force: true })
      else {
        await makeDirectories(downloadDirectory, [PARTIAL_DIRECTORY], 0o700, disk)
        await makeDirectories(downloadDirectory, [PARTIAL_DIRECTORY, basename(dirname(data))], 0o700, disk)
      }
    }
  }
}

async function writeAll(file: DiskFile, bytes: Uint8Array, where: string): Promise<void> {
  for (let from = 0; from < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, from, bytes.length - from, from)
    if (bytesWritten === 0) throw new CodedError('disk-full', `nothing more can be written to ${where}`)
    from += bytesWritten
  }
}

/**
 * Gives stored files their final names; nothing is ever overwritten: a clash gets a numbered name.
 * @returns for each the path it got, or why it got none, in order
 */
export async function placeSmall(files: readonly SmallFile[], disk = systemDisk): Promise<(string | CodedError)[]> {
  const directories = new Map<string, Promise<CodedError | undefined>>()
  const prepared = (downloadDirectory: string, directory: string, parts: readonly string[]) => {
    const found = directories.get(directory) ?? prepare(downloadDirectory, directory, parts, disk)
    directories.set(directory, found)
    return found
  }
  const placed = await Promise.all(files.map(async ({ owner, target }): Promise<string | CodedError> => {
    try {
      const parts = partsBelow(owner.downloadDirectory, target)
      const trouble = await prepared(owner.downloadDirectory, dirname(target), parts.slice(0, -1))
      return trouble ?? (await linkNumbered(partialPaths(owner).data, dirname(target), basename(target), disk))
    } catch (error) {
      return toDiskError(error, target)
    }
  }))
  await Promise.all(Array.from(directories.keys(), (directory) => disk.syncDirectory(directory)))
  // Also what got no name: it is small, and soon fetched again. A leftover is in nobody's way: the next file of that name replaces it.
  await Promise.allSettled(files.map(({ owner }) => disk.rm(partialPaths(owner).data, { force: true })))
  return placed
}

async function prepare(downloadDirectory: string, directory: string, parts: readonly string[], disk: Disk): Promise<CodedError | undefined> {
  try {
    await makeDirectories(downloadDirectory, parts, undefined, disk)
    if (await isInPlace(downloadDirectory, directory, disk)) return undefined
    return new CodedError('bad-path', `a link was put on the way to ${directory}`)
  } catch (error) {
    return toDiskError(error, directory)
  }
}
