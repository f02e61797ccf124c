import { CodedError, MAX_OFFER_ENTRIES, type SharePath, parseSharePath, sharePathParts } from '@harddrive-party/protocol'
import { MAX_STAGED_PIECE } from '@harddrive-party/protocol/control'
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { OfferItem } from '../../core/offers/offer-record.ts'
import { toDiskError } from '../system/disk-error.ts'
import { checkDiskSpace } from '../transfers/disk-space.ts'
import { makeDirectories } from '../transfers/download-path.ts'

/** Keeps files that browsers hand over to be sent, as long as they are needed. Bounded; offers nothing itself. */
export interface Staging {
  /** @throws CodedError `busy` (too many at once), `disk-error` */
  open(): Promise<string>
  /**
   * Adds a piece to a file. Whoever was cut off asks for nothing (an empty piece at 0) and goes on where it says.
   * @returns how many bytes are there now; more or fewer than offset + piece when the offset was another one
   * @throws CodedError `not-found`, `bad-path`, `too-large`, `disk-full`, `disk-error`
   */
  put(stagingId: string, path: string, offset: number, piece: Uint8Array): Promise<number>
  /** Makes a folder, for one that has nothing in it. Again is fine. @throws CodedError as put */
  putFolder(stagingId: string, path: string): Promise<void>
  /** From now on it belongs to an offer and stays. @returns what is in it @throws CodedError `not-found`, `busy` while a piece is being written */
  take(stagingId: string): Promise<readonly OfferItem[]>
  /** Removes it, unless an offer has it. */
  drop(stagingId: string): Promise<void>
  /** Removes one that an offer had. */
  release(stagingId: string): Promise<void>
  /** Removes what no offer has. Idempotent. */
  close(): Promise<void>
}

export interface StagingOptions {
  /** Made when needed, private to the user. */
  readonly directory: string
  /** Those that offers have: all others are removed. */
  readonly taken: Iterable<string>
  readonly onError: (error: unknown) => void
  readonly maxBytes?: number
}

/** In all stagings together: a few films. */
export const MAX_STAGED_BYTES = 32 * 1024 ** 3
/** Browsers that hand over files at the same time. */
const MAX_OPEN = 8
/** Whoever hands over nothing for so long has gone away. */
const IDLE_MS = 30 * 60_000

interface Open {
  bytes: number
  files: number
  isTaken: boolean
  idle: ReturnType<typeof setTimeout> | undefined
  /** Pieces come one after the other, so that none gets in the way of another. */
  last: Promise<unknown>
}

