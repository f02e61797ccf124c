import { CodedError, type ErrorCode, MAX_READ_BYTES, type PeerId, type ReadRequest, type ThumbnailRequest, extensionOf, readImageHeader, sharePathBaseName } from '@harddrive-party/protocol'
import { TokenBucket } from '../../core/token-bucket.ts'
import { type Clock, systemClock } from '../system/drive.ts'
import { isLocalTo } from '../files/local-path.ts'
import type { Pacer } from '../transfers/pacer.ts'
import type { ShareIndexReader, Visibility } from '../shares/share-index.ts'
import type { RangeLease, ShareReader } from '../shares/share-reader.ts'
import { type ThumbnailCache, thumbnailKey } from './thumbnail-cache.ts'
import type { ThumbnailProcess } from './thumbnail-process.ts'
import type { PeerConnection } from '../peers/transport.ts'
import { MAX_SOURCE_PIXELS } from './thumbnail-bounds.ts'

/**
 * Makes pictures of shared images for those who may see them, one at a time and peers in turn, and judges an image before anything decodes it. Whom it
 * answers is decided before; how a picture is made, in a process of its own.
 */
export interface ThumbnailMaker {
  /**
   * @param peer whose turn it takes
   * @throws CodedError `not-found`, `source-changed`, `unsupported` (no image of a kind that is made into pictures), `too-large`, `unreadable`,
   * `busy`, `aborted`, and what reading the file throws
   */
  make(peer: PeerId, request: Omit<ThumbnailRequest, 'type'>, options: Visibility & { readonly signal: AbortSignal }): Promise<Uint8Array>
  close(): void
}

export interface ThumbnailMakerOptions {
  readonly index: Pick<ShareIndexReader, 'find'>
  readonly reader: Pick<ShareReader, 'readRange'>
  readonly process: ThumbnailProcess
  /** Absent = every picture is made anew. */
  readonly cache?: ThumbnailCache
  readonly clock?: Clock
}

/** Larger files are no photographs. */
const MAX_SOURCE_BYTES = 48 * 1024 * 1024
/** Named so; whether they are is seen in their bytes. */
const EXTENSIONS = new Set(['jpg', 'jpeg', 'jfif', 'png', 'webp', 'gif'])
/** Longer sides that are made: one of each version of a file, whatever is asked for. */
const EDGES = [320, 192, 96, 48, 24, 12, 6, 3, 1]
/** Waiting in all; who asks for more at once is told to come back. */
const MAX_WAITING = 512
/** Of one peer: some screens of a grid at once, then as fast as somebody scrolls to look. */
const BURST = 400
const INTERVAL_MS = 100
/** Remembered images that failed, so that none is decoded again to fail again. */
const MAX_FAILED = 2_000

interface Waiting {
  readonly run: () => Promise<void>
  readonly give: (error: CodedError) => void
}

interface Asker {
  readonly bucket: TokenBucket
  readonly waiting: Set<Waiting>
}

