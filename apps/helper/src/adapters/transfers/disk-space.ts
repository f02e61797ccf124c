import { CodedError } from '@harddrive-party/protocol'
import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { systemCode } from '../system/disk-error.ts'

/** Asks how much room is left on a disk, and says whether a download may start. Writes nothing. */

/** What downloads leave free: 1 % of the disk, but not more than 512 MiB, so that the system itself can still work. */
const RESERVE_SHARE = 0.01
const RESERVE_MAX_BYTES = 512 * 1024 * 1024

export interface DiskSpace {
  readonly freeBytes: number
  readonly totalBytes: number
}

/** @returns null where the system does not say @param directory it or its nearest existing ancestor is asked about */
export async function diskSpace(directory: string): Promise<DiskSpace | null> {
  try {
    const { bsize, bavail, blocks } = await statfs(directory)
    return { freeBytes: bsize * bavail, totalBytes: bsize * blocks }
  } catch (error) {
    const parent = dirname(directory)
    return systemCode(error) === 'ENOENT' && parent !== directory ? diskSpace(parent) : null
  }
}

export function reserveBytes({ totalBytes }: DiskSpace): number {
  return Math.min(totalBytes * RESERVE_SHARE, RESERVE_MAX_BYTES)
}

/**
 * @param neededBytes still to be written, by this download and by those running
 * @throws CodedError `disk-full`
 */
export async function checkDiskSpace(directory: string, neededBytes: number, space = diskSpace): Promise<void> {
  const found = await space(directory)
  if (found === null || found.freeBytes - neededBytes >= reserveBytes(found)) return
  throw new CodedError('disk-full', `${formatMegabytes(neededBytes)} are needed, ${formatMegabytes(found.freeBytes)} are free`)
}

function formatMegabytes(bytes: number): string {
  return `${(Math.max(0, bytes) / 1e6).toFixed(bytes < 10e6 ? 1 : 0)} MB`
}
