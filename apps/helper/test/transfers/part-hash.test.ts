import { createHash, randomFillSync } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { givePart, takePart } from '../../src/adapters/system/part-memory.ts'
import { HashThread, hashPart } from '../../src/adapters/transfers/part-hash.ts'

const WORKER = new URL('../support/hash-worker.mjs', import.meta.url)
const opened: (() => unknown)[] = []

afterEach(async () => {
  for (const close of opened.splice(0)) await close()
})

function openThread(entry = WORKER, cores = 2): HashThread {
  const thread = new HashThread(entry, cores)
  opened.push(() => thread.close())
  return thread
}

function randomPart(length: number): Uint8Array<SharedArrayBuffer> {
  const part = takePart()!
  opened.push(() => givePart(part))
  return randomFillSync(part.subarray(0, length))
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const hexOf = async (digest: Promise<Uint8Array>) => Buffer.from(await digest).toString('hex')

test('many parts at once get each their own hash from the thread', async () => {
  const thread = openThread()
  const parts = [4 << 20, 600_000, 1 << 20, 524_288].map(randomPart)
  const digests = await Promise.all(parts.map((part) => hexOf(hashPart(part, true, thread).digest())))
  expect(digests).toEqual(parts.map(sha256))
  expect(thread.isUsable).toBe(true)
})

test('a part that is filled bit by bit is hashed once it is there, by either way', async () => {
  for (const thread of [openThread(), openThread(WORKER, 1)]) {
    const part = randomPart(700_001)
    const content = Uint8Array.from(part)
    part.fill(0)
    const hash = hashPart(part, false, thread)
    for (let from = 0; from < part.length; from += 262_144) {
      part.set(content.subarray(from, from + 262_144), from)
      hash.reach(Math.min(part.length, from + 262_144))
    }
    expect(await hexOf(hash.digest())).toBe(sha256(content))
  }
})

test('what nobody else sees, and what is small, is hashed here', async () => {
  const thread = openThread(new URL('./there-is-none.mjs', import.meta.url))
  for (const bytes of [new Uint8Array(1 << 20).fill(3), randomPart(1000), new Uint8Array(0)]) {
    expect(await hexOf(hashPart(bytes, true, thread).digest())).toBe(sha256(bytes))
  }
  expect(thread.isUsable).toBe(true)
})

test('where no thread can be made the answer comes all the same, and nobody tries again', async () => {
  const thread = openThread(new URL('./there-is-none.mjs', import.meta.url))
  const part = randomPart(1 << 20)
  const digests = await Promise.all([1, 2, 3].map(() => hexOf(hashPart(part, true, thread).digest())))
  expect(digests).toEqual([1, 2, 3].map(() => sha256(part)))
  expect(thread.isUsable).toBe(false)
})

test('a thread that is ended meanwhile owes nobody an answer, and another follows', async () => {
  const thread = openThread()
  const part = randomPart(4 << 20)
  const waiting = [1, 2, 3, 4].map(() => hexOf(thread.hash(part)))
  await thread.close()
  expect(await Promise.all(waiting)).toEqual([1, 2, 3, 4].map(() => sha256(part)))
  expect(await hexOf(thread.hash(part))).toBe(sha256(part))
  expect(thread.isUsable).toBe(true)
})
