import {
  MAX_PAGE_FRAME_BYTES, MAX_READ_BYTES, type PeerId, type PeerRequest, type SharePath, collisionKey, decodeAnswer, encodeRequest, parseSharePath,
} from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FrameStream } from '../../src/adapters/peers/frame-stream.ts'
import { type PeerService, openPeerService } from '../../src/adapters/peers/peer-service.ts'
import { openShareIndexReader } from '../../src/adapters/shares/share-index-reader.ts'
import { openShareIndexWriter } from '../../src/adapters/shares/share-index-writer.ts'
import { openShareReader } from '../../src/adapters/shares/share-reader.ts'
import { scanTree } from '../../src/adapters/shares/share-scanner.ts'
import type { PeerConnection } from '../../src/adapters/peers/transport.ts'
import { shareView } from '../../src/core/share-view.ts'
import type { SharedRoot } from '../../src/network/network-api.ts'
import { MemoryNetwork } from '../support/memory-transport.ts'

const FRIEND = 'aa'.repeat(32) as PeerId
const OTHER = 'bb'.repeat(32) as PeerId
const signal = new AbortController().signal

const LONG = 'l'.repeat(MAX_READ_BYTES)

/** Oldest first. What FRIEND may not see has names that it sees elsewhere, and words that it searches for. */
const TREES = {
  secret: { name: 'Music', baseName: 'Music', audience: [OTHER], files: { 'blue.flac': 'secret blue', 'album/deep.flac': 'x'.repeat(5000), hidden: 'hidden' } },
  music: { name: 'Music (2)', baseName: 'Music', audience: [FRIEND, OTHER], files: { 'blue.flac': 'open blue', 'album/green.flac': 'green', long: LONG } },
  nobody: { name: 'Films', baseName: 'Films', audience: [], files: { 'blue.mkv': 'film' } },
  films: { name: 'FILMS (2)', baseName: 'FILMS', audience: [FRIEND], files: { 'a/b/c/blue.mkv': 'film of a friend', 'z.mkv': 'z' } },
  docs: { name: 'Docs', baseName: 'Docs', audience: undefined, files: { 'blue.txt': 'words', 'red.txt': 'more words', long: LONG } },
} as const

let base: string
let roots: SharedRoot[]
const closers: (() => unknown)[] = []
/** The helper with audiences, and one that never had what FRIEND may not see. */
let guarded: Helper
let plain: Helper

interface Helper {
  service: PeerService
  connection: PeerConnection
  shares: readonly SharedRoot[]
}

beforeAll(async () => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'audience-')))
  const writer = openShareIndexWriter(join(base, 'index'))
  roots = []
  for (const [shareId, { name, baseName, audience, files }] of Object.entries(TREES)) {
    const directory = join(base, shareId)
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, path)), { recursive: true })
      writeFileSync(join(directory, path), content)
    }
    const generation = writer.begin(shareId)
    await generation.commit(scanTree({ directory, excluded: [], onDirectory: (found) => generation.put(found) }), 1)
    roots.push({ shareId, name, baseName, directory, ...(audience === undefined ? {} : { audience }) })
  }
  await writer.close()
  guarded = await openHelper(roots, 1)
  plain = await openHelper(roots.filter(({ audience }) => audience?.includes(FRIEND) ?? true).map(({ shareId, baseName = '', directory }) => ({ shareId, name: baseName, directory })), 2)
})

afterAll(async () => {
  for (const close of closers) await close()
  rmSync(base, { recursive: true, force: true })
})

const secrets = () => ({ code: '00'.repeat(16), known: '11'.repeat(16) })

