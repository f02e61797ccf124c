import {
  CodedError, MAX_PAGE_ENTRIES, MAX_PAGE_FRAME_BYTES, MAX_READ_BYTES, MAX_SMALL_FRAME_BYTES, MAX_WAITS_PER_READ, compareTreeOrder, decodeAnswer, encodeRequest,
  isBelow, parentOf,
} from '@harddrive-party/protocol'
import type { ChangedRequest, Entry, ErrorCode, GossipRequest, IntroduceRequest, ListPage, ListRequest, OfferNewsRequest, OfferRequest, PeerAnswer, PeerRequest, SharePath } from '@harddrive-party/protocol'
import { PieceSize } from '../../core/transfers/piece-size.ts'
import { hashPart } from '../transfers/part-hash.ts'
import { FrameStream } from './frame-stream.ts'
import type { PeerConnection, PeerStream } from './transport.ts'

/**
 * Asks a peer for listings, parts of files and signs of life, each on a stream of its own, and believes nothing that it can check. It does not
 * decide what is asked or whether a failure is worth another try.
 */

/** A request on which nothing has arrived for this long has failed: longer than any disk needs to wake, shorter than patience. */
export const NO_PROGRESS_MS = 20_000

/** What a peer may say of its side. Other codes speak of ours: from a peer they mean nothing. */
const PEER_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'bad-request', 'unsupported', 'too-large', 'not-found', 'not-allowed', 'busy', 'source-changed', 'unreadable', 'approval-pending', 'timed-out',
  'bad-path', 'closed', 'internal',
])

export interface RequestOptions {
  readonly signal: AbortSignal
  /** Default NO_PROGRESS_MS. */
  readonly noProgressMs?: number
}

export interface ReadOptions extends RequestOptions {
  /** Called with how many bytes more are in the buffer. They are not verified before the whole call resolves. */
  onBytes?(count: number): void
  /** Called while the peer serves others first, with our place (1 = next), and with `null` while a limit of ours holds it up. A sign of life each time. */
  onPlace?(place: number | null): void
}

export interface ReadArguments {
  readonly path: SharePath
  /** First byte wanted. */
  readonly start: number
  /** One past the last byte wanted, at most `start` + MAX_READ_BYTES. */
  readonly end: number
  readonly expect?: { readonly size: number; readonly mtime: number } | undefined
}

export interface ReadOutcome {
  /** The whole file, as the peer has it now. */
  readonly size: number
  readonly mtime: number
  readonly start: number
  /** Bytes in the buffer, verified; fewer than asked for only at the end of the file. */
  readonly length: number
}

/** `rejected`: entries left out because their paths break the rules. */
export type ReceivedPage = ListPage & { readonly rejected?: number }

/**
 * One page of a peer's shares. Every entry is below what was asked for, and pages without a search are in tree order.
 * @throws CodedError `bad-answer` for a page that lies; what the peer answered; `timed-out`, `aborted`, `connection-lost`, `stream-reset`, `busy`
 */
export async function requestList(connection: PeerConnection, request: ListRequest, options: RequestOptions): Promise<ReceivedPage> {
  return ask(connection, { type: 'ls', ...request }, options, async (frames) => {
    const page = await readAnswer(frames, 'page', MAX_PAGE_FRAME_BYTES)
    await expectEnd(frames)
    checkPage(request, page)
    const { entries, cursor, rejected } = page
    return { entries, ...(cursor === undefined ? {} : { cursor }), ...(rejected === undefined ? {} : { rejected }) }
  })
}

/**
 * Reads one part of a file into the caller's buffer.
 * @param into at least `end - start` bytes; on failure its content is undefined, and it is not written to any more
 * @throws CodedError `wrong-length`, `hash-mismatch`, `bad-answer`; what the peer answered, such as `source-changed`; `timed-out`, `aborted`,
 *   `connection-lost`, `stream-reset`, `busy`
 */
