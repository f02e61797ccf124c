import { createHash, randomBytes } from 'node:crypto'
import { MAX_READ_BYTES, decodeRequest, encodeAnswer, peerIdFromKey } from '@harddrive-party/protocol'
import type { DataMessage, Entry, ListRequest, PeerAnswer, PeerRequest, SharePath } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { FrameStream } from '../../src/adapters/peers/frame-stream.ts'
import { requestList, requestPing, requestRead } from '../../src/adapters/peers/peer-requests.ts'
import type { PeerConnection } from '../../src/adapters/peers/transport.ts'
import { MemoryNetwork } from '../support/memory-transport.ts'

const signal = new AbortController().signal
const path = (text: string): SharePath => text as SharePath

const secrets = () => ({ code: 'aa'.repeat(16), known: 'bb'.repeat(16) })

type Answer = (frames: FrameStream, request: PeerRequest) => Promise<void>

let connection: PeerConnection
let answer: Answer
let reset: Promise<unknown>

/** A peer that answers every request with what the test says. */
beforeEach(async () => {
  const network = new MemoryNetwork()
  const [us, them] = [1, 2].map((number) => ({ peerId: peerIdFromKey(new Uint8Array(32).fill(number)), endpoint: { host: '10.0.0.1', port: number }, secrets }))
  if (!us || !them) throw new Error('two hosts')
  const transport = network.open({ ...us, events: { onConnection: () => {} } })
  network.open({
    ...them,
    events: {
      onConnection(accepted) {
        accepted.onStream = (stream) => {
          const frames = new FrameStream(stream)
          const read = async (): Promise<void> => {
            const request = decodeRequest((await frames.readFrame(16_384)) ?? new Uint8Array(0))
            if (!request.ok) throw new Error(request.error.message)
            // The other side has said all: anything but its end is not what we expect of ourselves.
            expect(await frames.readExactly(new Uint8Array(1))).toBe(0)
            await answer(frames, request.value)
          }
          reset = read().catch((error: unknown) => error)
        }
      },
    },
  })
  const secret = Buffer.from(secrets().code, 'hex')
  connection = await transport.dial({ endpoint: them.endpoint, knockSecret: secret, expect: { peerId: them.peerId } }, { signal })
})

const say = (frames: FrameStream, message: PeerAnswer): Promise<void> => frames.writeFrame(encodeAnswer(message))

const sha256 = (data: Uint8Array): Uint8Array => createHash('sha256').update(data).digest()

/** Says something and ends. */
function once(...messages: readonly PeerAnswer[]): Answer {
  return async (frames) => {
    for (const message of messages) await say(frames, message)
    frames.stream.finish()
  }
}

