/**
 * Reads what this helper shares itself, for the person in front of it: the same files in the same bytes that a peer would get. Decides nothing about who may
 * see what; all of it is the person's own.
 */
import { CodedError, type PeerId, type SharePath, type ThumbnailRequest, checkThumbnail } from '@harddrive-party/protocol'
import type { ShareReader } from '../shares/share-reader.ts'
import type { ThumbnailMaker } from '../thumbnails/thumbnail-maker.ts'
import type { Picture } from '../thumbnails/thumbnail-requests.ts'

export interface OwnFiles {
  readonly makesThumbnails: boolean
  /** Bytes [start, end) of a shared file, all of them. @throws CodedError as ShareReader.readRange */
  read(path: SharePath, start: number, end: number, expect: { readonly size: number; readonly mtime: number }, options: { readonly signal: AbortSignal }): Promise<Uint8Array>
  /** @throws CodedError as ThumbnailMaker.make */
  thumbnail(request: Omit<ThumbnailRequest, 'type'>, options: { readonly signal: AbortSignal }): Promise<Picture>
}

export interface OwnFilesOptions {
  readonly peerId: PeerId
  readonly reader: Pick<ShareReader, 'readRange'>
  /** Absent where no pictures are made. */
  readonly thumbnails: Pick<ThumbnailMaker, 'make'> | undefined
}

export function openOwnFiles({ peerId, reader, thumbnails }: OwnFilesOptions): OwnFiles {
  return {
    makesThumbnails: thumbnails !== undefined,
    read: async (path, start, end, expect, options) => {
      const lease = await reader.readRange({ path, start, end, expect }, options)
      try {
        if (lease.bytes.length < end - start) throw new CodedError('source-changed', 'the file became shorter while it was read')
        return Uint8Array.from(lease.bytes)
      } finally {
        lease.release()
      }
    },
    thumbnail: async (request, options) => {
      if (thumbnails === undefined) throw new CodedError('unsupported', 'no pictures are made here')
      const bytes = await thumbnails.make(peerId, request, options)
      const mediaType = checkThumbnail(bytes, request.edge)
      if (!mediaType.ok) throw new CodedError('unsupported', mediaType.error.message)
      return { bytes, mediaType: mediaType.value }
    },
  }
}
