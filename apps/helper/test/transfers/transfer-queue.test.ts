import type { ErrorCode, PeerId, SharePath } from '@harddrive-party/protocol'
import { peerIdFromKey } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { QueueEffect, QueueInput } from '../../src/core/transfers/queue-messages.ts'
import { TransferQueue } from '../../src/core/transfers/transfer-queue.ts'
import { BEGUN, DONE, QUEUED, type WishPage, type WishRecord, hasEnded, newWish } from '../../src/core/wishes/wish.ts'

const PEERS = [1, 2, 3].map((byte) => peerIdFromKey(new Uint8Array(32).fill(byte)))

function wish(id: string, peerId: PeerId = PEERS[0]!, order = 0): WishRecord {
  return newWish({ id, peerId, path: `Music/${id}` as SharePath, addedAt: 0, since: 0, downloadDirectory: '/d', target: null, order })
}

/** Not small enough to be fetched with others. */
const LARGE = 1_000_000

function pageOf(count: number, from = 0, size = LARGE): WishPage {
  const rows = Array.from({ length: count }, (_, index) =>
    ({ remote: `f${from + index}`, local: `f${from + index}`, size, mtime: 1, isDirectory: false }))
  return { rows, states: new Uint8Array(count), reasons: new Map(), names: new Map() }
}

const listed = (id: string, files: number, pages = 1, size = LARGE) => ({
  type: 'listed', id, isDirectory: true, target: `/d/${id}`, base: 0, pages, files, bytes: files * size, renamed: 0, rejected: 0, fresh: files,
  doneFiles: 0, doneBytes: 0, failedFiles: 0, skippedFiles: 0, skippedBytes: 0, failure: null,
}) as const
const peer = (peerId: PeerId, connected: boolean) => ({ type: 'peer', peerId, connected }) as const
const starts = (effects: QueueEffect[]) => effects.flatMap((effect) => (effect.type === 'start' ? [effect.jobId] : []))

/** Feeds inputs one after the other and answers `load` with pages of ten files. */
function drive(queue: TransferQueue, now: number, ...inputs: QueueInput[]): QueueEffect[] {
  const all: QueueEffect[] = []
  for (let input = inputs.shift(); input !== undefined; input = inputs.shift()) {
    const effects = queue.step(now, input)
    all.push(...effects)
    for (const effect of effects) {
      if (effect.type === 'load') inputs.unshift({ type: 'page', id: effect.id, number: effect.number, page: pageOf(10, effect.number * 10) })
    }
  }
  return all
}

/** A wish of ten files of which eight are being fetched. */
function running(): { queue: TransferQueue; jobs: string[] } {
  const queue = new TransferQueue(() => 0.5)
  drive(queue, 0, { type: 'add', wish: wish('a') }, peer(PEERS[0]!, true))
  const jobs = starts(drive(queue, 0, listed('a', 10)))
  return { queue, jobs }
}

describe('turns', () => {
  test('a peer gets eight jobs at most, all peers together twenty-four, and each its share', () => {
    const queue = new TransferQueue(() => 0.5)
    const inputs: QueueInput[] = PEERS.flatMap((peerId, index) => [peer(peerId, true), { type: 'add', wish: wish(`w${index}`, peerId) } as const])
    expect(drive(queue, 0, ...inputs, listed('w0', 10)).filter(({ type }) => type === 'list')).toHaveLength(3)
    const first = starts(drive(queue, 0, listed('w1', 10), listed('w2', 10)))
    for (const id of ['w1', 'w2']) expect(first.filter((jobId) => jobId.startsWith(`${id}.`))).toHaveLength(8)
    expect(starts(drive(queue, 0, { type: 'file-done', jobId: first[0]!, name: 'f0', restarted: false }))).toEqual(['w1.0.8'])
  })

  test('two wishes of one peer take turns', () => {
    const queue = new TransferQueue(() => 0.5)
    drive(queue, 0, { type: 'add', wish: wish('a') }, { type: 'add', wish: wish('b') })
    drive(queue, 0, peer(PEERS[0]!, true))
    const begun = starts(drive(queue, 0, listed('a', 10), listed('b', 10)))
    let running = begun
    const later: string[] = []
    for (let i = 0; i < 8; i++) {
      const next = starts(drive(queue, 0, { type: 'file-done', jobId: running[0]!, name: 'x', restarted: false }))
      later.push(...next)
      running = [...running.slice(1), ...next]
    }
    expect(later.filter((jobId) => jobId.startsWith('b.')).length).toBeGreaterThanOrEqual(4)
  })
})

