/** Decides what a clashing name becomes: "name (2).ext", never longer than a file system takes. Touches no file. */

/** Bytes in one name: the limit of every common file system. */
const MAX_NAME_BYTES = 255

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
  return cutToBytes(name.slice(0, name.length - extension.length), MAX_NAME_BYTES - utf8Length(suffix)) + suffix
}

/** The longest prefix of whole characters that fits; without a space or dot left at the end when something was cut. */
function cutToBytes(text: string, maxBytes: number): string {
  if (utf8Length(text) <= maxBytes) return text
  let bytes = 0
  let cut = ''
  for (const character of text) {
    bytes += utf8Length(character)
    if (bytes > maxBytes) break
    cut += character
  }
  return cut.replace(/[ .]+$/u, '') || '_'
}

/** Length in UTF-8 bytes; core has no TextEncoder of the platform to ask. */
export function utf8Length(text: string): number {
  let bytes = 0
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x1_0000 ? 3 : 4
  }
  return bytes
}
