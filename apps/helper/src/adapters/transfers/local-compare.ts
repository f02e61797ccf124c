import { CodedError, type HashRange, MAX_HASHED_BYTES, MAX_HASH_RANGES, MAX_READ_BYTES } from '@harddrive-party/protocol'
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { CompareFile } from '../../network/network-api.ts'
import { requestHashes } from './bulk-requests.ts'
import { systemCode } from '../system/disk-error.ts'
import type { PeerConnection } from '../peers/transport.ts'

/** Compares a part of a local file with the same part at a peer, by hashes. Changes nothing and keeps nothing. */

/** What one call compares: one request. */
export const COMPARED_BYTES = MAX_HASHED_BYTES
const READ_BYTES = 512 * 1024

/**
 * @returns where the first range with another content begins, null when all is the same
 * @throws CodedError as `requestHashes`; `unreadable`, `not-found` of the local file; `wrong-length` when it ends early
 */
export async function compareWithPeer(
  { path, size, mtime, file, start, end }: CompareFile, connection: PeerConnection, options: { readonly signal: AbortSignal; readonly request?: typeof requestHashes },
): Promise<number | null> {
  const { request = requestHashes, signal } = options
  const ranges = rangesOf(start, end)
  if (ranges.length === 0) return null
  const asked = request(connection, { path, ranges, expect: { size, mtime } }, { signal })
  asked.catch(() => {})
  const ours = await hashLocal(file, ranges, signal)
  const theirs = await asked
  const index = ours.findIndex((hash, number) => Buffer.compare(hash, theirs[number] ?? new Uint8Array(0)) !== 0)
  return ranges[index]?.start ?? null
}

/** @throws RangeError for more than one request holds */
function rangesOf(start: number, end: number): HashRange[] {
  if (end - start > COMPARED_BYTES) throw new RangeError('more than one request holds')
  const ranges: HashRange[] = []
  for (let at = start; at < end && ranges.length < MAX_HASH_RANGES; at += MAX_READ_BYTES) ranges.push({ start: at, end: Math.min(end, at + MAX_READ_BYTES) })
  return ranges
}

async function hashLocal(file: string, ranges: readonly HashRange[], signal: AbortSignal): Promise<Uint8Array[]> {
  let handle: FileHandle | undefined
  try {
    // Without O_NONBLOCK, opening a pipe that was put in its place would wait for a writer.
    handle = await open(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
    if (!(await handle.stat()).isFile()) throw new CodedError('not-found', 'it is not a file')
    const hashes: Uint8Array[] = []
    for (const range of ranges) hashes.push(await hashRange(handle, range, signal))
    return hashes
  } catch (error) {
    if (error instanceof CodedError) throw error
    const code = systemCode(error)
    throw new CodedError(code === 'ENOENT' ? 'not-found' : 'unreadable', `it cannot be read${code === undefined ? '' : ` (${code})`}`, { cause: error })
  } finally {
    await handle?.close()
  }
}

async function hashRange(handle: FileHandle, { start, end }: HashRange, signal: AbortSignal): Promise<Uint8Array> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, end - start))
  for (let at = start; at < end; ) {
    if (signal.aborted) throw new CodedError('aborted', 'stopped')
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, end - at), at)
    if (bytesRead === 0) throw new CodedError('wrong-length', 'it became shorter')
    hash.update(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
  return hash.digest()
}
