/**
 * Says which names some file system would refuse, change or mix up although `share-path.ts` allows them.
 * It decides nothing: whoever writes files asks it and chooses another name.
 */
import { type SharePath, parentOf } from './share-path.ts'

// oxlint-disable-next-line no-control-regex -- finding them is the point
const RESERVED = /[<>:"|?*\u0000-\u001f\\/]/

/**
 * Whether a name, already a valid path part, can be written on Windows as it is. The others (`What? *live*.flac`) stay browsable everywhere and
 * can be written elsewhere; on Windows `:` would name a stream of another file and the rest is refused by the system.
 */
export function isPortablePart(part: string): boolean {
  return !RESERVED.test(part)
}

/** Characters that HFS+ leaves out when it compares names. */
const IGNORED = /[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g
// oxlint-disable-next-line no-control-regex -- a range
const ASCII = /^[\u0000-\u007f]*$/

/**
 * Two entries whose paths have the same key are the same file on some file system: NFC after case folding, as lower, upper and lower case
 * (so that ß, ẞ, ſ and final sigma meet their partners). It may put together what one file system keeps apart, never the reverse.
 */
export function collisionKey(path: string): string {
  if (ASCII.test(path)) return path.toLowerCase()
  return path.normalize('NFD').replace(IGNORED, '').toLowerCase().toUpperCase().toLowerCase().normalize('NFC')
}

/** What an entry collides with. */
export interface Collision {
  /** The path that came first. */
  readonly first: SharePath
  /** The path, or the directory above it, that would be the same thing on disk. */
  readonly second: SharePath
}

/** Finds collisions among the paths of one directory download: names that differ only by case or normal form, and a file where a directory is needed. */
export class CollisionSet {
  /** First path seen for each key, directories above included. */
  readonly #seen = new Map<string, { readonly path: SharePath; readonly isDirectory: boolean }>()
  /** The directory above the path added last and found free: most paths share it with their neighbour. */
  #lastParent: SharePath | undefined

  /** @returns the collision, in which case the path was not added; undefined when the path is free or was added before as the same kind */
  add(path: SharePath, isDirectory: boolean): Collision | undefined {
    const parent = parentOf(path)
    if (parent !== undefined && parent !== this.#lastParent) {
      const above = this.add(parent, true)
      if (above) return above
      this.#lastParent = parent
    }
    const key = collisionKey(path)
    const seen = this.#seen.get(key)
    if (seen === undefined) {
      this.#seen.set(key, { path, isDirectory })
      return undefined
    }
    const same = seen.path === path && seen.isDirectory === isDirectory
    return same ? undefined : { first: seen.path, second: path }
  }
}
