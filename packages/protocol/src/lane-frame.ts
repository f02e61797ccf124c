import { type Fault, type Result, refuse, succeed } from './result.ts'

/**
 * The frames that carry streams over TLS on TCP: how they look, and a reader that takes them out of any pieces they arrive in. What they mean for a
 * stream is decided elsewhere. A *lane* is one TCP connection of several that carry one connection between two peers.
 *
 * Every frame begins with 14 bytes: type, stream (4), value (6), length (3). Only `data` and `last-data` are followed by that many bytes.
 */

export const LANE_HEADER_BYTES = 14

/** Payload of one frame: few enough to give other streams their turn, enough to make headers cost nothing. */
export const MAX_LANE_PAYLOAD_BYTES = 256 * 1024

/** The first frame of each lane, from the dialler, carries it; the listener gives it in `welcome`. */
export const LANE_TOKEN_BYTES = 16

/** On the wire in this order, from 0. */
const TYPES = ['open', 'join', 'welcome', 'data', 'last-data', 'window', 'reset', 'ping', 'pong', 'close'] as const
export type LaneFrameType = (typeof TYPES)[number]

export interface LaneFrame {
  readonly type: LaneFrameType
  /** Of `data`, `last-data`, `window` and `reset`; a number to be repeated in `ping` and `pong`; the reason in `close`. Else 0. */
  readonly stream: number
  /** Of `data` and `last-data`: where in the stream its bytes belong; of `window`: how far the other side may write; of `reset`: how far the sender has written. Else 0. */
  readonly value: number
  /** Bytes that follow. */
  readonly length: number
}

const CODES: ReadonlyMap<LaneFrameType, number> = new Map(TYPES.map((type, code) => [type, code]))

/** Streams are numbered with 32 bits, bytes of a stream with 48. */
export const MAX_LANE_STREAM = 2 ** 32 - 1
export const MAX_LANE_VALUE = 2 ** 48 - 1

/** @throws RangeError for what does not fit: frames are made by the program */
export function encodeLaneHeader({ type, stream, value, length }: LaneFrame): Uint8Array {
  if (!(stream <= MAX_LANE_STREAM && value <= MAX_LANE_VALUE && length <= MAX_LANE_PAYLOAD_BYTES)) throw new RangeError('a lane frame is too large')
  const header = new Uint8Array(LANE_HEADER_BYTES)
  const view = new DataView(header.buffer)
  view.setUint8(0, CODES.get(type) ?? 0)
  view.setUint32(1, stream)
  view.setUint16(5, Math.floor(value / 2 ** 32))
  view.setUint32(7, value % 2 ** 32)
  view.setUint8(11, length >> 16)
  view.setUint16(12, length & 0xffff)
  return header
}

/** @param header exactly LANE_HEADER_BYTES */
export function decodeLaneHeader(header: Uint8Array): Result<LaneFrame, Fault<'bad-request' | 'too-large'>> {
  if (header.length !== LANE_HEADER_BYTES) return refuse('bad-request', 'a lane header has another length')
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength)
  const type = TYPES[view.getUint8(0)]
  if (type === undefined) return refuse('bad-request', 'a lane frame of no known type')
  const frame = { type, stream: view.getUint32(1), value: view.getUint16(5) * 2 ** 32 + view.getUint32(7), length: (view.getUint8(11) << 16) | view.getUint16(12) }
  const isData = type === 'data' || type === 'last-data'
  if (isData ? frame.length > MAX_LANE_PAYLOAD_BYTES : frame.length !== payloadOf(type)) return refuse('too-large', `a ${type} frame of ${frame.length} bytes`)
  // Nobody may send bytes without end that nobody counts.
  if (type === 'data' && frame.length === 0) return refuse('bad-request', 'a data frame without data')
  if (isData && frame.value + frame.length > MAX_LANE_VALUE) return refuse('too-large', 'a stream without end')
  return succeed(frame)
}

function payloadOf(type: LaneFrameType): number {
  return type === 'join' || type === 'welcome' ? LANE_TOKEN_BYTES : 0
}

export interface LaneReaderEvents {
  /** A frame has begun; its bytes follow in one or more pieces. */
  onFrame(frame: LaneFrame): void
  /** @param at where in the frame's payload the piece belongs. It is only lent: copy what is to be kept */
  onPayload(frame: LaneFrame, piece: Uint8Array, at: number): void
}

/** Takes frames out of pieces of any size. Holds no more than a header. */
export class LaneReader {
  readonly #events: LaneReaderEvents
  readonly #header = new Uint8Array(LANE_HEADER_BYTES)
  #headerBytes = 0
  #frame: LaneFrame | null = null
  #at = 0
  #fault: Fault<'bad-request' | 'too-large'> | null = null

  constructor(events: LaneReaderEvents) {
    this.#events = events
  }

  /** @returns what is wrong with the bytes so far, for good; null = nothing */
  take(bytes: Uint8Array): Fault<'bad-request' | 'too-large'> | null {
    let from = 0
    while (from < bytes.length && this.#fault === null) {
      from += this.#frame === null ? this.#takeHeader(bytes, from) : this.#takePayload(this.#frame, bytes, from)
    }
    return this.#fault
  }

  #takeHeader(bytes: Uint8Array, from: number): number {
    const count = Math.min(LANE_HEADER_BYTES - this.#headerBytes, bytes.length - from)
    this.#header.set(bytes.subarray(from, from + count), this.#headerBytes)
    this.#headerBytes += count
    if (this.#headerBytes < LANE_HEADER_BYTES) return count
    this.#headerBytes = 0
    const frame = decodeLaneHeader(this.#header)
    if (!frame.ok) {
      this.#fault = frame.error
      return count
    }
    if (frame.value.length > 0) {
      this.#frame = frame.value
      this.#at = 0
    }
    this.#events.onFrame(frame.value)
    return count
  }

  #takePayload(frame: LaneFrame, bytes: Uint8Array, from: number): number {
    const count = Math.min(frame.length - this.#at, bytes.length - from)
    const at = this.#at
    this.#at += count
    if (this.#at === frame.length) this.#frame = null
    this.#events.onPayload(frame, bytes.subarray(from, from + count), at)
    return count
  }
}