const batchesOf = (effects: QueueEffect[]) => effects.flatMap((effect) => (effect.type === 'start' ? [effect.batch] : []))
/** A wish of one page of small files, listed for a peer that is there. */
function listedSmall(count: number, size: number): { queue: TransferQueue; effects: QueueEffect[] } {
  const queue = new TransferQueue(() => 0.5)
  drive(queue, 0, { type: 'add', wish: wish('a') }, peer(PEERS[0]!, true))
  const inputs: QueueInput[] = [listed('a', count, 1, size), { type: 'page', id: 'a', number: 0, page: pageOf(count, 0, size) }]
  return { queue, effects: inputs.flatMap((input) => queue.step(0, input)) }
}

describe('nobody starves', () => {
  test('a wish behind a large one gets its turns, and what is moved to the top gets most', () => {
    const queue = new TransferQueue(() => 0.5)
    drive(queue, 0, { type: 'add', wish: wish('a', PEERS[0], 1) }, { type: 'add', wish: wish('b', PEERS[0], 2) }, peer(PEERS[0]!, true))
    let running = starts(drive(queue, 0, listed('a', 40, 4), listed('b', 40, 4)))
    const next = (count: number): string[] => {
      const begun: string[] = []
      for (let n = 0; n < count; n++) begun.push(...starts(drive(queue, 0, { type: 'file-done', jobId: running.shift()!, name: 'x', restarted: false })).map((jobId) => (running.push(jobId), jobId)))
      return begun
    }
    next(8)
    const ofB = running.filter((jobId) => jobId.startsWith('b.')).length
    expect(ofB).toBe(2)
    drive(queue, 0, { type: 'move', id: 'b', to: 'top' })
    next(10)
    expect(running.filter((jobId) => jobId.startsWith('b.')).length).toBe(6)
    expect(queue.records().map(({ order }) => order)).toEqual([1, 0])
  })

  test('peers that are slow do not keep another one from beginning', () => {
    const queue = new TransferQueue(() => 0.5)
    const many = [1, 2, 3, 4].map((byte) => peerIdFromKey(new Uint8Array(32).fill(byte + 10)))
    for (const [index, peerId] of many.entries()) drive(queue, 0, { type: 'add', wish: wish(`w${index}`, peerId) })
    for (const index of [0, 1, 2]) drive(queue, 0, peer(many[index]!, true), listed(`w${index}`, 10))
    expect(queue.status(0, 'w3')).toMatchObject({ state: 'waiting', wait: { cause: 'offline' } })
    drive(queue, 0, peer(many[3]!, true))
    expect(starts(drive(queue, 0, listed('w3', 10)))).toHaveLength(1)
  })
})

