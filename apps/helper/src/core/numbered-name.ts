import { MAX_PATH_PART_BYTES, cutToBytes, utf8Length } from '@harddrive-party/protocol'

/** Decides what a clashing name becomes: "name (2).ext", never longer than a file system takes. Touches no file. */

/** How many numbers are tried before giving up: more clashes than this are a mistake. */
export const MAX_NAME_NUMBER = 10_000

/**
 * @param name a file or directory name
 * @param number 1 = the name itself; 2 and up put ` (2)` before the extension
 * @param isDirectory a directory's name has no extension
 */
export function numberedName(name: string, number: number, isDirectory: boolean): string {
  if (number <= 1) return name
  const dot = isDirectory ? -1 : name.lastIndexOf('.')
  // A leading dot is a hidden file, and what follows a very late or very early dot is hardly an extension.
  const extension = dot > 0 && name.length - dot <= 16 ? name.slice(dot) : ''
  const suffix = ` (${number})${extension}`
  const stem = name.slice(0, name.length - extension.length)
  const cut = cutToBytes(stem, MAX_PATH_PART_BYTES - utf8Length(suffix))
  return (cut === stem ? stem : cut.trimEnd()) + suffix
}
