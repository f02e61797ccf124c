import { createHash, randomBytes } from 'node:crypto'
import { encode } from 'cbor-x'
import { MAX_READ_BYTES, encodeAnswer } from '@harddrive-party/protocol'
import type { FrameStream } from '../../apps/helper/src/adapters/peers/frame-stream.ts'
import { openDouble } from './open-double.ts'

/**
 * A peer with a long recording that exists only as it is read, and with images whose pictures are not what was asked for. It counts the bytes that it
 * sends: the share `Counted` is listed as large as that. It prints its announce code and serves until it is killed.
 */

const NOW = 1_700_000_000_000
/** Of a WAV: 200 MB of 16-bit stereo at 44.1 kHz, about 19 minutes. */
const WAV_BYTES = 200_000_000
const WAV_HEADER = wavHeader(WAV_BYTES)

/** A WebP of 8 x 8 pixels. */
const GOOD = Buffer.from('UklGRjAAAABXRUJQVlA4ICQAAABwAQCdASoIAAgAAsBMJaACdAGgAAD+B2u3/lK/+N3+7LeAAAA=', 'base64')

/** What is answered instead of a picture. */
const PICTURES: Readonly<Record<string, () => Buffer>> = {
  'good.jpg': () => GOOD,
  'page.jpg': () => Buffer.from('<!doctype html><script>new Image().src="http://127.0.0.1:9/"</script>'),
  'drawing.jpg': () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="alert(1)"><rect width="9" height="9"/></svg>'),
  // The header of a picture of 16,384 x 16,384 pixels.
  'bomb.jpg': () => Buffer.concat([Buffer.from('RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f', 'latin1'), Buffer.from([0xff, 0xff, 0xff, 0x0f]), Buffer.alloc(8)]),
  'heavy.jpg': () => Buffer.concat([GOOD, Buffer.alloc(100_000)]),
  'noise.jpg': () => randomBytes(500),
}

let counted = 0

function list(path: string): unknown[][] {
  const wav = ['Media/long.wav', WAV_BYTES, NOW, false]
  const photos = Object.keys(PICTURES).toSorted().map((name) => [`Photos/${name}`, 1000, NOW, false])
  if (path === '') return [['Counted', counted, NOW, true], ['Media', WAV_BYTES, NOW, true], ['Photos', 6000, NOW, true]]
  if (path === 'Media') return [wav]
  if (path === 'Photos') return photos
  return [wav, ...photos].filter(([name]) => name === path)
}

async function read(frames: FrameStream, start: number, wanted: number): Promise<void> {
  const end = Math.min(wanted, WAV_BYTES, start + MAX_READ_BYTES)
  const bytes = Buffer.alloc(end - start)
  // A tone of 440 Hz, the same at every place.
  for (let at = start + (start % 2); at + 1 < end; at += 2) bytes.writeInt16LE(Math.round(8_000 * Math.sin(((at >> 2) * 440 * 2 * Math.PI) / 44_100)), at - start)
  if (start < WAV_HEADER.length) WAV_HEADER.copy(bytes, 0, start)
  await frames.writeFrame(encodeAnswer({ type: 'data', size: WAV_BYTES, mtime: NOW, start, length: bytes.length }))
  await frames.stream.write(bytes)
  counted += bytes.length
  await frames.writeFrame(encodeAnswer({ type: 'sent', bytes: bytes.length, hash: createHash('sha256').update(bytes).digest() }))
}

function wavHeader(bytes: number): Buffer {
  const header = Buffer.alloc(44)
  header.write('RIFF', 0, 'latin1')
  header.writeUInt32LE(bytes - 8, 4)
  header.write('WAVEfmt ', 8, 'latin1')
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(2, 22)
  header.writeUInt32LE(44_100, 24)
  header.writeUInt32LE(44_100 * 4, 28)
  header.writeUInt16LE(4, 32)
  header.writeUInt16LE(16, 34)
  header.write('data', 36, 'latin1')
  header.writeUInt32LE(bytes - 44, 40)
  return header
}

await openDouble({
  agent: 'media',
  capabilities: ['thumbnails'],
  answer: async (frames, { type, path = '', start = 0, end = WAV_BYTES }) => {
    if (type === 'ls') await frames.writeFrame(encode({ type: 'page', entries: list(path) }))
    else if (type === 'thumbnail') await frames.writeFrame(encode({ type: 'picture', bytes: PICTURES[path.slice('Photos/'.length)]?.() ?? randomBytes(10) }))
    else if (type === 'read' && path === 'Media/long.wav') await read(frames, start, end)
    else await frames.writeFrame(encodeAnswer({ type: 'error', code: 'not-found', message: 'there is no such file' }))
  },
})
