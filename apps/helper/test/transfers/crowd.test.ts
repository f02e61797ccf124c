import { MAX_READ_BYTES } from '@harddrive-party/protocol'
import { describe, expect, it } from 'vitest'
import { Bandwidth, NO_LIMITS, burstOf } from '../../src/core/transfers/bandwidth.ts'
import { type UploadEffect, UPLOAD_LIMITS, UploadScheduler } from '../../src/core/transfers/upload-scheduler.ts'

/** 64 peers on one helper, some slow, some that never read, all on a virtual clock: nobody starves, and memory stays bounded. */

function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

interface Reader {
  readonly name: string
  /** Bytes per second that it takes; 0 = never reads. */
  readonly speed: number
  /** Reads it has asked for at once. */
  readonly parallel: number
  wanted: number
  got: number
  waitedSince: Map<number, number>
  longestWait: number
}

const PIECE = 64 * 1024
const UP = 20_000_000

/** Serves until everybody who reads has all, or the time is over. */
function simulate(seed: number): { readers: Reader[]; now: number; mostHeld: number; passed: number } {
  const next = random(seed)
  const scheduler = new UploadScheduler({ ...UPLOAD_LIMITS, queue: 64 })
  const bandwidth = new Bandwidth({ ...NO_LIMITS, all: UP })
  const readers: Reader[] = Array.from({ length: 64 }, (_, i) => ({
    // Three never read and ask for everything; a fifth are slow.
    name: `p${i}`, speed: i < 3 ? 0 : i % 5 === 0 ? 200_000 : 2_000_000 + next() * 20_000_000, parallel: i < 3 ? 64 : 1 + Math.floor(next() * 8),
    wanted: 1 + Math.floor(next() * 3), got: 0, waitedSince: new Map(), longestWait: 0,
  }))
  const open = new Map<number, { reader: Reader; sent: number }>()
  const events: { at: number; run: () => void }[] = []
  const waitingFor = new Map<number, () => void>()
  let now = 0
  let nextId = 1
  let mostHeld = 0
  let passed = 0
  const later = (ms: number, run: () => void) => void events.push({ at: now + ms, run })

  const perform = (effects: readonly UploadEffect[]): void => {
    for (const { type, id } of effects) {
      const read = open.get(id)
      if (read === undefined) continue
      if (type === 'evict') {
        open.delete(id)
        // Whoever was cut off asks again at once.
        ask(read.reader)
        continue
      }
      read.reader.longestWait = Math.max(read.reader.longestWait, now - (read.reader.waitedSince.get(id) ?? now))
      read.reader.waitedSince.delete(id)
      sendPiece(id)
    }
    mostHeld = Math.max(mostHeld, scheduler.held())
  }
  const grant = (effects: readonly { id: number }[]): void => {
    for (const { id } of effects) {
      const run = waitingFor.get(id)
      waitingFor.delete(id)
      run?.()
    }
  }
  const ask = (reader: Reader): void => {
    if (scheduler.isFull(reader.name)) return
    const id = nextId++
    open.set(id, { reader, sent: 0 })
    reader.waitedSince.set(id, now)
    perform(scheduler.step(now, { type: 'ask', id, peer: reader.name }))
  }
  const sendPiece = (id: number): void => {
    const read = open.get(id)
    if (read === undefined) return
    perform(scheduler.step(now, { type: 'pause', id }))
    waitingFor.set(id, () => {
      passed += PIECE
      scheduler.step(now, { type: 'progress', id })
      // A peer that never reads holds its piece until it is cut off.
      if (read.reader.speed > 0) later((PIECE * 1000) / read.reader.speed, () => taken(id))
    })
    grant(bandwidth.step(now, { type: 'ask', id, peer: read.reader.name, bytes: PIECE, isLocal: false }))
  }
  const taken = (id: number): void => {
    const read = open.get(id)
    if (read === undefined) return
    scheduler.step(now, { type: 'progress', id })
    read.sent += PIECE
    if (read.sent < MAX_READ_BYTES) return sendPiece(id)
    open.delete(id)
    read.reader.got++
    perform(scheduler.step(now, { type: 'end', id }))
    if (read.reader.got + [...open.values()].filter(({ reader }) => reader === read.reader).length < read.reader.wanted) ask(read.reader)
  }

  for (const reader of readers) for (let i = 0; i < (reader.speed === 0 ? reader.parallel : Math.min(reader.parallel, reader.wanted)); i++) ask(reader)
  const unfinished = () => readers.some(({ speed, got, wanted }) => speed > 0 && got < wanted)
  while (unfinished() && now < 3_600_000) {
    const at = Math.min(...events.map((event) => event.at), scheduler.deadline ?? Infinity, bandwidth.deadline ?? Infinity)
    if (at === Infinity) break
    now = Math.max(now, at)
    for (const event of events.filter((one) => one.at <= now)) {
      events.splice(events.indexOf(event), 1)
      event.run()
    }
    perform(scheduler.step(now, { type: 'tick' }))
    grant(bandwidth.step(now, { type: 'tick' }))
  }
  return { readers, now, mostHeld, passed }
}

