import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_THUMBNAIL_BYTES, MAX_THUMBNAIL_EDGE, checkThumbnail, decodeAnswer, decodeRequest, encodeAnswer, encodeRequest, readImageHeader } from '../src/index.ts'
import { encodeCbor } from '../src/cbor.ts'
import { path } from './sample-messages.ts'

const text = (letters: string) => [...letters].map((letter) => letter.charCodeAt(0))
const be16 = (value: number) => [value >> 8, value & 0xff]
const le16 = (value: number) => [value & 0xff, value >> 8]
const le24 = (value: number) => [...le16(value & 0xffff), value >> 16]
const be32 = (value: number) => [...be16(value >>> 16), ...be16(value & 0xffff)]
const le32 = (value: number) => [...le16(value & 0xffff), ...le16(value >>> 16)]

const jpeg = (width: number, height: number, before: number[] = []) =>
  Uint8Array.from([0xff, 0xd8, 0xff, 0xe0, ...be16(6), 1, 2, 3, 4, ...before, 0xff, 0xff, 0xc2, ...be16(11), 8, ...be16(height), ...be16(width), 1, 1, 0x11, 0, 0xff, 0xd9])
const png = (width: number, height: number) => Uint8Array.from([0x89, ...text('PNG\r\n'), 0x1a, 0x0a, ...be32(13), ...text('IHDR'), ...be32(width), ...be32(height), 8, 6, 0, 0, 0])
const gif = (width: number, height: number) => Uint8Array.from([...text('GIF89a'), ...le16(width), ...le16(height), 0, 0, 0])
const lossyChunk = (width: number, height: number) => [...text('VP8 '), ...le32(18), 0x10, 0, 0, 0x9d, 0x01, 0x2a, ...le16(width), ...le16(height), 0, 0, 0, 0, 0, 0, 0, 0]
const losslessChunk = (width: number, height: number) => [...text('VP8L'), ...le32(14), 0x2f, ...le32(((width - 1) | ((height - 1) << 14)) >>> 0), 0, 0, 0, 0, 0, 0, 0, 0, 0]
const riff = (...chunks: number[][]) => Uint8Array.from([...text('RIFF'), ...le32(4 + chunks.flat().length), ...text('WEBP'), ...chunks.flat()])
const canvasChunk = (width: number, height: number, flags = 0x10) => [...text('VP8X'), ...le32(10), flags, 0, 0, 0, ...le24(width - 1), ...le24(height - 1)]
const alphaChunk = [...text('ALPH'), ...le32(3), 1, 2, 3, 0]

