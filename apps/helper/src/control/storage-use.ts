/** Adds up what lies in this program's folders. Reads names and sizes, follows no link, changes nothing. */
import type { Dirent } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { StorageInfo } from '@harddrive-party/protocol/control'
import { systemCode } from '../adapters/system/disk-error.ts'
import { PARTIAL_DIRECTORY } from '../adapters/transfers/download-path.ts'

export interface StorageFolders {
  readonly downloads: () => string
  readonly index: string
  readonly thumbnails: string
  readonly staging: string
}

/** Looked at in one go: some seconds on a slow disk. */
const MAX_ENTRIES = 200_000

export interface StorageUse {
  /** Whoever asks while it is being looked at gets the same answer. */
  look(freeBytes: number | null): Promise<StorageInfo>
}

/** @param maxEntries of one folder and all below it */
export function createStorageUse(folders: StorageFolders, maxEntries = MAX_ENTRIES): StorageUse {
  let running: Promise<Omit<StorageInfo, 'freeBytes'>> | undefined

  async function addUp(): Promise<Omit<StorageInfo, 'freeBytes'>> {
    const downloads = folders.downloads()
    const [all, unfinished, index, thumbnails, staging] = await Promise.all([
      sizeOf(downloads, maxEntries, PARTIAL_DIRECTORY), sizeOf(join(downloads, PARTIAL_DIRECTORY), maxEntries), sizeOf(folders.index, maxEntries),
      sizeOf(folders.thumbnails, maxEntries), sizeOf(folders.staging, maxEntries),
    ])
    return {
      downloads: { bytes: all.bytes, files: all.files }, unfinishedBytes: unfinished.bytes, indexBytes: index.bytes, thumbnailBytes: thumbnails.bytes, stagedBytes: staging.bytes,
      isComplete: [all, unfinished, index, thumbnails, staging].every(({ isComplete }) => isComplete),
    }
  }

  return {
    look: async (freeBytes) => {
      running ??= addUp().finally(() => {
        running = undefined
      })
      return { freeBytes, ...(await running) }
    },
  }
}

interface Size {
  bytes: number
  files: number
  isComplete: boolean
}

/** @param without a name directly in the folder that does not count; what is not there, or may not be read, counts nothing */
async function sizeOf(folder: string, maxEntries: number, without?: string): Promise<Size> {
  const size: Size = { bytes: 0, files: 0, isComplete: true }
  const folders = [folder]
  let seen = 0
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    for await (const entry of entriesOf(next)) {
      if (next === folder && entry.name === without) continue
      if (++seen > maxEntries) return { ...size, isComplete: false }
      const path = join(next, entry.name)
      if (entry.isDirectory()) folders.push(path)
      else if (entry.isFile()) {
        size.files++
        size.bytes += await bytesOnDisk(path)
      }
    }
  }
  return size
}

async function* entriesOf(folder: string): AsyncGenerator<Dirent> {
  try {
    yield* await opendir(folder)
  } catch (error) {
    if (systemCode(error) === undefined) throw error
  }
}

/** A database and an unfinished file may have room in them that the disk has not given yet. */
async function bytesOnDisk(path: string): Promise<number> {
  try {
    const { size, blocks } = await lstat(path)
    // Windows tells no blocks.
    return blocks === 0 || blocks === undefined ? size : Math.min(size, blocks * 512)
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return 0
  }
}
