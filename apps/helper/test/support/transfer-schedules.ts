import type { PeerId } from '@harddrive-party/protocol'
import type { QueueScope } from '../../src/core/transfers/queue-messages.ts'
import { DONE, FAILED, SKIPPED, hasEnded } from '../../src/core/wishes/wish.ts'
import { choiceFor } from '../../src/core/wishes/wish-choices.ts'
import { MODEL_PEERS, TransferModel, isVersion, must } from './transfer-model.ts'

/** Random lives of the transfer engine, each from one number: everything goes wrong for a while, then all is well, and everything must come to its end. */

const STEPS = 120
/** Far more than anything takes once all is well. */
const MOST_ROUNDS = 5_000

export function playSchedule(seed: number): void {
  const random = randomFrom(seed)
  const model = new TransferModel(random)
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)]
  for (const peerId of MODEL_PEERS) fill(model, peerId, random)
  const steps = movesOf(model, random, pick)
  for (let step = 0; step < STEPS; step++) {
    model.now += Math.floor(random() * 700)
    const move = pick(steps)
    move?.()
  }
  settle(model)
  checkEnd(model)
}

/** The same numbers for the same seed, on every machine. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const FOLDERS = ['a', 'a/b', 'c']

function fill(model: TransferModel, peerId: PeerId, random: () => number): void {
  for (const folder of FOLDERS) {
    for (let n = Math.floor(random() * 7); n > 0; n--) change(model, peerId, `S/${folder}/f${n}`, random)
  }
  change(model, peerId, 'S/one', random)
}

function change(model: TransferModel, peerId: PeerId, path: string, random: () => number): void {
  // Some are large: they take a turn each.
  model.sources.get(peerId)?.set(path, { size: random() < 0.4 ? 1_000_000 : Math.floor(random() * 1000), mtime: Math.floor(random() * 1e9) })
}

type Pick = <T>(from: readonly T[]) => T | undefined

function movesOf(model: TransferModel, random: () => number, pick: Pick): readonly (() => void)[] {
  const job = (act: (jobId: string) => void) => () => {
    const jobId = pick([...model.running.keys()])
    if (jobId !== undefined) act(jobId)
  }
  const listing = (act: (id: string) => void) => () => {
    const id = pick([...model.listing.keys()])
    if (id !== undefined) act(id)
  }
  const wish = (act: (id: string) => void) => () => {
    const id = pick(model.ids)
    if (id !== undefined) act(id)
  }
  const peer = (act: (peerId: PeerId) => void) => () => act(pick(MODEL_PEERS) as PeerId)
  const scope = (): QueueScope => {
    const id = pick(model.ids) ?? 'none'
    const path = random() < 0.5 ? '' : (pick(['a', 'a/b', 'c', 'a/f1', 'a/b/f2', 'c/f3']) ?? '')
    const kind = random()
    return kind < 0.75 ? { id, path } : kind < 0.92 ? { peerId: pick(MODEL_PEERS) as PeerId } : { all: true }
  }
  const add = peer((peerId) => {
    const path = pick(['S', 'S/a', 'S/a/b', 'S/c', 'S/one']) as string
    if (model.queue.find(peerId, path as never) === undefined && !overlaps(model, peerId, path)) model.wish(peerId, path, random() < 0.4)
  })
  const finish = job((jobId) => model.finish(jobId))
  const list = listing((id) => model.list(id))
  const online = peer((peerId) => model.connect(peerId, true))
  return [
    add, add, finish, finish, finish, finish, finish, list, list, list, online, online, online,
    job((jobId) => model.progress(jobId)), job((jobId) => model.progress(jobId)),
    job((jobId) => model.feed({ type: 'file-waiting', jobId, place: random() < 0.2 ? null : 1 + Math.floor(random() * 9) })),
    job((jobId) => model.fail(jobId, pick(['timed-out', 'busy', 'stream-reset', 'hash-mismatch', 'connection-lost'] as const) ?? 'busy')),
    listing((id) => model.failListing(id, pick(['timed-out', 'busy', 'bad-answer', 'bad-request'] as const) ?? 'busy')),
    peer((peerId) => model.connect(peerId, false)),
    peer((peerId) => change(model, peerId, `S/${pick(FOLDERS)}/f${1 + Math.floor(random() * 7)}`, random)),
    peer((peerId) => model.sources.get(peerId)?.delete(`S/${pick(FOLDERS)}/f${1 + Math.floor(random() * 7)}`)),
    () => {
      model.diskFull = random() < 0.5
    },
    () => model.restartNetwork(),
    () => model.crash(),
    () => model.flush(),
    () => void model.tick(),
    () => model.do('pause', scope()), () => model.do('resume', scope()), () => model.do('resume', scope()), () => model.do('retry', scope()),
    () => random() < 0.3 && model.do('cancel', scope()),
    wish((id) => model.feed({ type: 'move', id, to: pick(['top', 'up', 'down', 'bottom', { before: pick(model.ids) ?? id }] as const) ?? 'top' })),
    wish((id) => model.feed({ type: 'follow', id, follow: random() < 0.5 })),
    wish((id) => model.feed({ type: 'look-again', id })),
  ]
}

/** Two wishes for the same file would share its unfinished data; the process that fetches keeps them apart, which is not modelled here. */
function overlaps(model: TransferModel, peerId: PeerId, path: string): boolean {
  return model.queue.records().some((record) => record.peerId === peerId && (`${record.path}/`.startsWith(`${path}/`) || `${path}/`.startsWith(`${record.path}/`)))
}

