import { type Entry, collisionKey, sharePathBaseName } from '@harddrive-party/protocol'

/** What a search wish has found, made fit to be offered: nothing twice. Asks nobody. */

/**
 * What is not offered twice: the same name with the same size is the same file, whoever has it and wherever it lies; of a folder, whose size changes with
 * what is put into it, the path.
 */
export function matchKeyOf({ path, size, isDirectory }: Entry): string {
  return isDirectory ? `folder ${collisionKey(path)}` : `${size} ${collisionKey(sharePathBaseName(path))}`
}

/** A folder that was found stands for everything in it. @returns in the order given, each key once */
export function distinctMatches(entries: readonly Entry[]): Entry[] {
  const folders = new Set<string>(entries.filter(({ isDirectory }) => isDirectory).map(({ path }) => path))
  const keys = new Set<string>()
  return entries.filter((entry) => {
    if (isInOne(entry.path, folders)) return false
    const key = matchKeyOf(entry)
    if (keys.has(key)) return false
    keys.add(key)
    return true
  })
}

function isInOne(path: Entry['path'], folders: ReadonlySet<string>): boolean {
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
    const folder = path.slice(0, end)
    if (folders.has(folder)) return true
  }
  return false
}
