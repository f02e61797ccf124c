import { CodedError, type Entry, MAX_OFFER_ENTRIES, type SharePath, compareTreeOrder, joinSharePath, offerPath } from '@harddrive-party/protocol'
import type { Dirent } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { OfferItem, OfferRecord } from '../../core/offers/offer-record.ts'
import { systemCode } from '../system/disk-error.ts'
import { PARTIAL_DIRECTORY } from '../transfers/download-path.ts'

/** Finds out what an offer is made of: what lies on the disk below its files and folders. Follows no link, opens no file. */

export interface OfferTree {
  /** In the order of listings; the offer itself comes first. */
  readonly entries: readonly Entry[]
  readonly files: number
  readonly bytes: number
  /** Where an entry is: the file, and the directory that must hold it without any link between. */
  place(path: SharePath): { readonly entry: Entry; readonly file: string; readonly directory: string } | undefined
}

interface Found {
  readonly path: SharePath
  size: number
  readonly mtime: number
  readonly isDirectory: boolean
  readonly file: string
  readonly directory: string
}

/** Folders in folders: deeper ones are mistakes. */
const MAX_DEPTH = 100

/** @throws CodedError `not-found` (one of the items is gone), `too-large`, `aborted` */
export async function readOfferTree({ offerId, name, items }: Pick<OfferRecord, 'offerId' | 'name' | 'items'>, { signal }: { signal: AbortSignal }): Promise<OfferTree> {
  const root = offerPath(offerId, name)
  if (!root.ok) throw new CodedError('bad-path', root.error.message)
  const walk = new Walk(signal)
  const [only, ...others] = items
  if (only === undefined) throw new CodedError('not-found', 'nothing is offered')
  if (others.length === 0) await walk.item(root.value, only)
  else {
    const folder: Found = { path: root.value, size: 0, mtime: 0, isDirectory: true, file: '', directory: '' }
    walk.found.push(folder)
    for (const item of items) {
      const path = joinSharePath(root.value, item.name)
      if (path.ok) folder.size += await walk.item(path.value, item)
    }
  }
  const found = walk.found.sort((a, b) => compareTreeOrder(a.path, b.path))
  const places = new Map(found.map((one) => [one.path, one]))
  return {
    entries: found.map(({ path, size, mtime, isDirectory }) => ({ path, size, mtime, isDirectory })),
    files: found.reduce((count, { isDirectory }) => count + (isDirectory ? 0 : 1), 0),
    bytes: found.find(({ path }) => path === root.value)?.size ?? 0,
    place: (path) => {
      const one = places.get(path)
      return one && { entry: { path, size: one.size, mtime: one.mtime, isDirectory: one.isDirectory }, file: one.file, directory: one.directory }
    },
  }
}

class Walk {
  readonly found: Found[] = []
  readonly #signal: AbortSignal

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  /** @returns its bytes @throws CodedError when it is not there any more */
  async item(path: SharePath, { file }: OfferItem): Promise<number> {
    const stats = await statsOf(file)
    if (stats === undefined || !(stats.isFile() || stats.isDirectory())) throw new CodedError('not-found', `${file} is not there`)
    return this.#take(path, file, stats.isDirectory() ? file : dirname(file), 0)
  }

  async #take(path: SharePath, file: string, directory: string, depth: number): Promise<number> {
    if (this.#signal.aborted) throw new CodedError('aborted', 'stopped')
    const stats = await statsOf(file)
    // Gone meanwhile, a link or a device: left out, as in shares.
    if (stats === undefined || !(stats.isFile() || stats.isDirectory())) return 0
    if (this.found.length > MAX_OFFER_ENTRIES) throw new CodedError('too-large', `more than ${MAX_OFFER_ENTRIES} files at once cannot be sent; share the folder with this peer instead`)
    const one: Found = { path, size: stats.isFile() ? stats.size : 0, mtime: stats.mtimeMs, isDirectory: stats.isDirectory(), file, directory }
    this.found.push(one)
    if (!one.isDirectory || depth >= MAX_DEPTH) return one.size
    for (const { name } of await childrenOf(file)) {
      const child = joinSharePath(path, name)
      if (child.ok && name !== PARTIAL_DIRECTORY) one.size += await this.#take(child.value, join(file, name), directory, depth + 1)
    }
    return one.size
  }
}

async function statsOf(file: string) {
  try {
    return await lstat(file)
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return undefined
  }
}

/** What may not be read is left out, as in shares. */
async function childrenOf(directory: string): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true })
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return []
  }
}
