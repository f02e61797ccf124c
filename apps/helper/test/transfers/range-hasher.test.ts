import { type PeerId, type SharePath, peerIdFromKey } from '@harddrive-party/protocol'
import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { createRangeHasher } from '../../src/adapters/transfers/range-hasher.ts'
import { ByteBudget } from '../../src/core/byte-budget.ts'
import { ManualClock } from '../support/peer-node.ts'

/** Hashing for peers is bounded: it costs them nothing. */

const MIB = 1024 * 1024
const FILE = Buffer.alloc(20 * MIB, 5)
const PATH = 'a' as SharePath
const { signal } = new AbortController()
const peer = (number: number): PeerId => peerIdFromKey(new Uint8Array(32).fill(number))
const read = async ({ start = 0, end = FILE.length }: { start?: number; end?: number }) => ({ size: FILE.length, mtime: 1, start, bytes: FILE.subarray(start, end), release: () => {} })
const request = (start: number, end: number) => ({ type: 'hashes', path: PATH, ranges: [{ start, end }] }) as const

test('hashes are of exactly the ranges, also of long ones', async () => {
  const hasher = createRangeHasher(new ManualClock())
  const { hashes, size, mtime } = await hasher.hash(peer(1), { ...request(3, 9 * MIB), ranges: [{ start: 3, end: 9 * MIB }, { start: 0, end: 1 }] }, read, { signal })
  expect([size, mtime]).toEqual([FILE.length, 1])
  expect(hashes.map((hash) => Buffer.from(hash))).toEqual([FILE.subarray(3, 9 * MIB), FILE.subarray(0, 1)].map((bytes) => createHash('sha256').update(bytes).digest()))
  await expect(hasher.hash(peer(1), request(19 * MIB, 21 * MIB), read, { signal })).rejects.toMatchObject({ code: 'bad-request' })
})

test('a peer is served one request at a time', async () => {
  const hasher = createRangeHasher(new ManualClock())
  let reading = 0
  let most = 0
  const slow: typeof read = async (range) => {
    most = Math.max(most, ++reading)
    await new Promise((resolve) => setImmediate(resolve))
    reading--
    return read(range)
  }
  await Promise.all(Array.from({ length: 6 }, () => hasher.hash(peer(1), request(0, MIB), slow, { signal })))
  expect(most).toBe(1)
  most = 0
  await Promise.all([1, 2, 3, 4].map((number) => hasher.hash(peer(number), request(0, MIB), slow, { signal })))
  expect(most).toBe(2)
})

test('who asks for more than its budget waits, and can be given up', async () => {
  const clock = new ManualClock()
  const hasher = createRangeHasher(clock)
  for (let i = 0; i < 16; i++) await hasher.hash(peer(1), request(0, 16 * MIB), read, { signal })
  let isDone = false
  const seventeenth = hasher.hash(peer(1), request(0, 16 * MIB), read, { signal }).then(() => (isDone = true))
  await new Promise((resolve) => setImmediate(resolve))
  expect(isDone).toBe(false)
  await hasher.hash(peer(2), request(0, 16 * MIB), read, { signal })
  clock.advance(125)
  await seventeenth
  const abort = new AbortController()
  const eighteenth = hasher.hash(peer(1), request(0, 16 * MIB), read, { signal: abort.signal })
  await new Promise((resolve) => setImmediate(resolve))
  abort.abort()
  await expect(eighteenth).rejects.toMatchObject({ code: 'aborted' })
})

test('a budget gives a burst at once and then its rate', () => {
  const budget = new ByteBudget({ burst: 100, bytesPerSecond: 1000 })
  expect(budget.take(0, 100)).toBe(0)
  expect(budget.take(0, 50)).toBe(50)
  expect(budget.take(200, 50)).toBe(0)
  expect(budget.isFull(200)).toBe(false)
  expect(budget.isFull(250)).toBe(true)
})
