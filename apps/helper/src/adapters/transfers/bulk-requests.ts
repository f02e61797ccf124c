import { createHash } from 'node:crypto'
import { CodedError, type FileVersion, type HashRange, MAX_BUNDLE_FILES, MAX_READ_BYTES, MAX_REQUEST_FRAME_BYTES, MAX_SMALL_FRAME_BYTES, utf8Length } from '@harddrive-party/protocol'
import type { FrameStream } from '../peers/frame-stream.ts'
import { type ReadArguments, type ReadOptions, type RequestOptions, ask, badAnswer, errorFromPeer, expectEnd, readAnswer, readAnyAnswer, readPastWaits } from '../peers/peer-requests.ts'
import type { PeerConnection } from '../peers/transport.ts'

/** Asks a peer for many small files at once, and for hashes of ranges. Believes nothing that it can check; decides nothing. */

export type BundleOutcome = { readonly bytes: Uint8Array } | { readonly error: CodedError }

/** Hashed in one go. */
const PIECE_BYTES = 256 * 1024
/** What a file takes of a request beside its path: heads, a size and a time. */
const FILE_FRAME_BYTES = 24

/** Cuts a list of small files into what fits one request each, in order. */
export function cutBundles<T extends FileVersion>(files: readonly T[]): T[][] {
  const bundles: T[][] = []
  let frame = 0
  let bytes = 0
  for (const file of files) {
    const length = utf8Length(file.path) + FILE_FRAME_BYTES
    const last = bundles.at(-1)
    if (last === undefined || last.length === MAX_BUNDLE_FILES || frame + length > MAX_REQUEST_FRAME_BYTES || bytes + file.size > MAX_READ_BYTES) {
      bundles.push([file])
      // The rest of the map.
      frame = length + FILE_FRAME_BYTES
      bytes = file.size
    } else {
      last.push(file)
      frame += length
      bytes += file.size
    }
  }
  return bundles
}

/**
 * Reads whole small files into the caller's buffer, one after the other.
 * @param files one of `cutBundles`
 * @param into at least as long as all files together
 * @param onFile told in order, as soon as each is there and verified; its bytes are part of `into`
 * @throws CodedError as `requestRead`, once the rest cannot come any more; `unsupported` by a peer that knows no bundles
 */
export async function requestBundle(
  connection: PeerConnection, files: readonly FileVersion[], into: Uint8Array, onFile: (index: number, outcome: BundleOutcome) => void, options: ReadOptions,
): Promise<void> {
  await ask(connection, { type: 'bundle', files, places: true }, options, async (frames) => {
    let at = 0
    let first: CodedError | undefined
    for (const [index, file] of files.entries()) {
      const header = index === 0 ? await readPastWaits(frames, options) : await readAnyAnswer(frames, MAX_SMALL_FRAME_BYTES)
      if (header === null) throw index === 1 && first !== undefined ? first : badAnswer('it ended before the last file')
      if (first !== undefined) onFile(0, { error: first })
      first = undefined
      if (header.type === 'error') {
        const error = errorFromPeer(header)
        // The first one may be about all of them: then nothing follows.
        if (index === 0 && files.length > 1) first = error
        else onFile(index, { error })
        continue
      }
      if (header.type !== 'data') throw badAnswer(`it answers with “${header.type}”, not “data”`)
      if (header.size !== file.size || header.mtime !== file.mtime || header.start !== 0) throw badAnswer('it sends another file than the one asked for')
      if (header.length !== file.size) throw new CodedError('wrong-length', 'it sends more or less than was asked for')
      const bytes = into.subarray(at, at + file.size)
      await receive(frames, bytes, options)
      at += file.size
      onFile(index, { bytes })
    }
    await expectEnd(frames)
  })
}

async function receive(frames: FrameStream, into: Uint8Array, options: ReadOptions): Promise<void> {
  const hash = createHash('sha256')
  for (let filled = 0; filled < into.length; ) {
    const piece = into.subarray(filled, filled + PIECE_BYTES)
    if ((await frames.readExactly(piece)) < piece.length) throw new CodedError('wrong-length', 'it ended before sending what it had promised')
    hash.update(piece)
    filled += piece.length
    options.onBytes?.(piece.length)
  }
  const trailer = await readAnswer(frames, 'sent', MAX_SMALL_FRAME_BYTES)
  if (trailer.bytes !== into.length) throw new CodedError('wrong-length', 'it says that it sent another amount than what arrived')
  if (!hash.digest().equals(trailer.hash)) throw new CodedError('hash-mismatch', 'what arrived is not what was sent')
}

/**
 * @param ranges within the bounds of a `hashes` request
 * @returns the SHA-256 of each, 32 bytes
 * @throws CodedError as `requestRead`; `unsupported` by a peer that knows no hashes
 */
export async function requestHashes(
  connection: PeerConnection, wanted: Pick<ReadArguments, 'path' | 'expect'> & { readonly ranges: readonly HashRange[] }, options: RequestOptions,
): Promise<readonly Uint8Array[]> {
  const { path, ranges, expect } = wanted
  return ask(connection, { type: 'hashes', path, ranges, ...(expect === undefined ? {} : { expect }) }, options, async (frames) => {
    const { size, mtime, hashes } = await readAnswer(frames, 'hashed', MAX_SMALL_FRAME_BYTES)
    if (expect !== undefined && (size !== expect.size || mtime !== expect.mtime)) throw badAnswer('it speaks of another file than the one asked for')
    if (hashes.length !== ranges.length) throw badAnswer('it sends more or fewer hashes than were asked for')
    await expectEnd(frames)
    return hashes
  })
}
