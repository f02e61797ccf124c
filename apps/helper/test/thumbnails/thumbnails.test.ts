import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CodedError, type Entry, type PeerId, type SharePath, encodeAnswer, peerIdFromKey } from '@harddrive-party/protocol'
import { encodeCbor } from '../../../../packages/protocol/src/cbor.ts'
import { FrameStream } from '../../src/adapters/peers/frame-stream.ts'
import { parseThumbnailQuery } from '../../src/adapters/thumbnails/thumbnail-answer.ts'
import { openThumbnailCache, thumbnailKey } from '../../src/adapters/thumbnails/thumbnail-cache.ts'
import { openThumbnailMaker } from '../../src/adapters/thumbnails/thumbnail-maker.ts'
import { openThumbnailSource } from '../../src/adapters/thumbnails/thumbnail-requests.ts'
import { textStart } from '../../src/adapters/files/text-start.ts'
import type { PeerConnection } from '../../src/adapters/peers/transport.ts'
import { MemoryNetwork } from '../support/memory-transport.ts'

/** Making, keeping, asking for and judging pictures, without the library that decodes images. */

const ANNA = 'a1'.repeat(32) as PeerId
const BEN = 'b1'.repeat(32) as PeerId
const { signal } = new AbortController()

/** The first bytes of a JPEG of this size, which is all that anybody here looks at. */
function jpeg(width: number, height: number, more = 0): Uint8Array {
  return Uint8Array.from([0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, height >> 8, height & 255, width >> 8, width & 255, 1, 1, 0x11, 0, 0xff, 0xd9, ...new Uint8Array(more)])
}

/** Shared files by path; each picture is made when `next` is called. */
function makerWith(files: Record<string, Uint8Array>, cache?: ReturnType<typeof openThumbnailCache>) {
  const made: number[] = []
  const waiting: (() => void)[] = []
  let atOnce = 0
  let most = 0
  let wake: (() => void) | undefined
  const maker = openThumbnailMaker({
    index: {
      find: (path, { visible } = {}) => {
        const bytes = files[path]
        const share = path.split('/')[0] ?? ''
        if (bytes === undefined || (visible !== undefined && !visible.has(share))) return undefined
        const entry: Entry = { path, size: bytes.length, mtime: 1.5, isDirectory: false }
        return { entry, root: { shareId: share, name: share, directory: '/shared' }, file: `/shared/${path}` }
      },
    },
    reader: {
      readRange: async ({ path, start = 0, end = 0 }) => {
        const bytes = Buffer.from(files[path] ?? [])
        return { size: bytes.length, mtime: 1.5, start, bytes: bytes.subarray(start, end), release: () => {} }
      },
    },
    process: {
      make: async (bytes, edge) => {
        made.push(bytes.length)
        most = Math.max(most, ++atOnce)
        await new Promise<void>((resolve) => {
          waiting.push(resolve)
          wake?.()
        })
        atOnce--
        if (bytes.length === 666) throw new CodedError('unreadable', 'the image cannot be read')
        return jpeg(edge, 1)
      },
      close: () => {},
    },
    ...(cache === undefined ? {} : { cache }),
  })
  const ask = (peer: PeerId, path: string, options: { edge?: number; visible?: ReadonlyMap<string, string>; signal?: AbortSignal; size?: number } = {}) => maker.make(
    peer, { path: path as SharePath, size: options.size ?? files[path]?.length ?? 1, mtime: 1.5, edge: options.edge ?? 320 },
    { signal: options.signal ?? signal, ...(options.visible === undefined ? {} : { visible: options.visible }) },
  )
  const begun = async () => {
    while (waiting.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  /** Lets the one under way be finished. */
  const next = async () => {
    await begun()
    waiting.shift()?.()
  }
  return { maker, ask, begun, next, made, mostAtOnce: () => most }
}

describe('the maker', () => {
  const files = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`Photos/${i}.jpg`, jpeg(100, 100, i)]))

  it('answers only those who may see the file, as if it were not there', async () => {
    const { ask, made } = makerWith({ 'Photos/a.jpg': jpeg(10, 10) })
    await expect(ask(BEN, 'Photos/a.jpg', { visible: new Map([['Other', 'Other']]) })).rejects.toMatchObject({ code: 'not-found', message: 'there is no such file' })
    await expect(ask(BEN, 'Photos/none.jpg')).rejects.toMatchObject({ code: 'not-found', message: 'there is no such file' })
    await expect(ask(BEN, 'Photos/a.jpg', { size: 5 })).rejects.toMatchObject({ code: 'source-changed' })
    expect(made).toEqual([])
  })

  it('judges an image before anything decodes it', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')
    const { ask, made } = makerWith({ 'Photos/a.svg': svg, 'Photos/b.jpg': svg, 'Photos/c.jpg': jpeg(9_000, 9_000), 'Photos/d.mp4': jpeg(1, 1) })
    for (const [name, code] of [['a.svg', 'unsupported'], ['b.jpg', 'unsupported'], ['c.jpg', 'too-large'], ['d.mp4', 'unsupported'], ['b.jpg', 'unsupported']] as const) {
      await expect(ask(BEN, `Photos/${name}`), name).rejects.toMatchObject({ code })
    }
    expect(made).toEqual([])
  })

  it('makes one at a time, peers in turn', async () => {
    const { ask, next, made, mostAtOnce } = makerWith(files)
    const asked = [...[0, 1, 2, 3].map((i) => ask(ANNA, `Photos/${i}.jpg`)), ask(BEN, 'Photos/8.jpg')]
    for (let i = 0; i < 5; i++) await next()
    await Promise.all(asked)
    expect(made.map((bytes) => bytes - 17)).toEqual([0, 1, 8, 2, 3])
    expect(mostAtOnce()).toBe(1)
  })

  it('makes a picture that several want once, and goes on when the first has left', async () => {
    const { ask, next, made } = makerWith(files)
    const first = ask(ANNA, 'Photos/0.jpg')
    const leaving = new AbortController()
    const left = ask(ANNA, 'Photos/1.jpg', { signal: leaving.signal })
    const stays = ask(BEN, 'Photos/1.jpg')
    leaving.abort()
    await expect(left).rejects.toMatchObject({ code: 'aborted' })
    await next()
    await next()
    expect(await Promise.all([first, stays])).toEqual([jpeg(320, 1), jpeg(320, 1)])
    expect(made).toHaveLength(2)
  })

  it('does not decode again what has failed', async () => {
    const { ask, next, made } = makerWith({ 'Photos/bad.jpg': jpeg(10, 10, 666 - 17) })
    const failing = ask(BEN, 'Photos/bad.jpg')
    failing.catch(() => {})
    await next()
    await expect(failing).rejects.toMatchObject({ code: 'unreadable' })
    await expect(ask(ANNA, 'Photos/bad.jpg')).rejects.toMatchObject({ code: 'unreadable' })
    expect(made).toHaveLength(1)
  })

  it('makes few sizes, whatever is asked for, and tells those who wait when it closes', async () => {
    const { maker, ask, begun, next } = makerWith(files)
    const small = ask(BEN, 'Photos/0.jpg', { edge: 191 })
    await next()
    expect(await small).toEqual(jpeg(96, 1))
    const making = ask(BEN, 'Photos/1.jpg')
    await begun()
    const waiting = ask(BEN, 'Photos/2.jpg')
    waiting.catch(() => {})
    await turn()
    maker.close()
    await expect(waiting).rejects.toMatchObject({ code: 'closed' })
    await next()
    expect(await making).toEqual(jpeg(320, 1))
    await expect(ask(BEN, 'Photos/3.jpg')).rejects.toMatchObject({ code: 'closed' })
  })
})

