import { CodedError, type ListPage, type ListRequest, MAX_READ_BYTES, type ReadRequest, type SharePath } from '@harddrive-party/protocol'
import { type Stats, constants } from 'node:fs'
import { type FileHandle, lstat, open, realpath } from 'node:fs/promises'
import { dirname, sep } from 'node:path'
import { systemCode } from '../system/disk-error.ts'
import { givePart, isPart, takePart } from '../system/part-memory.ts'
import type { ListOptions, ShareIndexReader, Visibility } from './share-index.ts'

/**
 * Reads ranges of shared files, and only of those: a path is looked up in the index, never on the disk, and what the disk has in its place now is
 * checked before a byte is read. It sends nothing and does not decide whose turn it is.
 */
export interface ShareReader {
  /** @throws CodedError as ShareIndexReader.list */
  list(request: ListRequest, options?: ListOptions): Promise<ListPage>
  /**
   * Reads a whole range before it answers, so that a file that changes meanwhile is noticed before anything is sent.
   * @throws CodedError `not-found` (not in the index, or gone from the disk), `bad-request` (a directory, or a range outside of the file),
   * `not-allowed` (a link is in the way), `unreadable`, `source-changed`, `busy` (too many open files), `aborted`
   */
  readRange(request: Omit<ReadRequest, 'type'>, options: Visibility & { readonly signal: AbortSignal }): Promise<RangeLease>
  /** The buffers in use stay valid until they are released. */
  close(): void
}

export interface RangeLease {
  /** Of the whole file, as it is on the disk now. */
  readonly size: number
  readonly mtime: number
  readonly start: number
  /** Valid until `release`. */
  readonly bytes: Buffer
  /** Gives the memory back. Idempotent. */
  release(): void
}

/** Windows has no such flags; there, the comparison of the real path is what refuses links. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
/** Smaller reads get memory of their own size. */
const POOLED_BYTES = 512 * 1024
/** Buffers kept when a burst is over: enough for a transfer that goes on, little for a helper that rests. */
const IDLE_BUFFERS = 2

/** @param options.index stays the caller's to close */
export function openShareReader(options: { readonly index: ShareIndexReader }): ShareReader {
  const { index } = options
  const pool = new BufferPool()
  return {
    list: (request, listOptions) => index.list(request, listOptions),
    readRange: async (request, { signal, ...visibility }) => {
      const { file, directory } = findFile(index, request.path, visibility)
      const { handle, stats } = await openWithin(file, directory)
      try {
        return await readFrom(handle, stats, request, pool, signal)
      } catch (error) {
        throw toReadError(error)
      } finally {
        await handle.close()
      }
    },
    close: () => pool.clear(),
  }
}

function findFile(index: ShareIndexReader, path: SharePath, visibility: Visibility): { file: string; directory: string } {
  const found = index.find(path, visibility)
  if (found === undefined) throw new CodedError('not-found', 'there is no such file')
  if (found.entry.isDirectory) throw new CodedError('bad-request', 'this is a directory, which cannot be read')
  return { file: found.file, directory: found.root.directory }
}

/**
 * Opens a regular file that lies in the shared directory without any link on the way.
 * Node cannot open relative to a directory handle, so somebody who may rename directories on this machine can win a race between the checks; they
 * run before and after opening, and compare the file itself, so winning takes two swaps at the right moments.
 */
async function openWithin(file: string, directory: string): Promise<{ handle: FileHandle; stats: Stats }> {
  let handle: FileHandle | undefined
  try {
    const before = await realParent(file, directory)
    // Without O_NONBLOCK, opening a pipe that was put in the file's place would wait for a writer.
    handle = await open(file, OPEN_FLAGS)
    const opened = await handle.stat()
    if (!opened.isFile()) throw new CodedError('not-found', 'this is not a file any more')
    const named = await lstat(file)
    const same = named.dev === opened.dev && named.ino === opened.ino && !named.isSymbolicLink()
    if (!same || (await realParent(file, directory)) !== before) throw new CodedError('source-changed', 'the file was replaced while it was opened')
    return { handle, stats: opened }
  } catch (error) {
    await handle?.close()
    throw toReadError(error)
  }
}

