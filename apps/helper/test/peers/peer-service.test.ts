import {
  CodedError, type ListPage, type ListRequest, MAX_PAGE_FRAME_BYTES, MAX_READ_BYTES, MAX_REQUEST_FRAME_BYTES, MAX_STREAMS_PER_PEER, type PeerAnswer,
  type PeerId, type PeerRequest, REQUEST_TIMEOUT_MS, type SharePath, decodeAnswer, encodeRequest, parseSharePath,
} from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { createHash, randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../src/adapters/system/drive.ts'
import { FrameStream } from '../../src/adapters/peers/frame-stream.ts'
import { type PeerService, openPeerService } from '../../src/adapters/peers/peer-service.ts'
import type { ShareReader } from '../../src/adapters/shares/share-reader.ts'
import type { PeerConnection } from '../../src/adapters/peers/transport.ts'
import { UPLOAD_LIMITS } from '../../src/core/transfers/upload-scheduler.ts'
import type { UploadStatus } from '../../src/network/network-api.ts'
import { type MemoryHost, MemoryNetwork } from '../support/memory-transport.ts'

/** Time passes when the test says so. */
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
    for (const timer of [...this.#timers].sort((a, b) => a.at - b.at)) {
      if (timer.at <= this.#now && this.#timers.delete(timer)) timer.wake()
    }
  }
}

/** Files by path, and a look at what is held; each read waits for `gate`. */
class FakeReader implements ShareReader {
  readonly files = new Map<string, Buffer>()
  page: (request: ListRequest, signal?: AbortSignal) => ListPage | Promise<ListPage> = () => ({ entries: [] })
  leased = 0
  /** Paths in the order they were read. */
  readonly started: string[] = []
  #wake: (() => void) | undefined
  #wanted = Infinity

  async list(request: ListRequest, options?: { readonly signal?: AbortSignal }): Promise<ListPage> {
    return this.page(request, options?.signal)
  }

  async readRange({ path, start = 0, end = start + MAX_READ_BYTES }: { path: SharePath; start?: number; end?: number }) {
    const file = this.files.get(path)
    if (file === undefined) throw new CodedError('not-found', 'there is no such file')
    this.leased++
    this.started.push(path)
    if (this.started.length >= this.#wanted) this.#wake?.()
    let released = false
    const release = () => {
      if (!released) this.leased--
      released = true
    }
    return { size: file.length, mtime: 1.5, start, bytes: file.subarray(start, Math.min(end, start + MAX_READ_BYTES)), release }
  }

  /** Resolves when so many reads have begun since the start. */
  async begun(count: number): Promise<void> {
    this.#wanted = count
    if (this.started.length < count) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  close(): void {}
}

const path = (text: string) => {
  const parsed = parseSharePath(text)
  if (!parsed.ok) throw new Error(parsed.error.message)
  return parsed.value
}

let network: MemoryNetwork
let reader: FakeReader
let clock: TestClock
let service: PeerService
let uploads: (readonly UploadStatus[])[]
let logged: string[]
let busy: Map<PeerId, boolean[]>
let server: MemoryHost

beforeEach(() => {
  network = new MemoryNetwork()
  reader = new FakeReader()
  clock = new TestClock()
  uploads = []
  logged = []
  busy = new Map()
  service = openPeerService({ reader, clock, onUploads: (list) => uploads.push(list), log: (message) => logged.push(message) })
  server = host('ff', 1, (connection) => {
    const seen: boolean[] = []
    busy.set(connection.peerId, seen)
    const setBusy = connection.setBusy.bind(connection)
    connection.setBusy = (value) => {
      seen.push(value)
      setBusy(value)
    }
    connection.onStream = (stream) => service.serve(connection, stream)
  })
  network.open(server)
})

afterEach(() => {
  service.close()
  expect(reader.leased).toBe(0)
})

function host(hex: string, port: number, onConnection: (connection: PeerConnection) => void = () => {}): MemoryHost {
  return { peerId: hex.repeat(32) as PeerId, endpoint: { host: '127.0.0.1', port }, secrets: () => ({ code: '00'.repeat(16), known: '11'.repeat(16) }), events: { onConnection } }
}

async function dial(hex: string): Promise<PeerConnection> {
  const transport = network.open(host(hex, Number.parseInt(hex, 16) + 100))
  return transport.dial({ endpoint: server.endpoint, knockSecret: new Uint8Array(16), expect: { peerId: server.peerId } }, { signal: new AbortController().signal })
}

/** Asks, and does not read the answer yet. */
async function ask(connection: PeerConnection, request: PeerRequest | Uint8Array): Promise<FrameStream> {
  const frames = new FrameStream(connection.openStream())
  await frames.writeFrame(request instanceof Uint8Array ? request : encodeRequest(request))
  frames.stream.finish()
  return frames
}

async function answerOf(frames: FrameStream): Promise<PeerAnswer> {
  const body = await frames.readFrame(MAX_PAGE_FRAME_BYTES)
  const answer = decodeAnswer(body ?? new Uint8Array(0))
  if (!answer.ok) throw new Error(answer.error.message)
  return answer.value
}

async function bytesOf(frames: FrameStream): Promise<Buffer> {
  const data = await answerOf(frames)
  if (data.type !== 'data') throw new Error(`${data.type} instead of data`)
  const bytes = Buffer.alloc(data.length)
  expect(await frames.readExactly(bytes)).toBe(data.length)
  const hash = new Uint8Array(createHash('sha256').update(bytes).digest())
  expect(await answerOf(frames)).toEqual({ type: 'sent', bytes: data.length, hash })
  expect(await frames.readFrame(0)).toBeNull()
  return bytes
}

describe('serving a peer', () => {
  it('answers pings, listings and reads', async () => {
    const peer = await dial('a1')
    expect(await answerOf(await ask(peer, { type: 'ping' }))).toEqual({ type: 'pong' })
    reader.page = (request) => ({ entries: [{ path: path(`for/${request.search ?? 'nothing'}`), size: 1, mtime: 2.5, isDirectory: false }], cursor: 'next' })
    expect(await answerOf(await ask(peer, { type: 'ls', recursive: true, limit: 9, search: 'x' }))).toEqual({
      type: 'page', entries: [{ path: 'for/x', size: 1, mtime: 2.5, isDirectory: false }], cursor: 'next',
    })
    const content = randomBytes(300_000)
    reader.files.set('Share/file', content)
    expect(content.equals(await bytesOf(await ask(peer, { type: 'read', path: path('Share/file') })))).toBe(true)
    expect(await bytesOf(await ask(peer, { type: 'read', path: path('Share/file'), start: 7, end: 9 }))).toEqual(content.subarray(7, 9))
    expect(await bytesOf(await ask(peer, { type: 'read', path: path('Share/file'), start: 300_000 }))).toEqual(Buffer.alloc(0))
    expect(logged).toEqual([])
  })

  it('answers with a typed error what cannot be done, and hides what is none of the peer', async () => {
    const peer = await dial('a1')
    const errorOf = async (request: PeerRequest | Uint8Array) => {
      const answer = await answerOf(await ask(peer, request))
      return answer.type === 'error' ? answer.code : answer.type
    }
    expect(await errorOf({ type: 'read', path: path('Share/none') })).toBe('not-found')
    // {"type": "sing"}
    expect(await errorOf(Buffer.from('a164747970656473696e67', 'hex'))).toBe('unsupported')
    expect(await errorOf(Buffer.from('ff00', 'hex'))).toBe('bad-request')
    expect(await errorOf(new Uint8Array(0))).toBe('bad-request')
    expect(await errorOf({ type: 'read', path: '../etc/passwd' as SharePath })).toBe('bad-request')
    const sixteen = new Uint8Array(16)
    expect(await errorOf({ type: 'hello', versions: [1], capabilities: [], agent: 'x', knockSecret: sixteen, pathKey: sixteen, addresses: [] })).toBe('bad-request')
    reader.page = () => {
      throw new Error('secret /home/anna')
    }
    const answer = await answerOf(await ask(peer, { type: 'ls', recursive: false, limit: 1 }))
    expect(answer).toMatchObject({ type: 'error', code: 'internal' })
    expect(JSON.stringify(answer)).not.toContain('anna')
    expect(logged).toHaveLength(1)
    expect(await errorOf({ type: 'ping' })).toBe('pong')
  })

  it('refuses an oversized request unread, and ends a stream that was cut short or empty', async () => {
    const peer = await dial('a1')
    const frames = new FrameStream(peer.openStream())
    const prefix = new Uint8Array(4)
    new DataView(prefix.buffer).setUint32(0, MAX_REQUEST_FRAME_BYTES + 1)
    await frames.stream.write(prefix)
    expect(await answerOf(frames)).toMatchObject({ type: 'error', code: 'too-large' })
    const short = new FrameStream(peer.openStream())
    await short.stream.write(Uint8Array.of(0, 0, 0, 9, 1))
    short.stream.finish()
    expect(await answerOf(short)).toMatchObject({ type: 'error', code: 'bad-request' })
    const empty = new FrameStream(peer.openStream())
    await empty.stream.write(new Uint8Array(0))
    empty.stream.finish()
    expect(await empty.readFrame(100)).toBeNull()
    frames.stream.abort()
  })

  it('answers something, and never breaks, whatever the bytes', async () => {
    const peer = await dial('a1')
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      const answer = await answerOf(await ask(peer, bytes))
      expect(answer.type === 'error' ? ['bad-request', 'unsupported', 'not-found'] : ['pong', 'page']).toContain(answer.type === 'error' ? answer.code : answer.type)
    }), { numRuns: 200 })
    expect(logged).toEqual([])
  })

  it('cuts off a peer that opens a stream and does not ask', async () => {
    const peer = await dial('a1')
    const silent = new FrameStream(peer.openStream())
    await silent.stream.write(Uint8Array.of(0))
    // Answered after the silent stream was seen.
    await answerOf(await ask(peer, { type: 'ping' }))
    clock.advance(REQUEST_TIMEOUT_MS)
    await expect(silent.readFrame(100)).rejects.toMatchObject({ code: 'stream-reset' })
  })

  it('refuses more streams than a peer may have, over all its connections', async () => {
    const connections = [await dial('a1'), await dial('a2')]
    // A second connection of the same peer, as right after a reconnect.
    const again = network.open({ ...host('a1', 999), peerId: 'a1'.repeat(32) as PeerId })
    connections.push(await again.dial({ endpoint: server.endpoint, knockSecret: new Uint8Array(16), expect: { peerId: server.peerId } }, { signal: new AbortController().signal }))
    const [first, other, second] = connections
    if (first === undefined || second === undefined || other === undefined) throw new Error('three connections')
    const idle = []
    for (let i = 0; i < MAX_STREAMS_PER_PEER; i++) {
      const stream = (i % 2 === 0 ? first : second).openStream()
      await stream.write(Uint8Array.of(0))
      idle.push(stream)
    }
    expect(await answerOf(await ask(first, { type: 'ping' }))).toMatchObject({ type: 'error', code: 'busy' })
    expect(await answerOf(await ask(second, { type: 'ping' }))).toMatchObject({ type: 'error', code: 'busy' })
    expect(await answerOf(await ask(other, { type: 'ping' }))).toEqual({ type: 'pong' })
    for (const stream of idle) stream.abort()
  })
})

