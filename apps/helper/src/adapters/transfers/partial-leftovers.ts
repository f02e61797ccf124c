import type { PeerId, SharePath } from '@harddrive-party/protocol'
import { readFile, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { WishRecord } from '../../core/wishes/wish.ts'
import { isWithin } from '../../core/wishes/wish-choices.ts'
import { decodeRecord, partialPaths } from './partial-file.ts'

/**
 * Removes unfinished data below what was wished for that nothing in the queue can go on with: of files that vanished from their source no list of files
 * speaks any more. It looks only at what records of ours claim.
 */
export interface Leftovers {
  /** Done, cancelled, or removed from the queue. */
  readonly ended: WishRecord
  /** All of the queue now. */
  records(): Iterable<WishRecord>
  drop(path: SharePath): Promise<void>
  readonly signal: AbortSignal
}

/** @throws what `drop` throws */
export async function removeLeftovers({ ended, records, drop, signal }: Leftovers): Promise<void> {
  for await (const path of recordedPaths(ended.downloadDirectory, ended.peerId)) {
    if (signal.aborted) return
    // Looked up each time: whoever wants it meanwhile keeps it.
    const isWanted = [...records()].some((record) => mayGoOn(record) && record.peerId === ended.peerId && isWithin(path, record.path))
    if (isWithin(path, ended.path) && !isWanted) await drop(path)
  }
}

/** What failed can be tried again. */
function mayGoOn({ phase }: WishRecord): boolean {
  return phase !== 'done' && phase !== 'cancelled'
}

async function* recordedPaths(downloadDirectory: string, peerId: PeerId): AsyncGenerator<SharePath> {
  const directory = dirname(partialPaths({ downloadDirectory, peerId, path: '' as SharePath }).data)
  const names = await readdir(directory).catch(() => [])
  for (const name of names) {
    if (!/^[0-9a-f]{64}\.done$/.test(name)) continue
    const stored = await readFile(join(directory, name)).catch(() => undefined)
    const found = stored === undefined ? undefined : decodeRecord(stored)
    if (found === undefined || found.peer !== peerId) continue
    const path = found.path as SharePath
    // Under another name it is nothing that we wrote.
    if (partialPaths({ downloadDirectory, peerId, path }).record === join(directory, name)) yield path
  }
}
