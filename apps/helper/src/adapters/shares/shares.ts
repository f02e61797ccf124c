import { CodedError, collisionKey, parsePathPart } from '@harddrive-party/protocol'
import type { ControlChange, ShareInfo } from '@harddrive-party/protocol/control'
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { access, realpath, stat } from 'node:fs/promises'
import { basename, dirname, sep } from 'node:path'
import type { Shares } from '../../control/services.ts'
import { distinctName } from '../../core/share-view.ts'
import type { SharedRoot } from '../../network/network-api.ts'
import type { ShareIndexReader } from './share-index.ts'
import { openShareIndexReader } from './share-index-reader.ts'
import { type Generation, decodeGeneration, openShareIndexTables } from './share-index-tables.ts'
import { type ShareScanQueue, openShareScanQueue } from './share-scan-queue.ts'
import type { ScanExtent } from './share-scan-worker.ts'
import type { ScanCounts } from './share-scanner.ts'
import { type ShareUpkeep, type ShareUpkeepOptions, openShareUpkeep } from './share-upkeep.ts'
import type { Store, Table } from '../system/store.ts'

/**
 * The registry of shared directories: which there are, what they are called, how their scans stand.
 * Listing is the index reader's work and walking the scan worker's.
 */
export interface SharesOptions {
  /** `<storage>/index`. Nothing below its parent directory is ever shared. */
  readonly indexDirectory: string
  readonly store: Store
  /** Called with every change of a share's info, at most a few times per second while it is scanned. */
  readonly onChange: (change: ShareChange) => void
  /** The scan worker's module; absent = the bundle beside this one. */
  readonly workerUrl?: URL
  /** For tests: how changes are noticed. */
  readonly upkeep?: Pick<ShareUpkeepOptions, 'times' | 'watch'>
  readonly log?: (message: string) => void
  /** When to look for what changed since the last time; absent = at once. */
  readonly after?: Promise<void>
}

export type ShareChange = Extract<ControlChange, { type: 'share' | 'share-removed' }>

interface SharedDirectory extends SharedRoot {
  readonly addedAt: number
}

interface Share {
  readonly root: SharedDirectory
  state: ShareInfo['state']
  /** Of the last finished scan; while the first one runs, what it has found so far. */
  counts: ScanCounts
  scannedAt: number | null
  /** What the scan that runs has seen. */
  progress: ScanCounts | null
  reportedAt: number
  readonly upkeep: ShareUpkeep
}

const NOTHING: ScanCounts = { files: 0, directories: 0, bytes: 0, skipped: 0 }
/** A look at fewer is over before anybody could notice. */
const MANY_FILES = 50_000
/** Progress is told at most this often. */
const PROGRESS_INTERVAL_MS = 250

/** Opens the shares as they were, and looks for what has changed since. @throws CodedError `disk-error` */
export async function openShares(options: SharesOptions): Promise<Shares> {
  const storage = await realpath(dirname(options.indexDirectory)).catch(() => dirname(options.indexDirectory))
  const table = options.store.table<SharedDirectory>('shares', decodeSharedDirectory)
  const roots = table.entries().map(({ value }) => value)
  const shares = new Map<string, Share>()
  const reader = openShareIndexReader({ directory: options.indexDirectory, shares: roots })
  const queue = openShareScanQueue({
    indexDirectory: options.indexDirectory,
    workerUrl: options.workerUrl ?? new URL('./share-scan-worker.js', import.meta.url),
  })
  const registry = new Registry(options, storage, table, shares, reader, queue)
  for (const [shareId, generation] of await readGenerations(options.indexDirectory, roots)) {
    const root = roots.find((candidate) => candidate.shareId === shareId)
    if (root !== undefined) shares.set(shareId, registry.makeShare(root, generation))
  }
  const known = [...shares.values()]
  const look = () => {
    for (const share of known) if (shares.get(share.root.shareId) === share) registry.scanInBackground(share)
  }
  if (options.after === undefined) look()
  else void options.after.then(look)
  let closing: Promise<void> | undefined
  return {
    infos: () => [...shares.values()].sort(byAge).map(infoOf),
    roots: () => registry.roots(),
    add: (directory, name, prepare) => registry.add(directory, name, prepare),
    remove: (shareId) => registry.remove(shareId),
    rescan: (shareId, options) => registry.rescan(shareId, options?.quick === true ? 'quick' : 'deep'),
    cancelScan: (shareId) => registry.cancelScan(shareId),
    list: (request) => reader.list(request),
    close: () => {
      for (const share of shares.values()) share.upkeep.close()
      return (closing ??= queue.close().then(() => reader.close()))
    },
  }
}

