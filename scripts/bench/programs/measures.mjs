// What every program is asked to do, and how that is measured: one file, many small ones, and how long a large share takes until its first bytes come.
import { createCipheriv, randomBytes } from 'node:crypto'
import { mkdir, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from '../../../lab/namespaces.ts'
import { remove, until } from './place.mjs'

const SMALL_FILE_BYTES = 10 * 1024
const FILES_PER_FOLDER = 100
const SHARE_FILES = 5
/** So much is data, not talk. */
const FIRST_BYTES = 1_000_000
const PIECE_BYTES = 16 * 1024 * 1024

/** @type {Record<string, { make(place: import('./place.mjs').Place, size: object): Promise<import('./programs.mjs').Source>, take: Function }>} */
export const MEASURES = {
  bigFile: {
    make: async (place, { bytes }) => {
      const directory = await place.folder('big')
      await writeRandom(join(directory, 'film.mkv'), bytes)
      return { directory, file: 'film.mkv' }
    },
    take: takeWhole,
  },
  smallFiles: {
    make: async (place, { files }) => {
      const directory = await place.folder('small')
      for (let at = 0; at < files; at += FILES_PER_FOLDER) {
        const folder = join(directory, `folder ${at / FILES_PER_FOLDER}`)
        await mkdir(folder)
        for (let file = 0; file < Math.min(FILES_PER_FOLDER, files - at); file++) await writeRandom(join(folder, `${file}.bin`), SMALL_FILE_BYTES)
      }
      return { directory }
    },
    take: takeWhole,
  },
  firstBytes: {
    make: async (place, { bytes }) => {
      const directory = await place.folder('share')
      for (let file = 0; file < SHARE_FILES; file++) await writeRandom(join(directory, `film ${file}.mkv`), bytes / SHARE_FILES)
      return { directory }
    },
    take: takeFirst,
  },
}

/** Seconds from the wish until all of it is safe on the disk; of what had come when time was up, if it was. */
async function takeWhole(place, program, source, { limitSeconds }) {
  await command('sync', [])
  const offering = clock()
  const impatience = new AbortController()
  const timer = setTimeout(() => impatience.abort(new Error(`it had nothing to offer after ${limitSeconds} s`)), limitSeconds * 1000)
  const offer = await program.offer(source, impatience.signal).finally(() => clearTimeout(timer))
  const offerSeconds = offering()
  try {
    await offer.meet?.()
    const limit = AbortSignal.timeout(limitSeconds * 1000)
    const fetching = clock()
    const complete = await offer.fetch(limit).then(() => true, (error) => {
      if (limit.aborted) return false
      throw error
    })
    if (complete) await command('sync', ['-f', offer.arrived])
    const seconds = fetching()
    const files = source.file === undefined ? await countFiles(offer.arrived) : Number(complete)
    if (complete) await command('diff', ['-rq', '--exclude=.stfolder', source.file === undefined ? source.directory : join(source.directory, source.file), offer.arrived])
    return { offerSeconds, seconds, files, complete }
  } finally {
    await offer.close()
    await remove(offer.arrived)
  }
}

/** Seconds from "this folder is shared" until somebody who is connected and asks at once has the first megabyte of it; null when time was up. */
async function takeFirst(place, program, source, { limitSeconds }) {
  await command('sync', [])
  const over = new AbortController()
  const limit = over.signal
  const timer = setTimeout(() => over.abort(), limitSeconds * 1000)
  const offering = clock()
  const offer = await program.offer(source, limit).catch((error) => {
    if (!limit.aborted) throw error
  })
  if (offer === undefined) return { seconds: null, givenUpAfterSeconds: limitSeconds }
  const offerSeconds = offering()
  await offer.meet?.()
  const before = await place.received()
  const fetching = clock()
  // It may be over before that is seen, which is as good.
  const fetched = offer.fetch(limit).then(() => true, (error) => {
    if (limit.aborted) return false
    throw error
  })
  const arrived = until(async () => (await place.received()) - before > FIRST_BYTES, limit, 5).then(() => true, () => false)
  const seconds = (await Promise.race([arrived, fetched])) ? offerSeconds + fetching() : null
  clearTimeout(timer)
  over.abort()
  await fetched
  await offer.close()
  await remove(offer.arrived)
  return { seconds }
}

function clock() {
  const began = performance.now()
  return () => (performance.now() - began) / 1000
}

/** What cannot be compressed, nor found twice. */
async function writeRandom(path, bytes) {
  const stream = createCipheriv('aes-256-ctr', randomBytes(32), randomBytes(16))
  const zeros = Buffer.alloc(Math.min(bytes, PIECE_BYTES))
  const handle = await open(path, 'wx')
  for (let left = bytes; left > 0; left -= zeros.length) await handle.write(stream.update(left < zeros.length ? zeros.subarray(0, left) : zeros))
  await handle.close()
}

async function countFiles(path) {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isFile()).length
}