export async function requestRead(connection: PeerConnection, wanted: ReadArguments, into: Uint8Array, options: ReadOptions): Promise<ReadOutcome> {
  const { path, start, end, expect } = wanted
  if (!(end >= start && end - start <= MAX_READ_BYTES && into.length >= end - start)) throw new RangeError('a read and its buffer do not fit')
  const request: PeerRequest = { type: 'read', path, start, end, ...(expect === undefined ? {} : { expect }), places: true }
  return ask(connection, request, options, async (frames) => {
    const header = expectAnswer(await readPastWaits(frames, options), 'data')
    const { size, mtime, length } = header
    if (expect !== undefined && (size !== expect.size || mtime !== expect.mtime)) throw badAnswer('it sends another file than the one asked for')
    if (header.start !== start) throw badAnswer('it sends another part than the one asked for')
    if (length !== Math.max(0, Math.min(end, size) - start)) throw new CodedError('wrong-length', 'it sends more or less than was asked for')
    const hash = hashPart(into.subarray(0, length), false)
    // What is taken at a time is also how often progress is seen.
    const pieces = new PieceSize()
    for (let filled = 0; filled < length;) {
      const began = performance.now()
      const chunk = into.subarray(filled, Math.min(length, filled + pieces.bytes))
      const count = await frames.readExactly(chunk)
      if (count < chunk.length) throw new CodedError('wrong-length', 'it ended before sending what it had promised')
      pieces.took(performance.now() - began)
      filled += count
      hash.reach(filled)
      options.onBytes?.(count)
    }
    const trailer = await readAnswer(frames, 'sent', MAX_SMALL_FRAME_BYTES)
    if (trailer.bytes !== length) throw new CodedError('wrong-length', 'it says that it sent another amount than what arrived')
    if (!isSameHash(await hash.digest(), trailer.hash)) throw new CodedError('hash-mismatch', 'what arrived is not what was sent')
    await expectEnd(frames)
    return { size, mtime, start, length }
  })
}

