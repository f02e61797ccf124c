import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkThumbnail, readImageHeader } from '@harddrive-party/protocol'
import { openThumbnailProcess } from '../../src/adapters/thumbnails/thumbnail-process.ts'

/** The process that decodes images, with the library as it is. */

const entry = new URL('../../src/adapters/thumbnails/thumbnail-worker.ts', import.meta.url)
const logged: string[] = []
let worker: ReturnType<typeof openThumbnailProcess>

beforeEach(() => {
  worker = openThumbnailProcess({ entry, log: (message) => logged.push(message) })
})
afterEach(() => worker.close())

/** Random pixels: nothing compresses worse. */
function noise(width: number, height: number): ReturnType<typeof sharp> {
  return sharp({ create: { width, height, channels: 3, background: '#000', noise: { type: 'gaussian', mean: 128, sigma: 60 } } })
}

/** A white PNG, one bit for each of very many pixels. */
function bombOf(width: number, height: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header[8] = 1
  const rows = Buffer.alloc((1 + Math.ceil(width / 8)) * height)
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), pngChunk('IHDR', header), pngChunk('IDAT', deflateSync(rows)), pngChunk('IEND', Buffer.alloc(0))])
}

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const ends = Buffer.alloc(8)
  ends.writeUInt32BE(data.length, 0)
  ends.writeUInt32BE(crc32(body), 4)
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)])
}

function crc32(bytes: Buffer): number {
  let crc = 0xffff_ffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1
  }
  return (crc ^ 0xffff_ffff) >>> 0
}

describe('making a picture', () => {
  it('of every kind of image: small, upright, and nothing but pixels', async () => {
    // Stored on its side, with a place and a camera in it.
    const photo = await noise(640, 480).jpeg().withExif({ IFD0: { Make: 'A camera', Orientation: '6' }, IFD3: { GPSLatitude: '52/1 30/1 0/1' } }).withMetadata({ orientation: 6 }).toBuffer()
    for (const bytes of [photo, await noise(900, 700).png().toBuffer(), await noise(700, 900).webp({ lossless: true }).toBuffer(), await noise(500, 400).gif().toBuffer()]) {
      const made = await worker.make(bytes, 320)
      expect(checkThumbnail(made, 320)).toEqual({ ok: true, value: 'image/webp' })
      const { width, height } = readImageHeader(made) as { width: number; height: number }
      expect(Math.max(width, height)).toBe(320)
      const { exif, icc, xmp } = await sharp(made).metadata()
      expect([exif, icc, xmp]).toEqual([undefined, undefined, undefined])
    }
    const upright = readImageHeader(await worker.make(photo, 320))
    expect([upright?.width, upright?.height]).toEqual([240, 320])
    // What is small already is not blown up.
    expect(readImageHeader(await worker.make(await noise(20, 10).png().toBuffer(), 320))).toMatchObject({ width: 20, height: 10 })
  })

  it('of what is no image, or a broken one, fails, and the next one is made', async () => {
    const whole = await noise(640, 480).jpeg().toBuffer()
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><image href="file:///etc/passwd" width="10" height="10"/></svg>')
    const tiff = await noise(50, 50).tiff().toBuffer()
    for (const bytes of [svg, tiff, Buffer.from('<html></html>'), whole.subarray(0, 2_000), Buffer.alloc(100)]) {
      await expect(worker.make(bytes, 320)).rejects.toMatchObject({ code: 'unreadable' })
    }
    expect(checkThumbnail(await worker.make(whole, 96), 96).ok).toBe(true)
  })

  it('of a bomb fails without unpacking it', async () => {
    const bomb = bombOf(10_000, 10_000)
    expect(bomb.length).toBeLessThan(200_000)
    await expect(worker.make(bomb, 320)).rejects.toMatchObject({ code: 'unreadable' })
    // The same of a size that is let through is an image.
    expect(readImageHeader(await worker.make(bombOf(1_000, 500), 320))).toMatchObject({ width: 320, height: 160 })
  })
})

describe('the process', () => {
  let base: string
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'thumbnails-'))
  })
  afterEach(() => rm(base, { recursive: true, force: true }))

  async function program(text: string): Promise<URL> {
    const file = join(base, 'worker.mjs')
    await writeFile(file, text)
    return new URL(`file://${file}`)
  }

  it('is killed when it takes too long, and another takes its place', async () => {
    const hangs = await program(`process.on('message', ({ id, edge }) => { if (edge === 1) for (;;); process.send({ kind: 'made', id, bytes: Uint8Array.of(edge) }) })`)
    const options = { entry: hangs, timeoutMs: 200 }
    const slow = openThumbnailProcess(options)
    await expect(slow.make(new Uint8Array(1), 1)).rejects.toMatchObject({ code: 'unreadable' })
    options.timeoutMs = 50_000
    expect(await slow.make(new Uint8Array(1), 2)).toEqual(Uint8Array.of(2))
    slow.close()
  })

  it('may die of an image without anybody else', async () => {
    const dies = await program(`process.on('message', ({ id, edge }) => { if (edge === 1) process.abort(); process.send({ kind: 'made', id, bytes: Uint8Array.of(edge) }) })`)
    const mortal = openThumbnailProcess({ entry: dies })
    await expect(mortal.make(new Uint8Array(1), 1)).rejects.toMatchObject({ code: 'unreadable' })
    expect(await mortal.make(new Uint8Array(1), 2)).toEqual(Uint8Array.of(2))
    mortal.close()
    await expect(mortal.make(new Uint8Array(1), 2)).rejects.toMatchObject({ code: 'closed' })
  })

  it('says once that there is no library, and is not started again', async () => {
    const without = await program(`import { appendFileSync } from 'node:fs'; appendFileSync(${JSON.stringify(join(base, 'starts-'))} + process.pid, ''); process.send({ kind: 'unavailable', message: 'no such module' })`)
    const none = openThumbnailProcess({ entry: without, log: (message) => logged.push(message) })
    for (let i = 0; i < 3; i++) await expect(none.make(new Uint8Array(1), 1)).rejects.toMatchObject({ code: 'unsupported' })
    expect((await readdir(base)).filter((name) => name.startsWith('starts-'))).toHaveLength(1)
    expect(logged.at(-1)).toMatch(/library/)
    none.close()
  })
})
