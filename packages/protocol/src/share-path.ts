import { MAX_PATH_BYTES, MAX_PATH_PARTS, MAX_PATH_PART_BYTES } from './limits.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'
import { utf8Length } from './text.ts'

/**
 * Decides which paths may be named between peers, and is the only place where one is made. It refuses and never repairs:
 * what has two spellings has two meanings. It does not know any file system; `portable-part.ts` says what Windows adds.
 */

/** A path that a peer named and that has passed every rule. Made only here. Parts are joined by `/`; no leading or trailing slash. */
export type SharePath = string & { readonly __brand: 'SharePath' }

/** The rule that a refused path breaks. */
export type PathRule =
  | 'empty' | 'too-long' | 'too-deep' | 'absolute' | 'empty-part' | 'dots' | 'separator' | 'control' | 'direction' | 'encoding'
  | 'trailing' | 'drive' | 'device'

/** C0, DEL, C1, and the two line separators that some programs treat as line ends. */
// oxlint-disable-next-line no-control-regex -- finding them is the point
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/
/** Everything that changes the direction in which a name is shown, so that `exe.flac` could be shown for `calf.exe`. */
const DIRECTION = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f]/
/** In a `u` expression this matches a surrogate only where it has no partner. */
const LONE_SURROGATE = /\p{Surrogate}/u
/** `C:` at the start of a part. Any part, since any part can become the first one of a path cut short. */
const DRIVE = /^[a-z]:/i
/**
 * Names that open a device on Windows in every directory, with any extension and any case; the superscript digits count as digits there.
 * https://learn.microsoft.com/windows/win32/fileio/naming-a-file
 */
const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:[.:]|$)/i
/** One look at the whole text that finds every character some rule below refuses; most paths end here. */
// oxlint-disable-next-line no-control-regex -- finding them is the point
const SUSPECT = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f\\]|\p{Surrogate}/u

/**
 * Reads a path as a peer wrote it. Byte for byte what goes in comes out: nothing is normalised, so the same file always has the same path.
 * @param text at most MAX_PATH_BYTES in UTF-8 and MAX_PATH_PARTS parts
 */
export function parseSharePath(text: string): Result<SharePath, Fault<PathRule>> {
  if (text.length === 0) return refuse('empty', 'a path is empty')
  // A UTF-16 unit takes at least one byte, so this also bounds the work below.
  if (text.length > MAX_PATH_BYTES || utf8Length(text) > MAX_PATH_BYTES) {
    return refuse('too-long', `a path is longer than ${MAX_PATH_BYTES} bytes`)
  }
  if (SUSPECT.test(text)) return checkCharacters(text) as Result<SharePath, Fault<PathRule>>
  if (text.startsWith('/')) return refuse('absolute', 'a path starts at the root of the file system')
  const parts = text.split('/')
  if (parts.length > MAX_PATH_PARTS) return refuse('too-deep', `a path has more than ${MAX_PATH_PARTS} parts`)
  for (const part of parts) {
    const checked = checkShape(part)
    if (!checked.ok) return checked
  }
  return succeed(text as SharePath)
}

/** Reads one part of a path: a file's, directory's or share's own name. */
export function parsePathPart(name: string): Result<string, Fault<PathRule>> {
  if (name.length > MAX_PATH_PART_BYTES) return tooLongPart()
  const characters = checkCharacters(name)
  if (!characters.ok) return characters
  if (name.includes('/')) return refuse('separator', 'a name contains a slash')
  return checkShape(name)
}

/** @param base the directory, or undefined for the root whose children are the shares @param part one name */
export function joinSharePath(base: SharePath | undefined, part: string): Result<SharePath, Fault<PathRule>> {
  const name = parsePathPart(part)
  if (!name.ok) return name
  return base === undefined ? succeed(part as SharePath) : parseSharePath(`${base}/${part}`)
}

/** At least one, outermost first. */
export function sharePathParts(path: SharePath): string[] {
  return path.split('/')
}

/** The first part: the display name of the share. */
export function shareOf(path: SharePath): string {
  const end = path.indexOf('/')
  return end === -1 ? path : path.slice(0, end)
}

/** The last part. */
export function sharePathBaseName(path: SharePath): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** The directory that holds it; undefined for a share. */
export function parentOf(path: SharePath): SharePath | undefined {
  const end = path.lastIndexOf('/')
  return end === -1 ? undefined : (path.slice(0, end) as SharePath)
}

/** Strictly below: a path is not below itself. Everything is below undefined, the root. */
export function isBelow(path: SharePath, ancestor: SharePath | undefined): boolean {
  return ancestor === undefined || (path.length > ancestor.length && path.startsWith(ancestor) && path[ancestor.length] === '/')
}

/** What is left of `path` below `ancestor`, itself a valid path; undefined if it is not below it. */
export function relativeTo(path: SharePath, ancestor: SharePath | undefined): SharePath | undefined {
  if (ancestor === undefined) return path
  return isBelow(path, ancestor) ? (path.slice(ancestor.length + 1) as SharePath) : undefined
}

/**
 * Tree order, the order of every listing: a directory before its contents, its contents before its next sibling,
 * siblings by the bytes of their names in UTF-8.
 */
export function compareTreeOrder(a: SharePath, b: SharePath): -1 | 0 | 1 {
  const end = Math.min(a.length, b.length)
  for (let i = 0; i < end; i++) {
    const left = a.charCodeAt(i)
    const right = b.charCodeAt(i)
    if (left === right) continue
    return rank(left) < rank(right) ? -1 : 1
  }
  return a.length === b.length ? 0 : a.length < b.length ? -1 : 1
}

const SLASH = 0x2f

/** The end of a name sorts before any character of a longer one; surrogates stand for what is above the rest, as in UTF-8. */
function rank(unit: number): number {
  if (unit === SLASH) return -1
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

function checkCharacters(text: string): Result<string, Fault<PathRule>> {
  if (LONE_SURROGATE.test(text)) return refuse('encoding', 'a path is not valid Unicode')
  if (CONTROL.test(text)) return refuse('control', 'a path contains a control character')
  if (DIRECTION.test(text)) return refuse('direction', 'a path contains a character that changes the direction of text')
  if (text.includes('\\')) return refuse('separator', 'a path contains a backslash')
  return succeed(text)
}

/** What must hold for one part once its characters are known to be fine. */
function checkShape(part: string): Result<string, Fault<PathRule>> {
  if (part === '') return refuse('empty-part', 'a path has an empty part')
  if (part === '.' || part === '..') return refuse('dots', 'a path has a part that means another directory')
  // Three bytes is the most that one UTF-16 unit can take.
  if (part.length * 3 > MAX_PATH_PART_BYTES && utf8Length(part) > MAX_PATH_PART_BYTES) return tooLongPart()
  const last = part.charCodeAt(part.length - 1)
  if (last === 0x2e || last === 0x20) return refuse('trailing', 'a name ends in a dot or a space, which Windows drops')
  if (DRIVE.test(part)) return refuse('drive', 'a name starts like a drive')
  if (DEVICE.test(part)) return refuse('device', 'a name is that of a device on Windows')
  return succeed(part)
}

function tooLongPart() {
  return refuse('too-long', `a name is longer than ${MAX_PATH_PART_BYTES} bytes`)
}
