import { CodedError, MAX_PAGE_ENTRIES, collisionKey, sharePathBaseName } from '@harddrive-party/protocol'
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { MAX_NAME_NUMBER, numberedName } from '../../core/numbered-name.ts'
import type { Listed } from '../../core/transfers/queue-messages.ts'
import type { LookAgain, WishPage, WishRecord } from '../../core/wishes/wish.ts'
import { WishListing, type WishRow } from '../../core/wishes/wish-listing.ts'
import type { NetworkApi } from '../../network/network-api.ts'
import { systemCode, toDiskError } from '../system/disk-error.ts'
import { makeDirectories, partsBelow } from '../transfers/download-path.ts'
import { compareWish } from './wish-comparison.ts'
import { PAGE_ROWS, type WishStore } from './wish-store.ts'

/** Finds out what a wish is made of, stores it page by page, and chooses where it lands. Fetches no file. */

interface Surroundings {
  readonly network: Pick<NetworkApi, 'list'>
  readonly wishes: WishStore
  /** Targets that other wishes have or had. */
  readonly claimed: () => Iterable<string>
}

/**
 * @param again the wish was listed before: its pages are compared with, and stay until the caller has taken over the new ones
 * @throws CodedError what `list` throws, `bad-answer`, `bad-path`, `disk-error`, `disk-full`, `aborted`
 */
export async function listWish(record: WishRecord, again: LookAgain | null, surroundings: Surroundings, { signal }: { signal: AbortSignal }): Promise<Listed> {
  const { id, path } = record
  const { wishes } = surroundings
  const listing = new WishListing(path)
  const comparison = compareWish(record, again, wishes)
  if (record.pages === 0) await wishes.removePages(id)
  const writer = new PageWriter(record, again, wishes)
  let rows: WishRow[] = []
  for await (const page of pagesOf(record, surroundings.network, signal)) {
    const added = listing.add(page)
    if (!added.ok) throw new CodedError('bad-answer', added.error.message)
    rows.push(...added.value)
    while (rows.length >= PAGE_ROWS) {
      await writer.put(await comparison.page(rows.slice(0, PAGE_ROWS)))
      rows = rows.slice(PAGE_ROWS)
    }
  }
  if (rows.length > 0) await writer.put(await comparison.page(rows))
  const { base, pages } = await writer.finish()
  const { isDirectory, files, bytes, renamed, rejected } = listing
  const target = await chooseTarget(record, isDirectory, surroundings)
  if (signal.aborted) throw new CodedError('aborted', 'stopped')
  return { isDirectory, target, base, pages, files, bytes, renamed, rejected, ...comparison.counts }
}

/** Everything below the wish's path, as the peer lists it. */
async function* pagesOf({ peerId, path }: WishRecord, network: Pick<NetworkApi, 'list'>, signal: AbortSignal): AsyncGenerator<Awaited<ReturnType<NetworkApi['list']>>> {
  let cursor: string | undefined
  do {
    const request = { path, recursive: true, limit: MAX_PAGE_ENTRIES }
    const page = await unlessAborted(network.list({ peerId, request: cursor === undefined ? request : { ...request, cursor } }), signal)
    yield page
    cursor = page.cursor
  } while (cursor !== undefined)
}

/** New pages get the numbers after the old ones, which stay as they are. As long as nothing differs nothing is written. */
class PageWriter {
  readonly #record: WishRecord
  readonly #wishes: WishStore
  #count = 0
  #differs: boolean

  constructor(record: WishRecord, again: LookAgain | null, wishes: WishStore) {
    this.#record = record
    this.#wishes = wishes
    this.#differs = again === null
  }

  async put(page: WishPage): Promise<void> {
    const { id, base, pages } = this.#record
    const number = this.#count++
    if (!this.#differs) {
      const old = base + number < pages ? this.#wishes.page(id, base + number) : undefined
      if (old !== undefined && isDeepStrictEqual(old, page)) return
      await this.#begin(number)
    }
    await this.#write(pages + number, page)
  }

  async finish(): Promise<{ base: number; pages: number }> {
    const { base, pages } = this.#record
    if (!this.#differs && base + this.#count === pages) return { base, pages }
    if (!this.#differs) await this.#begin(this.#count)
    return { base: pages, pages: pages + this.#count }
  }

  /** From here on it differs; what was the same so far belongs to the new pages too. */
  async #begin(same: number): Promise<void> {
    const { id, base, pages } = this.#record
    this.#differs = true
    for (let number = 0; number < same; number++) {
      const old = this.#wishes.page(id, base + number)
      if (old !== undefined) await this.#write(pages + number, old)
    }
  }

  async #write(number: number, page: WishPage): Promise<void> {
    const { id } = this.#record
    // States too: a listing that was given up may have left some.
    await Promise.all([this.#wishes.putRows(id, number, page.rows), this.#wishes.putStates(id, number, page)])
  }
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
  const { downloadDirectory } = record
  const target = await chooseTargetOf(record, isDirectory, claimed)
  if (target !== record.target) {
    // Kept before the directory is made: after a crash in between we know it as ours.
    record.target = target
    await wishes.putRecord(record)
  }
  if (isDirectory) await makeDirectories(downloadDirectory, partsBelow(downloadDirectory, target))
  return target
}

/** @returns where a wish would land now, absolute @throws CodedError `conflict`, `bad-path`, `disk-error` */
export async function chooseTargetOf({ downloadDirectory, folder, path, target }: WishRecord, isDirectory: boolean, claimed: Surroundings['claimed']): Promise<string> {
  if (target !== null && (await stillServes(target, isDirectory))) return target
  const taken = new Set(Array.from(claimed(), collisionKey))
  const name = sharePathBaseName(path)
  for (let number = 1; number <= MAX_NAME_NUMBER; number++) {
    const candidate = join(downloadDirectory, folder ?? '', numberedName(name, number, isDirectory))
    partsBelow(downloadDirectory, candidate)
    if (!taken.has(collisionKey(candidate)) && (await kindOf(candidate)) === 'nothing') return candidate
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
