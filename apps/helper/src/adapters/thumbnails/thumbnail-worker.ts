import { setPriority } from 'node:os'
import { writeFileSync } from 'node:fs'
import type SharpLibrary from 'sharp'
import { MAX_SOURCE_PIXELS } from './thumbnail-bounds.ts'

/**
 * A process of its own that decodes images, which may be hostile: it is given bytes and no paths, and whoever started it kills it when it takes too
 * long. It decodes one image after the other and decides nothing about whom they are for. Others import no more than types from here: it begins its work
 * when it is loaded, and takes the whole process for it.
 */

export type ToThumbnailWorker = { readonly id: number; readonly bytes: Uint8Array; readonly edge: number }

export type FromThumbnailWorker =
  | { readonly kind: 'made'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string }
  /** The library does not load here. */
  | { readonly kind: 'unavailable'; readonly message: string }

/** Each smaller than the one before, until the picture fits. */
const QUALITIES = [70, 45, 20]
/** After an image that took as much, the process starts anew rather than keep it. */
const MAX_RSS_BYTES = 400 * 1024 * 1024

async function serve(): Promise<void> {
  yieldToOthers()
  const library = await load()
  if (library === undefined) return
  const { sharp, maxBytes } = library
  process.on('message', ({ id, bytes, edge }: ToThumbnailWorker) => {
    void shrink(sharp, bytes, edge, maxBytes).then(
      (made) => tell({ kind: 'made', id, bytes: made }),
      (error: unknown) => tell({ kind: 'failed', id, message: error instanceof Error ? error.message : String(error) }),
    ).then(() => {
      if (process.memoryUsage.rss() > MAX_RSS_BYTES) process.exit(0)
    })
  })
  process.on('disconnect', () => process.exit(0))
}

type Sharp = typeof SharpLibrary

async function load(): Promise<{ sharp: Sharp; maxBytes: number } | undefined> {
  try {
    const [{ default: sharp }, { MAX_THUMBNAIL_BYTES }] = await Promise.all([import('sharp'), import('@harddrive-party/protocol')])
    sharp.cache(false)
    sharp.concurrency(1)
    // No loader but these, whatever the bytes look like: no documents, no fonts, no files.
    sharp.block({ operation: ['VipsForeignLoad'] })
    sharp.unblock({ operation: ['VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer', 'VipsForeignLoadWebpBuffer', 'VipsForeignLoadNsgifBuffer'] })
    return { sharp, maxBytes: MAX_THUMBNAIL_BYTES }
  } catch (error) {
    await tell({ kind: 'unavailable', message: error instanceof Error ? error.message : String(error) })
    process.disconnect()
    return undefined
  }
}

/** @returns a WebP file of at most so many bytes, upright, and nothing in it but pixels */
async function shrink(sharp: Sharp, bytes: Uint8Array, edge: number, maxBytes: number): Promise<Uint8Array> {
  const small = await sharp(bytes, { limitInputPixels: MAX_SOURCE_PIXELS, failOn: 'error', sequentialRead: true, pages: 1 })
    .autoOrient()
    .resize(edge, edge, { fit: 'inside', withoutEnlargement: true })
    .toColourspace('srgb')
    .png({ compressionLevel: 0 })
    .toBuffer()
  // Our own pixels from here on, but the loader allowed for them is the same.
  for (const quality of QUALITIES) {
    const made = await sharp(small).webp({ quality, effort: 2 }).toBuffer()
    if (made.length <= maxBytes) return made
  }
  throw new Error('the picture does not get small enough')
}

function tell(message: FromThumbnailWorker): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve()
    else process.send(message, undefined, undefined, () => resolve())
  })
}

/** Pictures are the last thing that anybody waits for, and the first that may go when memory is short. */
function yieldToOthers(): void {
  try {
    setPriority(10)
    if (process.platform === 'linux') writeFileSync('/proc/self/oom_score_adj', '1000')
  } catch {
    // Not every system lets a process step back.
  }
}

await serve()