class Registry {
  readonly #options: SharesOptions
  readonly #storage: string
  readonly #table: Table<SharedDirectory>
  readonly #shares: Map<string, Share>
  readonly #reader: ShareIndexReader
  readonly #queue: ShareScanQueue

  constructor(
    options: SharesOptions, storage: string, table: Table<SharedDirectory>, shares: Map<string, Share>, reader: ShareIndexReader,
    queue: ShareScanQueue,
  ) {
    this.#options = options
    this.#storage = storage
    this.#table = table
    this.#shares = shares
    this.#reader = reader
    this.#queue = queue
  }

  roots(): SharedRoot[] {
    return [...this.#shares.values()].sort(byAge).map(({ root }) => ({ shareId: root.shareId, name: root.name, directory: root.directory, ...(root.baseName === undefined ? {} : { baseName: root.baseName }) }))
  }

  async add(wanted: string, name: string | undefined, prepare: ((shareId: string) => Promise<void>) | undefined): Promise<ShareInfo> {
    const directory = await readableDirectory(wanted)
    if (isWithin(directory, this.#storage)) throw new CodedError('not-allowed', `${directory} holds this program's own data`, { detail: { code: 'own-data', values: { path: directory } } })
    // From here to `set` nothing waits: two calls at once cannot both find the name or the directory free.
    if ([...this.#shares.values()].some(({ root }) => root.directory === directory)) throw new CodedError('conflict', `${directory} is shared already`, { detail: { code: 'shared-already', values: {} } })
    const shareId = randomBytes(8).toString('hex')
    const baseName = baseNameOf(directory, name)
    const taken = new Set([...this.#shares.values()].map((share) => collisionKey(share.root.name)))
    const root: SharedDirectory = { shareId, name: distinctName(baseName, taken), baseName, directory, addedAt: this.#nextAddedAt() }
    const share = this.makeShare(root, undefined)
    this.#shares.set(shareId, share)
    try {
      await prepare?.(shareId)
      await this.#table.put(shareId, root)
    } catch (cause) {
      this.#shares.delete(shareId)
      if (cause instanceof CodedError) throw cause
      throw new CodedError('disk-error', 'the share could not be stored', { cause })
    }
    this.#reader.setShares(this.roots())
    this.scanInBackground(share)
    this.#report(share)
    return infoOf(share)
  }

  async remove(shareId: string): Promise<void> {
    const share = this.#get(shareId)
    await this.#table.remove(shareId)
    this.#shares.delete(shareId)
    this.#reader.setShares(this.roots())
    share.upkeep.close()
    this.#queue.cancel(shareId)
    this.#options.onChange({ type: 'share-removed', shareId })
    this.#queue.sweep(() => [...this.#shares.keys()]).catch((error: unknown) => this.#log(`the index of a removed share stays for now: ${String(error)}`))
  }

  async rescan(shareId: string, extent: ScanExtent): Promise<ShareInfo> {
    const share = this.#get(shareId)
    await this.#scan(share, extent)
    return infoOf(share)
  }

  cancelScan(shareId: string): void {
    this.#get(shareId)
    this.#queue.cancel(shareId)
  }

  makeShare(root: SharedDirectory, generation: Generation | undefined): Share {
    const share: Share = {
      root, state: 'scanning', counts: generation ?? NOTHING, scannedAt: generation?.scannedAt ?? null, progress: null, reportedAt: -Infinity,
      upkeep: openShareUpkeep({
        ...this.#options.upkeep,
        directory: root.directory,
        directories: () => this.#reader.directories(root.shareId),
        rescan: (extent) => this.scanInBackground(share, extent),
        onChange: () => this.#report(share),
      }),
    }
    return share
  }

  scanInBackground(share: Share, extent: ScanExtent = 'deep'): void {
    // Nobody waits for a long look at what is known already.
    this.#scan(share, extent, extent === 'deep' && share.scannedAt !== null && share.counts.files >= MANY_FILES).catch((error: unknown) => {
      const stopped = error instanceof CodedError && (error.code === 'aborted' || error.code === 'closed')
      if (!stopped) this.#log(`${share.root.name}: ${String(error)}`)
    })
  }

  /** Resolves when the scan has ended, also when the directory turned out to be missing. */
  async #scan(share: Share, extent: ScanExtent, isPatient = false): Promise<void> {
    const { shareId, directory } = share.root
    const wasMissing = share.state === 'missing'
    // A look at single directories is over before anybody could read that it goes on, and one for a folder that is away mostly finds it so.
    const isSeen = !wasMissing && (extent === 'deep' || extent === 'whole')
    if (isSeen) share.state = 'scanning'
    if (isSeen) this.#report(share)
    try {
      const outcome = await this.#queue.scan({
        shareId,
        directory,
        extent,
        isPatient,
        excluded: [this.#storage],
        shareIds: () => [...this.#shares.keys()],
        onProgress: (counts) => this.#progress(share, counts),
      })
      share.state = 'ready'
      share.counts = outcome.generation
      share.scannedAt = outcome.generation.scannedAt
      if (this.#shares.get(shareId) === share) share.upkeep.scanned(outcome, extent)
    } catch (error) {
      if (!(error instanceof CodedError)) throw error
      // The old index stays: a drive that is not plugged in comes back.
      share.state = error.code === 'not-found' ? 'missing' : 'ready'
      if (error.code === 'not-found') share.upkeep.missing()
      else throw error
    } finally {
      share.progress = null
      this.#report(share)
    }
  }

  #progress(share: Share, counts: ScanCounts): void {
    if (share.state !== 'scanning') return
    share.progress = counts
    if (share.scannedAt === null) share.counts = counts
    const now = performance.now()
    if (now - share.reportedAt < PROGRESS_INTERVAL_MS) return
    share.reportedAt = now
    this.#report(share)
  }

  /** Tells what is new of a share, unless it was removed meanwhile. */
  #report(share: Share): void {
    if (this.#shares.get(share.root.shareId) === share) this.#options.onChange({ type: 'share', share: infoOf(share) })
  }

  #get(shareId: string): Share {
    const share = this.#shares.get(shareId)
    if (share === undefined) throw new CodedError('not-found', 'there is no such share')
    return share
  }

  /** The time, but never twice the same: it is the order of shares. */
  #nextAddedAt(): number {
    return Math.max(Date.now(), ...[...this.#shares.values()].map(({ root }) => root.addedAt + 1))
  }

  #log(message: string): void {
    this.#options.log?.(message)
  }
}

/** @throws CodedError `bad-path` */
function baseNameOf(directory: string, wanted: string | undefined): string {
  if (wanted !== undefined && !parsePathPart(wanted).ok) throw new CodedError('bad-path', 'a share cannot have this name')
  const own = basename(directory)
  return wanted ?? (parsePathPart(own).ok ? own : 'Share')
}

function byAge(a: Share, b: Share): number {
  return a.root.addedAt - b.root.addedAt
}

function infoOf({ root, state, counts, scannedAt, progress, upkeep }: Share): ShareInfo {
  const { files, directories, bytes, skipped } = counts
  return { shareId: root.shareId, name: root.name, directory: root.directory, state, files, directories, bytes, skipped, scannedAt, watching: upkeep.watching, progress: progress === null ? null : { files: progress.files, directories: progress.directories, bytes: progress.bytes } }
}

/** @returns absolute and real @throws CodedError `not-found`, `unreadable` */
async function readableDirectory(wanted: string): Promise<string> {
  let directory: string
  try {
    directory = await realpath(wanted)
    if (!(await stat(directory)).isDirectory()) throw new CodedError('not-found', `${wanted} is not a directory`)
  } catch (error) {
    if (error instanceof CodedError) throw error
    const denied = (error as NodeJS.ErrnoException).code === 'EACCES'
    throw new CodedError(denied ? 'unreadable' : 'not-found', `${wanted} ${denied ? 'may not be read' : 'is not there'}`, { cause: error })
  }
  try {
    await access(directory, constants.R_OK | constants.X_OK)
  } catch (cause) {
    throw new CodedError('unreadable', `${directory} may not be read`, { cause })
  }
  return directory
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep)
}

async function readGenerations(indexDirectory: string, roots: readonly SharedRoot[]): Promise<Map<string, Generation | undefined>> {
  const tables = openShareIndexTables(indexDirectory)
  try {
    return new Map(roots.map(({ shareId }) => [shareId, decodeGeneration(tables.generations.get(shareId))]))
  } finally {
    await tables.root.close()
  }
}

function decodeSharedDirectory(raw: unknown): SharedDirectory | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined
  const { shareId, name, baseName, directory, addedAt } = raw as Partial<SharedDirectory>
  if (typeof shareId !== 'string' || typeof name !== 'string' || typeof directory !== 'string' || typeof addedAt !== 'number') return undefined
  return { shareId, name, directory, addedAt, ...(typeof baseName === 'string' ? { baseName } : {}) }
}
