import { type ErrorCode, type PeerId, type SharePath, compareTreeOrder, peerIdFromKey } from '@harddrive-party/protocol'
import type { JobRow, Listed, QueueEffect, QueueInput, QueueScope } from '../../src/core/transfers/queue-messages.ts'
import { TransferQueue } from '../../src/core/transfers/transfer-queue.ts'
import { DONE, FAILED, type LookAgain, QUEUED, type Reason, SKIPPED, type WishPage, type WishRecord, newWish } from '../../src/core/wishes/wish.ts'
import type { WishRow } from '../../src/core/wishes/wish-listing.ts'

/**
 * The whole transfer engine without a machine under it: the real queue, and models of everything it works on: peers with folders that change, the process
 * that fetches, the disk with unfinished and finished files, and a store that a crash may leave behind. Virtual time, no randomness of its own.
 */

export const MODEL_PEERS = [1, 2, 3].map((byte) => peerIdFromKey(new Uint8Array(32).fill(byte)))
/** Few, so that wishes have several pages. */
const ROWS = 4

export interface Version {
  readonly size: number
  readonly mtime: number
}

interface ModelJob {
  readonly id: string
  readonly peerId: PeerId
  readonly path: string
  readonly target: string
  readonly wanted: Version
  readonly batch: number
}

interface Stored {
  readonly record?: WishRecord
  readonly pages: readonly (readonly [string, WishPage])[]
}

export class TransferModel {
  readonly random: () => number
  queue: TransferQueue
  now = 0
  /** What each peer shares: paths to versions. */
  readonly sources = new Map<PeerId, Map<string, Version>>()
  readonly connected = new Set<PeerId>()
  readonly running = new Map<string, ModelJob>()
  readonly listing = new Map<string, LookAgain | null>()
  /** Unfinished data by peer and path, and of which version it is. */
  readonly partials = new Map<string, Version & { bytes: number }>()
  /** Finished files by where they are. */
  readonly disk = new Map<string, Version>()
  /** How often a version of a file came into place. */
  readonly placed = new Map<string, number>()
  /** Files that a permanent fault was made for. */
  readonly faulty = new Set<string>()
  diskFull = false
  readonly #records = new Map<string, WishRecord>()
  readonly #pages = new Map<string, WishPage>()
  #unsaved: Stored[] = []
  #pauses: { all: boolean; peers: readonly PeerId[] } = { all: false, peers: [] }
  #wishes = 0

  constructor(random: () => number) {
    this.random = random
    this.queue = new TransferQueue(random)
    for (const peerId of MODEL_PEERS) this.sources.set(peerId, new Map())
  }

  get ids(): string[] {
    return [...this.#records.keys()]
  }

  record(id: string): WishRecord {
    const record = this.queue.record(id)
    if (record === undefined) throw new Error(`wish ${id} is gone`)
    return record
  }

  wish(peerId: PeerId, path: string, follow: boolean): void {
    const id = `w${this.#wishes++}`
    const fields = { id, peerId, path: path as SharePath, addedAt: this.#wishes, since: 0, downloadDirectory: '/d', target: null }
    const record = newWish({ ...fields, order: this.queue.nextOrder, follow })
    this.#records.set(id, cloneRecord(record))
    this.feed({ type: 'add', wish: record })
  }

  feed(input: QueueInput): void {
    const inputs = [input]
    for (let next = inputs.shift(); next !== undefined; next = inputs.shift()) {
      for (const effect of this.queue.step(this.now, next)) this.#perform(effect, inputs)
    }
    this.#check()
  }

  #perform(effect: QueueEffect, inputs: QueueInput[]): void {
    switch (effect.type) {
      case 'list':
        this.listing.set(effect.id, effect.again)
        return
      case 'stop-listing':
        this.listing.delete(effect.id)
        return
      case 'load':
        inputs.push({ type: 'page', id: effect.id, number: effect.number, page: this.#page(effect.id, effect.number) })
        return
      case 'save':
        return this.#save(effect)
      case 'start':
        return this.#start(effect.id, effect.jobId, effect.row, effect.batch)
      case 'stop':
        return this.#stop(effect.jobId, effect.discard)
      case 'drop':
        this.partials.delete(this.#partialKey(effect.id, effect.row))
        return
      case 'discard':
        return this.#discard(effect.id)
      case 'keep-pauses':
        this.#pauses = effect
        return
      default:
    }
  }

  #start(id: string, jobId: string, row: JobRow, batch: number): void {
    const { peerId, path: root, target } = this.record(id)
    must(!this.running.has(jobId), `${jobId} is started twice`)
    must(this.connected.has(peerId), `${jobId} is started while its peer is away`)
    must(target !== null, `${jobId} has no target`)
    const path = row.remote === '' ? root : `${root}/${row.remote}`
    for (const other of this.running.values()) must(other.peerId !== peerId || other.path !== path, `two jobs write into the unfinished data of ${path}`)
    this.running.set(jobId, { id, peerId, path, target: row.local === '' ? (target ?? '') : `${target}/${row.local}`, wanted: { size: row.size, mtime: row.mtime }, batch })
  }

  #stop(jobId: string, discard: boolean): void {
    const job = this.running.get(jobId)
    must(job !== undefined, `${jobId} is stopped and does not run`)
    this.running.delete(jobId)
    if (job !== undefined && discard) this.partials.delete(`${job.peerId}/${job.path}`)
  }

  #discard(id: string): void {
    const { peerId, path } = this.record(id)
    for (const key of this.partials.keys()) if (key === `${peerId}/${path}` || key.startsWith(`${peerId}/${path}/`)) this.partials.delete(key)
  }

  #partialKey(id: string, row: JobRow): string {
    const { peerId, path } = this.record(id)
    return row.remote === '' ? `${peerId}/${path}` : `${peerId}/${path}/${row.remote}`
  }