async function openHelper(shares: readonly SharedRoot[], port: number): Promise<Helper> {
  const network = new MemoryNetwork()
  const index = openShareIndexReader({ directory: join(base, 'index'), shares })
  const reader = openShareReader({ index })
  const helper: Partial<Helper> & { shares: readonly SharedRoot[] } = { shares }
  const service = openPeerService({ reader, onUploads: () => {}, viewOf: (peerId) => shareView(helper.shares, peerId) })
  closers.push(() => service.close(), () => reader.close(), () => index.close())
  const server = {
    peerId: 'ff'.repeat(32) as PeerId, endpoint: { host: '127.0.0.1', port }, secrets,
    events: { onConnection: (connection: PeerConnection) => void (connection.onStream = (stream) => service.serve(connection, stream)) },
  }
  network.open(server)
  const transport = network.open({ peerId: FRIEND, endpoint: { host: '127.0.0.1', port: port + 100 }, secrets, events: { onConnection: () => {} } })
  const connection = await transport.dial({ endpoint: server.endpoint, knockSecret: new Uint8Array(16), expect: { peerId: server.peerId } }, { signal })
  return Object.assign(helper, { service, connection }) as Helper
}

/** Every byte of an answer, or how its stream ended. */
async function answerTo({ connection }: Helper, request: PeerRequest): Promise<Buffer | string> {
  const stream = connection.openStream()
  const frames = new FrameStream(stream)
  const chunks: Buffer[] = []
  try {
    await frames.writeFrame(encodeRequest(request))
    stream.finish()
    for (;;) {
      const into = Buffer.alloc(64 * 1024)
      const count = await stream.read(into)
      if (count === 0) return Buffer.concat(chunks)
      chunks.push(into.subarray(0, count))
    }
  } catch (error) {
    return String(error)
  }
}

function cursorOf(answer: Buffer | string): string | undefined {
  if (typeof answer === 'string' || answer.length < 4 || answer.length > MAX_PAGE_FRAME_BYTES) return undefined
  const page = decodeAnswer(answer.subarray(4))
  return page.ok && page.value.type === 'page' ? page.value.cursor : undefined
}

function path(text: string): SharePath {
  const parsed = parseSharePath(text)
  if (!parsed.ok) throw new Error(parsed.error.message)
  return parsed.value
}

/** Real paths under every name that a share has or might have, and some that lead nowhere. */
const PATHS = Object.entries(TREES).flatMap(([shareId, { name, baseName, files }]) => [name, baseName, `${baseName} (3)`, shareId].flatMap((top) => [
  top, `${top}/nothing`, ...Object.keys(files).filter((file) => file !== 'long').flatMap((file) => [`${top}/${file}`, `${top}/${file.split('/')[0]}`]),
])).map(path)

const somePath = fc.constantFrom(...PATHS)
const version = fc.constantFrom({ size: 11, mtime: 1 }, { size: 0, mtime: 0 })
const lsRequest = fc.record({
  type: fc.constant('ls' as const), path: fc.option(somePath, { nil: undefined }), search: fc.option(fc.constantFrom('blue', 'hidden', 'secret', 'music', 'films', 'deep', 'flac'), { nil: undefined }),
  recursive: fc.boolean(), limit: fc.integer({ min: 1, max: 4 }),
})
const fileRequest = fc.oneof(
  fc.record({ type: fc.constant('read' as const), path: somePath, start: fc.nat(12), end: fc.integer({ min: 12, max: 100 }), places: fc.constantFrom(undefined, true as const) }),
  fc.record({ type: fc.constant('read' as const), path: somePath, expect: version }),
  fc.record({ type: fc.constant('bundle' as const), files: fc.array(fc.tuple(somePath, version).map(([at, of]) => ({ path: at, ...of })), { minLength: 1, maxLength: 4 }) }),
  fc.record({ type: fc.constant('hashes' as const), path: somePath, ranges: fc.constant([{ start: 0, end: 3 }]) }),
)

/** Without the fields that are undefined. */
function present(request: object): PeerRequest {
  return Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined)) as unknown as PeerRequest
}