describe('what a person sees', () => {
  test('the place in the queue of a peer, the nearest of several, until something comes in', () => {
    const { queue, jobs } = running()
    for (const [index, jobId] of jobs.entries()) drive(queue, 0, { type: 'file-waiting', jobId, place: index + 4 })
    expect(queue.status(0, 'a')).toMatchObject({ state: 'waiting', wait: { cause: 'place', place: 4 }, reason: { message: 'place 4 in the queue of the peer' } })
    drive(queue, 0, { type: 'file-waiting', jobId: jobs[0]!, place: null })
    expect(queue.fileStatus('a', { place: { number: 0, index: 0 }, state: BEGUN, remote: 'f0', reason: null })).toMatchObject({ state: 'waiting', wait: { cause: 'limit' } })
    drive(queue, 0, { type: 'file-progress', jobId: jobs[0]!, bytes: 5, bytesPerSecond: 1 })
    expect(queue.status(0, 'a')).toMatchObject({ state: 'running', wait: null })
  })

  test('what is paused as a whole is paused after a restart, too, and nothing of it begins', () => {
    const { queue, jobs } = running()
    const effects = drive(queue, 0, { type: 'pause', scope: { peerId: PEERS[0]! } })
    expect(effects.filter(({ type }) => type === 'stop')).toHaveLength(jobs.length)
    expect(effects).toContainEqual({ type: 'keep-pauses', all: false, peers: [PEERS[0]] })
    const restarted = new TransferQueue(() => 0.5)
    drive(restarted, 0, { type: 'pauses', all: false, peers: [PEERS[0]!] }, { type: 'add', wish: queue.record('a')! })
    expect(starts(drive(restarted, 0, peer(PEERS[0]!, true)))).toEqual([])
    expect(restarted.status(0, 'a')).toMatchObject({ state: 'paused', wait: { cause: 'peer-paused' } })
    expect(starts(drive(restarted, 0, { type: 'resume', scope: { peerId: PEERS[0]! } })).length).toBeGreaterThan(0)
  })
})

describe('small files', () => {
  test('start together, and a batch is bounded by its files and its bytes', () => {
    const many = batchesOf(listedSmall(300, 10).effects)
    expect(many).toHaveLength(300)
    expect(new Set(many).size).toBe(3)
    const larger = batchesOf(listedSmall(100, 200_000).effects)
    expect(larger).toHaveLength(80)
    expect(new Set(larger).size).toBe(8)
    expect(new Set(batchesOf(listedSmall(100, 300_000).effects)).size).toBe(8)
  })

  test('a batch frees its turn when its last file has ended', () => {
    const { queue, effects } = listedSmall(500, 200_000)
    const [first = '', ...others] = starts(effects).slice(0, 10)
    for (const jobId of others) expect(starts(queue.step(0, { type: 'file-done', jobId, name: 'x', restarted: false }))).toEqual([])
    expect(starts(queue.step(0, { type: 'file-failed', jobId: first, code: 'not-found', message: 'gone' }))).toHaveLength(10)
  })
})

