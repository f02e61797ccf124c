import { CodedError, MAX_PAGE_ENTRIES, type PeerId, type SharePath, parseSharePath } from '@harddrive-party/protocol'
import type { TransferInfo } from '@harddrive-party/protocol/control'
import { randomUUID } from 'node:crypto'
import { lstatSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import type { QueueEffect, QueueInput } from '../core/queue-messages.ts'
import { jobIdOf } from '../core/queue-state.ts'
import { TransferQueue } from '../core/transfer-queue.ts'
import { BEGUN, FAILED, type WishPage, type WishRecord, hasEnded, newWish, noticesOf } from '../core/wish.ts'
import type { Transfers } from '../control/services.ts'
import type { FileJob, NetworkApi, NetworkEvent } from '../network/network-api.ts'
import { makeDirectoryTree, partsBelow } from './download-path.ts'
import type { Store } from './store.ts'
import { transferFilesPage } from './transfer-files.ts'
import { listWish } from './wish-lister.ts'
import { openWishStore, rearmPage } from './wish-store.ts'

/** Runs the transfer queue: feeds it what happens, does what it wants, keeps it in the database. Fetches no bytes itself. */

export interface TransfersOptions {
  readonly store: Store
  readonly network: Pick<NetworkApi, 'list' | 'startFiles' | 'stopFile'>
  readonly downloadDirectory: string
  readonly peerName: (peerId: PeerId) => string
  /** At once when a state changes, else at most four times a second for each. */
  readonly onChange: (info: TransferInfo) => void
  readonly onRemoved: (transferId: string) => void
  /** Nothing is left to do. */
  readonly onIdle?: () => void
  /** Milliseconds since 1970. */
  readonly now?: () => number
  /** Milliseconds of a clock that is never set. */
  readonly monotonic?: () => number
  readonly random?: () => number
  readonly log?: { debug(fields: object, message: string): void; warn(fields: object, message: string): void }
}

type StartEffect = Extract<QueueEffect, { type: 'start' }>

const CHANGE_MS = 250
/** What is done is stored together so often: a file finished since is recognised by its target, not fetched again. */
const SAVE_MS = 250
const WISH_ID = /^[A-Za-z0-9_-]{1,64}$/

/** @throws CodedError `disk-error` */
export async function openTransfers(options: TransfersOptions): Promise<Transfers> {
  const { network, now = Date.now, monotonic = () => performance.now(), random = Math.random, log } = options
  const wishes = openWishStore(options.store)
  const queue = new TransferQueue(random)
  let downloadDirectory = resolve(options.downloadDirectory)
  const inputs: QueueInput[] = []
  /** Wanted in this step: those of a batch go out together. */
  let starts: StartEffect[] = []
  let feeding = false
  const closing = new AbortController()
  let idle = true
  let tick: ReturnType<typeof setTimeout> | undefined
  let saveTimer: ReturnType<typeof setTimeout> | undefined
  let changeTimer: ReturnType<typeof setTimeout> | undefined
  const changed = new Set<string>()
  const listings = new Map<string, AbortController>()
  /** Removals of unfinished data under way: a wish tried again waits for its own. */
  const discards = new Map<string, Promise<void>>()
  const dirtyRecords = new Map<string, WishRecord>()
  const dirtyPages = new Map<string, { readonly id: string; readonly number: number; readonly page: WishPage; rows: boolean }>()
  /** On their way into the store, where they cannot be read yet. */
  const writingPages = new Map<string, WishPage>()
  /** Work under way that `close` waits for. */
  const background = new Set<Promise<void>>()

  function feed(input: QueueInput): void {
    if (closing.signal.aborted) return
    inputs.push(input)
    if (feeding) return
    feeding = true
    try {
      for (let next = inputs.shift(); next !== undefined; next = inputs.shift()) {
        for (const effect of queue.step(monotonic(), next)) perform(effect)
        startFiles()
      }
    } finally {
      feeding = false
    }
    arm()
    const wasIdle = idle
    idle = queue.active === 0
    if (idle && !wasIdle) options.onIdle?.()
  }

  function arm(): void {
    clearTimeout(tick)
    const { deadline } = queue
    if (deadline !== undefined) tick = setTimeout(() => feed({ type: 'tick' }), Math.max(1, deadline - monotonic())).unref()
  }

  function perform(effect: QueueEffect): void {
    switch (effect.type) {
      case 'list':
        return inBackground(list(effect.id))
      case 'stop-listing':
        listings.get(effect.id)?.abort()
        return
      case 'load':
        return inBackground(load(effect.id, effect.number))
      case 'rearm':
        return inBackground(rearm(effect.id))
      case 'start':
        starts.push(effect)
        return
      case 'stop':
        return inBackground(network.stopFile({ jobId: effect.jobId, discard: effect.discard }))
      case 'discard': {
        const record = queue.record(effect.id)
        if (record !== undefined) inBackground(discard(record))
        return
      }
      case 'save':
        return save(effect)
      case 'changed':
        return show(effect)
      case 'removed':
        changed.delete(effect.record.id)
        dirtyRecords.delete(effect.record.id)
        inBackground(remove(effect.record))
        options.onRemoved(effect.record.id)
    }
  }

  function inBackground(work: Promise<void>): void {
    const settled: Promise<void> = work
      .catch((error: unknown) => log?.warn({ err: error }, 'something about a transfer did not work'))
      .finally(() => background.delete(settled))
    background.add(settled)
  }

  async function list(id: string): Promise<void> {
    const abort = new AbortController()
    listings.set(id, abort)
    await discards.get(id)
    const record = queue.record(id)
    if (record === undefined || abort.signal.aborted) return
    let outcome: QueueInput
    try {
      outcome = { type: 'listed', id, ...(await listWish(record, { network, wishes, claimed: () => claimedBesides(id) }, abort)) }
    } catch (error) {
      if (!(error instanceof CodedError)) log?.warn({ err: error, id }, 'a listing failed unexpectedly')
      outcome = { type: 'list-failed', id, ...CodedError.toWire(error) }
    }
    if (listings.get(id) === abort) listings.delete(id)
    if (!abort.signal.aborted) feed(outcome)
  }

  function* claimedBesides(id: string): Iterable<string> {
    for (const record of queue.records()) {
      if (record.id !== id && record.target !== null) yield record.target
    }
  }

  /** Directories are made as their page comes up, so that empty ones are there too. */
  async function load(id: string, number: number): Promise<void> {
    const page = storedPage(id, number)
    const record = queue.record(id)
    if (page !== undefined && record?.target != null && !hasEnded(record.phase)) await makeFolders(record, page)
    feed({ type: 'page', id, number, page })
  }

  async function makeFolders({ id, target, downloadDirectory: below }: WishRecord, { rows }: WishPage): Promise<void> {
    try {
      const paths = rows.flatMap(({ isDirectory, local }) => (isDirectory ? [partsBelow(below, join(target ?? below, local))] : []))
      for (const error of await makeDirectoryTree(below, paths)) log?.warn({ err: error, id }, 'a folder could not be made')
    } catch (error) {
      log?.warn({ err: error, id }, 'folders could not be made')
    }
  }

  function storedPage(id: string, number: number): WishPage | undefined {
    const key = jobIdOf(id, { number, index: 0 })
    return queue.openPage(id, number) ?? dirtyPages.get(key)?.page ?? writingPages.get(key) ?? wishes.page(id, number)
  }

  async function rearm(id: string): Promise<void> {
    await discards.get(id)
    const pages = queue.record(id)?.pages ?? 0
    let doneFiles = 0
    let doneBytes = 0
    for (let number = 0; number < pages && !closing.signal.aborted; number++) {
      const page = storedPage(id, number)
      if (page === undefined) continue
      const { files, bytes, changed: rearmed } = rearmPage(page)
      doneFiles += files
      doneBytes += bytes
      if (rearmed) await wishes.putStates(id, number, page)
      else await nextTurn()
    }
    feed({ type: 'rearmed', id, doneFiles, doneBytes })
  }

  function startFiles(): void {
    const batches = new Map<number, FileJob[]>()
    for (const effect of starts) {
      const jobs = batches.get(effect.batch)
      if (jobs === undefined) batches.set(effect.batch, [jobOf(effect)])
      else jobs.push(jobOf(effect))
    }
    starts = []
    for (const jobs of batches.values()) {
      inBackground(
        network.startFiles({ jobs }).catch((error: unknown) => {
          for (const { jobId } of jobs) feed({ type: 'file-failed', jobId, ...CodedError.toWire(error) })
        }),
      )
    }
  }

  function jobOf({ id, jobId, row }: StartEffect): FileJob {
    const record = queue.record(id)
    if (record?.target == null) throw new Error('a file is started before its target is chosen')
    const { peerId, since, target } = record
    return {
      jobId, peerId, path: remotePath(record, row.remote), size: row.size, mtime: row.mtime, since,
      target: row.local === '' ? target : join(target, row.local), ...directoryField(record),
    }
  }

  function directoryField(record: WishRecord): { downloadDirectory?: string } {
    return record.downloadDirectory === downloadDirectory ? {} : { downloadDirectory: record.downloadDirectory }
  }

  /** Unfinished data is where files were begun; those that failed may have some too. */
  function discard(record: WishRecord): Promise<void> {
    const { id } = record
    const work: Promise<void> = discardAll(record).finally(() => {
      if (discards.get(id) === work) discards.delete(id)
    })
    discards.set(id, work)
    return work
  }

  async function discardAll(record: WishRecord): Promise<void> {
    const { id } = record
    for (let number = 0; number < record.pages && !closing.signal.aborted; number++) {
      const page = storedPage(id, number)
      for (const [index, row] of page?.rows.entries() ?? []) {
        const state = page?.states[index]
        if (row.isDirectory || (state !== BEGUN && state !== FAILED)) continue
        const partial = { peerId: record.peerId, path: remotePath(record, row.remote), ...directoryField(record) }
        await network.stopFile({ jobId: jobIdOf(id, { number, index }), discard: true, partial })
      }
      await nextTurn()
    }
  }

  async function remove(record: WishRecord): Promise<void> {
    const { id } = record
    if (record.phase !== 'done') await discard(record)
    await wishes.removeRecord(id)
    await wishes.removePages(id)
  }

  function save({ id, number, page, rows, soon }: Extract<QueueEffect, { type: 'save' }>): void {
    const record = queue.record(id)
    if (record === undefined) return
    if (hasEnded(record.phase)) record.endedAt ??= now()
    dirtyRecords.set(id, record)
    if (number !== undefined && page !== undefined) {
      const key = jobIdOf(id, { number, index: 0 })
      dirtyPages.set(key, { id, number, page, rows: rows === true || dirtyPages.get(key)?.rows === true })
    }
    if (!soon) flushSoon()
    else saveTimer ??= setTimeout(flushSoon, SAVE_MS)
  }

  /** Begins at once; what goes wrong is logged. */
  function flushSoon(): void {
    inBackground(flush())
  }

  /** Everything in one turn is one transaction: counts and what they count never disagree in the store. */
  function flush(): Promise<void> {
    clearTimeout(saveTimer)
    saveTimer = undefined
    const puts: Promise<void>[] = []
    const pages = [...dirtyPages].filter(([, { id }]) => queue.record(id) !== undefined)
    for (const [key, { id, number, page, rows }] of pages) {
      writingPages.set(key, page)
      if (rows) puts.push(wishes.putRows(id, number, page.rows))
      puts.push(wishes.putStates(id, number, page))
    }
    for (const record of dirtyRecords.values()) puts.push(wishes.putRecord(record))
    dirtyPages.clear()
    dirtyRecords.clear()
    if (puts.length > 0) inBackground(settle(puts, pages.map(([key, { page }]) => [key, page])))
    return Promise.all(puts).then(() => undefined)
  }

  async function settle(puts: readonly Promise<void>[], pages: readonly (readonly [string, WishPage])[]): Promise<void> {
    await Promise.all(puts)
    for (const [key, page] of pages) {
      if (writingPages.get(key) === page) writingPages.delete(key)
    }
  }

  function show({ id, state }: Extract<QueueEffect, { type: 'changed' }>): void {
    if (state) {
      changed.delete(id)
      const info = infoOf(id)
      if (info !== undefined) options.onChange(info)
      return
    }
    changed.add(id)
    changeTimer ??= setTimeout(() => {
      changeTimer = undefined
      const ids = [...changed]
      changed.clear()
      for (const one of ids) {
        const info = infoOf(one)
        if (info !== undefined) options.onChange(info)
      }
    }, CHANGE_MS).unref()
  }

  function infoOf(id: string): TransferInfo | undefined {
    const record = queue.record(id)
    const status = queue.status(monotonic(), id)
    if (record === undefined || status === undefined) return undefined
    const { peerId, path, isDirectory, total, target, addedAt, endedAt } = record
    return {
      transferId: id, peerId, peerName: options.peerName(peerId), path, isDirectory, total, target, addedAt, endedAt, ...status,
      files: { done: record.doneFiles, failed: record.failedFiles, total: record.totalFiles }, notices: noticesOf(record),
    }
  }

  function recordOf(transferId: string): WishRecord {
    const record = queue.record(transferId)
    if (record === undefined) throw new CodedError('not-found', 'there is no such transfer')
    return record
  }

  function add({ peerId, path, id = randomUUID() }: { peerId: PeerId; path: SharePath; id?: string }): TransferInfo {
    if (!WISH_ID.test(id)) throw new CodedError('bad-request', 'an id has 1 to 64 letters, digits, - or _')
    const same = queue.record(id) ?? queue.find(peerId, path)
    const transferId = same?.id ?? id
    if (same === undefined) {
      const addedAt = now()
      // Asked for again: what is there from the last time stays, and only what is missing or changed is fetched.
      const earlier = queue.records().findLast((one) => one.peerId === peerId && one.path === path && one.downloadDirectory === downloadDirectory)
      const fields = { id, peerId, path, addedAt, downloadDirectory }
      const wish = newWish({ ...fields, since: earlier?.since ?? addedAt, target: earlier?.target ?? null })
      dirtyRecords.set(id, wish)
      flushSoon()
      feed({ type: 'add', wish })
    }
    const info = infoOf(transferId)
    if (info === undefined) throw new CodedError('closed', 'the helper is stopping')
    return info
  }

  function onNetworkEvent(event: NetworkEvent): void {
    switch (event.type) {
      case 'peer':
        return feed({ type: 'peer', peerId: event.peer.peerId, connected: event.peer.state === 'connected' })
      case 'file-progress':
      case 'file-failed':
        return feed(event)
      case 'file-done':
        return feed({ type: 'file-done', jobId: event.jobId, name: basename(event.target), restarted: event.restarted === true })
      default:
    }
  }

  const stored = wishes.records().sort((a, b) => a.addedAt - b.addedAt)
  for (const wish of stored) feed({ type: 'add', wish })
  return {
    infos: () => queue.records().flatMap(({ id }) => infoOf(id) ?? []),
    files: (transferId, cursor, limit) => {
      const record = recordOf(transferId)
      return transferFilesPage(record, (number) => storedPage(transferId, number), { cursor, limit: Math.min(limit, MAX_PAGE_ENTRIES), isRunning: (jobId) => queue.isRunning(jobId) })
    },
    add,
    cancel: (id) => feed({ type: 'cancel', id: recordOf(id).id }),
    retry: (id) => feed({ type: 'retry', id: recordOf(id).id }),
    clearFinished: () => feed({ type: 'clear' }),
    finishedFile: (transferId, path) => finishedFile(recordOf(transferId), path),
    setDownloadDirectory: (directory) => {
      downloadDirectory = resolve(directory)
    },
    onNetworkEvent,
    onNetworkRestart: () => feed({ type: 'network-restart' }),
    close: async () => {
      closing.abort()
      clearTimeout(tick)
      clearTimeout(changeTimer)
      for (const abort of listings.values()) abort.abort()
      flushSoon()
      await Promise.all(background)
      await options.store.flushed()
    },
  }
}

function remotePath(record: WishRecord, remote: string): SharePath {
  // Both halves were checked as parts of one path when they were listed.
  return remote === '' ? record.path : (`${record.path}/${remote}` as SharePath)
}

/** A file is under its final name only when it is complete. @throws CodedError `not-found` */
function finishedFile({ target, isDirectory }: WishRecord, path: string | undefined): string {
  const inside = path === undefined || isDirectory !== true ? undefined : parseSharePath(path)
  if (target !== null && inside?.ok !== false) {
    const file = inside === undefined ? target : join(target, inside.value)
    if (lstatSync(file, { throwIfNoEntry: false })?.isFile() === true) return file
  }
  throw new CodedError('not-found', 'there is no such finished file')
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