describe('a peer that may not see a share', () => {
  it('is answered, byte for byte, as by a helper that does not have it', async () => {
    await fc.assert(fc.asyncProperty(fc.oneof(lsRequest, fileRequest), async (request) => {
      let asked = present(request)
      for (let page = 0; page < 8; page++) {
        const [answer, expected] = [await answerTo(guarded, asked), await answerTo(plain, asked)]
        expect(answer).toEqual(expected)
        const cursor = cursorOf(answer)
        if (cursor === undefined || asked.type !== 'ls') return
        asked = { ...asked, cursor }
      }
    }), { numRuns: 300 })
  })

  it('learns as little from a cursor into it as from one into nothing', async () => {
    const owner = openShareIndexReader({ directory: join(base, 'index'), shares: roots })
    closers.push(() => owner.close())
    const cursors = new Set<string>()
    for (const top of ['Music', 'Films'] as const) {
      const { cursor } = await owner.list({ path: path(top), recursive: true, limit: 1 })
      if (cursor !== undefined) cursors.add(cursor)
    }
    const { cursor: first } = await owner.list({ recursive: false, limit: 1 })
    if (first !== undefined) cursors.add(first)
    expect(cursors.size).toBeGreaterThan(0)
    for (const cursor of cursors) {
      for (const request of [{ recursive: true }, { recursive: false }, { recursive: true, path: path('Music') }, { recursive: true, path: path('Docs') }]) {
        const asked: PeerRequest = { type: 'ls', ...request, cursor, limit: 5 }
        expect(await answerTo(guarded, asked)).toEqual(await answerTo(plain, asked))
      }
    }
  })

  it('loses at once what is being sent when it loses sight of it, and nothing else', async () => {
    const file = join(base, 'music', 'blue.flac')
    const { size, mtimeMs: mtime } = statSync(file)
    const asked: PeerRequest = { type: 'read', path: path('Music/blue.flac'), expect: { size, mtime } }
    const before = guarded.shares
    // Not granted yet: the change comes while both wait for their turn.
    const [lost, kept] = [answerTo(guarded, asked), answerTo(guarded, { type: 'read', path: path('Docs/blue.txt') })]
    guarded.shares = before.map((share) => (share.shareId === 'music' ? { ...share, audience: [OTHER] } : share))
    guarded.service.viewsChanged()
    const after = await lost
    expect(Buffer.isBuffer(after) ? after.includes('open blue') : false).toBe(false)
    expect((await kept).includes('words')).toBe(true)
    expect((await answerTo(guarded, asked)).includes('not-found')).toBe(true)
    guarded.shares = before
    guarded.service.viewsChanged()
    expect((await answerTo(guarded, asked)).includes('open blue')).toBe(true)
  })

  it('is cut off in the middle of a read, and goes on with one of another share', async () => {
    const start = (of: string) => {
      const stream = guarded.connection.openStream()
      return { stream, frames: new FrameStream(stream), asked: new FrameStream(stream).writeFrame(encodeRequest({ type: 'read', path: path(of) })) }
    }
    // Longer than a stream's window, so that both are under way as long as nobody reads on.
    const [lost, kept] = [start('Music/long'), start('Docs/long')]
    for (const { stream, asked } of [lost, kept]) {
      await asked
      expect(await stream.read(Buffer.alloc(1))).toBe(1)
    }
    const before = guarded.shares
    guarded.shares = before.filter(({ shareId }) => shareId !== 'music')
    guarded.service.viewsChanged()
    await expect(lost.frames.readExactly(Buffer.alloc(2 * MAX_READ_BYTES))).rejects.toMatchObject({ code: 'stream-reset' })
    expect(await kept.frames.readExactly(Buffer.alloc(MAX_READ_BYTES))).toBe(MAX_READ_BYTES)
    kept.stream.abort()
    guarded.shares = before
  })
})

describe('the view of a peer', () => {
  const share = fc.record({ baseName: fc.constantFrom('Music', 'music', 'Films', 'Docs', 'Music (2)'), hidden: fc.boolean() })

  it('names what it sees distinctly, as if there were nothing else', () => {
    fc.assert(fc.property(fc.array(share, { maxLength: 8 }), (list) => {
      const shares = list.map(({ baseName, hidden }, i) => ({ shareId: `s${i}`, name: `${baseName} #${i}`, baseName, ...(hidden ? { audience: [OTHER] } : {}) }))
      const view = shareView(shares, FRIEND)
      expect(view).toEqual(shareView(shares.filter(({ audience }) => audience === undefined), FRIEND))
      expect(new Set([...view.values()].map(collisionKey)).size).toBe(view.size)
      expect(shareView(shares, OTHER).size).toBe(shares.length)
    }))
  })
})