describe('waiting', () => {
  test('a full disk is looked at again after five seconds, by one file', () => {
    const { queue, jobs } = running()
    for (const jobId of jobs) expect(starts(drive(queue, 0, { type: 'file-failed', jobId, code: 'disk-full', message: 'full' }))).toEqual([])
    expect(queue.status(0, 'a')).toMatchObject({ state: 'waiting', reason: { code: 'disk-full' } })
    expect(queue.deadline).toBe(5000)
    const probe = starts(drive(queue, 5000, { type: 'tick' }))
    expect(probe).toHaveLength(1)
    expect(starts(drive(queue, 5001, { type: 'file-done', jobId: probe[0]!, name: 'x', restarted: false }))).toHaveLength(8)
  })

  test('a file that times out waits longer each time and then fails alone', () => {
    const { queue, jobs } = running()
    const bad = jobs[0]!
    for (const jobId of [...jobs.slice(1), 'a.0.8', 'a.0.9']) drive(queue, 0, { type: 'file-done', jobId, name: 'x', restarted: false })
    const delays: number[] = []
    let now = 0
    for (;;) {
      drive(queue, now, { type: 'file-failed', jobId: bad, code: 'timed-out', message: 'nothing came' })
      if (queue.deadline === undefined) break
      expect(queue.status(now, 'a')).toMatchObject({ state: 'waiting', reason: { code: 'timed-out' } })
      delays.push(queue.deadline - now)
      now = queue.deadline
      expect(starts(drive(queue, now, { type: 'tick' }))).toEqual([bad])
    }
    expect(delays).toEqual([1000, 2000, 4000, 8000])
    expect(queue.record('a')).toMatchObject({ phase: 'failed', doneFiles: 9, failedFiles: 1, reason: { code: 'timed-out' } })
  })

  test('what has come in of an unfinished file still counts while its peer is away, and after a restart', () => {
    const { queue, jobs } = running()
    drive(queue, 0, { type: 'file-done', jobId: jobs[0]!, name: 'f0', restarted: false })
    drive(queue, 0, { type: 'file-progress', jobId: jobs[1]!, bytes: 60, bytesPerSecond: 10 })
    drive(queue, 0, { type: 'file-failed', jobId: jobs[1]!, code: 'connection-lost', message: 'lost' }, peer(PEERS[0]!, false))
    expect(queue.status(0, 'a')?.bytes).toBe(LARGE + 60)
    const restarted = new TransferQueue(() => 0.5)
    drive(restarted, 0, { type: 'add', wish: structuredClone(queue.record('a')!) })
    expect(restarted.status(0, 'a')?.bytes).toBe(LARGE + 60)
    // It may turn out to be less: what the disk says wins.
    const again = starts(drive(queue, 60_000, peer(PEERS[0]!, true)))
    expect(again).toContain(jobs[1])
    drive(queue, 60_000, { type: 'file-progress', jobId: jobs[1]!, bytes: 20, bytesPerSecond: 0 })
    expect(queue.status(60_000, 'a')?.bytes).toBe(LARGE + 20)
    drive(queue, 60_000, { type: 'file-done', jobId: jobs[1]!, name: 'f1', restarted: false })
    expect(queue.status(60_000, 'a')?.bytes).toBe(2 * LARGE)
  })

  test('a wish added while its peer is left alone is not forgotten', () => {
    const { queue, jobs } = running()
    drive(queue, 0, { type: 'file-failed', jobId: jobs[0]!, code: 'busy', message: 'busy' })
    drive(queue, 0, { type: 'add', wish: wish('b') }, { type: 'cancel', scope: { id: 'a', path: '' } })
    expect(queue.status(0, 'b')).toMatchObject({ state: 'waiting', reason: { code: 'busy' } })
    expect(drive(queue, queue.deadline!, { type: 'tick' })).toContainEqual({ type: 'list', id: 'b', again: null })
  })

  test('what is coming back from a cancelled wish means nothing', () => {
    const { queue, jobs } = running()
    const effects = drive(queue, 0, { type: 'cancel', scope: { id: 'a', path: '' } })
    expect(effects.filter(({ type }) => type === 'stop')).toHaveLength(8)
    expect(effects.at(-2)).toEqual({ type: 'discard', id: 'a' })
    expect(drive(queue, 0, { type: 'file-done', jobId: jobs[0]!, name: 'x', restarted: false })).toEqual([])
    expect(queue.record('a')).toMatchObject({ phase: 'cancelled', doneFiles: 0 })
    expect(queue.deadline).toBeUndefined()
  })
})

/** A model of everything around the queue: store, peers, network process, with virtual time. */
class Model {
  readonly sizes: readonly number[]
  queue: TransferQueue
  now = 0
  readonly records = new Map<string, WishRecord>()
  readonly pages = new Map<string, WishPage>()
  readonly running = new Map<string, { readonly size: number; readonly peerId: PeerId; readonly batch: number }>()
  readonly listing = new Set<string>()
  readonly connected = new Set<PeerId>()
  /** How often each file came into place. */
  readonly placed = new Map<string, number>()
  readonly failedForGood = new Set<string>()

  constructor(sizes: readonly number[]) {
    this.sizes = sizes
    this.queue = new TransferQueue(() => 0.5)
  }

