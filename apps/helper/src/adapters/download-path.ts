import { CodedError } from '@harddrive-party/protocol'
import { lstat, mkdir, open, realpath } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { systemCode, toDiskError } from './disk-error.ts'

/** Makes directories below the download directory, following no link there, and checks that a target is below it. Chooses no names. */

/** Where our own unfinished files are, below the download directory. */
export const PARTIAL_DIRECTORY = '.harddrive-party'

const WINDOWS_UNSAFE = /[<>:"|?*]|[. ]$|^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|$)/iu

/**
 * The parts of `target` below `directory`.
 * @throws CodedError `bad-path` when it is not strictly below, not in normal form, in our own folder, or unsafe on Windows (there only)
 */
export function partsBelow(directory: string, target: string, platform: string = process.platform): string[] {
  const inside = relative(directory, target)
  if (!isAbsolute(target) || resolve(target) !== target || inside === '' || isAbsolute(inside) || target.includes('\0')) {
    throw new CodedError('bad-path', 'the target is not below the download directory')
  }
  const parts = inside.split(sep)
  if (parts.includes('..') || parts.includes('')) throw new CodedError('bad-path', 'the target is not below the download directory')
  if (parts[0]?.toLowerCase() === PARTIAL_DIRECTORY) throw new CodedError('bad-path', `${PARTIAL_DIRECTORY} is for unfinished files`)
  const unsafe = platform === 'win32' ? parts.find((part) => WINDOWS_UNSAFE.test(part)) : undefined
  if (unsafe !== undefined) throw new CodedError('bad-path', `Windows does not allow the name ${JSON.stringify(unsafe)}`)
  return parts
}

/**
 * Makes the directories one by one; each must be a directory of its own, not a link to one.
 * @param directory the download directory; made with its parents when absent, and it may be a link, since its owner chose it
 * @throws CodedError `bad-path`, `disk-error`, `disk-full`
 */
export async function makeDirectories(directory: string, parts: readonly string[], mode = 0o777): Promise<string> {
  let at = directory
  try {
    if (parts.length === 0) await mkdir(at, { recursive: true })
    for (const [index, part] of parts.entries()) {
      const parent = at
      at = join(at, part)
      if (await isRealDirectory(at)) continue
      if (index === 0) await mkdir(parent, { recursive: true })
      if (await makeDirectory(at, mode)) await syncDirectory(parent)
    }
  } catch (error) {
    throw toDiskError(error, at)
  }
  return at
}

/** @returns false when somebody else made it just before @throws CodedError `bad-path` when that is no real directory */
async function makeDirectory(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode })
    return true
  } catch (error) {
    if (systemCode(error) !== 'EEXIST' || !(await isRealDirectory(path))) throw error
    return false
  }
}

/** @throws CodedError `bad-path` when something else is there */
async function isRealDirectory(path: string): Promise<boolean> {
  try {
    const found = await lstat(path)
    if (found.isDirectory()) return true
    const what = found.isSymbolicLink() ? 'a symbolic link' : 'a file'
    throw new CodedError('bad-path', `${what} is where a folder should be: ${path}`)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

/** True when a directory made earlier is still where its name says: nothing on the way was replaced by a link meanwhile. */
export async function isInPlace(directory: string, path: string): Promise<boolean> {
  return (await realpath(path)) === join(await realpath(directory), relative(directory, path))
}

interface DirectorySync {
  readonly running: Promise<void>
  next: Promise<void> | undefined
}

const syncs = new Map<string, DirectorySync>()

/** Makes names in a directory survive a power cut. Many calls for one directory share one trip to the disk. */
export async function syncDirectory(directory: string): Promise<void> {
  const found = syncs.get(directory)
  // One that began before our change may have missed it; the next one, which has not begun, serves everybody who waits.
  if (found !== undefined) return (found.next ??= found.running.then(() => startSync(directory)))
  return startSync(directory)
}

function startSync(directory: string): Promise<void> {
  const running = syncOnce(directory).finally(() => {
    if (syncs.get(directory) === entry && entry.next === undefined) syncs.delete(directory)
  })
  const entry: DirectorySync = { running, next: undefined }
  syncs.set(directory, entry)
  return running
}

/** Windows cannot do it and some network file systems refuse; the data itself was synced before. Never rejects. */
async function syncOnce(directory: string): Promise<void> {
  if (process.platform === 'win32') return
  try {
    const handle = await open(directory, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch {
    // No worse than a file system that does not promise it.
  }
}

