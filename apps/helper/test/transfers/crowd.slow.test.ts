import { MAX_READ_BYTES, type PeerId, type SharePath, encodeRequest } from '@harddrive-party/protocol'
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../src/adapters/system/drive.ts'
import { pacedBundle, pacedRead } from '../../src/adapters/transfers/paced-read.ts'
import { openPacer } from '../../src/adapters/transfers/pacer.ts'
import type { requestBundle } from '../../src/adapters/transfers/bulk-requests.ts'
import { FrameStream } from '../../src/adapters/peers/frame-stream.ts'
import { requestPing, requestRead } from '../../src/adapters/peers/peer-requests.ts'
import { type PeerService, openPeerService } from '../../src/adapters/peers/peer-service.ts'
import { openShareReader } from '../../src/adapters/shares/share-reader.ts'
import type { ShareIndexReader } from '../../src/adapters/shares/share-index.ts'
import type { PeerConnection } from '../../src/adapters/peers/transport.ts'
import { NO_LIMITS, burstOf } from '../../src/core/transfers/bandwidth.ts'
import { UPLOAD_LIMITS } from '../../src/core/transfers/upload-scheduler.ts'
import type { UploadPeerStatus } from '../../src/network/network-api.ts'
import { MemoryNetwork } from '../support/memory-transport.ts'

/** Many peers at one service, over connections in memory, with real files. */

const signal = new AbortController().signal
// Hundreds of reads stand and fall with it.
setMaxListeners(0, signal)
const FILE = 'Share/file' as SharePath
const secrets = () => ({ code: '00'.repeat(16), known: '11'.repeat(16) })

/** Time passes when the test says so, or whenever everybody waits. */
class TestClock implements Clock {
  #now = 0
  readonly #timers = new Set<{ at: number; wake: () => void }>()

  now(): number {
    return this.#now
  }

  wakeAfter(delayMs: number, wake: () => void): () => void {
    const timer = { at: this.#now + delayMs, wake }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  advance(ms: number): void {
    this.#now += ms
    for (const timer of [...this.#timers].sort((a, b) => a.at - b.at)) if (timer.at <= this.#now && this.#timers.delete(timer)) timer.wake()
  }
}

let base: string
let content: Buffer
let network: MemoryNetwork
let service: PeerService
let peers: readonly UploadPeerStatus[][]

beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'crowd-')))
  mkdirSync(join(base, 'share'))
  content = randomBytes(MAX_READ_BYTES + 12_345)
  writeFileSync(join(base, 'share', 'file'), content)
  network = new MemoryNetwork()
  peers = []
})

afterEach(() => {
  service.close()
  rmSync(base, { recursive: true, force: true })
})

function serve(options: Partial<Parameters<typeof openPeerService>[0]> = {}): void {
  const root = { shareId: 's', name: 'Share', directory: join(base, 'share') }
  const index = {
    find: (path: SharePath) => ({ entry: { path, size: content.length, mtime: 0, isDirectory: false }, root, file: join(base, 'share', 'file') }),
  } as Partial<ShareIndexReader> as ShareIndexReader
  service = openPeerService({ reader: openShareReader({ index }), onUploads: (_list, now) => (peers = [...peers, [...now]]), ...options })
  network.open({
    peerId: 'ff'.repeat(32) as PeerId, endpoint: { host: '127.0.0.1', port: 1 }, secrets,
    events: { onConnection: (connection) => void (connection.onStream = (stream) => service.serve(connection, stream)) },
  })
}

async function dial(number: number): Promise<PeerConnection> {
  const transport = network.open({ peerId: (number + 16).toString(16).repeat(32) as PeerId, endpoint: { host: '127.0.0.1', port: 100 + number }, secrets, events: { onConnection: () => {} } })
  return transport.dial({ endpoint: { host: '127.0.0.1', port: 1 }, knockSecret: new Uint8Array(16), expect: { peerId: 'ff'.repeat(32) as PeerId } }, { signal })
}

/** Lets the clock go on until the work is done. */
async function passTime<T>(clock: TestClock, work: Promise<T>): Promise<T> {
  const state = { isDone: false }
  const ended = work.finally(() => (state.isDone = true))
  while (!state.isDone) {
    await new Promise<void>((resolve) => void setImmediate(resolve))
    clock.advance(1)
  }
  return ended
}

async function hashOfDownload(connection: PeerConnection): Promise<string> {
  const hash = createHash('sha256')
  for (let start = 0; start < content.length; start += MAX_READ_BYTES) {
    const end = Math.min(content.length, start + MAX_READ_BYTES)
    const into = new Uint8Array(end - start)
    await requestRead(connection, { path: FILE, start, end }, into, { signal })
    hash.update(into)
  }
  return hash.digest('hex')
}

