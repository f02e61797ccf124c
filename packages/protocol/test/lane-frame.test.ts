import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import vectors from '../../../docs/vectors/lanes.json' with { type: 'json' }
import {
  LANE_HEADER_BYTES, type LaneFrame, LaneReader, MAX_LANE_PAYLOAD_BYTES, MAX_LANE_STREAM, MAX_LANE_VALUE, checkKnockCid, checkTcpKnock, decodeLaneHeader, encodeLaneHeader,
  makeKnockCid, makeTcpKnock,
} from '../src/index.ts'

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const bytesOf = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))

interface Heard {
  readonly frame: LaneFrame
  readonly payload: number[]
}

/** What a reader makes of these pieces, and whether it found fault. */
function read(pieces: readonly Uint8Array[]): { readonly heard: Heard[]; readonly fault: boolean } {
  const heard: Heard[] = []
  const reader = new LaneReader({
    onFrame: (frame) => heard.push({ frame, payload: [] }),
    onPayload: (frame, piece, at) => {
      const last = heard.at(-1)
      expect(last?.frame).toBe(frame)
      expect(last?.payload.length).toBe(at)
      last?.payload.push(...piece)
    },
  })
  let fault = false
  for (const piece of pieces) fault = reader.take(piece) !== null
  return { heard, fault }
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  let at = 0
  for (const size of sizes) {
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return [...pieces, bytes.subarray(at)]
}

const control: fc.Arbitrary<LaneFrame> = fc.record({
  type: fc.constantFrom('window', 'reset', 'ping', 'pong', 'close', 'open'), stream: fc.nat(MAX_LANE_STREAM), value: fc.maxSafeNat().map((value) => value % (MAX_LANE_VALUE + 1)), length: fc.constant(0),
})
const data = fc.record({ stream: fc.nat(MAX_LANE_STREAM), value: fc.nat(1_000_000_000), payload: fc.uint8Array({ minLength: 1, maxLength: 300 }), last: fc.boolean() })
  .map(({ stream, value, payload, last }) => ({ frame: { type: last ? 'last-data' : 'data', stream, value, length: payload.length } as LaneFrame, payload }))
const messages = fc.array(fc.oneof(control.map((frame) => ({ frame, payload: new Uint8Array(0) })), data), { maxLength: 20 })

describe('frames of a lane', () => {
  test.each(vectors.frames)('are written as in the vectors: $what', ({ frame, bytes }) => {
    expect(hex(encodeLaneHeader(frame as LaneFrame))).toBe(bytes)
    expect(decodeLaneHeader(bytesOf(bytes))).toEqual({ ok: true, value: frame })
  })

  test.each(vectors.refused)('are refused as in the vectors: $what', ({ bytes }) => {
    expect(decodeLaneHeader(bytesOf(bytes)).ok).toBe(false)
  })

  test.each(vectors.knocks)('follow a knock that is of no use on QUIC', ({ secret, nonce, unixMs, knock }) => {
    const [secretBytes, knockBytes] = [bytesOf(secret), bytesOf(knock)]
    expect(hex(makeTcpKnock(secretBytes, bytesOf(nonce), unixMs))).toBe(knock)
    expect([unixMs - 30_000, unixMs, unixMs + 30_000].map((at) => checkTcpKnock(knockBytes, secretBytes, at))).toEqual([true, true, true])
    expect([checkTcpKnock(knockBytes, secretBytes, unixMs + 90_000), checkTcpKnock(knockBytes.subarray(1), secretBytes, unixMs)]).toEqual([false, false])
    expect(checkKnockCid(knockBytes, secretBytes, unixMs)).toBe(false)
    expect(checkTcpKnock(makeKnockCid(secretBytes, bytesOf(nonce), unixMs), secretBytes, unixMs)).toBe(false)
  })

  test('come out as they went in, however they are cut', () => {
    fc.assert(fc.property(messages, fc.array(fc.nat(40), { maxLength: 200 }), (sent, sizes) => {
      const bytes = Uint8Array.from(sent.flatMap(({ frame, payload }) => [...encodeLaneHeader(frame), ...payload]))
      const { heard, fault } = read(cut(bytes, sizes))
      expect(fault).toBe(false)
      expect(heard).toEqual(sent.map(({ frame, payload }) => ({ frame, payload: [...payload] })))
    }))
  })

  test('of random bytes are understood as something within all bounds, or refused for good', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(40), { maxLength: 30 }), (bytes, sizes) => {
      const { heard, fault } = read(cut(bytes, sizes))
      for (const { frame, payload } of heard) {
        expect(payload.length).toBeLessThanOrEqual(frame.length)
        expect(frame.length).toBeLessThanOrEqual(MAX_LANE_PAYLOAD_BYTES)
        expect(frame.value + frame.length).toBeLessThanOrEqual(MAX_LANE_VALUE + 16)
      }
      // Cut otherwise, they mean the same.
      expect(read([bytes])).toEqual({ heard, fault })
    }), { numRuns: 2_000 })
  })

  test('with one bit flipped are another frame or none', () => {
    fc.assert(fc.property(data, fc.nat(LANE_HEADER_BYTES * 8 - 1), ({ frame }, bit) => {
      const bytes = encodeLaneHeader(frame)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      const decoded = decodeLaneHeader(bytes)
      if (decoded.ok) expect(decoded.value).not.toEqual(frame)
    }))
  })
})
