import { CodedError } from '@harddrive-party/protocol'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { type Disk, systemDisk } from '../system/disk.ts'
import { systemCode, toDiskError } from '../system/disk-error.ts'

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
export async function makeDirectories(directory: string, parts: readonly string[], mode = 0o777, disk = systemDisk): Promise<string> {
  let at = directory
  try {
    if (parts.length === 0) await makeRoot(at, disk)
    for (const [index, part] of parts.entries()) {
      const parent = at
      at = join(at, part)
      if (await isRealDirectory(at, disk)) continue
      if (index === 0) await makeRoot(parent, disk)
      if (await makeDirectory(at, mode, disk)) await disk.syncDirectory(parent)
    }
  } catch (error) {
    throw toDiskError(error, at)
  }
  return at
}

/** With its parents, each of which survives a power cut. */
async function makeRoot(directory: string, disk: Disk): Promise<void> {
  const first = await disk.mkdir(directory, { recursive: true })
  if (first === undefined) return
  for (let at = directory; ; at = dirname(at)) {
    await disk.syncDirectory(dirname(at))
    if (at === first || dirname(at) === at) return
  }
}

/** @returns false when somebody else made it just before @throws CodedError `bad-path` when that is no real directory */
async function makeDirectory(path: string, mode: number, disk: Disk): Promise<boolean> {
  try {
    await disk.mkdir(path, { mode })
    return true
  } catch (error) {
    if (systemCode(error) !== 'EEXIST' || !(await isRealDirectory(path, disk))) throw error
    return false
  }
}

/** @throws CodedError `bad-path` when something else is there */
async function isRealDirectory(path: string, disk: Disk): Promise<boolean> {
  try {
    const found = await disk.lstat(path)
    if (found.isDirectory()) return true
    const what = found.isSymbolicLink() ? 'a symbolic link' : 'a file'
    throw new CodedError('bad-path', `${what} is where a folder should be: ${path}`)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

/**
 * Makes many directories below one, as `makeDirectories` makes each, with one trip to the disk for those that have the same parent.
 * @param paths parents before what is in them; one that cannot be made does not hold up the others
 * @returns the failures @throws CodedError when the download directory itself cannot be made
 */
export async function makeDirectoryTree(directory: string, paths: readonly (readonly string[])[], disk = systemDisk): Promise<unknown[]> {
  const failures: unknown[] = []
  const known = new Set<string>()
  const changed = new Set<string>()
  if (paths.length > 0) await makeDirectories(directory, [], undefined, disk)
  for (const parts of paths) {
    let at = directory
    try {
      for (const part of parts) {
        const parent = at
        at = join(at, part)
        if (known.has(at)) continue
        if (!(await isRealDirectory(at, disk)) && (await makeDirectory(at, 0o777, disk))) changed.add(parent)
        known.add(at)
      }
    } catch (error) {
      failures.push(toDiskError(error, at))
    }
  }
  await Promise.all(Array.from(changed, (parent) => disk.syncDirectory(parent)))
  return failures
}

/** True when a directory made earlier is still where its name says: nothing on the way was replaced by a link meanwhile. */
export async function isInPlace(directory: string, path: string, disk = systemDisk): Promise<boolean> {
  return (await disk.realpath(path)) === join(await disk.realpath(directory), relative(directory, path))
}