/** @returns the directory of the file @throws CodedError `not-allowed` when it is not where its name says */
async function realParent(file: string, directory: string): Promise<string> {
  const parent = dirname(file)
  const real = await realpath(parent)
  const below = real === directory || real.startsWith(directory.endsWith(sep) ? directory : directory + sep)
  if (!below || real !== parent) throw new CodedError('not-allowed', 'a link is in the way')
  return real
}

/** @param before the file when it was opened */
async function readFrom(
  handle: FileHandle, before: Stats, { start = 0, end, expect }: Omit<ReadRequest, 'type'>, pool: BufferPool, signal: AbortSignal,
): Promise<RangeLease> {
  const { size, mtimeMs: mtime } = before
  if (expect !== undefined && (expect.size !== size || expect.mtime !== mtime)) throw new CodedError('source-changed', 'the file has changed at its source')
  if (start > size) throw new CodedError('bad-request', `the file has only ${size} bytes`)
  if (end !== undefined && end < start) throw new CodedError('bad-request', 'the range ends before it starts')
  const length = Math.min(end ?? Infinity, start + MAX_READ_BYTES, size) - start
  const { buffer, release } = pool.take(length)
  try {
    const bytes = buffer.subarray(0, length)
    await readFully(handle, bytes, start, signal)
    const after = await handle.stat()
    if (!isSame(before, after)) throw new CodedError('source-changed', 'the file changed while it was read')
    return { size, mtime, start, bytes, release }
  } catch (error) {
    release()
    throw error
  }
}

async function readFully(handle: FileHandle, into: Buffer, start: number, signal: AbortSignal): Promise<void> {
  for (let filled = 0; filled < into.length; ) {
    if (signal.aborted) throw new CodedError('aborted', 'the read is no longer wanted')
    const { bytesRead } = await handle.read(into, filled, into.length - filled, start + filled)
    if (bytesRead === 0) throw new CodedError('source-changed', 'the file became shorter while it was read')
    filled += bytesRead
  }
}

function isSame(before: Stats, after: Stats): boolean {
  return before.size === after.size && before.mtimeMs === after.mtimeMs && before.ctimeMs === after.ctimeMs
}

/** Messages go to the peer: they say nothing about where a file is. */
function toReadError(cause: unknown): CodedError {
  if (cause instanceof CodedError) return cause
  switch (systemCode(cause)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new CodedError('not-found', 'the file is gone', { cause })
    case 'ELOOP':
    case 'EMLINK':
      return new CodedError('not-allowed', 'a link is in the way', { cause })
    case 'EMFILE':
    case 'ENFILE':
      return new CodedError('busy', 'too many files are open', { cause })
    default:
      return new CodedError('unreadable', 'the file cannot be read', { cause })
  }
}

/** Memory of MAX_READ_BYTES each, used again and again: fresh memory of this size costs more than reading it. How many exist, the scheduler bounds. */
class BufferPool {
  readonly #idle: Buffer[] = []
  #inUse = 0

  take(bytes: number): { buffer: Buffer; release: () => void } {
    if (bytes <= POOLED_BYTES) return { buffer: Buffer.allocUnsafeSlow(bytes), release: () => {} }
    const part = takePart()
    const buffer = part === undefined ? (this.#idle.pop() ?? Buffer.allocUnsafeSlow(MAX_READ_BYTES)) : Buffer.from(part.buffer, part.byteOffset, part.length)
    this.#inUse++
    let released = false
    return {
      buffer,
      release: () => {
        if (released) return
        released = true
        this.#inUse--
        if (isPart(buffer)) givePart(buffer)
        else this.#idle.push(buffer)
        if (this.#inUse === 0) this.#idle.length = Math.min(this.#idle.length, IDLE_BUFFERS)
      },
    }
  }

  clear(): void {
    this.#idle.length = 0
  }
}
