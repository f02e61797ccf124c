import { type CodedError, type FileVersion, type PeerAnswer, type SharePath, decodeRequest, encodeAnswer, peerIdFromKey } from '@harddrive-party/protocol'
import { createHash } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import { type BundleOutcome, requestBundle, requestHashes } from '../../src/adapters/transfers/bulk-requests.ts'
import { FrameStream } from '../../src/adapters/peers/frame-stream.ts'
import type { PeerConnection } from '../../src/adapters/peers/transport.ts'
import { MemoryNetwork } from '../support/memory-transport.ts'

/** What a peer answers to bundles and hashes, and what is believed of it. */

const { signal } = new AbortController()
const secrets = () => ({ code: 'aa'.repeat(16), known: 'bb'.repeat(16) })
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()

/** Frames as messages, raw bytes as they are. */
let answer: readonly (PeerAnswer | Uint8Array)[]
let connection: PeerConnection

beforeEach(async () => {
  const network = new MemoryNetwork()
  const [us, them] = [1, 2].map((number) => ({ peerId: peerIdFromKey(new Uint8Array(32).fill(number)), endpoint: { host: '10.0.0.1', port: number }, secrets }))
  if (!us || !them) throw new Error('two hosts')
  const transport = network.open({ ...us, events: { onConnection: () => {} } })
  network.open({
    ...them,
    events: {
      onConnection: (accepted) => {
        accepted.onStream = async (stream) => {
          const frames = new FrameStream(stream)
          const request = decodeRequest((await frames.readFrame(16_384)) ?? new Uint8Array(0))
          expect(request.ok).toBe(true)
          try {
            for (const part of answer) await (part instanceof Uint8Array ? stream.write(part) : frames.writeFrame(encodeAnswer(part)))
            stream.finish()
          } catch {
            // Cut off for what it has said.
          }
        }
      },
    },
  })
  connection = await transport.dial({ endpoint: them.endpoint, knockSecret: Buffer.from(secrets().code, 'hex'), expect: { peerId: them.peerId } }, { signal })
})

const FILES: readonly FileVersion[] = ['a', 'b', 'c'].map((path, index) => ({ path: path as SharePath, size: 10 * index, mtime: index + 0.5 }))
const contentOf = ({ size }: FileVersion) => new Uint8Array(size).fill(7)
const sent = (file: FileVersion, change: object = {}): (PeerAnswer | Uint8Array)[] => {
  const bytes = contentOf(file)
  return [{ type: 'data', size: file.size, mtime: file.mtime, start: 0, length: file.size, ...change }, bytes, { type: 'sent', bytes: bytes.length, hash: sha256(bytes) }]
}
const gone: PeerAnswer = { type: 'error', code: 'not-found', message: 'gone' }
const [A, B, C] = FILES as [FileVersion, FileVersion, FileVersion]

async function ask(): Promise<{ outcomes: (BundleOutcome | undefined)[]; code: string | undefined }> {
  const outcomes: (BundleOutcome | undefined)[] = []
  const code = await requestBundle(connection, FILES, new Uint8Array(30), (index, outcome) => (outcomes[index] = outcome), { signal }).then(() => undefined, (error: unknown) => (error as CodedError).code)
  return { outcomes, code }
}

test('every file comes in its turn, whole', async () => {
  answer = [...sent(A), ...sent(B), ...sent(C)]
  const { outcomes, code } = await ask()
  expect(code).toBeUndefined()
  expect(outcomes).toEqual(FILES.map((file) => ({ bytes: contentOf(file) })))
})

test.each([
  ['the first', [gone, ...sent(B), ...sent(C)], 0],
  ['the middle', [...sent(A), gone, ...sent(C)], 1],
  ['the last', [...sent(A), ...sent(B), gone], 2],
] as const)('an error about %s is about that one', async (_, parts, index) => {
  answer = parts
  const { outcomes, code } = await ask()
  expect(code).toBeUndefined()
  for (const [number, outcome] of outcomes.entries()) expect(outcome).toMatchObject(number === index ? { error: { code: 'not-found' } } : { bytes: contentOf(FILES[number] as FileVersion) })
})

test('a single error instead of all is about all', async () => {
  answer = [{ type: 'error', code: 'unsupported', message: 'no' }]
  expect(await ask()).toEqual({ outcomes: [], code: 'unsupported' })
})

test.each([
  ['another size', [...sent(A), ...sent(B, { size: 11, length: 10 })], 'bad-answer'],
  ['another time', [...sent(A), ...sent(B, { mtime: 9 })], 'bad-answer'],
  ['another part', [...sent(A), ...sent(B, { start: 1, length: 9 })], 'bad-answer'],
  ['less', [...sent(A), ...sent(B, { length: 9 })], 'wrong-length'],
  ['another hash', [...sent(A), sent(B)[0]!, contentOf(B), { type: 'sent', bytes: 10, hash: new Uint8Array(32) } as const], 'hash-mismatch'],
  ['another count', [...sent(A), sent(B)[0]!, contentOf(B), { type: 'sent', bytes: 9, hash: sha256(contentOf(B)) } as const], 'wrong-length'],
  ['an early end', [...sent(A), ...sent(B)], 'bad-answer'],
  ['an end within a file', [...sent(A), sent(B)[0]!, new Uint8Array(3)], 'wrong-length'],
  ['more than was asked for', [...sent(A), ...sent(B), ...sent(C), ...sent(C)], 'bad-answer'],
  ['another answer', [...sent(A), { type: 'pong' } as const], 'bad-answer'],
] as const)('%s is not believed, and what came before stands', async (_, parts, code) => {
  answer = parts
  const asked = await ask()
  expect(asked.code).toBe(code)
  expect(asked.outcomes[0]).toEqual({ bytes: contentOf(A) })
})

test('hashes are of the version asked for, as many as ranges', async () => {
  const wanted = { path: A.path, ranges: [{ start: 0, end: 1 }, { start: 1, end: 2 }], expect: { size: 5, mtime: 1 } }
  const hashes = [sha256(new Uint8Array(1)), sha256(new Uint8Array(2))]
  answer = [{ type: 'hashed', size: 5, mtime: 1, hashes }]
  expect((await requestHashes(connection, wanted, { signal })).map((hash) => Buffer.from(hash))).toEqual(hashes)
  for (const lie of [{ size: 6 }, { mtime: 2 }, { hashes: hashes.slice(1) }]) {
    answer = [{ type: 'hashed', size: 5, mtime: 1, hashes, ...lie }]
    await expect(requestHashes(connection, wanted, { signal })).rejects.toMatchObject({ code: 'bad-answer' })
  }
  answer = [{ type: 'error', code: 'source-changed', message: 'no' }]
  await expect(requestHashes(connection, wanted, { signal })).rejects.toMatchObject({ code: 'source-changed' })
})
