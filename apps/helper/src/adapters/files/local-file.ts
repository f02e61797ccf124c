/** Opens a downloaded file for reading, and nothing else: no links on the way, no directory, no device, nothing outside the directory named. */
import { constants, open, realpath } from 'node:fs/promises'
import { isAbsolute, join, relative, sep } from 'node:path'

export interface LocalFile {
  readonly size: number
  /** Bytes [start, end) or fewer where the file ends. */
  read(start: number, end: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** Whether the path names something below the directory, by its text. Both absolute. */
export function isBelow(directory: string, path: string): boolean {
  if (!isAbsolute(path)) return false
  const way = relative(directory, path)
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)
}

/** @returns undefined when there is no such regular file, or a link is on the way to it */
export async function openLocalFile(path: string, directory: string): Promise<LocalFile | undefined> {
  if (!isBelow(directory, path)) return undefined
  try {
    // The directory itself may be reached through links (that is the person's choice); nothing below it may.
    const root = await realpath(directory)
    const plain = join(root, relative(directory, path))
    // Without O_NONBLOCK, opening a pipe would wait for its writer. Windows has neither flag, and no pipes in directories.
    const handle = await open(plain, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
    const stats = await handle.stat()
    // The open refused a link at the end; this refuses one on the way.
    if (!stats.isFile() || (await realpath(plain)) !== plain) {
      await handle.close()
      return undefined
    }
    return {
      size: stats.size,
      read: async (start, end) => {
        const { bytesRead, buffer } = await handle.read({ buffer: Buffer.allocUnsafe(end - start), position: start })
        return buffer.subarray(0, bytesRead)
      },
      close: () => handle.close(),
    }
  } catch {
    return undefined
  }
}