describe('a crowd', () => {
  it('of 64 peers gets the same bytes, beside peers that ask for everything and never read', async () => {
    serve()
    const greedy = [await dial(64), await dial(65)]
    for (const connection of greedy) for (let i = 0; i < 40; i++) void requestRead(connection, { path: FILE, start: 0, end: MAX_READ_BYTES }, new Uint8Array(MAX_READ_BYTES), { signal, noProgressMs: 60_000 }).catch(() => {})
    const connections = await Promise.all(Array.from({ length: 64 }, (_, i) => dial(i)))
    const hashes = await Promise.all(connections.map(hashOfDownload))
    expect(new Set(hashes)).toEqual(new Set([createHash('sha256').update(content).digest('hex')]))
    for (const connection of greedy) connection.close('goodbye')
  }, 60_000)

  it('is told its places while it waits, and the owner sees who waits', async () => {
    const clock = new TestClock()
    serve({ clock, limits: { ...UPLOAD_LIMITS, slots: 1, reserve: 0 } })
    const [first, second, third] = [await dial(1), await dial(2), await dial(3)]
    const stuck = first.openStream()
    await new FrameStream(stuck).writeFrame(encodeRequest({ type: 'read', path: FILE }))
    await stuck.read(new Uint8Array(1))
    const places: (number | null)[][] = [[], []]
    const told = [second, third].map((connection, i) => new Promise<void>((resolve) => {
      const onPlace = (place: number | null) => {
        places[i]?.push(place)
        if (places[i]?.length === 2) resolve()
      }
      void requestRead(connection, { path: FILE, start: 0, end: 10 }, new Uint8Array(10), { signal, onPlace }).then(() => resolve(), () => resolve())
    }))
    // Both have asked once a later question of theirs was answered.
    for (const connection of [second, third]) await requestPing(connection, { signal })
    clock.advance(1_000)
    for (const connection of [second, third]) await requestPing(connection, { signal })
    clock.advance(5_000)
    await Promise.all(told)
    expect(places).toEqual([[1, 1], [2, 2]])
    const seen = peers.at(-1)?.map(({ sending, waiting, place }) => ({ sending, waiting, place }))
    expect(seen).toEqual([{ sending: 1, waiting: 0, place: null }, { sending: 0, waiting: 1, place: 1 }, { sending: 0, waiting: 1, place: 2 }])
    stuck.abort()
  })

  it('gets no more than the limits let pass, up and down, and the same bytes', async () => {
    const rate = 3_000_000
    for (const direction of ['up', 'down'] as const) {
      const clock = new TestClock()
      const pacer = openPacer(clock)
      pacer.setLimits({ ...NO_LIMITS, all: rate, localIsFree: false })
      network = new MemoryNetwork()
      serve(direction === 'up' ? { clock, pacer } : {})
      const read = direction === 'down' ? pacedRead(requestRead, pacer) : requestRead
      const connection = await dial(1)
      const into = new Uint8Array(MAX_READ_BYTES)
      let got = 0
      let over = 0
      const reading = read(connection, { path: FILE, start: 0, end: MAX_READ_BYTES }, into, {
        signal,
        onBytes: (count) => {
          got += count
          over = Math.max(over, got - (rate * clock.now()) / 1000)
        },
      })
      expect((await passTime(clock, reading)).length).toBe(MAX_READ_BYTES)
      expect(Buffer.from(into).equals(content.subarray(0, MAX_READ_BYTES))).toBe(true)
      expect(over).toBeLessThanOrEqual(burstOf(rate))
      pacer.close()
      if (direction === 'up') service.close()
    }
  })

  it('asks for fewer small files at a time under a limit, and gets them all', async () => {
    const clock = new TestClock()
    const pacer = openPacer(clock)
    pacer.setLimits({ ...NO_LIMITS, all: 100_000, localIsFree: false })
    const asked: number[] = []
    const files = Array.from({ length: 30 }, (_, i) => ({ path: `Share/${i}` as SharePath, size: 5_000 + i, mtime: 1 }))
    const request: typeof requestBundle = async (_connection, some, into, onFile) => {
      asked.push(some.reduce((sum, { size }) => sum + size, 0))
      let at = 0
      for (const [index, { size }] of some.entries()) {
        into.fill(size % 251, at, at + size)
        onFile(index, { bytes: into.subarray(at, at + size) })
        at += size
      }
    }
    serve()
    const connection = await dial(1)
    const got = new Map<number, Uint8Array>()
    const total = files.reduce((sum, { size }) => sum + size, 0)
    const fetching = pacedBundle(request, pacer)(connection, files, new Uint8Array(total), (index, outcome) => 'bytes' in outcome && got.set(index, Uint8Array.from(outcome.bytes)), { signal })
    await passTime(clock, fetching)
    expect(got.size).toBe(files.length)
    for (const [index, { size }] of files.entries()) expect(got.get(index)).toEqual(new Uint8Array(size).fill(size % 251))
    expect(Math.max(...asked)).toBeLessThanOrEqual(burstOf(100_000))
    expect(clock.now()).toBeGreaterThanOrEqual(((total - burstOf(100_000)) * 1000) / 100_000)
    pacer.close()
  })

  it.skipIf(process.platform === 'win32')('is told busy while no file can be opened, and served again afterwards', () => {
    serve()
    const script = fileURLToPath(new URL('../support/fd-exhaustion.mjs', import.meta.url))
    const output = execFileSync('/bin/sh', ['-c', 'ulimit -n 256 && exec "$0" "$@"', process.execPath, script, join(base, 'share'), String(MAX_READ_BYTES)], { encoding: 'utf8', timeout: 60_000 })
    expect(JSON.parse(output)).toEqual({ held: true, answers: [`${MAX_READ_BYTES} bytes`, 'busy', 'busy', `${MAX_READ_BYTES} bytes`] })
  })
})