describe('serving many', () => {
  const whole = randomBytes(MAX_READ_BYTES)

  it('gives a peer that does not read no more than its own slots, serves others beside it, and cuts it off', async () => {
    reader.files.set('Share/file', whole)
    const slow = await dial('a1')
    const stuck = []
    for (let i = 0; i < 12; i++) stuck.push(await ask(slow, { type: 'read', path: path('Share/file') }))
    await reader.begun(UPLOAD_LIMITS.perPeer)
    const quick = await dial('a2')
    for (let i = 0; i < 3; i++) expect(whole.equals(await bytesOf(await ask(quick, { type: 'read', path: path('Share/file') })))).toBe(true)
    expect(reader.leased).toBe(UPLOAD_LIMITS.perPeer)
    // Nobody has to wait for these slots, so the peer is given its whole time.
    clock.advance(UPLOAD_LIMITS.stallMs)
    await reader.begun(UPLOAD_LIMITS.perPeer + 3 + 4)
    await expect(bytesOf(stuck[0] ?? fail())).rejects.toMatchObject({ code: 'stream-reset' })
    clock.advance(UPLOAD_LIMITS.stallMs)
    await expect(bytesOf(stuck[11] ?? fail())).rejects.toMatchObject({ code: 'stream-reset' })
  })

  it('takes turns: one peer with many requests does not keep another waiting', async () => {
    for (const name of ['a', 'b']) reader.files.set(name, whole)
    service.close()
    service = openPeerService({ reader, clock, onUploads: () => {}, limits: { ...UPLOAD_LIMITS, slots: 1, reserve: 0 } })
    const [greedy, modest] = [await dial('a1'), await dial('a2')]
    const streams = []
    for (let i = 0; i < 10; i++) streams.push(await ask(greedy, { type: 'read', path: path('a') }))
    await reader.begun(1)
    streams.push(await ask(modest, { type: 'read', path: path('b') }))
    await answerOf(await ask(modest, { type: 'ping' }))
    await Promise.all(streams.map((frames) => bytesOf(frames)))
    expect(reader.started.indexOf('b')).toBeLessThanOrEqual(2)
    expect(reader.started).toHaveLength(11)
  })

  it('tells what is being uploaded, and that it is over; says when a connection is busy', async () => {
    reader.files.set('Share/file', whole)
    const peer = await dial('a1')
    const read = await ask(peer, { type: 'read', path: path('Share/file') })
    await reader.begun(1)
    await answerOf(await ask(peer, { type: 'ping' }))
    expect(busy.get('a1'.repeat(32) as PeerId)).toEqual([true])
    await bytesOf(read)
    clock.advance(500)
    expect(uploads).toEqual([[{ peerId: 'a1'.repeat(32), path: 'Share/file', bytes: MAX_READ_BYTES, bytesPerSecond: 2 * MAX_READ_BYTES }]])
    for (let i = 0; i < 10; i++) clock.advance(500)
    expect(uploads.at(-1)).toEqual([])
    const count = uploads.length
    clock.advance(10_000)
    expect(uploads).toHaveLength(count)
    expect(busy.get('a1'.repeat(32) as PeerId)).toEqual([true, false])
  })

  it('gives up everything when it closes', async () => {
    reader.files.set('Share/file', whole)
    const peer = await dial('a1')
    const streams = []
    for (let i = 0; i < 12; i++) streams.push(await ask(peer, { type: 'read', path: path('Share/file') }))
    await reader.begun(UPLOAD_LIMITS.perPeer)
    service.close()
    service.close()
    for (const frames of streams) await expect(bytesOf(frames)).rejects.toMatchObject({ code: 'stream-reset' })
    const late = await ask(peer, { type: 'ping' })
    await expect(answerOf(late)).rejects.toMatchObject({ code: 'stream-reset' })
  })

  it('ends a search when nobody waits for it any more, and does not begin those that waited behind it', async () => {
    const peer = await dial('a1')
    const asked: (string | undefined)[] = []
    let begin: (() => void) | undefined
    const begun = new Promise<void>((resolve) => (begin = resolve))
    reader.page = ({ search }, signal) => {
      asked.push(search)
      if (search !== 'long') return { entries: [] }
      begin?.()
      return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new CodedError('aborted', 'nobody wants this any more'))))
    }
    const search = (text: string) => ask(peer, { type: 'ls', recursive: true, limit: 10, search: text })
    const long = await search('long')
    await begun
    const waiting = await search('waiting')
    const last = await search('last')
    waiting.stream.abort()
    long.stream.abort()
    // What was sent before is there when this is answered.
    await answerOf(await ask(peer, { type: 'ping' }))
    clock.advance(1000)
    expect(await answerOf(last)).toEqual({ type: 'page', entries: [] })
    expect(asked).toEqual(['long', 'last'])
    expect(logged).toEqual([])
  })

  it('lets go when the connection is lost', async () => {
    reader.files.set('Share/file', whole)
    const peer = await dial('a1')
    for (let i = 0; i < 12; i++) await ask(peer, { type: 'read', path: path('Share/file') })
    await answerOf(await ask(peer, { type: 'ping' }))
    network.cut('a1'.repeat(32) as PeerId, server.peerId)
    await reader.begun(12)
    const other = await dial('a2')
    expect(whole.equals(await bytesOf(await ask(other, { type: 'read', path: path('Share/file') })))).toBe(true)
  })
})

function fail(): never {
  throw new Error('no such stream')
}
