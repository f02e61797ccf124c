import { type ListPage, type Result, type SharePath, collisionKey, compareTreeOrder, refuse, relativeTo, succeed } from '@harddrive-party/protocol'
import { MAX_NAME_NUMBER, numberedName } from '../numbered-name.ts'

/**
 * Turns the pages a peer answers to "everything below this" into the files of a wish: only what lies below it, in the one order of listings,
 * and each with a name of its own even where the file system does not tell `A` from `a`. Asks for nothing itself.
 */

/** One entry of a wish. */
export interface WishRow {
  /** Below the wish's path; empty for the wished file itself. */
  readonly remote: string
  /** Below the wish's target, parts joined by `/`; empty for the wished file itself. */
  readonly local: string
  readonly size: number
  readonly mtime: number
  readonly isDirectory: boolean
}

/** More would be a mistake or an attack; the largest libraries people share have about a million. */
export const MAX_WISH_ENTRIES = 2_000_000

/** Pages without entries in a row: nothing is searched for, so even one is odd. */
const MAX_EMPTY_PAGES = 100

/** A directory whose contents are being listed. */
interface Level {
  readonly remote: string
  readonly local: string
  /** Collision keys of the names given in it. */
  readonly taken: Set<string>
}

export class WishListing {
  readonly #path: SharePath
  readonly #levels: Level[] = [{ remote: '', local: '', taken: new Set() }]
  #last: SharePath | undefined
  #cursor: string | undefined
  #emptyPages = 0
  #entries = 0
  #isFile = false
  #files = 0
  #bytes = 0
  #renamed = 0
  #rejected = 0

  constructor(path: SharePath) {
    this.#path = path
  }

  /** Meaningful when the last page was added. A peer lists a file as itself, a directory as what is in it. */
  get isDirectory(): boolean {
    return !this.#isFile
  }

  get files(): number {
    return this.#files
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Entries that got another name, since one was there that some file systems take for the same. */
  get renamed(): number {
    return this.#renamed
  }

  /** Entries that were left out before they came here, since their paths break the rules. */
  get rejected(): number {
    return this.#rejected
  }

  /** @returns the rows of one page, in order */
  add({ entries, cursor, rejected = 0 }: ListPage & { readonly rejected?: number }): Result<WishRow[]> {
    this.#rejected += rejected
    this.#emptyPages = entries.length === 0 ? this.#emptyPages + 1 : 0
    if (cursor !== undefined && (cursor === this.#cursor || this.#emptyPages > MAX_EMPTY_PAGES)) {
      return refuse('bad-answer', 'the peer lists the same folder for ever')
    }
    this.#cursor = cursor
    this.#entries += entries.length + rejected
    if (this.#entries > MAX_WISH_ENTRIES) return refuse('bad-answer', `the folder has more than ${MAX_WISH_ENTRIES} entries`)
    const rows: WishRow[] = []
    for (const entry of entries) {
      // The directory itself says nothing new.
      if (entry.path === this.#path && entry.isDirectory) continue
      if (this.#isFile) return refuse('bad-answer', 'the peer lists more than the one file')
      if (this.#last !== undefined && compareTreeOrder(this.#last, entry.path) >= 0) {
        return refuse('bad-answer', 'the peer lists a folder out of order or twice')
      }
      const remote = entry.path === this.#path ? '' : relativeTo(entry.path, this.#path)
      if (remote === undefined) return refuse('bad-answer', 'the peer lists something outside the folder that was asked for')
      if (remote === '' && this.#last !== undefined) return refuse('bad-answer', 'the peer lists a folder as a file')
      this.#last = entry.path
      this.#isFile = remote === ''
      const local = remote === '' ? '' : this.#localPath(remote, entry.isDirectory)
      if (local === undefined) return refuse('bad-answer', 'too many names in one folder differ only by case')
      if (!entry.isDirectory) {
        this.#files++
        this.#bytes += entry.size
      }
      rows.push({ remote, local, size: entry.isDirectory ? 0 : entry.size, mtime: entry.mtime, isDirectory: entry.isDirectory })
    }
    return succeed(rows)
  }

  /** In tree order a directory is never come back to, so only the directories on the way are remembered. */
  #localPath(remote: string, isDirectory: boolean): string | undefined {
    const parts = remote.split('/')
    const name = parts.pop() ?? ''
    const parent = parts.join('/')
    while (this.#levels.length > 1 && !isWithin(parent, this.#top().remote)) this.#levels.pop()
    for (let depth = this.#levels.length - 1; depth < parts.length; depth++) {
      // A directory that was not listed itself, only what is in it.
      if (this.#enter(parts.slice(0, depth + 1).join('/'), parts[depth] ?? '') === undefined) return undefined
    }
    return isDirectory ? this.#enter(remote, name) : this.#nameIn(this.#top(), name, false)
  }

  #top(): Level {
    return this.#levels.at(-1) as Level
  }

  #enter(remote: string, name: string): string | undefined {
    const local = this.#nameIn(this.#top(), name, true)
    if (local !== undefined) this.#levels.push({ remote, local, taken: new Set() })
    return local
  }

  #nameIn(level: Level, name: string, isDirectory: boolean): string | undefined {
    for (let number = 1; number <= MAX_NAME_NUMBER; number++) {
      const candidate = numberedName(name, number, isDirectory)
      const key = collisionKey(candidate)
      if (level.taken.has(key)) continue
      level.taken.add(key)
      if (number > 1) this.#renamed++
      return level.local === '' ? candidate : `${level.local}/${candidate}`
    }
    return undefined
  }
}

function isWithin(path: string, directory: string): boolean {
  return directory === '' || path === directory || path.startsWith(`${directory}/`)
}
