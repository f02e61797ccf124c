import { CodedError, MAX_THUMBNAIL_FRAME_BYTES, type PeerId, THUMBNAILS_CAPABILITY, type ThumbnailRequest, checkThumbnail } from '@harddrive-party/protocol'
import { type RequestOptions, ask, expectEnd, readAnswer } from '../peers/peer-requests.ts'
import { Slots } from '../transfers/read-slots.ts'
import type { PeerConnection } from '../peers/transport.ts'

/** Asks peers for pictures of their images, judges what they send without decoding it, and keeps the last ones in memory. */
export interface ThumbnailSource {
  /**
   * @throws CodedError `unsupported` (it makes none), `bad-answer` (no picture of a kind that is shown, or larger than asked for), what the peer answered;
   * `offline`, `timed-out`, `aborted`, `connection-lost`, `stream-reset`, `busy`
   */
  get(peerId: PeerId, request: Omit<ThumbnailRequest, 'type'>, options: { readonly signal: AbortSignal }): Promise<Picture>
  /** Whether a peer that is connected makes pictures. */
  isOffered(peerId: PeerId): boolean
  /** What a peer lists in its hello; null = it is gone. */
  onPresence(peerId: PeerId, capabilities: readonly string[] | null): void
}

export interface Picture {
  readonly bytes: Uint8Array
  readonly mediaType: string
}

/** Under way to one peer: a round trip's worth, and most of its streams left for others. */
const ASKED_AT_ONCE = 6
/** A picture is waited for as long as its maker may take, and while those before it are made. */
const NO_PROGRESS_MS = 40_000
/** Kept in memory: a folder that somebody scrolls back through. */
const MAX_KEPT_BYTES = 16 * 1024 * 1024

/** @returns a checked picture @throws CodedError as ThumbnailSource.get */
export async function requestThumbnail(connection: PeerConnection, request: Omit<ThumbnailRequest, 'type'>, options: RequestOptions): Promise<Picture> {
  return ask(connection, { type: 'thumbnail', ...request }, { noProgressMs: NO_PROGRESS_MS, ...options }, async (frames) => {
    const { bytes } = await readAnswer(frames, 'picture', MAX_THUMBNAIL_FRAME_BYTES)
    await expectEnd(frames)
    const mediaType = checkThumbnail(bytes, request.edge)
    if (!mediaType.ok) throw new CodedError('bad-answer', mediaType.error.message)
    return { bytes, mediaType: mediaType.value }
  })
}

/** @param connection the one in use, or undefined */
export function openThumbnailSource({ connection }: { readonly connection: (peerId: PeerId) => PeerConnection | undefined }): ThumbnailSource {
  const makers = new Map<PeerId, Slots>()
  /** The least used first. */
  const kept = new Map<string, Picture>()
  let keptBytes = 0

  function keep(key: string, picture: Picture): void {
    keptBytes += picture.bytes.length - (kept.get(key)?.bytes.length ?? 0)
    kept.set(key, picture)
    for (const [old, { bytes }] of kept) {
      if (keptBytes <= MAX_KEPT_BYTES) return
      kept.delete(old)
      keptBytes -= bytes.length
    }
  }

  return {
    get: async (peerId, request, { signal }) => {
      const key = JSON.stringify([peerId, request.path, request.size, request.mtime, request.edge])
      const found = kept.get(key)
      if (found !== undefined) {
        kept.delete(key)
        kept.set(key, found)
        return found
      }
      const slots = makers.get(peerId)
      if (slots === undefined) throw new CodedError('unsupported', 'this peer makes no pictures')
      await slots.acquire(signal)
      try {
        const current = connection(peerId)
        if (current === undefined) throw new CodedError('offline', 'this peer is not connected')
        const picture = await requestThumbnail(current, request, { signal })
        keep(key, picture)
        return picture
      } finally {
        slots.release()
      }
    },
    isOffered: (peerId) => makers.has(peerId),
    onPresence: (peerId, capabilities) => {
      if (capabilities?.includes(THUMBNAILS_CAPABILITY) === true) makers.set(peerId, makers.get(peerId) ?? new Slots(ASKED_AT_ONCE))
      else makers.delete(peerId)
    },
  }
}
