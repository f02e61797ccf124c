import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MAX_THUMBNAIL_EDGE, checkThumbnail } from '@harddrive-party/protocol'

/** Keeps pictures on the disk, so that none is made twice. Bounded; what it loses is made again. Never rejects: a cache that does not work is an empty one. */
export interface ThumbnailCache {
  get(key: string): Promise<Uint8Array | undefined>
  put(key: string, bytes: Uint8Array): Promise<void>
}

/** Of all pictures together, and how many: a listing of the directory stays quick. */
const MAX_BYTES = 64 * 1024 * 1024
const MAX_FILES = 20_000
/** When it is full, so much goes at once: making room for each picture alone would take as long as making it. */
const KEEP_SHARE = 0.9
const NAME = /^[0-9a-f]{64}$/

/** Which picture of which version of which file. @param file absolute */
export function thumbnailKey(file: string, size: number, mtime: number, edge: number): string {
  return createHash('sha256').update(JSON.stringify([file, size, mtime, edge])).digest('hex')
}

/** @param directory made at the first picture; nothing else may be in it */
export function openThumbnailCache(directory: string, bounds = { bytes: MAX_BYTES, files: MAX_FILES }): ThumbnailCache {
  /** Bytes by key, the least used first. */
  let known: Promise<Map<string, number>> | undefined
  let total = 0

  async function load(): Promise<Map<string, number>> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const found: { key: string; bytes: number; mtime: number }[] = []
    for (const name of await readdir(directory)) {
      const facts = NAME.test(name) ? await stat(join(directory, name)).catch(() => undefined) : undefined
      // What is left of a write that was cut off.
      if (facts === undefined) await rm(join(directory, name), { force: true, recursive: true })
      else found.push({ key: name, bytes: facts.size, mtime: facts.mtimeMs })
    }
    total = found.reduce((sum, { bytes }) => sum + bytes, 0)
    return new Map(found.sort((a, b) => a.mtime - b.mtime).map(({ key, bytes }) => [key, bytes]))
  }

  async function drop(files: Map<string, number>, key: string): Promise<void> {
    total -= files.get(key) ?? 0
    files.delete(key)
    await rm(join(directory, key), { force: true })
  }

  async function quietly<T>(work: (files: Map<string, number>) => Promise<T>): Promise<T | undefined> {
    try {
      return await work(await (known ??= load()))
    } catch {
      return undefined
    }
  }

  return {
    get: (key) => quietly(async (files) => {
      const bytes = files.get(key)
      if (bytes === undefined) return undefined
      files.delete(key)
      files.set(key, bytes)
      const kept = await readFile(join(directory, key)).catch(() => undefined)
      // A power cut may have left anything in its place.
      if (kept !== undefined && checkThumbnail(kept, MAX_THUMBNAIL_EDGE).ok && kept.length === bytes) return kept
      await drop(files, key)
      return undefined
    }),
    put: async (key, bytes) => {
      await quietly(async (files) => {
        const unfinished = join(directory, `new-${randomBytes(8).toString('hex')}`)
        await writeFile(unfinished, bytes, { mode: 0o600, flag: 'wx' })
        await rename(unfinished, join(directory, key))
        total += bytes.length - (files.get(key) ?? 0)
        files.set(key, bytes.length)
        if (total <= bounds.bytes && files.size <= bounds.files) return
        for (const old of files.keys()) {
          if (total <= bounds.bytes * KEEP_SHARE && files.size <= bounds.files * KEEP_SHARE) return
          await drop(files, old)
        }
      })
    },
  }
}
