import { CodedError, MAX_PAGE_ENTRIES } from '@harddrive-party/protocol'
import type { DownloadPreview } from '@harddrive-party/protocol/control'
import { lstat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { WishRecord } from '../../core/wishes/wish.ts'
import { WishListing, type WishRow } from '../../core/wishes/wish-listing.ts'
import type { NetworkApi } from '../../network/network-api.ts'
import { type diskSpace, reserveBytes } from './disk-space.ts'
import { findFinished } from './partial-file.ts'

/** Counts what a download would fetch: asks the peer for its listing and looks at what is here. Fetches and writes nothing. */

interface Surroundings {
  readonly network: Pick<NetworkApi, 'list'>
  readonly space: typeof diskSpace
  readonly chooseTarget: (isDirectory: boolean) => Promise<string>
  readonly transferId: string | null
  readonly signal: AbortSignal
  /** Milliseconds. */
  readonly now: () => number
}

/** A person waits for it: what was counted by then is told as "at least". */
const MOST_MS = 20_000
/** Files looked at on the disk at once. */
const LOOKS = 16

/** @throws CodedError what `list` throws, `not-found`, `bad-answer`, `disk-error` */
export async function previewDownload(record: WishRecord, { network, space, chooseTarget, transferId, signal, now }: Surroundings): Promise<DownloadPreview> {
  const { peerId, path, downloadDirectory } = record
  const listing = new WishListing(path)
  const end = now() + MOST_MS
  const here = { files: 0, bytes: 0 }
  let [clashes, isComplete] = [0, true]
  let target: string | undefined
  let cursor: string | undefined
  do {
    if (signal.aborted) throw new CodedError('closed', 'the helper is stopping')
    const request = { path, recursive: true, limit: MAX_PAGE_ENTRIES }
    const page = await network.list({ peerId, request: cursor === undefined ? request : { ...request, cursor } })
    const added = listing.add(page)
    if (!added.ok) throw new CodedError('bad-answer', added.error.message)
    target ??= await chooseTarget(listing.isDirectory)
    // Nothing of ours can be where nothing was fetched to.
    if (record.target === target) {
      for (const found of await lookAt(added.value.filter(({ isDirectory }) => !isDirectory), target, record.since)) {
        if (found === 'clash') clashes++
        else if (found !== 'nothing') {
          here.files++
          here.bytes += found.size
        }
      }
    }
    cursor = page.cursor
    if (cursor !== undefined && now() > end) {
      isComplete = false
      break
    }
  } while (cursor !== undefined)
  const { isDirectory, files, bytes, rejected } = listing
  const found = await space(downloadDirectory)
  return {
    isDirectory, files, bytes, here, clashes, rejected, target, isRenamed: basename(target) !== path.slice(path.lastIndexOf('/') + 1),
    freeBytes: found?.freeBytes ?? null, fits: found === null ? null : found.freeBytes - (bytes - here.bytes) >= reserveBytes(found), isComplete, transferId,
  }
}

type Found = 'nothing' | 'clash' | WishRow

async function lookAt(rows: readonly WishRow[], target: string, since: number): Promise<Found[]> {
  const found: Found[] = []
  for (let from = 0; from < rows.length; from += LOOKS) {
    found.push(...(await Promise.all(rows.slice(from, from + LOOKS).map((row) => lookFor(row, target, since)))))
  }
  return found
}

async function lookFor(row: WishRow, target: string, since: number): Promise<Found> {
  const path = row.local === '' ? target : join(target, row.local)
  if ((await findFinished(path, row, since)) !== undefined) return row
  return lstat(path).then(() => 'clash' as const, () => 'nothing' as const)
}