  feed(input: QueueInput): void {
    const inputs = [input]
    for (let next = inputs.shift(); next !== undefined; next = inputs.shift()) {
      for (const effect of this.queue.step(this.now, next)) {
        if (effect.type === 'list') this.listing.add(effect.id)
        else if (effect.type === 'load') inputs.push({ type: 'page', id: effect.id, number: effect.number, page: this.storedPage(effect.id, effect.number) })
        else if (effect.type === 'save') this.save(effect)
        else if (effect.type === 'start') {
          expect(this.running.has(effect.jobId)).toBe(false)
          const { peerId } = this.records.get(effect.id)!
          expect(this.connected.has(peerId)).toBe(true)
          this.running.set(effect.jobId, { size: effect.row.size, peerId, batch: effect.batch })
          const running = [...this.running.values()]
          expect(new Set(running.filter((job) => job.peerId === peerId).map(({ batch }) => batch)).size).toBeLessThanOrEqual(8)
          expect(new Set(running.map(({ batch }) => batch)).size).toBeLessThanOrEqual(24)
          if (running.filter(({ batch }) => batch === effect.batch).length > 1) expect(effect.row.size).toBeLessThan(LARGE)
        }
      }
    }
  }

  save({ id, number, page }: Extract<QueueEffect, { type: 'save' }>): void {
    this.records.set(id, structuredClone(this.queue.record(id)!))
    if (number !== undefined && page !== undefined) this.pages.set(`${id}.${number}`, structuredClone(page))
  }

  storedPage(id: string, number: number): WishPage {
    return structuredClone(this.pages.get(`${id}.${number}`)!)
  }

  /** Files of every other wish are small. */
  sizeOf(id: string): number {
    return Number(id) % 2 === 0 ? LARGE : 100
  }

  list(id: string): void {
    this.listing.delete(id)
    const files = this.sizes[Number(id)]!
    const pages = Math.ceil(files / 10)
    for (let number = 0; number < pages; number++) this.pages.set(`${id}.${number}`, pageOf(Math.min(10, files - number * 10), number * 10, this.sizeOf(id)))
    this.feed(listed(id, files, pages, this.sizeOf(id)))
  }

  end(jobId: string, code?: ErrorCode, found?: { size: number; mtime: number }): void {
    this.running.delete(jobId)
    if (code !== undefined) {
      if (code === 'hash-mismatch') this.failedForGood.add(jobId)
      this.feed({ type: 'file-failed', jobId, code, message: code, ...(found === undefined ? {} : { now: found }) })
      return
    }
    this.placed.set(jobId, (this.placed.get(jobId) ?? 0) + 1)
    this.feed({ type: 'file-done', jobId, name: 'any', restarted: false })
  }

  connect(peerId: PeerId, connected: boolean): void {
    if (connected) this.connected.add(peerId)
    else this.connected.delete(peerId)
    this.feed(peer(peerId, connected))
    if (connected) return
    for (const [jobId, job] of this.running) if (job.peerId === peerId) this.end(jobId, 'connection-lost')
    for (const id of this.listing) {
      if (this.records.get(id)!.peerId !== peerId) continue
      this.listing.delete(id)
      this.feed({ type: 'list-failed', id, code: 'connection-lost', message: 'lost' })
    }
  }

  /** The control process dies and comes back; the network process with it. */
  restart(): void {
    this.running.clear()
    this.listing.clear()
    this.queue = new TransferQueue(() => 0.5)
    for (const record of structuredClone([...this.records.values()])) this.feed({ type: 'add', wish: record })
    for (const peerId of this.connected) this.feed(peer(peerId, true))
  }

  tick(): void {
    const { deadline } = this.queue
    if (deadline === undefined) return
    this.now = Math.max(this.now, deadline)
    this.feed({ type: 'tick' })
  }
}