const key = (name: string) => thumbnailKey(`/shared/${name}`, 1, 1, 320)

describe('the cache', () => {
  let base: string
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'thumbnail-cache-'))
  })
  afterEach(() => rm(base, { recursive: true, force: true }))

  it('keeps pictures across restarts, and drops what is none', async () => {
    const cache = openThumbnailCache(join(base, 'new'))
    expect(await cache.get(key('a'))).toBeUndefined()
    await cache.put(key('a'), jpeg(9, 9))
    await writeFile(join(base, 'new', 'new-0123'), 'cut off')
    await writeFile(join(base, 'new', key('bad')), '<html>')
    const again = openThumbnailCache(join(base, 'new'))
    expect(Buffer.from((await again.get(key('a'))) ?? [])).toEqual(Buffer.from(jpeg(9, 9)))
    expect(await again.get(key('bad'))).toBeUndefined()
    expect(await readdir(join(base, 'new'))).toEqual([key('a')])
  })

  it('stays within its bounds, the least used first', async () => {
    const cache = openThumbnailCache(base, { bytes: 1_000, files: 4 })
    for (const name of ['a', 'b', 'c', 'd']) await cache.put(key(name), jpeg(9, 9))
    await cache.get(key('a'))
    await cache.put(key('e'), jpeg(9, 9))
    expect((await readdir(base)).toSorted()).toEqual(['a', 'd', 'e'].map(key).toSorted())
    await cache.put(key('f'), jpeg(9, 9, 960))
    expect(await readdir(base)).toEqual([])
  })

  it('that cannot be written is an empty one', async () => {
    await writeFile(join(base, 'file'), '')
    const cache = openThumbnailCache(join(base, 'file'))
    await cache.put(key('a'), jpeg(9, 9))
    expect(await cache.get(key('a'))).toBeUndefined()
  })
})

function hostOf(number: number, onConnection: (connection: PeerConnection) => void) {
  return {
    peerId: peerIdFromKey(new Uint8Array(32).fill(number)), endpoint: { host: `10.0.0.${number}`, port: 4000 }, secrets: () => ({ code: '00'.repeat(16), known: '11'.repeat(16) }), events: { onConnection },
  }
}