describe('the header of an image', () => {
  test.each([
    ['jpeg', jpeg(640, 480)], ['png', png(640, 480)], ['gif', gif(640, 480)],
    ['webp', riff(lossyChunk(640, 480))], ['webp', riff(losslessChunk(640, 480))], ['webp', riff(canvasChunk(640, 480), alphaChunk, lossyChunk(640, 480))],
  ] as const)('of %s says how large it is', (format, bytes) => {
    expect(readImageHeader(bytes)).toEqual({ format, width: 640, height: 480 })
    // Wherever the bytes lie in their buffer.
    const longer = new Uint8Array(bytes.length + 7)
    longer.set(bytes, 5)
    expect(readImageHeader(longer.subarray(5))).toEqual({ format, width: 640, height: 480 })
  })

  test.each([
    ['nothing', new Uint8Array()],
    ['a document', Uint8Array.from(text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'))],
    ['a page', Uint8Array.from(text('<!doctype html><html><body>hello</body></html>'))],
    ['no pixels', png(0, 480)],
    ['no lines', jpeg(640, 0)],
    ['a frame of another size than the canvas', riff(canvasChunk(10, 10), lossyChunk(9000, 9000))],
    ['a canvas without a frame', riff(canvasChunk(10, 10), alphaChunk)],
    ['a JPEG that never begins', Uint8Array.from([0xff, 0xd8, ...Array.from({ length: 1_001 }, () => [0xff, 0xe1, ...be16(2)]).flat(), ...jpeg(1, 1).subarray(2)])],
    ['a JPEG whose data begins before its frame', jpeg(1, 1, [0xff, 0xda, ...be16(2)])],
  ])('is not found in %s', (_, bytes) => {
    expect(readImageHeader(bytes)).toBeUndefined()
  })

  test('of any bytes is read without an error, and cut ones never say more', () => {
    const samples = [jpeg(640, 480), png(640, 480), gif(640, 480), riff(lossyChunk(640, 480)), riff(losslessChunk(640, 480)), riff(canvasChunk(640, 480), alphaChunk, losslessChunk(640, 480))]
    for (const sample of samples) for (let end = 0; end < sample.length; end++) expect([undefined, 640]).toContain(readImageHeader(sample.subarray(0, end))?.width)
    fc.assert(
      fc.property(fc.constantFrom(...samples), fc.uint8Array({ maxLength: 300 }), fc.nat(60), (sample, noise, at) => {
        const bytes = Uint8Array.from([...sample.subarray(0, at), ...noise, ...sample.subarray(at)])
        const found = readImageHeader(bytes)
        if (found !== undefined) expect(found.width * found.height).toBeGreaterThan(0)
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('a picture from a peer', () => {
  test.each([['image/jpeg', jpeg(320, 200)], ['image/webp', riff(lossyChunk(200, 320))], ['image/webp', riff(canvasChunk(320, 320), alphaChunk, losslessChunk(320, 320))]])('is shown as %s', (type, bytes) => {
    expect(checkThumbnail(bytes, 320)).toEqual({ ok: true, value: type })
  })

  test.each([
    ['larger than asked for', jpeg(321, 200), 320],
    ['higher than asked for', riff(lossyChunk(10, 97)), 96],
    ['of another format', png(10, 10), 320],
    ['moving', gif(10, 10), 320],
    ['a moving WebP', riff(canvasChunk(10, 10, 0x02), [...text('ANMF'), ...le32(0)]), 320],
    ['a moving WebP with a still frame', riff(canvasChunk(10, 10, 0x02), lossyChunk(10, 10)), 320],
    ['a bomb', riff(losslessChunk(16_384, 16_384)), 320],
    ['a page', Uint8Array.from(text('<html><script>alert(1)</script></html>')), 320],
    ['a document with the first bytes of an image', Uint8Array.from([0xff, 0xd8, ...text('<svg onload="alert(1)">')]), 320],
    ['too many bytes', Uint8Array.from([...jpeg(10, 10), ...new Uint8Array(MAX_THUMBNAIL_BYTES)]), 320],
  ])('is refused when it is %s', (_, bytes, edge) => {
    expect(checkThumbnail(bytes, edge)).toMatchObject({ ok: false, error: { code: 'bad-picture' } })
  })
})

describe('the messages', () => {
  const request = { type: 'thumbnail', path: path('Photos/a.jpg'), size: 10, mtime: 1.5, edge: 96 } as const

  test.each([
    [{ path: '../a.jpg' }], [{ path: undefined }], [{ size: -1 }], [{ size: 1.5 }], [{ size: undefined }], [{ mtime: 1e300 }], [{ mtime: 'now' }],
    [{ edge: 0 }], [{ edge: MAX_THUMBNAIL_EDGE + 1 }], [{ edge: 96.5 }], [{ edge: undefined }],
  ])('a request with %o is refused', (change) => {
    expect(decodeRequest(encodeRequest(request))).toEqual({ ok: true, value: request })
    const map = Object.fromEntries(Object.entries({ ...request, ...change }).filter(([, value]) => value !== undefined))
    expect(decodeRequest(encodeCbor(map))).toMatchObject({ ok: false, error: { code: 'bad-request' } })
  })

  test.each([[new Uint8Array()], [new Uint8Array(MAX_THUMBNAIL_BYTES + 1)], ['text']])('an answer of other bytes than those of a picture is refused', (bytes) => {
    expect(decodeAnswer(encodeCbor({ type: 'picture', bytes }))).toMatchObject({ ok: false, error: { code: 'bad-answer' } })
    expect(decodeAnswer(encodeAnswer({ type: 'picture', bytes: new Uint8Array(MAX_THUMBNAIL_BYTES) }))).toMatchObject({ ok: true })
  })
})