type Move = { readonly kind: string; readonly pick: number }
const KINDS = [
  'done', 'done', 'done', 'done', 'connection-lost', 'timed-out', 'busy', 'disk-full', 'hash-mismatch', 'source-changed', 'offline', 'online', 'restart',
  'network-restart', 'tick', 'list', 'list', 'list-fails',
]

function play(model: Model, { kind, pick }: Move): void {
  const jobId = [...model.running.keys()][pick % Math.max(1, model.running.size)]
  const listing = [...model.listing][pick % Math.max(1, model.listing.size)]
  const peerId = PEERS[pick % PEERS.length]!
  model.now += pick % 700
  switch (kind) {
    case 'offline':
      return model.connect(peerId, false)
    case 'online':
      return model.connect(peerId, true)
    case 'restart':
      return model.restart()
    case 'network-restart':
      model.running.clear()
      model.listing.clear()
      model.connected.clear()
      for (const [id, record] of model.records) if (record.phase === 'list') model.feed({ type: 'list-failed', id, code: 'closed', message: 'gone' })
      return model.feed({ type: 'network-restart' })
    case 'tick':
      return model.tick()
    case 'list':
      return listing === undefined ? undefined : model.list(listing)
    case 'list-fails':
      if (listing === undefined) return undefined
      model.listing.delete(listing)
      return model.feed({ type: 'list-failed', id: listing, code: 'timed-out', message: 'slow' })
    case 'done':
      return jobId === undefined ? undefined : model.end(jobId)
    case 'source-changed':
      return jobId === undefined ? undefined : model.end(jobId, 'source-changed', { size: pick % 1000, mtime: pick })
    default:
      return jobId === undefined ? undefined : model.end(jobId, kind as ErrorCode)
  }
}

test('whatever happens, every file comes into place once or fails with a reason, and the counts are right', () => {
  const move = fc.record({ kind: fc.constantFrom(...KINDS), pick: fc.nat(5000) })
  const sizes = fc.array(fc.integer({ min: 0, max: 35 }), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(sizes, fc.array(move, { maxLength: 150 }), (counts, moves) => {
      const model = new Model(counts)
      for (const index of counts.keys()) {
        const record = wish(String(index), PEERS[index % PEERS.length])
        model.records.set(record.id, structuredClone(record))
        model.feed({ type: 'add', wish: record })
      }
      for (const one of moves) play(model, one)
      // From here on all is well, and it must come to an end without any help but time.
      for (const peerId of PEERS) model.connect(peerId, true)
      for (let round = 0; model.queue.active > 0; round++) {
        expect(round).toBeLessThan(2000)
        const [listing] = model.listing
        const [jobId] = model.running.keys()
        if (listing !== undefined) model.list(listing)
        else if (jobId !== undefined) model.end(jobId)
        else {
          expect(model.queue.deadline).toBeDefined()
          model.tick()
        }
      }
      for (const [id, record] of model.records) {
        const files = counts[Number(id)]!
        expect(hasEnded(record.phase)).toBe(true)
        expect(record.doneFiles + record.failedFiles).toBe(files)
        let bytes = 0
        let done = 0
        for (let number = 0; number < record.pages; number++) {
          const { rows, states, reasons } = model.pages.get(`${id}.${number}`)!
          for (const [index, row] of rows.entries()) {
            const jobId = `${id}.${number}.${index}`
            if (states[index] === DONE) {
              bytes += row.size
              done++
              expect(model.placed.get(jobId)).toBe(1)
            } else {
              expect(states[index]).not.toBe(QUEUED)
              expect(reasons.get(index)?.message).toBeTruthy()
              expect(model.placed.has(jobId)).toBe(false)
            }
          }
        }
        expect(record.doneFiles).toBe(done)
        expect(record.doneBytes).toBe(bytes)
        expect(record.phase).toBe(done === files ? 'done' : 'failed')
        if (done === files) expect(record.total).toBe(bytes)
      }
    }),
    { numRuns: 50 },
  )
})