export function openThumbnailMaker(options: ThumbnailMakerOptions): ThumbnailMaker {
  const { index, reader, process, cache, clock = systemClock } = options
  /** Those who wait or have asked lately, who was served last at the end. */
  const askers = new Map<PeerId, Asker>()
  const underWay = new Map<string, Promise<Uint8Array>>()
  const failed = new Map<string, { readonly code: ErrorCode; readonly message: string }>()
  let waiting = 0
  let isWorking = false
  let closed = false
  let cancelWake: (() => void) | undefined

  function next(): void {
    cancelWake?.()
    if (isWorking || closed) return
    const now = clock.now()
    let wakeAt = Infinity
    for (const [peer, asker] of askers) {
      const [first] = asker.waiting
      const ready = asker.bucket.nextAt(now)
      if (first === undefined) {
        // One that has rested is as good as a new one.
        if (now - ready > BURST * INTERVAL_MS) askers.delete(peer)
        continue
      }
      if (!asker.bucket.take(now)) {
        wakeAt = Math.min(wakeAt, ready)
        continue
      }
      askers.delete(peer)
      askers.set(peer, asker)
      asker.waiting.delete(first)
      waiting--
      isWorking = true
      void first.run().finally(() => {
        isWorking = false
        next()
      })
      return
    }
    if (wakeAt < Infinity) cancelWake = clock.wakeAfter(Math.max(1, wakeAt - now), next)
  }

  /** Runs the work when its turn comes, and to its end: what was begun is kept for whoever asks next. @throws CodedError `busy`, `aborted` */
  function inTurn<T>(peer: PeerId, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (waiting >= MAX_WAITING) throw new CodedError('busy', 'too many pictures are asked for')
    const asker = askers.get(peer) ?? { bucket: new TokenBucket(BURST, INTERVAL_MS), waiting: new Set<Waiting>() }
    askers.set(peer, asker)
    return new Promise<T>((resolve, reject) => {
      const one: Waiting = {
        run: async () => {
          signal.removeEventListener('abort', stop)
          await work().then(resolve, reject)
        },
        give: reject,
      }
      const stop = () => {
        if (asker.waiting.delete(one)) waiting--
        reject(new CodedError('aborted', 'stopped'))
      }
      signal.addEventListener('abort', stop, { once: true })
      asker.waiting.add(one)
      waiting++
      next()
    })
  }

  async function makeAnew(key: string, request: Omit<ThumbnailRequest, 'type'>, edge: number, visibility: Visibility): Promise<Uint8Array> {
    try {
      const { path, size, mtime } = request
      const read = (range: Pick<ReadRequest, 'start' | 'end'>) => reader.readRange({ path, ...range, expect: { size, mtime } }, { signal: new AbortController().signal, ...visibility })
      const bytes = await readWhole(size, read)
      const header = readImageHeader(bytes)
      if (header === undefined) throw new CodedError('unsupported', 'this is no image of a kind that pictures are made of')
      if (header.width * header.height > MAX_SOURCE_PIXELS) throw new CodedError('too-large', 'the image has too many pixels')
      const made = await process.make(bytes, edge)
      await cache?.put(key, made)
      return made
    } catch (error) {
      if (error instanceof CodedError && ['unsupported', 'too-large', 'unreadable'].includes(error.code)) {
        failed.set(key, CodedError.toWire(error))
        for (const old of failed.keys()) {
          if (failed.size <= MAX_FAILED) break
          failed.delete(old)
        }
      }
      throw error
    }
  }

  return {
    make: async (peer, request, { signal, ...visibility }) => {
      const { path, size, mtime } = request
      const found = index.find(path, visibility)
      if (found === undefined || found.entry.isDirectory) throw new CodedError('not-found', 'there is no such file')
      if (found.entry.size !== size || found.entry.mtime !== mtime) throw new CodedError('source-changed', 'the file has changed at its source')
      if (!EXTENSIONS.has(extensionOf(sharePathBaseName(path)))) throw new CodedError('unsupported', 'this is no image of a kind that pictures are made of')
      if (size > MAX_SOURCE_BYTES) throw new CodedError('too-large', 'the image has too many bytes')
      const edge = EDGES.find((made) => made <= request.edge) ?? 1
      const key = thumbnailKey(found.file, size, mtime, edge)
      const failure = failed.get(key)
      if (failure !== undefined) throw new CodedError(failure.code, failure.message)
      const kept = await cache?.get(key)
      if (kept !== undefined) return kept
      for (;;) {
        if (closed) throw new CodedError('closed', 'the helper is stopping')
        if (signal.aborted) throw new CodedError('aborted', 'stopped')
        const running = underWay.get(key)
        if (running === undefined) break
        try {
          return await running
        } catch (error) {
          // Whoever asked first has lost interest; we have not.
          if (!(error instanceof CodedError) || error.code !== 'aborted') throw error
        }
      }
      const making = inTurn(peer, () => makeAnew(key, request, edge, visibility), signal)
      underWay.set(key, making)
      return making.finally(() => underWay.delete(key))
    },
    close: () => {
      closed = true
      cancelWake?.()
      process.close()
      for (const asker of askers.values()) for (const { give } of asker.waiting) give(new CodedError('closed', 'the helper is stopping'))
      askers.clear()
    },
  }
}

/** What a peer is answered with: what passes within the limits on what is sent. */
export function servedThumbnails(maker: ThumbnailMaker, pacer: Pacer) {
  return async (connection: PeerConnection, request: ThumbnailRequest, options: Visibility & { readonly signal: AbortSignal }): Promise<Uint8Array> => {
    const { path, size, mtime, edge } = request
    const bytes = await maker.make(connection.peerId, { path, size, mtime, edge }, options)
    await pacer.pass(connection.peerId, bytes.length, isLocalTo(connection), { signal: options.signal })
    return bytes
  }
}

async function readWhole(size: number, read: (range: { start: number; end: number }) => Promise<RangeLease>): Promise<Uint8Array> {
  const whole = Buffer.allocUnsafe(size)
  for (let at = 0; at < size; ) {
    const lease = await read({ start: at, end: Math.min(size, at + MAX_READ_BYTES) })
    try {
      if (lease.bytes.length === 0) throw new CodedError('source-changed', 'the file became shorter while it was read')
      whole.set(lease.bytes, at)
      at += lease.bytes.length
    } finally {
      lease.release()
    }
  }
  return whole
}
