import { CodedError } from '@harddrive-party/protocol'
import type { FileJob } from '../../network/network-api.ts'
import { requestHashes } from './bulk-requests.ts'
import type { PartialFile } from './partial-file.ts'
import type { PeerConnection } from '../peers/transport.ts'

/** Compares unfinished data with its source before anything is added to it: a few places, since reading all of it would take longer than fetching. */

export interface KeptDataOptions {
  readonly signal: AbortSignal
  /** Absent = Math.random: what is compared must not be foreseen. */
  readonly random?: () => number
  readonly request?: typeof requestHashes
}

/**
 * @returns false when what is kept is of another content; true also when the peer cannot say
 * @throws CodedError as `requestHashes`; `disk-error`
 */
export async function isStillSame(partial: PartialFile, connection: PeerConnection, { path }: FileJob, options: KeptDataOptions): Promise<boolean> {
  const { random = Math.random, request = requestHashes, signal } = options
  const ranges = partial.fetch.sample(random)
  if (ranges.length === 0) return true
  const asked = request(connection, { path, ranges, expect: partial.version }, { signal })
  // Judged below; the disk may fail first.
  asked.catch(() => {})
  const ours: Uint8Array[] = []
  for (const range of ranges) ours.push(await partial.hash(range))
  try {
    const theirs = await asked
    return ours.every((hash, index) => Buffer.compare(hash, theirs[index] ?? new Uint8Array(0)) === 0)
  } catch (error) {
    if (error instanceof CodedError && error.code === 'unsupported') return true
    throw error
  }
}
