import type { CborMap } from './cbor.ts'
import { type ImageFormat, readImageHeader } from './image-header.ts'
import { MAX_PATH_BYTES, MAX_THUMBNAIL_BYTES, MAX_THUMBNAIL_EDGE } from './limits.ts'
import { badField, integerField, textField, timeField } from './peer-fields.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'
import { type SharePath, parseSharePath } from './share-path.ts'

/** Asking for a small picture of an image, and what such a picture must be before it is shown to anything that decodes it. */

/** Asks for a picture of an image, made by who has it. */
export interface ThumbnailRequest {
  readonly type: 'thumbnail'
  readonly path: SharePath
  /** What a listing said: `source-changed` unless the file is still that. */
  readonly size: number
  readonly mtime: number
  /** The longer side at most, pixels: 1 to MAX_THUMBNAIL_EDGE. */
  readonly edge: number
}

export interface PictureMessage {
  readonly type: 'picture'
  /** A WebP or JPEG file, at most MAX_THUMBNAIL_BYTES; upright, and without what the source says beside its pixels. */
  readonly bytes: Uint8Array
}

/** What a peer lists in its hello that makes pictures. */
export const THUMBNAILS_CAPABILITY = 'thumbnails'

export function decodeThumbnail(map: CborMap): Result<ThumbnailRequest, Fault> {
  const text = textField(map, 'path', MAX_PATH_BYTES)
  if (!text.ok) return text
  const path = parseSharePath(text.value)
  if (!path.ok) return refuse('bad-path', path.error.message)
  const size = integerField(map, 'size', 0, Number.MAX_SAFE_INTEGER)
  if (!size.ok) return size
  const mtime = timeField(map, 'mtime')
  if (!mtime.ok) return mtime
  const edge = integerField(map, 'edge', 1, MAX_THUMBNAIL_EDGE)
  if (!edge.ok) return edge
  return succeed({ type: 'thumbnail', path: path.value, size: size.value, mtime: mtime.value, edge: edge.value })
}

/** The picture itself is judged by `checkThumbnail`. */
export function decodePicture(map: CborMap): Result<PictureMessage, Fault> {
  const { bytes } = map
  if (!(bytes instanceof Uint8Array) || bytes.length === 0 || bytes.length > MAX_THUMBNAIL_BYTES) return badField(`bytes is not a string of 1 to ${MAX_THUMBNAIL_BYTES} bytes`)
  return succeed({ type: 'picture', bytes: Uint8Array.from(bytes) })
}

/** What a picture may be: no documents, nothing that moves, nothing with a decoder that few use. */
const PICTURE_TYPES: Partial<Record<ImageFormat, string>> = { webp: 'image/webp', jpeg: 'image/jpeg' }

/**
 * Judges a picture from a peer by its first bytes; does not decode it.
 * @param edge what was asked for @returns its media type
 */
export function checkThumbnail(bytes: Uint8Array, edge: number): Result<string, Fault<'bad-picture'>> {
  if (bytes.length > MAX_THUMBNAIL_BYTES) return refuse('bad-picture', 'the picture has too many bytes')
  const header = readImageHeader(bytes)
  const type = header && PICTURE_TYPES[header.format]
  if (header === undefined || type === undefined || header.moves === true) return refuse('bad-picture', 'this is no picture of a kind that is shown')
  if (header.width > edge || header.height > edge) return refuse('bad-picture', 'the picture is larger than was asked for')
  return succeed(type)
}
