import { CodedError, MAX_PAGE_ENTRIES, collisionKey, sharePathBaseName } from '@harddrive-party/protocol'
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { MAX_NAME_NUMBER, numberedName } from '../core/numbered-name.ts'
import type { WishRecord } from '../core/wish.ts'
import { WishListing, type WishRow } from '../core/wish-listing.ts'
import type { NetworkApi } from '../network/network-api.ts'
import { systemCode, toDiskError } from './disk-error.ts'
import { makeDirectories, partsBelow } from './download-path.ts'
import { PAGE_ROWS, type WishStore } from './wish-store.ts'

/** Finds out what a wish is made of, stores it page by page, and chooses where it lands. Fetches no file. */

export interface ListedWish {
  readonly isDirectory: boolean
  readonly target: string
  readonly pages: number
  readonly files: number
  readonly bytes: number
  readonly renamed: number
  readonly rejected: number
}

interface Surroundings {
  readonly network: Pick<NetworkApi, 'list'>
  readonly wishes: WishStore
  /** Targets that other wishes have or had. */
  readonly claimed: () => Iterable<string>
}

/** @throws CodedError what `list` throws, `bad-answer`, `bad-path`, `disk-error`, `disk-full`, `aborted` */
export async function listWish(record: WishRecord, { network, wishes, claimed }: Surroundings, { signal }: { signal: AbortSignal }): Promise<ListedWish> {
  const { id, peerId, path } = record
  const listing = new WishListing(path)
  await wishes.removePages(id)
  let rows: WishRow[] = []
  let pages = 0
  let cursor: string | undefined
  do {
    const request = { path, recursive: true, limit: MAX_PAGE_ENTRIES }
    const page = await unlessAborted(network.list({ peerId, request: cursor === undefined ? request : { ...request, cursor } }), signal)
    const added = listing.add(page)
    if (!added.ok) throw new CodedError('bad-answer', added.error.message)
    rows.push(...added.value)
    while (rows.length >= PAGE_ROWS) {
      await wishes.putRows(id, pages++, rows.slice(0, PAGE_ROWS))
      rows = rows.slice(PAGE_ROWS)
    }
    cursor = page.cursor
  } while (cursor !== undefined)
  if (rows.length > 0) await wishes.putRows(id, pages++, rows)
  const { isDirectory, files, bytes, renamed, rejected } = listing
  const target = await chooseTarget(record, isDirectory, { wishes, claimed })
  if (signal.aborted) throw new CodedError('aborted', 'stopped')
  return { isDirectory, target, pages, files, bytes, renamed, rejected }
}

/** The other process may take its time to answer; whoever gave up does not wait for that. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let giveUp: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    giveUp = () => reject(new CodedError('aborted', 'stopped'))
    signal.addEventListener('abort', giveUp)
  })
  if (signal.aborted) giveUp?.()
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (giveUp !== undefined) signal.removeEventListener('abort', giveUp)
  }
}

async function chooseTarget(record: WishRecord, isDirectory: boolean, { wishes, claimed }: Pick<Surroundings, 'wishes' | 'claimed'>): Promise<string> {
  const { downloadDirectory, path } = record
  if (record.target !== null && (await stillServes(record.target, isDirectory))) {
    if (isDirectory) await makeDirectories(downloadDirectory, partsBelow(downloadDirectory, record.target))
    return record.target
  }
  const taken = new Set(Array.from(claimed(), collisionKey))
  const name = sharePathBaseName(path)
  for (let number = 1; number <= MAX_NAME_NUMBER; number++) {
    const candidate = join(downloadDirectory, numberedName(name, number, isDirectory))
    const parts = partsBelow(downloadDirectory, candidate)
    if (taken.has(collisionKey(candidate)) || (await kindOf(candidate)) !== 'nothing') continue
    // Kept before the directory is made: after a crash in between we know it as ours.
    record.target = candidate
    await wishes.putRecord(record)
    if (isDirectory) await makeDirectories(downloadDirectory, parts)
    return candidate
  }
  throw new CodedError('conflict', `too many files are named like ${name}`)
}

/** A file may be there: it is either this very one or gets a numbered neighbour. A directory that went away is made again. */
async function stillServes(target: string, isDirectory: boolean): Promise<boolean> {
  const kind = await kindOf(target)
  return kind === 'nothing' || (kind === 'directory') === isDirectory
}

async function kindOf(path: string): Promise<'nothing' | 'directory' | 'other'> {
  try {
    return (await lstat(path)).isDirectory() ? 'directory' : 'other'
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 'nothing'
    throw toDiskError(error, path)
  }
}
