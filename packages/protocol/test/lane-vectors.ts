import { type LaneFrame, type LaneFrameType, encodeLaneHeader, makeTcpKnock } from '../src/index.ts'

/** What `docs/vectors/lanes.json` holds. */

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

function frame(what: string, type: LaneFrameType, { stream = 0, value = 0, length = 0 }: Partial<LaneFrame> = {}) {
  const header = { type, stream, value, length }
  return { what, frame: header, bytes: hex(encodeLaneHeader(header)) }
}

const zeros = (count: number) => '00'.repeat(count)

export const LANE_VECTORS = {
  frames: [
    frame('the first frame of a connection', 'open'),
    frame('the first frame of another lane; the token follows', 'join', { length: 16 }),
    frame('the answer to open; the token follows', 'welcome', { length: 16 }),
    frame('five bytes at the start of stream 0', 'data', { length: 5 }),
    frame('the last bytes of stream 7', 'last-data', { stream: 7, value: 4_194_304, length: 65_536 }),
    frame('the end alone', 'last-data', { stream: 7, value: 4_259_840 }),
    frame('how far the other side may write', 'window', { stream: 2, value: 2 ** 40 }),
    frame('given up after 1,000 bytes', 'reset', { stream: 2, value: 1_000 }),
    frame('a sign of life is asked for', 'ping', { stream: 4_294_967_295 }),
    frame('and given', 'pong', { stream: 4_294_967_295 }),
    frame('goodbye', 'close'),
    frame('the other side broke a rule', 'close', { stream: 4 }),
  ],
  refused: [
    { what: 'an unknown type', bytes: `0a${zeros(13)}` },
    { what: 'data without data', bytes: `03${zeros(13)}` },
    { what: 'longer than any may be', bytes: `03${zeros(10)}040001` },
    { what: 'a window with bytes', bytes: `05${zeros(12)}01` },
    { what: 'a join without a token', bytes: `01${zeros(13)}` },
    { what: 'beyond the last byte of a stream', bytes: '0300000000ffffffffffff000001' },
    { what: 'cut short', bytes: `03${zeros(12)}` },
  ],
  knocks: [{ secret: '101112131415161718191a1b1c1d1e1f', nonce: 'f0f1f2f3f4f5f6f7', unixMs: 1_700_000_000_000 }].map((made) => ({
    ...made, knock: hex(makeTcpKnock(Buffer.from(made.secret, 'hex'), Buffer.from(made.nonce, 'hex'), made.unixMs)),
  })),
}
