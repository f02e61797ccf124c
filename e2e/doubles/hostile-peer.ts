import { createHash, randomBytes } from 'node:crypto'
import { encode } from 'cbor-x'
import { encodeAnswer } from '@harddrive-party/protocol'
import type { FrameStream } from '../../apps/helper/src/adapters/peers/frame-stream.ts'
import { openDouble } from './open-double.ts'

/**
 * A peer that shakes hands like anybody and then lies. It prints its announce code and serves until it is killed. What it does depends on the path:
 *
 * | folder | the lie |
 * |---|---|
 * | `Paths` | names that point outside, at devices, or that cannot be shown |
 * | `Astray` | an entry that nobody asked for |
 * | `Bytes` | more bytes than the header promises, fewer, another size than listed |
 * | `Hash` | the trailer's hash is wrong |
 * | `Endless` | a listing that never ends; `Circle`: one whose pages repeat |
 * | `Silent` | never answers |
 * | `Garbage` | frames of noise, and one that claims 4 GiB |
 * | `Fine` | one honest file, to see that the rest goes on |
 */

const FINE = Buffer.from('an honest file\n')
const NOW = 1_700_000_000_000

/** Names that must never become a path. */
const BAD_PATHS = [
  'Paths/../../../../etc/cron.d/evil', '../evil', '/etc/passwd', 'Paths/..', 'Paths/./x', 'Paths//x', 'Paths\\..\\evil', 'C:\\evil', 'Paths/C:evil',
  'Paths/CON', 'Paths/aux.txt', 'Paths/nul\u0000.txt', 'Paths/\u202Egpj.exe', 'Paths/evil.', 'Paths/evil ', `Paths/${'x'.repeat(300)}`, 'Paths/bell\u0007',
]

let endless = 0

async function list(frames: FrameStream, path: string | undefined): Promise<void> {
  const page = (entries: unknown[][], cursor?: string) => frames.writeFrame(encode({ type: 'page', entries, ...(cursor === undefined ? {} : { cursor }) }))
  const file = (name: string, size: number): unknown[] => [name, size, NOW, false]
  const folder = (name: string): unknown[] => [name, 1000, NOW, true]
  if (path === undefined) return page(['Astray', 'Bytes', 'Circle', 'Endless', 'Fine', 'Garbage', 'Hash', 'Paths', 'Silent'].map(folder))
  const share = path.split('/')[0]
  if (share === 'Paths') return page([...BAD_PATHS.map((bad) => file(bad, 4)), file('Paths/good.txt', FINE.length)])
  if (share === 'Astray') return page([file('Astray/asked-for.txt', 4), file('Elsewhere/not-asked-for.txt', 4)])
  if (share === 'Bytes') return page([file('Bytes/fewer.bin', 1000), file('Bytes/listed-smaller.bin', 10), file('Bytes/more.bin', 1000)])
  if (share === 'Hash') return page([file('Hash/wrong.bin', 1000)])
  if (share === 'Fine') return page([file('Fine/honest.txt', FINE.length)])
  if (share === 'Circle') return page([file('Circle/a.bin', 1)], 'again')
  if (share === 'Endless') {
    const names = Array.from({ length: 1000 }, () => `Endless/${String(endless++).padStart(12, '0')}.bin`)
    return page(names.map((name) => file(name, 0)), `from ${endless}`)
  }
  if (share === 'Garbage') {
    await frames.stream.write(randomBytes(2000))
    return frames.stream.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
  }
  // Silent: the stream stays open and nothing comes.
  await new Promise(() => undefined)
}

async function read(frames: FrameStream, path: string): Promise<void> {
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
  const answer = async (size: number, length: number, bytes: Buffer, hash = sha256(bytes), claimed = bytes.length) => {
    await frames.writeFrame(encodeAnswer({ type: 'data', size, mtime: NOW, start: 0, length }))
    await frames.stream.write(bytes)
    await frames.writeFrame(encodeAnswer({ type: 'sent', bytes: claimed, hash }))
  }
  const thousand = Buffer.alloc(1000, 'x')
  if (path === 'Bytes/more.bin') return answer(1000, 1000, Buffer.alloc(500_000, 'y'))
  if (path === 'Bytes/fewer.bin') return answer(1000, 1000, Buffer.alloc(10, 'z'))
  if (path === 'Bytes/listed-smaller.bin') return answer(1000, 1000, thousand)
  if (path === 'Hash/wrong.bin') return answer(1000, 1000, thousand, randomBytes(32))
  if (path === 'Fine/honest.txt' || path === 'Paths/good.txt') return answer(FINE.length, FINE.length, FINE)
  return answer(4, 4, Buffer.from('evil'))
}

await openDouble({
  agent: 'hostile',
  capabilities: [],
  answer: (frames, { type, path }) => (type === 'ls' ? list(frames, path) : read(frames, path ?? '')),
})
