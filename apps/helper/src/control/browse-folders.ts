/** Lists directories of this machine, so that somebody in a browser can choose one to share. Names only; hidden ones are left out. */
import { opendir, realpath, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { CodedError } from '@harddrive-party/protocol'
import type { FolderListing } from '@harddrive-party/protocol/control'

/** A person chooses from a list: more than this is not one. */
const MAX_FOLDERS = 2_000
/** Entries looked at: a directory of a million files must not hold up the helper. */
const MAX_LOOKED_AT = 100_000

/**
 * @param path absolute; absent = the home directory
 * @throws CodedError `bad-request`, `not-found`, `unreadable`
 */
export async function browseFolders(path: string | undefined): Promise<FolderListing> {
  const wanted = path ?? homedir()
  if (!isAbsolute(wanted)) throw new CodedError('bad-request', 'path: must be absolute', { detail: { code: 'not-absolute', values: {} } })
  try {
    const real = await realpath(wanted)
    const folders: { name: string; path: string }[] = []
    let looked = 0
    for await (const entry of await opendir(real)) {
      if (++looked > MAX_LOOKED_AT || folders.length >= MAX_FOLDERS) break
      if (entry.name.startsWith('.')) continue
      const below = join(real, entry.name)
      if (entry.isDirectory() || (entry.isSymbolicLink() && (await leadsToDirectory(below)))) folders.push({ name: entry.name, path: below })
    }
    folders.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true, sensitivity: 'base' }))
    const parent = dirname(real)
    return { path: real, parent: parent === real ? null : parent, folders }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new CodedError('not-found', `${wanted} is not a directory on the helper's machine`, { cause, detail: { code: 'not-there', values: { path: wanted } } })
    throw new CodedError('unreadable', `${wanted} cannot be read`, { cause, detail: { code: 'not-readable', values: { path: wanted } } })
  }
}

async function leadsToDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false
  }
}
