import { type SharePath, peerIdFromKey } from '@harddrive-party/protocol'
import { open } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { type PartialFile, openPartial, tidyPartials } from '../src/adapters/transfers/partial-file.ts'
import { PartialRecorder } from '../src/adapters/transfers/partial-recorder.ts'
import { BufferPool } from '../src/adapters/transfers/read-slots.ts'

/** The disk's own share of a transfer: the same file read, written, recorded and put into place by the same code, with nothing between. */

/** As many parts as a transfer has on their way. */
const AT_ONCE = 8

/** @param target a new file, in a directory of which nothing else is asked */
export async function diskSeconds(source: string, target: string): Promise<number> {
  const started = performance.now()
  const from = await open(source, 'r')
  try {
    const { size, mtimeMs: mtime } = await from.stat()
    const owner = { downloadDirectory: dirname(target), peerId: peerIdFromKey(new Uint8Array(32).fill(1)), path: basename(target) as SharePath }
    const partial = await openPartial(owner, { size, mtime })
    try {
      await copy(partial, async (into, start) => (await from.read(into, 0, into.length, start)).bytesRead)
      await partial.place(target)
    } finally {
      await partial.close()
      await tidyPartials(owner)
    }
  } finally {
    await from.close()
  }
  return (performance.now() - started) / 1000
}

async function copy(partial: PartialFile, read: (into: Uint8Array, start: number) => Promise<number>): Promise<void> {
  const buffers = new BufferPool(AT_ONCE)
  const { signal } = new AbortController()
  let failure: unknown
  const recorder = new PartialRecorder(partial, (error) => (failure ??= error))
  const work = async () => {
    for (let range = partial.fetch.next(); range !== undefined; range = partial.fetch.next()) {
      const buffer = await buffers.acquire(range.end - range.start, 'disk', signal)
      try {
        if ((await read(buffer, range.start)) !== buffer.length) throw new Error('the file became shorter')
        await partial.write(buffer, range.start)
      } finally {
        buffers.release(buffer)
      }
      partial.fetch.written(range.index)
      recorder.wrote(buffer.length)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  await recorder.settled()
  if (failure !== undefined) throw failure
}