describe('64 peers at once', () => {
  it.each([1, 2, 3, 4, 5])('all are served beside slow ones and three that never read, with seed %i', (seed) => {
    const { readers, now, mostHeld, passed } = simulate(seed)
    const honest = readers.filter(({ speed }) => speed > 0)
    expect(honest.filter(({ got, wanted }) => got < wanted).map(({ name }) => name)).toEqual([])
    // Slots are memory: 4 MiB each.
    expect(mostHeld).toBeLessThanOrEqual(UPLOAD_LIMITS.slots + UPLOAD_LIMITS.reserve)
    expect(passed).toBeLessThanOrEqual((UP * now) / 1000 + burstOf(UP))
    // Everybody's first turn comes after a bounded time: those that never read lose their slots every 15 s, and 64 reads share 20 MB/s.
    for (const { name, longestWait } of honest) expect(longestWait, name).toBeLessThan(180_000)
  })

  it('tells each its place, in the order in which they are served', () => {
    const scheduler = new UploadScheduler({ ...UPLOAD_LIMITS, slots: 1, reserve: 0, weights: new Map([['vip', 4]]) })
    scheduler.step(0, { type: 'ask', id: 1, peer: 'first' })
    for (const [i, peer] of ['a', 'b', 'vip', 'c'].entries()) scheduler.step(0, { type: 'ask', id: 10 + i, peer })
    expect(scheduler.place('first')).toBeUndefined()
    const places = new Map(['a', 'b', 'vip', 'c'].map((peer) => [peer, scheduler.place(peer)]))
    expect([...places.values()]).toEqual([1, 2, 3, 4])
    let ended = 1
    for (const peer of ['a', 'b', 'vip', 'c']) {
      const [granted] = scheduler.step(1, { type: 'end', id: ended })
      expect(scheduler.held(peer)).toBe(1)
      ended = granted?.id ?? 0
    }
  })

  it('bounds the files and the reads of one peer', () => {
    const scheduler = new UploadScheduler({ ...UPLOAD_LIMITS, files: 2, queue: 5 })
    const granted = ['x', 'y', 'z', 'x', 'y'].flatMap((file, i) => scheduler.step(0, { type: 'ask', id: i + 1, peer: 'a', file }))
    expect(granted.map(({ id }) => id)).toEqual([1, 2, 4, 5])
    expect(scheduler.isFull('a')).toBe(true)
    expect(scheduler.isFull('b')).toBe(false)
    scheduler.step(1, { type: 'end', id: 1 })
    expect(scheduler.isFull('a')).toBe(false)
    expect(scheduler.step(2, { type: 'end', id: 4 })).toEqual([{ type: 'grant', id: 3 }])
  })
})