function isSameHash(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** @returns the time to the answer in milliseconds @throws CodedError as `requestList` */
export async function requestPing(connection: PeerConnection, options: RequestOptions): Promise<number> {
  const sentAt = performance.now()
  return ask(connection, { type: 'ping' }, options, async (frames) => {
    await readAnswer(frames, 'pong', MAX_SMALL_FRAME_BYTES)
    const rttMs = performance.now() - sentAt
    await expectEnd(frames)
    return rttMs
  })
}

/** Tells a peer how to reach us and others. @throws CodedError as `requestList` */
export async function requestGossip(connection: PeerConnection, gossip: Omit<GossipRequest, 'type'>, options: RequestOptions): Promise<void> {
  return ask(connection, { type: 'gossip', ...gossip }, options, async (frames) => {
    await readAnswer(frames, 'noted', MAX_SMALL_FRAME_BYTES)
    await expectEnd(frames)
  })
}

/** Tells a peer something that needs no answer but that it was heard. @throws CodedError as `requestList` */
export async function requestNotice(connection: PeerConnection, notice: ChangedRequest | OfferRequest | OfferNewsRequest, options: RequestOptions): Promise<void> {
  return ask(connection, notice, options, async (frames) => {
    await readAnswer(frames, 'noted', MAX_SMALL_FRAME_BYTES)
    await expectEnd(frames)
  })
}

/** Asks to be reached by somebody. @returns the record of whom was asked for, unchecked @throws CodedError as `requestList` */
export async function requestIntroduction(connection: PeerConnection, request: Omit<IntroduceRequest, 'type'>, options: RequestOptions): Promise<Uint8Array> {
  return ask(connection, { type: 'introduce', ...request }, options, async (frames) => {
    const { record } = await readAnswer(frames, 'introduced', MAX_SMALL_FRAME_BYTES)
    await expectEnd(frames)
    return record
  })
}

/** Sends a request on a new stream and has its answer read; ends the stream whatever happens. */
export async function ask<T>(
  connection: PeerConnection, request: PeerRequest, options: RequestOptions, read: (frames: FrameStream) => Promise<T>,
): Promise<T> {
  const { signal, noProgressMs = NO_PROGRESS_MS } = options
  if (signal.aborted) throw new CodedError('aborted', 'stopped')
  const stream = connection.openStream()
  let stopped: CodedError | undefined
  const stop = (why: CodedError): void => {
    stopped ??= why
    // Reads and writes under way fail now, so that nobody writes into the caller's buffer after we return.
    stream.abort()
  }
  const timer = setTimeout(() => stop(new CodedError('timed-out', 'the other side stopped answering')), noProgressMs)
  const abort = (): void => stop(new CodedError('aborted', 'stopped'))
  signal.addEventListener('abort', abort, { once: true })
  try {
    const frames = new FrameStream(observed(stream, () => timer.refresh()))
    await frames.writeFrame(encodeRequest(request))
    stream.finish()
    return await read(frames)
  } catch (error) {
    stream.abort()
    if (stopped) throw stopped
    if (error instanceof CodedError && error.code === 'too-large') throw new CodedError('bad-answer', 'its answer is too large', { cause: error })
    throw error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

/** The stream, telling when bytes have arrived. */
function observed(stream: PeerStream, onProgress: () => void): PeerStream {
  return {
    id: stream.id,
    async read(into) {
      const count = await stream.read(into)
      onProgress()
      return count
    },
    write: (bytes) => stream.write(bytes),
    finish: () => stream.finish(),
    abort: () => stream.abort(),
  }
}

type AnswerOf<T extends PeerAnswer['type']> = Extract<PeerAnswer, { type: T }>

export async function readAnswer<T extends PeerAnswer['type']>(frames: FrameStream, type: T, maxBytes: number): Promise<AnswerOf<T>> {
  return expectAnswer(await readAnyAnswer(frames, maxBytes), type)
}

/** @throws CodedError what the peer answered instead */
export function expectAnswer<T extends PeerAnswer['type']>(value: PeerAnswer | null, type: T): AnswerOf<T> {
  if (value === null) throw badAnswer('it ended without an answer')
  if (value.type === 'error') throw errorFromPeer(value)
  if (value.type !== type) throw badAnswer(`it answers with “${value.type}”, not “${type}”`)
  return value as AnswerOf<T>
}

/** The first answer that is not about our place in the queue; null when the stream ends instead. */
export async function readPastWaits(frames: FrameStream, { onPlace }: ReadOptions): Promise<PeerAnswer | null> {
  for (let waits = 0; waits <= MAX_WAITS_PER_READ; waits++) {
    const answer = await readAnyAnswer(frames, MAX_SMALL_FRAME_BYTES)
    if (answer?.type !== 'wait' || answer.reason !== 'queue') return answer
    onPlace?.(answer.place)
  }
  throw badAnswer('it asks to wait without end')
}

/** @returns null when the stream ends instead */
export async function readAnyAnswer(frames: FrameStream, maxBytes: number): Promise<PeerAnswer | null> {
  const body = await frames.readFrame(maxBytes)
  if (body === null) return null
  const answer = decodeAnswer(body)
  if (!answer.ok) throw badAnswer(answer.error.message)
  return answer.value
}

/** What a peer's error is to us. */
export function errorFromPeer({ code, message }: AnswerOf<'error'>): CodedError {
  return PEER_CODES.has(code) ? new CodedError(code, message) : badAnswer(`it failed with “${code}”, which is not its to say: ${message}`)
}

/** Nothing may follow an answer: whoever sends more speaks another protocol or tries something. */
export async function expectEnd(frames: FrameStream): Promise<void> {
  if ((await frames.readExactly(new Uint8Array(1))) !== 0) throw badAnswer('it sends more than its answer')
}

function checkPage(request: ListRequest, page: ListPage): void {
  if (page.entries.length > Math.min(request.limit, MAX_PAGE_ENTRIES)) throw badAnswer('its page has more entries than asked for')
  if (page.cursor !== undefined && page.cursor === request.cursor) throw badAnswer('its listing does not go on')
  const inOrder = request.search === undefined
  let before: Entry | undefined
  for (const entry of page.entries) {
    if (!belongs(request, entry, page)) throw badAnswer('it lists something that was not asked for')
    if (inOrder && before !== undefined && compareTreeOrder(before.path, entry.path) >= 0) throw badAnswer('its listing is not in order')
    before = entry
  }
}

function belongs({ path, recursive }: ListRequest, entry: Entry, { entries }: ListPage): boolean {
  // A file's path lists that one file.
  if (entry.path === path) return !entry.isDirectory && entries.length === 1
  return recursive ? isBelow(entry.path, path) : parentOf(entry.path) === path
}

export function badAnswer(message: string): CodedError {
  return new CodedError('bad-answer', message)
}
