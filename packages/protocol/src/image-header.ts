/** Reads what kind of image bytes are and how large it says it is, from its first bytes and without decoding it: what is not known here is shown to no decoder. */

export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'gif'

export interface ImageHeader {
  readonly format: ImageFormat
  /** Pixels, at least 1. */
  readonly width: number
  readonly height: number
  /** A WebP that says it moves. */
  readonly moves?: true
}

/** More segments before its frame than any camera writes: a JPEG that goes on like that is made to be read for ever. */
const MAX_JPEG_SEGMENTS = 1_000

/** Never throws. @returns undefined for what is no image of these formats, or is cut off before it says how large it is */
export function readImageHeader(bytes: Uint8Array): ImageHeader | undefined {
  const header = readJpeg(bytes) ?? readPng(bytes) ?? readWebp(bytes) ?? readGif(bytes)
  return header !== undefined && header.width > 0 && header.height > 0 ? header : undefined
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length)

function hasText(bytes: Uint8Array, at: number, text: string): boolean {
  if (at + text.length > bytes.length) return false
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false
  return true
}

function readJpeg(bytes: Uint8Array): ImageHeader | undefined {
  if (bytes.length < 4 || bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined
  const view = viewOf(bytes)
  let at = 2
  for (let segments = 0; segments < MAX_JPEG_SEGMENTS && at + 4 <= bytes.length; segments++) {
    if (bytes[at] !== 0xff) return undefined
    const marker = view.getUint8(at + 1)
    // Markers may be preceded by any number of fill bytes.
    if (marker === 0xff) {
      at++
      continue
    }
    const length = view.getUint16(at + 2)
    if (length < 2) return undefined
    if (isFrame(marker)) {
      if (length < 8 || at + 9 > bytes.length) return undefined
      return { format: 'jpeg', height: view.getUint16(at + 5), width: view.getUint16(at + 7) }
    }
    // The image data begins, or the image ends, before it was said how large it is.
    if (marker === 0xda || marker === 0xd9) return undefined
    at += 2 + length
  }
  return undefined
}

/** Start of frame, of any coding; the three others in the range are tables and extensions. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
}

function readPng(bytes: Uint8Array): ImageHeader | undefined {
  if (bytes.length < 24 || !hasText(bytes, 0, '\x89PNG\r\n\x1a\n') || !hasText(bytes, 12, 'IHDR')) return undefined
  const view = viewOf(bytes)
  return { format: 'png', width: view.getUint32(16), height: view.getUint32(20) }
}

function readGif(bytes: Uint8Array): ImageHeader | undefined {
  if (bytes.length < 10 || !(hasText(bytes, 0, 'GIF87a') || hasText(bytes, 0, 'GIF89a'))) return undefined
  const view = viewOf(bytes)
  return { format: 'gif', width: view.getUint16(6, true), height: view.getUint16(8, true) }
}

function readWebp(bytes: Uint8Array): ImageHeader | undefined {
  if (bytes.length < 30 || !hasText(bytes, 0, 'RIFF') || !hasText(bytes, 8, 'WEBP')) return undefined
  const isExtended = hasText(bytes, 12, 'VP8X')
  const size = isExtended ? extendedSize(bytes) : frameSize(bytes, 12)
  const moves = isExtended && (viewOf(bytes).getUint8(20) & MOVES) !== 0
  return size && { format: 'webp', ...size, ...(moves ? { moves } : {}) }
}

/** A flag of VP8X. */
const MOVES = 0x02

type Size = Pick<ImageHeader, 'width' | 'height'>

/** A canvas with parts. The frame must be as large as the canvas says: what is decoded is the frame. Of moving images the canvas is all that is looked at. */
function extendedSize(bytes: Uint8Array): Size | undefined {
  const view = viewOf(bytes)
  const canvas = { width: 1 + (view.getUint32(24, true) & 0xff_ffff), height: 1 + (view.getUint32(26, true) >>> 8) }
  let at = 12
  while (at + 8 <= bytes.length) {
    if (hasText(bytes, at, 'VP8 ') || hasText(bytes, at, 'VP8L')) {
      const frame = frameSize(bytes, at)
      return frame !== undefined && frame.width === canvas.width && frame.height === canvas.height ? canvas : undefined
    }
    if (hasText(bytes, at, 'ANMF')) return canvas
    const length = view.getUint32(at + 4, true)
    at += 8 + length + (length & 1)
  }
  return undefined
}

/** @param at where a chunk with image data begins */
function frameSize(bytes: Uint8Array, at: number): Size | undefined {
  const view = viewOf(bytes)
  if (hasText(bytes, at, 'VP8 ')) {
    if (at + 18 > bytes.length || bytes[at + 11] !== 0x9d || bytes[at + 12] !== 0x01 || bytes[at + 13] !== 0x2a) return undefined
    return { width: view.getUint16(at + 14, true) & 0x3fff, height: view.getUint16(at + 16, true) & 0x3fff }
  }
  if (hasText(bytes, at, 'VP8L')) {
    if (at + 13 > bytes.length || bytes[at + 8] !== 0x2f) return undefined
    const bits = view.getUint32(at + 9, true)
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) }
  }
  return undefined
}