  #save({ id, number, page, soon }: Extract<QueueEffect, { type: 'save' }>): void {
    const record = this.queue.record(id)
    const stored: Stored = {
      ...(record === undefined ? {} : { record: cloneRecord(record) }), pages: number === undefined || page === undefined ? [] : [[`${id}.${number}`, clonePage(page)]],
    }
    this.#unsaved.push(stored)
    if (!soon) this.flush()
  }

  /** Everything at once, as one transaction. */
  flush(): void {
    for (const { record, pages } of this.#unsaved) {
      if (record !== undefined) this.#records.set(record.id, record)
      for (const [key, page] of pages) this.#pages.set(key, page)
    }
    this.#unsaved = []
  }

  #page(id: string, number: number): WishPage | undefined {
    const key = `${id}.${number}`
    const unsaved = this.#unsaved.findLast(({ pages }) => pages.some(([other]) => other === key))?.pages[0]?.[1]
    const page = this.queue.openPage(id, number) ?? unsaved ?? this.#pages.get(key)
    return page === undefined ? undefined : clonePage(page)
  }

  /** All pages as they are now. */
  pages(id: string): WishPage[] {
    const { base, pages } = this.record(id)
    return Array.from({ length: pages - base }, (_, index) => this.#page(id, base + index)).filter((page) => page !== undefined)
  }

  /** Files of a wish at its source now, below its path, in tree order. */
  filesAt(id: string): [string, Version][] {
    const { peerId, path } = this.record(id)
    const files = [...(this.sources.get(peerId) ?? [])]
    const self = files.find(([at]) => at === path)
    if (self !== undefined) return [['', self[1]]]
    return files.filter(([at]) => at.startsWith(`${path}/`)).map(([at, version]): [string, Version] => [at.slice(path.length + 1), version])
      .sort(([a], [b]) => compareTreeOrder(a as SharePath, b as SharePath))
  }

  /** The peer answers what it is made of. */
  list(id: string): void {
    const how = this.listing.get(id) ?? null
    this.listing.delete(id)
    const record = this.record(id)
    const files = this.filesAt(id)
    if (files.length === 0) return this.feed({ type: 'list-failed', id, code: 'not-found', message: 'it is not there' })
    const target = record.target ?? `/d/${id}`
    const before = new Map(this.pages(id).flatMap(({ rows, states, reasons }) => rows.map((row, index) => [row.remote, { row, state: states[index], reason: reasons.get(index) }] as const)))
    const counts = { fresh: 0, doneFiles: 0, doneBytes: 0, failedFiles: 0, skippedFiles: 0, skippedBytes: 0, failure: null } as Counts
    const rows = files.map(([remote, version]): WishRow => ({ remote, local: remote, ...version, isDirectory: false }))
    const states = rows.map((row) => {
      const old = how === null ? undefined : before.get(row.remote)
      const same = old?.row.size === row.size && old.row.mtime === row.mtime
      const state = same ? this.#stateAgain(how, old?.state, isVersion(this.disk.get(`${target}/${row.remote}`), row)) : QUEUED
      count(counts, state, row.size, old?.reason)
      return { state, reason: old?.reason }
    })
    const base = record.pages
    for (let from = 0; from < rows.length; from += ROWS) {
      const slice = states.slice(from, from + ROWS)
      const page: WishPage = { rows: rows.slice(from, from + ROWS), states: Uint8Array.from(slice, ({ state }) => state), reasons: new Map(), names: new Map() }
      for (const [index, { state, reason }] of slice.entries()) if (state === FAILED && reason !== undefined) page.reasons.set(index, reason)
      this.#pages.set(`${id}.${base + from / ROWS}`, page)
    }
    const listed: Listed = {
      isDirectory: rows[0]?.remote !== '', target, base, pages: base + Math.ceil(rows.length / ROWS), files: rows.length, bytes: rows.reduce((sum, { size }) => sum + size, 0),
      renamed: 0, rejected: 0, ...counts,
    }
    this.feed({ type: 'listed', id, ...listed })
  }

  #stateAgain(how: LookAgain | null, state: number | undefined, isHere: boolean): number {
    if (state === SKIPPED) return SKIPPED
    if (how === 'new') return state === DONE || state === FAILED ? state : QUEUED
    return state === DONE && isHere ? DONE : QUEUED
  }

  /** Some more of a file comes in. */
  progress(jobId: string): void {
    const job = this.running.get(jobId)
    if (job === undefined || !this.#isSource(job)) return
    const partial = this.#partial(job)
    partial.bytes = Math.min(job.wanted.size, partial.bytes + 1 + Math.floor(this.random() * job.wanted.size))
    this.feed({ type: 'file-progress', jobId, bytes: partial.bytes, bytesPerSecond: 10 })
  }

  #partial(job: ModelJob): Version & { bytes: number } {
    const key = `${job.peerId}/${job.path}`
    const found = this.partials.get(key)
    // Of another version: thrown away, never added to.
    if (found !== undefined && isVersion(found, job.wanted)) return found
    const fresh = { ...job.wanted, bytes: 0 }
    this.partials.set(key, fresh)
    return fresh
  }

  #isSource({ peerId, path, wanted }: ModelJob): boolean {
    return isVersion(this.sources.get(peerId)?.get(path), wanted)
  }

  /** The rest of a file comes in, or whatever stands against that. */
  finish(jobId: string): void {
    const job = this.running.get(jobId)
    if (job === undefined) return
    const name = job.target.slice(job.target.lastIndexOf('/') + 1)
    if (isVersion(this.disk.get(job.target), job.wanted)) {
      this.running.delete(jobId)
      return this.feed({ type: 'file-done', jobId, name, restarted: false })
    }
    if (this.diskFull) return this.fail(jobId, 'disk-full')
    const source = this.sources.get(job.peerId)?.get(job.path)
    if (source === undefined) {
      this.faulty.add(`${job.peerId}/${job.path}`)
      return this.fail(jobId, 'not-found')
    }
    if (!isVersion(source, job.wanted)) return this.fail(jobId, 'source-changed', source)
    const partial = this.#partial(job)
    must(isVersion(partial, source), `two versions of ${job.path} are mixed`)
    this.partials.delete(`${job.peerId}/${job.path}`)
    this.running.delete(jobId)
    // An older version stays where it is; this one would get a numbered name beside it, which is told apart by its version here.
    this.disk.set(job.target, { ...job.wanted })
    const key = `${job.id} ${job.path} ${job.wanted.size} ${job.wanted.mtime}`
    this.placed.set(key, (this.placed.get(key) ?? 0) + 1)
    must(this.placed.get(key) === 1, `${key} came into place twice`)
    this.feed({ type: 'file-done', jobId, name, restarted: false })
  }

  fail(jobId: string, code: ErrorCode, found?: Version): void {
    const job = this.running.get(jobId)
    if (!this.running.delete(jobId) || job === undefined) return
    if (code === 'hash-mismatch' || code === 'timed-out' || code === 'source-changed') this.faulty.add(`${job.peerId}/${job.path}`)
    this.feed({ type: 'file-failed', jobId, code, message: code, ...(found === undefined ? {} : { now: found }) })
  }

  connect(peerId: PeerId, connected: boolean): void {
    if (connected) this.connected.add(peerId)
    else this.connected.delete(peerId)
    this.feed({ type: 'peer', peerId, connected })
    if (connected) return
    for (const [jobId, job] of this.running) if (job.peerId === peerId) this.fail(jobId, 'connection-lost')
    for (const id of this.listing.keys()) if (this.record(id).peerId === peerId) this.failListing(id, 'connection-lost')
  }

  failListing(id: string, code: ErrorCode): void {
    if (this.listing.delete(id)) this.feed({ type: 'list-failed', id, code, message: code })
  }

  /** The process that fetches dies; the other one hears of it and starts a new one. */
  restartNetwork(): void {
    this.running.clear()
    const listings = [...this.listing.keys()]
    this.connected.clear()
    this.feed({ type: 'network-restart' })
    for (const id of listings) this.failListing(id, 'closed')
  }

  /** Power is lost: what was not written is gone, and nothing runs. */
  crash(): void {
    this.#unsaved = []
    this.running.clear()
    this.listing.clear()
    this.connected.clear()
    this.queue = new TransferQueue(this.random)
    this.feed({ type: 'pauses', ...this.#pauses })
    for (const record of this.#records.values()) this.feed({ type: 'add', wish: cloneRecord(record) })
  }

  tick(): boolean {
    const { deadline } = this.queue
    if (deadline === undefined) return false
    this.now = Math.max(this.now, deadline)
    this.feed({ type: 'tick' })
    must(this.queue.deadline === undefined || this.queue.deadline > this.now, 'a tick wants another one at once')
    return true
  }

  do(type: 'pause' | 'resume' | 'cancel' | 'retry', scope: QueueScope): void {
    this.feed({ type, scope })
  }

  /** What must hold at any time. */
  #check(): void {
    const { all, peers } = this.queue.pauses
    const batches = new Map<PeerId, Set<number>>()
    for (const [jobId, { id, peerId, batch }] of this.running) {
      must(!all && !peers.includes(peerId), `${jobId} runs while it is paused as a whole`)
      must(this.queue.record(id)?.phase === 'fetch', `${jobId} runs for a wish that is not being fetched`)
      batches.set(peerId, (batches.get(peerId) ?? new Set()).add(batch))
    }
    for (const own of batches.values()) must(own.size <= 8, 'a peer has more than eight turns')
    for (const { id } of this.queue.records()) {
      const status = this.queue.status(this.now, id)
      if (status === undefined) continue
      const { state, wait, reason } = status
      if (state === 'waiting') must(reason !== null && wait !== null, `${id} waits and does not say why`)
      if (state === 'queued' || state === 'paused') must(wait !== null, `${id} does not say why nothing comes in`)
    }
  }
}

function clonePage({ rows, states, reasons, names }: WishPage): WishPage {
  return { rows: [...rows], states: states.slice(), reasons: new Map(reasons), names: new Map(names) }
}

function cloneRecord(record: WishRecord): WishRecord {
  const { holds, skips, rearm, begun } = record
  return { ...record, holds: new Map(holds), skips: new Map(skips), rearm: [...rearm], begun: { ...begun } }
}

export function must(holds: boolean, problem: string): void {
  if (!holds) throw new Error(problem)
}

export function isVersion(found: Version | undefined, wanted: Version): boolean {
  return found !== undefined && found.size === wanted.size && found.mtime === wanted.mtime
}

type Counts = { -readonly [K in 'fresh' | 'doneFiles' | 'doneBytes' | 'failedFiles' | 'skippedFiles' | 'skippedBytes' | 'failure']: Listed[K] }

function count(counts: Counts, state: number, size: number, reason: Reason | undefined): void {
  if (state === DONE) {
    counts.doneFiles++
    counts.doneBytes += size
  } else if (state === FAILED) {
    counts.failedFiles++
    counts.failure ??= reason ?? null
  } else if (state === SKIPPED) {
    counts.skippedFiles++
    counts.skippedBytes += size
  } else counts.fresh++
}
