import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import vectors from '../../../docs/vectors/frames.json' with { type: 'json' }
import { FrameReader, encodeFrame } from '../src/index.ts'
import { bytes, hex } from './vector-values.ts'

describe('frames', () => {
  test.each(vectors.frames)('$frame', ({ body, frame }) => {
    expect(hex(encodeFrame(bytes(body)))).toBe(frame)
    expect(new FrameReader(1000).push(bytes(frame))).toEqual({ ok: true, value: [bytes(body)] })
  })

  test('however the stream is cut, the same frames come out', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (bodies, cuts) => {
        const stream = Uint8Array.from(bodies.flatMap((body) => [...encodeFrame(body)]))
        const reader = new FrameReader(60)
        const out: Uint8Array[] = []
        for (let at = 0, i = 0; at < stream.length; i++) {
          const chunk = stream.slice(at, at + (cuts[i % cuts.length] ?? 1))
          const result = reader.push(chunk)
          if (result.ok) out.push(...result.value)
          expect(result.ok).toBe(true)
          at += chunk.length
          // The caller uses its buffer again.
          chunk.fill(0xee)
        }
        expect(out).toEqual(bodies)
        expect(reader.atBoundary).toBe(true)
      }),
    )
  })

  test('a stream cut inside a frame is not at a boundary', () => {
    const reader = new FrameReader(10)
    reader.push(encodeFrame(Uint8Array.of(1, 2, 3)).subarray(0, 5))
    expect(reader.atBoundary).toBe(false)
  })

  test('a length above the limit is refused at once, and the reader stays failed', () => {
    const reader = new FrameReader(10)
    expect(reader.push(Uint8Array.of(0xff, 0xff, 0xff, 0xff))).toMatchObject({ ok: false, error: { code: 'too-large' } })
    expect(reader.push(encodeFrame(Uint8Array.of(1)))).toMatchObject({ ok: false, error: { code: 'too-large' } })
    const exact = new FrameReader(10)
    expect(exact.push(encodeFrame(new Uint8Array(10))).ok).toBe(true)
    expect(exact.push(encodeFrame(new Uint8Array(11))).ok).toBe(false)
  })

  test('the limit may be raised between frames', () => {
    const reader = new FrameReader(4)
    expect(reader.push(encodeFrame(new Uint8Array(4))).ok).toBe(true)
    reader.maxBytes = 100
    expect(reader.push(encodeFrame(new Uint8Array(90)))).toMatchObject({ ok: true, value: [new Uint8Array(90)] })
  })

  test('any bytes are answered', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array()), (chunks) => {
      const reader = new FrameReader(1 << 20)
      for (const chunk of chunks) expect(typeof reader.push(chunk).ok).toBe('boolean')
    }))
  })
})
