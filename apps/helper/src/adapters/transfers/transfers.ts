import { CodedError, MAX_PAGE_ENTRIES, type PeerId, type SharePath, parseSharePath } from '@harddrive-party/protocol'
import type { QueueInfo, TransferInfo, TransferScope } from '@harddrive-party/protocol/control'
import { randomUUID } from 'node:crypto'
import { lstatSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import type { QueueEffect, QueueInput, QueueScope, Wait } from '../../core/transfers/queue-messages.ts'
import { jobIdOf } from '../../core/transfers/queue-state.ts'
import { TransferQueue } from '../../core/transfers/transfer-queue.ts'
import { BEGUN, FAILED, type LookAgain, type WishPage, type WishRecord, hasEnded, newWish, noticesOf } from '../../core/wishes/wish.ts'
import { MAX_CHOICES, choiceFor } from '../../core/wishes/wish-choices.ts'
import type { QueueChange, Transfers } from '../../control/services.ts'
import type { FileJob, NetworkApi, NetworkEvent } from '../../network/network-api.ts'
import { diskSpace } from './disk-space.ts'
import { makeDirectoryTree, partsBelow } from './download-path.ts'
import { previewDownload } from './download-preview.ts'
import type { Store } from '../system/store.ts'
import { removeLeftovers } from './partial-leftovers.ts'
import { transferFilesPage } from './transfer-files.ts'
import { renamedFiles } from './transfer-names.ts'
import { createWishKeeper } from '../wishes/wish-keeper.ts'
import { chooseTargetOf, listWish } from '../wishes/wish-lister.ts'
import { findInPages } from '../wishes/wish-paths.ts'
import { openWishStore } from '../wishes/wish-store.ts'

/** Runs the transfer queue: feeds it what happens, does what it wants, keeps it in the database. Fetches no bytes itself. */

export interface TransfersOptions {
  readonly store: Store
  readonly network: Pick<NetworkApi, 'list' | 'startFiles' | 'stopFile'>
  readonly downloadDirectory: string
  readonly peerName: (peerId: PeerId) => string
  /** At once when a state changes, else at most four times a second for each. */
  readonly onChange: (info: TransferInfo) => void
  readonly onRemoved: (transferId: string) => void
  /** What is paused as a whole changed. */
  readonly onQueue?: (queue: QueueInfo) => void
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
  let changeTimer: ReturnType<typeof setTimeout> | undefined
  const changed = new Set<string>()
  const listings = new Map<string, AbortController>()
  /** Removals of unfinished data under way: a wish tried again waits for its own. */
  const discards = new Map<string, Promise<void>>()
  /** Work under way that `close` waits for. */
  const background = new Set<Promise<void>>()
  const keeper = createWishKeeper({
    store: wishes, openPage: (id, number) => queue.openPage(id, number), isKnown: (id) => queue.record(id) !== undefined, inBackground,
  })

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
        return inBackground(list(effect.id, effect.again))
      case 'stop-listing':
        listings.get(effect.id)?.abort()
        return
      case 'load':
        return inBackground(load(effect.id, effect.number))
      case 'start':
        starts.push(effect)
        return
      case 'stop':
        return inBackground(network.stopFile({ jobId: effect.jobId, discard: effect.discard }))
      case 'drop': {
        const record = queue.record(effect.id)
        if (record !== undefined) inBackground(dropPartial(record, effect.jobId, effect.row.remote))
        return
      }
      case 'keep-pauses':
        inBackground(wishes.putPauses({ all: effect.all, peers: effect.peers }))
        options.onQueue?.({ paused: effect.all, pausedPeers: effect.peers })
        return
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
        keeper.forget(effect.record.id)
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

  async function list(id: string, again: LookAgain | null): Promise<void> {
    const abort = new AbortController()
    listings.set(id, abort)
    await discards.get(id)
    const record = queue.record(id)
    if (record === undefined || abort.signal.aborted) return
    const { base, pages } = record
    let outcome: QueueInput
    try {
      const surroundings = { network, wishes: { ...wishes, page: keeper.page }, claimed: () => claimedBesides(id) }
      outcome = { type: 'listed', id, ...(await listWish(record, again, surroundings, abort)) }
    } catch (error) {
      if (!(error instanceof CodedError)) log?.warn({ err: error, id }, 'a listing failed unexpectedly')
      outcome = { type: 'list-failed', id, ...CodedError.toWire(error) }
    }
    if (listings.get(id) === abort) listings.delete(id)
    if (abort.signal.aborted) return
    feed(outcome)
    if (outcome.type === 'listed' && outcome.base !== base) inBackground(wishes.removePageRange(id, base, pages))
  }

  function* claimedBesides(id: string): Iterable<string> {
    for (const record of queue.records()) {
      if (record.id !== id && record.target !== null) yield record.target
    }
  }

  /** Directories are made as their page comes up, so that empty ones are there too. */
  async function load(id: string, number: number): Promise<void> {
    await discards.get(id)
    const page = keeper.page(id, number)
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
  function discard(record: WishRecord, how = discardAll): Promise<void> {
    const { id } = record
    const work: Promise<void> = how(record).finally(() => {
      if (discards.get(id) === work) discards.delete(id)
    })
    discards.set(id, work)
    return work
  }

  async function discardAll(record: WishRecord): Promise<void> {
    const { id } = record
    for (let number = record.base; number < record.pages && !closing.signal.aborted; number++) {
      const page = keeper.page(id, number)
      for (const [index, row] of page?.rows.entries() ?? []) {
        const state = page?.states[index]
        if (row.isDirectory || (state !== BEGUN && state !== FAILED)) continue
        await dropPartial(record, jobIdOf(id, { number, index }), row.remote)
      }
      await nextTurn()
    }
    await dropLeftovers(record)
  }

  function dropLeftovers(ended: WishRecord): Promise<void> {
    return removeLeftovers({ ended, records: () => queue.records(), drop: (path) => dropPath(ended, `${ended.id}:left`, path), signal: closing.signal })
  }

  function dropPartial(record: WishRecord, jobId: string, remote: string): Promise<void> {
    return dropPath(record, jobId, remotePath(record, remote))
  }

  function dropPath(record: WishRecord, jobId: string, path: SharePath): Promise<void> {
    return network.stopFile({ jobId, discard: true, partial: { peerId: record.peerId, path, ...directoryField(record) } })
  }

  async function remove(record: WishRecord): Promise<void> {
    const { id } = record
    if (record.phase !== 'done') await discard(record)
    await wishes.removeRecord(id)
    await wishes.removePages(id)
  }

  function save({ id, ...change }: Extract<QueueEffect, { type: 'save' }>): void {
    const record = queue.record(id)
    if (record === undefined) return
    if (record.phase === 'done' && record.endedAt === null) inBackground(discard(record, dropLeftovers))
    if (hasEnded(record.phase)) record.endedAt ??= now()
    keeper.save(record, change)
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
    const { peerId, path, isDirectory, target, addedAt, endedAt, order, follow, skippedFiles } = record
    return {
      transferId: id, peerId, peerName: options.peerName(peerId), path, isDirectory, target, addedAt, endedAt, ...status, wait: waitInfo(status.wait),
      total: record.total === null ? null : record.total - record.skippedBytes,
      files: { done: record.doneFiles, failed: record.failedFiles, total: record.totalFiles === null ? null : record.totalFiles - skippedFiles },
      order, follow, skippedFiles, held: choiceFor(record.holds, ''), notices: noticesOf(record),
    }
  }

  function waitInfo(wait: Wait | null): TransferInfo['wait'] {
    if (wait?.until === undefined) return wait
    return { ...wait, until: Math.round(now() + wait.until - monotonic()) }
  }

  function recordOf(transferId: string): WishRecord {
    const record = queue.record(transferId)
    if (record === undefined) throw new CodedError('not-found', 'there is no such transfer')
    return record
  }

  function earlierOf(peerId: PeerId, path: SharePath): WishRecord | undefined {
    return queue.records().findLast((one) => one.peerId === peerId && one.path === path && one.downloadDirectory === downloadDirectory)
  }

  function add({ peerId, path, id = randomUUID(), follow = false, folder }: { peerId: PeerId; path: SharePath; id?: string; follow?: boolean; folder?: string }): TransferInfo {
    if (!WISH_ID.test(id)) throw new CodedError('bad-request', 'an id has 1 to 64 letters, digits, - or _')
    const same = queue.record(id) ?? queue.find(peerId, path)
    const transferId = same?.id ?? id
    if (same === undefined) {
      if (folder !== undefined) partsBelow(downloadDirectory, join(downloadDirectory, folder))
      const addedAt = now()
      // Asked for again: what is there from the last time stays, and only what is missing or changed is fetched.
      const earlier = earlierOf(peerId, path)
      const fields = { id, peerId, path, addedAt, downloadDirectory }
      const wish = newWish({ ...fields, since: earlier?.since ?? addedAt, target: earlier?.target ?? null, order: queue.nextOrder, follow, ...(folder === undefined ? {} : { folder }) })
      keeper.save(wish, { soon: false })
      feed({ type: 'add', wish })
    } else if (follow) feed({ type: 'follow', id: transferId, follow })
    const info = infoOf(transferId)
    if (info === undefined) throw new CodedError('closed', 'the helper is stopping')
    return info
  }

  function onNetworkEvent(event: NetworkEvent): void {
    switch (event.type) {
      case 'peer':
        return feed({ type: 'peer', peerId: event.peer.peerId, connected: event.peer.state === 'connected' })
      case 'file-progress':
      case 'file-waiting':
      case 'file-failed':
        return feed(event)
      case 'file-done':
        return feed({ type: 'file-done', jobId: event.jobId, name: basename(event.target), restarted: event.restarted === true })
      default:
    }
  }

  /** @throws CodedError `not-found`, `too-large` */
  function scopeOf(change: QueueChange, scope: TransferScope): QueueScope {
    if (!('transferId' in scope)) return scope
    const record = recordOf(scope.transferId)
    const { path } = scope
    if (path === undefined) return { id: record.id, path: '' }
    // Before it is listed, nobody knows what is in it.
    const isKnown = record.isDirectory !== null
    if (isKnown && !findInPages(record, path, keeper.page)) throw new CodedError('not-found', 'there is nothing at this path in the transfer')
    const choices = change === 'pause' || change === 'resume' ? record.holds : record.skips
    if (choices.size >= MAX_CHOICES) throw new CodedError('too-large', `at most ${MAX_CHOICES} parts of a transfer can be chosen one by one; choose a folder`)
    return { id: record.id, path }
  }

  const pauses = wishes.pauses()
  feed({ type: 'pauses', ...pauses })
  const stored = wishes.records().sort((a, b) => a.addedAt - b.addedAt)
  for (const wish of stored) feed({ type: 'add', wish })
  return {
    infos: () => queue.records().flatMap(({ id }) => infoOf(id) ?? []),
    files: (transferId, cursor, limit) => {
      const record = recordOf(transferId)
      return transferFilesPage(record, (number) => keeper.page(transferId, number), {
        cursor, limit: Math.min(limit, MAX_PAGE_ENTRIES),
        shown: (facts) => {
          const shown = queue.fileStatus(transferId, facts)
          return { state: shown?.state ?? 'queued', reason: shown?.reason ?? null, wait: waitInfo(shown?.wait ?? null) }
        },
      })
    },
    add,
    cancel: (id) => feed({ type: 'cancel', scope: { id: recordOf(id).id, path: '' } }),
    retry: (id) => feed({ type: 'retry', scope: { id: recordOf(id).id, path: '' } }),
    change: (change, scope) => feed({ type: change, scope: scopeOf(change, scope) }),
    move: (id, to) => {
      const moved = recordOf(id)
      for (const { phase } of typeof to === 'string' ? [moved] : [moved, recordOf(to.before)]) {
        if (hasEnded(phase)) throw new CodedError('conflict', 'a transfer that has ended is in no line', { detail: { code: 'ended-already', values: {} } })
      }
      feed({ type: 'move', id, to })
    },
    follow: (id, follow) => {
      if (follow && recordOf(id).isDirectory === false) throw new CodedError('conflict', 'only a folder can be followed', { detail: { code: 'folders-only', values: {} } })
      feed({ type: 'follow', id: recordOf(id).id, follow })
    },
    fetchAgain: (id) => {
      if (!hasEnded(recordOf(id).phase) && queue.status(monotonic(), id)?.state !== 'done') throw new CodedError('conflict', 'it is still being fetched', { detail: { code: 'still-fetched', values: {} } })
      feed({ type: 'look-again', id })
    },
    queue: () => ({ paused: queue.pauses.all, pausedPeers: queue.pauses.peers }),
    preview: (wish) => {
      const earlier = earlierOf(wish.peerId, wish.path)
      const record = newWish({ ...wish, id: 'preview', addedAt: now(), since: earlier?.since ?? now(), downloadDirectory, target: earlier?.target ?? null })
      return previewDownload(record, {
        network, space: diskSpace, chooseTarget: (isDirectory) => chooseTargetOf(record, isDirectory, () => claimedBesides(earlier?.id ?? record.id)),
        transferId: queue.find(wish.peerId, wish.path)?.id ?? null, signal: closing.signal, now: monotonic,
      })
    },
    clearFinished: () => feed({ type: 'clear' }),
    finishedFile: (transferId, path) => finishedFile(recordOf(transferId), path),
    renamed: async (id) => renamedFiles(recordOf(id), (number) => keeper.page(id, number)),
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
      keeper.flush()
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
