import { CodedError } from '@harddrive-party/protocol'
import { openLocalFile } from './local-file.ts'
import type { TextPreview } from '@harddrive-party/protocol/control'

/** Turns the start of a file into text for people: UTF-8 or UTF-16 where it is that, else the old Western alphabet. Writes nothing. */

/** What a person reads before deciding to have it. */
export const MAX_TEXT_BYTES = 512 * 1024

/**
 * @param bytes the first of the file, at most MAX_TEXT_BYTES @param size of the whole file
 * @throws CodedError `unsupported` when it is no text
 */
export function textStart(bytes: Uint8Array, size: number): TextPreview {
  const cut = bytes.length < size
  const [first, second] = bytes
  // Only a byte order mark tells UTF-16 from bytes that are no text.
  if (first === 0xff && second === 0xfe) return { text: decode('utf-16le', bytes, cut) ?? '', encoding: 'utf-16le', cut }
  if (first === 0xfe && second === 0xff) return { text: decode('utf-16be', bytes, cut) ?? '', encoding: 'utf-16be', cut }
  if (bytes.includes(0)) throw new CodedError('unsupported', 'this file is not text')
  const text = decode('utf-8', bytes, cut)
  return text === undefined ? { text: westernText(bytes), encoding: 'windows-1252', cut } : { text, encoding: 'utf-8', cut }
}

/** Windows-1252 where it differs from Latin-1, from 0x80 on. Node's own decoder takes it for Latin-1; the five that mean nothing stay control characters. */
const WESTERN = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ'

function westernText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1').replace(/[\x80-\x9f]/g, (character) => WESTERN.charAt(character.charCodeAt(0) - 0x80))
}

/** @returns undefined for bytes that this encoding does not have; a character cut in two at the end is left out */
function decode(encoding: string, bytes: Uint8Array, cut: boolean): string | undefined {
  try {
    return new TextDecoder(encoding, { fatal: encoding === 'utf-8' }).decode(bytes, { stream: cut })
  } catch {
    return undefined
  }
}

/** @param file absolute, below its download directory @throws CodedError `not-found`, `unsupported` */
export async function readLocalText(file: { readonly path: string; readonly downloadDirectory?: string }, downloadDirectory: string): Promise<TextPreview> {
  const opened = await openLocalFile(file.path, file.downloadDirectory ?? downloadDirectory)
  if (opened === undefined) throw new CodedError('not-found', 'this file is not there any more')
  try {
    return textStart(await opened.read(0, Math.min(opened.size, MAX_TEXT_BYTES)), opened.size)
  } finally {
    await opened.close()
  }
}