/** From here on nothing goes wrong any more, nothing is paused, and nobody does anything but wait. */
function settle(model: TransferModel): void {
  model.diskFull = false
  model.do('resume', { all: true })
  for (const peerId of MODEL_PEERS) model.do('resume', { peerId })
  for (const id of model.ids) model.do('resume', { id, path: '' })
  for (const peerId of MODEL_PEERS) model.connect(peerId, true)
  // Until all that follow have looked at their sources once more.
  const lookUntil = model.now + 60 * 60_000
  for (let round = 0; ; round++) {
    must(round < MOST_ROUNDS, `it does not come to an end: ${model.queue.records().filter(({ phase }) => !hasEnded(phase)).map(({ id, phase }) => `${id} ${phase}`).join(', ')}`)
    const [listing] = model.listing.keys()
    const [jobId] = model.running.keys()
    if (listing !== undefined) model.list(listing)
    else if (jobId !== undefined) model.finish(jobId)
    else if (model.queue.active === 0 && (model.queue.deadline === undefined || model.now > lookUntil)) return
    else must(model.tick(), 'something is left to do, and nobody does it')
  }
}

const LISTING_FAULTS: ReadonlySet<string> = new Set(['not-found', 'bad-answer', 'bad-request'])

function checkEnd(model: TransferModel): void {
  for (const id of model.ids) checkWish(model, id)
}

function checkWish(model: TransferModel, id: string): void {
  const record = model.record(id)
  must(hasEnded(record.phase), `${id} has not ended`)
  if (record.phase === 'cancelled' || record.pages === record.base) return
  const counted = { done: 0, failed: 0, skipped: 0, bytes: 0, files: 0 }
  const rows = new Map<string, number | undefined>()
  for (const { rows: listed, states, reasons } of model.pages(id)) {
    for (const [index, row] of listed.entries()) {
      const state = states[index]
      const path = row.remote === '' ? record.path : `${record.path}/${row.remote}`
      rows.set(row.remote, state)
      counted.files++
      if (state === DONE) {
        counted.done++
        counted.bytes += row.size
        must(isVersion(model.disk.get(row.remote === '' ? String(record.target) : `${record.target}/${row.remote}`), row), `${id} says that ${path} is here, and it is not`)
      } else if (state === FAILED) {
        counted.failed++
        must(reasons.has(index), `${path} failed and does not say why`)
        must(model.faulty.has(`${record.peerId}/${path}`), `${path} failed though nothing was wrong with it`)
      } else {
        must(state === SKIPPED, `${path} was forgotten`)
        counted.skipped++
        must(choiceFor(record.skips, row.remote), `${path} was left out though it is wanted`)
      }
    }
  }
  must(counted.done === record.doneFiles && counted.bytes === record.doneBytes, `${id} counts ${record.doneFiles} files that are here, there are ${counted.done}`)
  must(counted.failed === record.failedFiles, `${id} counts ${record.failedFiles} failed files, there are ${counted.failed}`)
  must(counted.skipped === record.skippedFiles, `${id} counts ${record.skippedFiles} files left out, there are ${counted.skipped}`)
  must(counted.files === record.totalFiles, `${id} counts ${record.totalFiles} files, there are ${counted.files}`)
  // Looking at the source again may have failed instead.
  const isListingFault = LISTING_FAULTS.has(record.reason?.code ?? '')
  must((record.phase === 'failed') === (counted.failed > 0) || isListingFault, `${id} is ${record.phase} with ${counted.failed} failed files`)
  if (!record.follow || model.filesAt(id).length === 0) return
  for (const [remote] of model.filesAt(id)) must(rows.has(remote), `${id} follows its source and does not know ${remote}`)
}

/** Plays so many seeds, or the one of the environment. @throws Error naming the first seed that fails */
export function playSchedules(first: number, count: number): number {
  const { SEED } = process.env
  const seeds = SEED === undefined ? Array.from({ length: count }, (_, index) => first + index) : [Number(SEED)]
  for (const seed of seeds) {
    try {
      playSchedule(seed)
    } catch (cause) {
      throw new Error(`SEED=${seed} fails: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    }
  }
  return seeds.length
}