/** @throws CodedError `disk-error` */
export async function openStaging(options: StagingOptions): Promise<Staging> {
  const { directory, onError, maxBytes = MAX_STAGED_BYTES } = options
  const stagings = new Map<string, Open>()
  await disk(directory, async () => {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const taken = new Set(options.taken)
    for (const name of await readdir(directory)) {
      if (taken.has(name)) stagings.set(name, { bytes: await bytesBelow(join(directory, name)), files: 0, isTaken: true, idle: undefined, last: Promise.resolve() })
      else await rm(join(directory, name), { recursive: true, force: true })
    }
  })

  function find(stagingId: string): Open {
    const found = stagings.get(stagingId)
    if (found === undefined || found.isTaken) throw new CodedError('not-found', 'there is no such place for files any more')
    return found
  }

  function touch(stagingId: string, one: Open): void {
    clearTimeout(one.idle)
    one.idle = setTimeout(() => void remove(stagingId).catch(onError), IDLE_MS).unref()
  }

  async function remove(stagingId: string): Promise<void> {
    const one = stagings.get(stagingId)
    if (one === undefined) return
    stagings.delete(stagingId)
    clearTimeout(one.idle)
    await one.last.catch(() => {})
    await disk(directory, () => rm(join(directory, stagingId), { recursive: true, force: true }))
  }

  async function write(stagingId: string, one: Open, path: SharePath, offset: number, piece: Uint8Array): Promise<number> {
    const root = join(directory, stagingId)
    const parts = sharePathParts(path)
    const file = join(root, ...parts)
    return disk(file, async () => {
      const known = await lstat(file).catch(() => undefined)
      if (known !== undefined && !known.isFile()) throw new CodedError('bad-path', 'a folder has this name already')
      if (known === undefined) countOne(one)
      const size = known?.size ?? 0
      if (known !== undefined && (size !== offset || piece.length === 0)) return size
      if (offset !== size) return size
      const all = [...stagings.values()].reduce((sum, { bytes }) => sum + bytes, 0)
      if (all + piece.length > maxBytes) throw new CodedError('too-large', `at most ${Math.floor(maxBytes / 1e9)} GB can wait to be sent from a browser; use a folder of this computer instead`)
      await checkDiskSpace(directory, piece.length)
      // Last, so that nothing that is refused leaves folders behind.
      await makeDirectories(root, parts.slice(0, -1), 0o700)
      const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | (constants.O_NOFOLLOW ?? 0), 0o600)
      try {
        await handle.writeFile(piece)
      } finally {
        await handle.close()
      }
      one.bytes += piece.length
      return size + piece.length
    })
  }

  /** What is put there waits for what was put before it. */
  function inTurn<T>(stagingId: string, text: string, work: (one: Open, path: SharePath) => Promise<T>): Promise<T> {
    const one = find(stagingId)
    const path = parseSharePath(text)
    if (!path.ok) throw new CodedError('bad-path', path.error.message)
    touch(stagingId, one)
    const mine = one.last.then(() => {
      if (stagings.get(stagingId) !== one || one.isTaken) throw new CodedError('not-found', 'there is no such place for files any more')
      return work(one, path.value)
    })
    one.last = mine.catch(() => {})
    return mine
  }

  return {
    open: async () => {
      if ([...stagings.values()].filter(({ isTaken }) => !isTaken).length >= MAX_OPEN) throw new CodedError('busy', 'too many are handing over files at once; try again in a moment')
      const stagingId = randomBytes(16).toString('hex')
      await disk(directory, () => mkdir(join(directory, stagingId), { recursive: true, mode: 0o700 }))
      const one: Open = { bytes: 0, files: 0, isTaken: false, idle: undefined, last: Promise.resolve() }
      stagings.set(stagingId, one)
      touch(stagingId, one)
      return stagingId
    },
    put: async (stagingId, text, offset, piece) => {
      if (piece.length > MAX_STAGED_PIECE) throw new CodedError('too-large', 'this piece is too large')
      return inTurn(stagingId, text, (one, path) => write(stagingId, one, path, offset, piece))
    },
    putFolder: async (stagingId, text) => inTurn(stagingId, text, async (one, path) => {
      const parts = sharePathParts(path)
      const folder = join(directory, stagingId, ...parts)
      await disk(folder, async () => {
        const known = await lstat(folder).catch(() => undefined)
        if (known?.isDirectory() === true) return
        if (known !== undefined) throw new CodedError('bad-path', 'a file has this name already')
        countOne(one)
        await makeDirectories(join(directory, stagingId), parts, 0o700)
      })
    }),
    take: async (stagingId) => {
      const one = find(stagingId)
      one.isTaken = true
      clearTimeout(one.idle)
      await one.last
      const root = await disk(directory, () => realpath(join(directory, stagingId)))
      const names = await disk(root, () => readdir(root))
      return names.sort().map((name) => ({ name, file: join(root, name) }))
    },
    drop: async (stagingId) => {
      if (stagings.get(stagingId)?.isTaken === false) await remove(stagingId)
    },
    release: remove,
    close: async () => {
      for (const [stagingId, one] of stagings) if (!one.isTaken) await remove(stagingId)
    },
  }
}

function countOne(one: Open): void {
  if (++one.files > MAX_OFFER_ENTRIES) throw new CodedError('too-large', `at most ${MAX_OFFER_ENTRIES} files at once can be sent`)
}

async function bytesBelow(directory: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += (await lstat(join(entry.parentPath, entry.name))).size
  }
  return bytes
}

async function disk<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw toDiskError(error, path)
  }
}
