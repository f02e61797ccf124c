import type { HashRange, PeerId, SharePath } from '@harddrive-party/protocol'
import { CodedError } from '@harddrive-party/protocol'
import { decode as decodeCbor, encode as encodeCbor } from 'cbor-x'
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { FileFetch, bitmapLength, rangeCount } from '../../core/transfers/file-fetch.ts'
import { MAX_NAME_NUMBER, numberedName } from '../../core/numbered-name.ts'
import { type Disk, type DiskFile, systemDisk } from '../system/disk.ts'
import type { DirectFile } from '../system/direct-file.ts'
import { systemCode, toDiskError } from '../system/disk-error.ts'
import { PARTIAL_DIRECTORY, isInPlace, makeDirectories, partsBelow } from './download-path.ts'

/**
 * Keeps the unfinished data of one file of one peer, with a record beside it of which ranges are safely on the disk, and puts the whole
 * file into place without ever overwriting. Decides nothing about what to fetch.
 */

/** What a partial file belongs to. */
export interface PartialOwner {
  readonly downloadDirectory: string
  readonly peerId: PeerId
  readonly path: SharePath
}

/** What the source said when the fetch began: resumed only while that holds. */
export interface SourceVersion {
  readonly size: number
  readonly mtime: number
}

interface Recorded extends SourceVersion {
  readonly peer: string
  readonly path: string
  readonly written: Uint8Array
}

const CHECKSUM_BYTES = 32
/** Read and hashed at once. */
const HASHED_BYTES = 512 * 1024
/** `O_NOFOLLOW` does not exist on Windows, where making links takes rights of its own. */
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0
/** Errors of `link` on file systems without hard links. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV', 'EINVAL', 'EACCES'])

export function partialPaths({ downloadDirectory, peerId, path }: PartialOwner): { directory: string; data: string; record: string } {
  const directory = join(downloadDirectory, PARTIAL_DIRECTORY, peerId.slice(0, 16))
  const name = createHash('sha256').update(path).digest('hex')
  return { directory, data: join(directory, `${name}.part`), record: join(directory, `${name}.done`) }
}

/** The same for two jobs that would write into one partial file. */
export function partialKey(owner: PartialOwner): string {
  return partialPaths(owner).data
}

/** Removes what is kept of a file. Harmless when nothing is. */
export async function discardPartial(owner: PartialOwner, disk = systemDisk): Promise<void> {
  const { directory, data, record } = partialPaths(owner)
  await forgetRecord(directory, record, disk)
  await disk.rm(`${record}.new`, { force: true })
  await disk.rm(data, { force: true })
}

/** For good, before anything else gets the name of its data: a record that a power cut brings back would speak of bytes that it has never seen. */
async function forgetRecord(directory: string, record: string, disk: Disk): Promise<void> {
  try {
    await disk.unlink(record)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw error
  }
  await disk.syncDirectory(directory)
}

/** Removes the folders for unfinished files that are empty. */
export async function tidyPartials(owner: PartialOwner, disk = systemDisk): Promise<void> {
  const { directory } = partialPaths(owner)
  try {
    await disk.rmdir(directory)
    await disk.rmdir(dirname(directory))
  } catch {
    // Not empty, or not there: both are fine.
  }
}

/**
 * A file that is already at the target or at one of its numbered names and is this very version, put there by us since `since`.
 * Directories on the way are not followed through links.
 * @param since milliseconds since 1970
 */
export async function findFinished(target: string, { size, mtime }: SourceVersion, since: number, disk = systemDisk): Promise<string | undefined> {
  for (let number = 1; number <= MAX_NAME_NUMBER; number++) {
    const candidate = join(dirname(target), numberedName(basename(target), number, false))
    try {
      const found = await disk.lstat(candidate)
      if (found.isFile() && found.size === size && Math.abs(found.mtimeMs - mtime) < 1 && found.ctimeMs >= since - 2_000) return candidate
    } catch (error) {
      const code = systemCode(error)
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined
      throw toDiskError(error, candidate)
    }
  }
  return undefined
}

export class PartialFile {
  readonly owner: PartialOwner
  readonly version: SourceVersion
  readonly fetch: FileFetch
  /** Data of another version of this file was found and thrown away. */
  readonly startedAgain: boolean
  readonly #paths: { directory: string; data: string; record: string }
  readonly #handle: DiskFile
  readonly #disk: Disk
  /** The same file, where its bulk is written past the system's memory. */
  readonly #direct: DirectFile | undefined
  #isDirect: boolean
  #closing: Promise<void> | undefined

  constructor(owner: PartialOwner, version: SourceVersion, files: { disk: Disk; handle: DiskFile; direct: DirectFile | undefined }, found: { fetch: FileFetch; startedAgain: boolean }) {
    this.owner = owner
    this.version = version
    this.fetch = found.fetch
    this.startedAgain = found.startedAgain
    this.#paths = partialPaths(owner)
    this.#handle = files.handle
    this.#disk = files.disk
    this.#direct = files.direct
    this.#isDirect = files.direct !== undefined
  }

