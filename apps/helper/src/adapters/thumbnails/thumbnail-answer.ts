import type { IncomingMessage, ServerResponse } from 'node:http'
import { CodedError, type ErrorCode, MAX_THUMBNAIL_EDGE, type PeerId, type SharePath, type ThumbnailRequest, parseSharePath } from '@harddrive-party/protocol'
import type { Picture } from './thumbnail-requests.ts'

/** Answers requests for pictures below an address that was given out for one peer: `…/thumbnails?path=…&size=…&mtime=…&edge=…`. Checked pictures only. */

export type ReadThumbnail = (peerId: PeerId, request: Omit<ThumbnailRequest, 'type'>, options: { readonly signal: AbortSignal }) => Promise<Picture>

/** @returns undefined for what no app of ours asks */
export function parseThumbnailQuery(query: string): Omit<ThumbnailRequest, 'type'> | undefined {
  const fields = new URLSearchParams(query)
  const path = parseSharePath(fields.get('path') ?? '')
  const [size, mtime, edge] = [numberOf(fields.get('size')), numberOf(fields.get('mtime')), numberOf(fields.get('edge'))]
  if (!path.ok || !Number.isSafeInteger(size) || size < 0 || !Number.isFinite(mtime) || !Number.isInteger(edge) || edge < 1 || edge > MAX_THUMBNAIL_EDGE) return undefined
  return { path: path.value as SharePath, size, mtime, edge }
}

function numberOf(text: string | null): number {
  return text === null || text === '' || text.length > 32 ? Number.NaN : Number(text)
}

const STATUS_CODES: Partial<Record<ErrorCode, number>> = { 'not-found': 404, 'source-changed': 410, unsupported: 415, 'too-large': 413, unreadable: 422, busy: 503, 'timed-out': 504 }

/** @param query what follows the question mark */
export async function answerThumbnail(request: IncomingMessage, response: ServerResponse, peerId: PeerId, query: string, read: ReadThumbnail): Promise<void> {
  const asked = parseThumbnailQuery(query)
  if (asked === undefined) return answer(response, 400)
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  try {
    const { bytes, mediaType } = await read(peerId, asked, { signal: gone.signal })
    answer(response, 200, { type: mediaType, bytes: request.method === 'HEAD' ? undefined : bytes, length: bytes.length })
  } catch (error) {
    if (!gone.signal.aborted) answer(response, STATUS_CODES[CodedError.toWire(error).code] ?? 502)
  }
}

function answer(response: ServerResponse, status: number, picture?: { readonly type: string; readonly bytes: Uint8Array | undefined; readonly length: number }): void {
  response.writeHead(status, {
    ...(picture === undefined ? {} : { 'Content-Type': picture.type }),
    'Content-Length': picture?.length ?? 0,
    'Content-Security-Policy': "sandbox; default-src 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Resource-Policy': 'cross-origin',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'private, no-store',
  }).end(picture?.bytes)
}