describe('a ping', () => {
  it('takes the time of an answer', async () => {
    answer = once({ type: 'pong' })
    expect(await requestPing(connection, { signal })).toBeGreaterThan(0)
  })

  it.each<[string, Answer]>([
    ['another answer', once({ type: 'wait', reason: 'approval' })],
    ['nothing', once()],
    ['garbage', (frames) => frames.writeFrame(randomBytes(40))],
    ['a frame beyond all limits', (frames) => frames.writeFrame(new Uint8Array(100_000))],
    ['two answers', once({ type: 'pong' }, { type: 'pong' })],
    ['half a frame', async (frames) => {
      await frames.stream.write(new Uint8Array([0, 0, 0, 9, 1]))
      frames.stream.finish()
    }],
    ['an error of our own', once({ type: 'error', code: 'disk-full', message: 'your disk is full, believe me' })],
  ])('answered with %s is a bad answer', async (_, given) => {
    answer = given
    await expect(requestPing(connection, { signal })).rejects.toMatchObject({ code: 'bad-answer' })
  })

  it('fails with what the peer says', async () => {
    answer = once({ type: 'error', code: 'busy', message: 'too many' })
    await expect(requestPing(connection, { signal })).rejects.toMatchObject({ code: 'busy', message: 'too many' })
  })

  it('is given up when nothing comes, and the peer can tell', async () => {
    answer = async (frames) => {
      for (;;) await frames.stream.write(new Uint8Array(100_000))
    }
    await expect(requestPing(connection, { signal })).rejects.toMatchObject({ code: 'bad-answer' })
    expect(await reset).toMatchObject({ code: 'stream-reset' })
    answer = () => new Promise(() => {})
    await expect(requestPing(connection, { signal, noProgressMs: 20 })).rejects.toMatchObject({ code: 'timed-out' })
  })

  it('can be called off, before and while it waits', async () => {
    const controller = new AbortController()
    answer = async () => controller.abort()
    await expect(requestPing(connection, { signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' })
    await expect(requestPing(connection, { signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' })
  })

  it('fails with the connection', async () => {
    answer = async () => connection.close('goodbye')
    await expect(requestPing(connection, { signal })).rejects.toMatchObject({ code: 'connection-lost' })
    await expect(requestPing(connection, { signal })).rejects.toMatchObject({ code: 'connection-lost' })
  })
})

const ask = (request: Partial<ListRequest>, entries: readonly Entry[], cursor?: string) => {
  answer = once({ type: 'page', entries, ...(cursor === undefined ? {} : { cursor }) })
  return requestList(connection, { recursive: false, limit: 100, ...request }, { signal })
}

describe('a listing', () => {
  const file = (text: string): Entry => ({ path: path(text), size: 1, mtime: 2, isDirectory: false })
  const directory = (text: string): Entry => ({ ...file(text), isDirectory: true })
  it('is passed on with its cursor', async () => {
    const entries = [directory('Music'), directory('Photos')]
    expect(await ask({}, entries, 'next')).toEqual({ entries, cursor: 'next' })
    expect(await ask({ path: path('Music') }, [file('Music/a.flac')])).toEqual({ entries: [file('Music/a.flac')] })
    expect(await ask({ path: path('Music'), recursive: true }, [directory('Music/A'), file('Music/A/b'), file('Music/A b')])).toMatchObject({ entries: { length: 3 } })
    expect(await ask({ path: path('Music/a.flac') }, [file('Music/a.flac')])).toMatchObject({ entries: { length: 1 } })
    expect(await ask({ recursive: true, search: 'b' }, [file('Z/b'), file('A/b')])).toMatchObject({ entries: { length: 2 } })
    expect(await ask({ cursor: 'next' }, [])).toEqual({ entries: [] })
  })

  it.each<[string, Partial<ListRequest>, readonly Entry[], string?]>([
    ['something elsewhere', { path: path('Music') }, [file('Photos/a')]],
    ['a neighbour with the same beginning', { path: path('Music'), recursive: true }, [file('Music2/a')]],
    ['the directory itself', { path: path('Music') }, [directory('Music')]],
    ['a file in place of a directory with contents', { path: path('Music'), recursive: true }, [file('Music'), file('Music/a')]],
    ['something deeper than asked', { path: path('Music') }, [file('Music/a/b')]],
    ['something deeper than the root', {}, [file('Music/a')]],
    ['more than asked', { limit: 1 }, [directory('A'), directory('B')]],
    ['the same twice', {}, [directory('A'), directory('A')]],
    ['things out of order', {}, [directory('B'), directory('A')]],
    ['a directory after its contents', { recursive: true }, [file('A/b'), directory('A')]],
    ['a cursor that goes nowhere', { cursor: 'here' }, [directory('A')], 'here'],
  ])('with %s is a bad answer', async (_, request, entries, cursor) => {
    await expect(ask(request, entries, cursor)).rejects.toMatchObject({ code: 'bad-answer' })
  })

  it('is asked for as it was wanted', async () => {
    let asked: PeerRequest | undefined
    answer = async (frames, request) => {
      asked = request
      await once({ type: 'page', entries: [] })(frames, request)
    }
    await requestList(connection, { path: path('A'), search: 'x', recursive: true, cursor: 'c', limit: 7 }, { signal })
    expect(asked).toEqual({ type: 'ls', path: 'A', search: 'x', recursive: true, cursor: 'c', limit: 7 })
  })
})

const wanted = { path: path('A/b'), start: 0, end: 300_000 }
const readExpecting = (expect: { size: number; mtime: number }) => requestRead(connection, { ...wanted, expect }, new Uint8Array(300_000), { signal })

describe('a read', () => {
  const bytes = randomBytes(300_000)
  const header: DataMessage = { type: 'data', size: 300_000, mtime: 5, start: 0, length: 300_000 }

  function send(data: Uint8Array, change: { header?: Partial<DataMessage>; bytes?: number; hash?: Uint8Array; after?: Uint8Array } = {}): Answer {
    return async (frames) => {
      await say(frames, { ...header, ...change.header })
      await frames.stream.write(data)
      await say(frames, { type: 'sent', bytes: change.bytes ?? data.length, hash: change.hash ?? sha256(data) })
      if (change.after) await frames.stream.write(change.after)
      frames.stream.finish()
    }
  }

  it('fills the buffer and says what the file is', async () => {
    answer = send(bytes)
    const into = new Uint8Array(400_000)
    let seen = 0
    const outcome = await requestRead(connection, wanted, into, { signal, onBytes: (count) => (seen += count) })
    expect(outcome).toEqual({ size: 300_000, mtime: 5, start: 0, length: 300_000 })
    expect(Buffer.compare(into.subarray(0, 300_000), bytes)).toBe(0)
    expect(into.subarray(300_000).every((byte) => byte === 0)).toBe(true)
    expect(seen).toBe(300_000)
  })

  it('ends at the end of the file, also at once', async () => {
    answer = send(bytes.subarray(0, 10), { header: { size: 110, start: 100, length: 10 } })
    expect(await requestRead(connection, { ...wanted, start: 100, end: 200 }, new Uint8Array(100), { signal })).toMatchObject({ length: 10 })
    answer = send(new Uint8Array(0), { header: { size: 0, length: 0 } })
    expect(await requestRead(connection, wanted, new Uint8Array(300_000), { signal })).toMatchObject({ size: 0, length: 0 })
  })

  it.each<[string, string, Answer]>([
    ['more bytes than promised', 'bad-answer', send(Buffer.concat([bytes, bytes]))],
    ['a header of more than asked', 'wrong-length', send(bytes, { header: { size: 999_999, length: 300_001 } })],
    ['a header of less than there is', 'wrong-length', send(bytes.subarray(0, 10), { header: { length: 10 } })],
    ['fewer bytes than promised', 'wrong-length', async (frames) => {
      await say(frames, header)
      await frames.stream.write(bytes.subarray(0, 1_000))
      frames.stream.finish()
    }],
    ['another part', 'bad-answer', send(bytes, { header: { size: 600_000, start: 300_000 } })],
    ['a wrong count at the end', 'wrong-length', send(bytes, { bytes: 299_999 })],
    ['a wrong hash', 'hash-mismatch', send(bytes, { hash: randomBytes(32) })],
    ['changed bytes', 'hash-mismatch', send(Buffer.concat([bytes.subarray(1), bytes.subarray(0, 1)]), { hash: sha256(bytes) })],
    ['something after the end', 'bad-answer', send(bytes, { after: new Uint8Array(1) })],
    ['no end', 'bad-answer', async (frames) => {
      await say(frames, header)
      await frames.stream.write(bytes)
      frames.stream.finish()
    }],
    ['its own error', 'unreadable', once({ type: 'error', code: 'unreadable', message: 'the disk is broken' })],
    ['another kind of answer', 'bad-answer', once({ type: 'page', entries: [] })],
    ['a reset in the middle', 'stream-reset', async (frames) => {
      await say(frames, header)
      await frames.stream.write(bytes.subarray(0, 1_000))
      frames.stream.abort()
    }],
  ])('with %s fails with %s', async (_, code, given) => {
    answer = given
    const into = new Uint8Array(400_000)
    await expect(requestRead(connection, wanted, into, { signal })).rejects.toMatchObject({ code })
    // Never beyond what was asked for, whatever came.
    expect(into.subarray(300_000).every((byte) => byte === 0)).toBe(true)
  })

  it('insists on the file it expects', async () => {
    answer = send(bytes)
    expect(await readExpecting({ size: 300_000, mtime: 5 })).toMatchObject({ length: 300_000 })
    await expect(readExpecting({ size: 300_001, mtime: 5 })).rejects.toMatchObject({ code: 'bad-answer' })
    await expect(readExpecting({ size: 300_000, mtime: 6 })).rejects.toMatchObject({ code: 'bad-answer' })
  })

  it('is not asked for when it cannot fit', async () => {
    await expect(requestRead(connection, wanted, new Uint8Array(299_999), { signal })).rejects.toThrow(RangeError)
    await expect(requestRead(connection, { ...wanted, end: MAX_READ_BYTES + 1 }, new Uint8Array(MAX_READ_BYTES + 1), { signal })).rejects.toThrow(RangeError)
  })

  it('that stalls in the middle is given up, and its buffer let go', async () => {
    answer = async (frames) => {
      await say(frames, header)
      await frames.stream.write(bytes.subarray(0, 100_000))
      await new Promise(() => {})
    }
    await expect(requestRead(connection, wanted, new Uint8Array(300_000), { signal, noProgressMs: 30 })).rejects.toMatchObject({ code: 'timed-out' })
  })

  it('survives any bytes in place of an answer', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (noise, framed) => {
      answer = async (frames) => {
        await (framed ? frames.writeFrame(noise) : frames.stream.write(noise))
        frames.stream.finish()
      }
      const outcome = requestRead(connection, wanted, new Uint8Array(300_000), { signal })
      await expect(outcome).rejects.toMatchObject({ code: 'bad-answer' })
    }), { numRuns: 200 })
  })
})