  /** @throws CodedError `disk-full`, `disk-error` */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    try {
      let from = await this.#writeDirect(bytes, position)
      while (from < bytes.length) {
        const { bytesWritten } = await this.#handle.write(bytes, from, bytes.length - from, position + from)
        if (bytesWritten === 0) throw new CodedError('disk-full', `nothing more can be written to ${this.#paths.data}`)
        from += bytesWritten
      }
    } catch (error) {
      throw toDiskError(error, this.#paths.data)
    }
  }

  /** @returns how many of the first bytes are written; the others are to be written as usual */
  async #writeDirect(bytes: Uint8Array, position: number): Promise<number> {
    const count = this.#isDirect ? (this.#direct?.takes(bytes, position) ?? 0) : 0
    if (this.#direct === undefined || count === 0) return 0
    try {
      return (await this.#direct.write(bytes, 0, count, position)).bytesWritten
    } catch (error) {
      // It was let in and is refused now: this disk wants it otherwise.
      if (systemCode(error) !== 'EINVAL') throw error
      this.#isDirect = false
      return 0
    }
  }

  /** @returns the SHA-256 of a range that is on the disk @throws CodedError `disk-error` */
  async hash({ start, end }: HashRange): Promise<Uint8Array> {
    try {
      const hash = createHash('sha256')
      const buffer = new Uint8Array(Math.min(end - start, HASHED_BYTES))
      for (let at = start; at < end; ) {
        const { bytesRead } = await this.#handle.read(buffer, 0, Math.min(buffer.length, end - at), at)
        // Shorter than it was: then it has no hash that anything else has.
        if (bytesRead === 0) break
        hash.update(buffer.subarray(0, bytesRead))
        at += bytesRead
      }
      return hash.digest()
    } catch (error) {
      throw toDiskError(error, this.#paths.data)
    }
  }

  /**
   * Makes what `fetch` says now survive a crash: first the data, then the record that claims it, the record whole or not at all.
   * @throws CodedError `disk-full`, `disk-error`
   */
  async record(): Promise<void> {
    // A file of one range has nothing to resume.
    if (rangeCount(this.version.size) <= 1) return
    const written = this.fetch.bitmap()
    const { record, directory } = this.#paths
    try {
      await this.#handle.datasync()
      const body = encodeCbor({ ...this.version, peer: this.owner.peerId, path: this.owner.path, written })
      const checksum = createHash('sha256').update(body).digest()
      await this.#disk.rm(`${record}.new`, { force: true })
      const file = await this.#disk.open(`${record}.new`, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW, 0o600)
      try {
        await file.writeFile(Buffer.concat([checksum, body]))
        await file.datasync()
      } finally {
        await file.close()
      }
      await this.#disk.rename(`${record}.new`, record)
      await this.#disk.syncDirectory(directory)
    } catch (error) {
      throw toDiskError(error, record)
    }
  }

  /**
   * Puts the complete file into place and closes this. A clash gets the next free numbered name; nothing is ever overwritten.
   * @returns the name it got @throws CodedError `disk-error`, `disk-full`, `bad-path`
   */
  async place(target: string): Promise<string> {
    const { downloadDirectory } = this.owner
    const parts = partsBelow(downloadDirectory, target)
    try {
      await this.#handle.utimes(this.version.mtime / 1000, this.version.mtime / 1000)
      await this.#handle.sync()
      await this.close()
      const directory = await makeDirectories(downloadDirectory, parts.slice(0, -1), undefined, this.#disk)
      if (!(await isInPlace(downloadDirectory, directory, this.#disk))) throw new CodedError('bad-path', `a link was put on the way to ${target}`)
      const { data, record, directory: own } = this.#paths
      const placed = await linkNumbered(data, directory, basename(target), this.#disk)
      // The name first: a power cut that takes the old one must not take the file.
      await this.#disk.syncDirectory(directory)
      await this.#disk.rm(data, { force: true })
      await forgetRecord(own, record, this.#disk)
      return placed
    } catch (error) {
      throw toDiskError(error, target)
    }
  }

  /** The data stays. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= Promise.all([this.#handle.close(), this.#direct?.close()]).then(() => undefined))
  }
}

/**
 * Gives a complete file a name in a directory without ever overwriting: the first free numbered one. Its old name stays where the file system has hard
 * links, and is gone where not.
 * @returns the path it got @throws CodedError `conflict`, and what the file system throws
 */
export async function linkNumbered(data: string, directory: string, name: string, disk: Disk): Promise<string> {
  for (let number = 1; number <= MAX_NAME_NUMBER; number++) {
    const candidate = join(directory, numberedName(name, number, false))
    try {
      await disk.link(data, candidate)
      return candidate
    } catch (error) {
      const code = systemCode(error) ?? ''
      if (code === 'EEXIST') continue
      if (!NO_LINKS.has(code)) throw error
      if (await moveTo(data, candidate, disk)) return candidate
    }
  }
  throw new CodedError('conflict', `too many files are named like ${name}`)
}

/** Without hard links: the name is taken by an empty file that only we can have made, which the rename then replaces. */
async function moveTo(data: string, candidate: string, disk: Disk): Promise<boolean> {
  try {
    const placeholder = await disk.open(candidate, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW, 0o666)
    await placeholder.close()
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
  await disk.rename(data, candidate)
  return true
}

/**
 * Opens what is kept of a file, or starts it anew.
 * @throws CodedError `disk-error`, `disk-full`, `bad-path`
 */
export async function openPartial(owner: PartialOwner, version: SourceVersion, disk = systemDisk): Promise<PartialFile> {
  for (let tries = 1; ; tries++) {
    try {
      return await openOnce(owner, version, disk)
    } catch (error) {
      // Another job that ended just now may have removed the empty folder.
      const wasRemoved = error instanceof CodedError && systemCode(error.cause) === 'ENOENT'
      if (!wasRemoved || tries === OPEN_TRIES) throw error
    }
  }
}

const OPEN_TRIES = 5

async function openOnce(owner: PartialOwner, version: SourceVersion, disk: Disk): Promise<PartialFile> {
  const paths = partialPaths(owner)
  try {
    await makeDirectories(owner.downloadDirectory, [PARTIAL_DIRECTORY], 0o700, disk)
    await makeDirectories(owner.downloadDirectory, [PARTIAL_DIRECTORY, basename(paths.directory)], 0o700, disk)
    const recorded = rangeCount(version.size) > 1 ? await readRecord(paths.record, owner, disk) : undefined
    const same = recorded !== undefined && recorded.size === version.size && recorded.mtime === version.mtime
    if (same) {
      const resumed = await resume(paths.data, new FileFetch(version.size, recorded.written), disk)
      if (resumed !== undefined) return new PartialFile(owner, version, { disk, handle: resumed.handle, direct: await disk.openDirect(paths.data, version.size) }, { fetch: resumed.fetch, startedAgain: false })
    }
    // The record goes first: a record without its data claims nothing, data under another's record would be a lie.
    await forgetRecord(paths.directory, paths.record, disk)
    await disk.rm(paths.data, { force: true })
    const handle = await disk.open(paths.data, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW, 0o666)
    return new PartialFile(owner, version, { disk, handle, direct: await disk.openDirect(paths.data, version.size) }, { fetch: new FileFetch(version.size), startedAgain: recorded !== undefined && !same })
  } catch (error) {
    throw toDiskError(error, paths.data)
  }
}

/** @returns undefined when the data is not a plain file of ours that holds what the record claims */
async function resume(data: string, fetch: FileFetch, disk: Disk): Promise<{ handle: DiskFile; fetch: FileFetch } | undefined> {
  let handle: DiskFile
  try {
    handle = await disk.open(data, constants.O_RDWR | NO_FOLLOW)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'EACCES') return undefined
    throw error
  }
  const found = await handle.stat()
  // A second link means that it is in place under its final name already: writing would change a finished file.
  if (found.isFile() && found.nlink === 1 && found.size >= fetch.writtenEnd() && found.size <= fetch.size) return { handle, fetch }
  await handle.close()
  return undefined
}

async function readRecord(file: string, { peerId, path }: PartialOwner, disk: Disk): Promise<Recorded | undefined> {
  let stored: Uint8Array
  try {
    stored = await disk.readFile(file)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
  const found = decodeRecord(stored)
  return found?.peer === peerId && found.path === path ? found : undefined
}

/** @returns undefined for anything but a whole record: torn, of another version, or not ours */
export function decodeRecord(stored: Uint8Array): Recorded | undefined {
  const body = stored.subarray(CHECKSUM_BYTES)
  if (stored.length <= CHECKSUM_BYTES || !createHash('sha256').update(body).digest().equals(stored.subarray(0, CHECKSUM_BYTES))) return undefined
  let raw: Partial<Record<keyof Recorded, unknown>>
  try {
    raw = decodeCbor(body) as typeof raw
  } catch {
    return undefined
  }
  if (typeof raw !== 'object' || raw === null) return undefined
  const { size, mtime, peer, path, written } = raw
  if (typeof size !== 'number' || typeof mtime !== 'number' || typeof peer !== 'string' || typeof path !== 'string') return undefined
  if (!Number.isSafeInteger(size) || size < 0 || !(written instanceof Uint8Array) || written.length !== bitmapLength(size)) return undefined
  return { size, mtime, peer, path, written }
}