async function connected(answer: () => Uint8Array | undefined) {
  const network = new MemoryNetwork()
  let asked = 0
  const serve = (connection: PeerConnection) => {
    connection.onStream = async (stream) => {
      const frames = new FrameStream(stream)
      await frames.readFrame(16_384)
      asked++
      const bytes = answer()
      if (bytes === undefined) return
      await frames.writeFrame(bytes)
      stream.finish()
    }
  }
  const [here, there] = [hostOf(1, () => {}), hostOf(2, serve)]
  network.open(there)
  const connection = await network.open(here).dial({ endpoint: there.endpoint, knockSecret: new Uint8Array(16), expect: { peerId: there.peerId } }, { signal })
  const source = openThumbnailSource({ connection: () => connection })
  return { source, peerId: there.peerId, asked: () => asked }
}

describe('asking a peer', () => {
  const request = { path: 'Photos/a.jpg' as SharePath, size: 1, mtime: 1, edge: 96 }

  it('asks only those who make pictures, and keeps what came', async () => {
    const { source, peerId, asked } = await connected(() => encodeAnswer({ type: 'picture', bytes: jpeg(96, 60) }))
    await expect(source.get(peerId, request, { signal })).rejects.toMatchObject({ code: 'unsupported' })
    source.onPresence(peerId, ['gossip'])
    expect(source.isOffered(peerId)).toBe(false)
    source.onPresence(peerId, ['thumbnails'])
    expect(source.isOffered(peerId)).toBe(true)
    for (let i = 0; i < 2; i++) expect(await source.get(peerId, request, { signal })).toMatchObject({ mediaType: 'image/jpeg' })
    expect(asked()).toBe(1)
  })

  it.each([
    ['a page', encodeAnswer({ type: 'picture', bytes: Buffer.from('<html><script>alert(1)</script>') })],
    ['a drawing', encodeAnswer({ type: 'picture', bytes: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>') })],
    ['a larger one than asked for', encodeAnswer({ type: 'picture', bytes: jpeg(97, 10) })],
    ['a bomb', encodeAnswer({ type: 'picture', bytes: jpeg(65_000, 65_000) })],
    ['too many bytes', encodeCbor({ type: 'picture', bytes: jpeg(10, 10, 70_000) })],
    ['another answer', encodeAnswer({ type: 'pong' })],
    ['noise', new Uint8Array(100).fill(0xff)],
  ])('refuses %s', async (_, answer) => {
    const { source, peerId } = await connected(() => answer)
    source.onPresence(peerId, ['thumbnails'])
    await expect(source.get(peerId, request, { signal })).rejects.toMatchObject({ code: 'bad-answer' })
  })

  it('stops when nobody looks any more', async () => {
    const { source, peerId } = await connected(() => undefined)
    source.onPresence(peerId, ['thumbnails'])
    const looking = new AbortController()
    const asked = Array.from({ length: 8 }, (_, i) => source.get(peerId, { ...request, size: i }, { signal: looking.signal }))
    looking.abort()
    for (const one of asked) await expect(one).rejects.toMatchObject({ code: 'aborted' })
  })
})

describe('the query of a picture', () => {
  it.each(['', 'path=a.jpg', 'path=../a&size=1&mtime=1&edge=9', 'path=a&size=-1&mtime=1&edge=9', 'path=a&size=1&mtime=x&edge=9', 'path=a&size=1&mtime=1&edge=321', 'path=a&size=1&mtime=1&edge=0', 'path=a&size=1e99&mtime=1&edge=9'])('%s is refused', (query) => {
    expect(parseThumbnailQuery(query)).toBeUndefined()
  })

  it('names one version of one file', () => {
    expect(parseThumbnailQuery(`${new URLSearchParams({ path: 'Fotos/a & b?.jpg', size: '12', mtime: '1.5', edge: '96' })}`)).toEqual({ path: 'Fotos/a & b?.jpg', size: 12, mtime: 1.5, edge: 96 })
  })
})

describe('the start of a text', () => {
  it.each([
    ['utf-8', Buffer.from('Café ☕'), 'Café ☕'],
    ['utf-8', Buffer.from('\ufeffmarked'), 'marked'],
    ['utf-16le', Buffer.from('\ufeffCafé', 'utf16le'), 'Café'],
    ['utf-16be', Buffer.from('\ufeffCafé', 'utf16le').swap16(), 'Café'],
    ['windows-1252', Buffer.from('Caf\xe9 \x93au lait\x94', 'latin1'), 'Café “au lait”'],
    ['utf-8', Buffer.alloc(0), ''],
  ])('in %s is read', (encoding, bytes, text) => {
    expect(textStart(bytes, bytes.length)).toEqual({ text, encoding, cut: false })
  })

  it('may end within a character where there is more', () => {
    expect(textStart(Buffer.from('Café').subarray(0, 4), 5)).toEqual({ text: 'Caf', encoding: 'utf-8', cut: true })
  })

  it('is not made of what is no text', () => {
    expect(() => textStart(Buffer.from('PK\x03\x04\0\0'), 6)).toThrow('not text')
  })
})
