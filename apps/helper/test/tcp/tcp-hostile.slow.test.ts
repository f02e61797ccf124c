import { randomBytes } from 'node:crypto'
import { connect as connectSocket, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import {
  CodedError, encodeLaneHeader, KNOCK_NONCE_BYTES, LANE_HEADER_BYTES, LANE_TOKEN_BYTES, type LaneFrame, makeTcpKnock, MAX_STREAMS_PER_PEER,
} from '@harddrive-party/protocol'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { certificateFromSeed } from '../../src/adapters/identity/certificate.ts'
import { dialTcp } from '../../src/adapters/tcp/tcp-dial.ts'
import { makeSecureContext, readFirst } from '../../src/adapters/tcp/tcp-tls.ts'
import { openTcpTransport, type TcpTransport } from '../../src/adapters/tcp/tcp-transport.ts'
import type { CloseReason, PeerConnection, PeerStream } from '../../src/adapters/peers/transport.ts'
import { Arrivals, closed } from '../support/transport-contract.ts'

/** Somebody who does not keep the rules, at our TCP port: before the knock, before TLS, and with an identity of its own after both. */

const signal = new AbortController().signal
const seedOfOurs = randomBytes(32)
const secrets = { code: randomBytes(16), known: randomBytes(16) }

let transport: TcpTransport
let arrivals: Arrivals
const sockets = new Set<Socket>()

beforeEach(async () => {
  arrivals = new Arrivals()
  transport = await openTcpTransport({ seed: seedOfOurs, port: 0, loopbackOnly: true, knockSecrets: secrets, onConnection: arrivals.onConnection, log: () => {} })
})
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  await transport.close()
})

function open(): Socket {
  const socket = connectSocket({ host: '127.0.0.1', port: transport.ports.v4! })
  sockets.add(socket)
  socket.on('error', () => {})
  return socket
}

/** @returns how many bytes came back before the end */
function endOf(socket: Socket): Promise<number> {
  return new Promise((resolve) => {
    socket.resume()
    socket.once('close', () => resolve(socket.bytesRead))
  })
}

function knock(secret: Uint8Array = secrets.code, at = Date.now()): Uint8Array {
  return makeTcpKnock(secret, randomBytes(KNOCK_NONCE_BYTES), at)
}

describe('before a knock', () => {
  it('nothing is said to whoever sends something else', async () => {
    const heard = await Promise.all([
      randomBytes(20), randomBytes(20_000), Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'), Buffer.from('16030100f8010000f40303', 'hex'), knock(randomBytes(16)), knock(secrets.code, Date.now() - 120_000),
    ].map((bytes) => {
      const socket = open()
      socket.write(bytes)
      return endOf(socket)
    }))
    expect(heard).toEqual([0, 0, 0, 0, 0, 0])
    await vi.waitFor(() => expect(transport.stats()).toMatchObject({ connections: 0, halfOpen: 0 }))
  })

  it('a knock is good once', async () => {
    const bytes = knock()
    const first = open()
    first.write(bytes)
    first.end()
    await endOf(first)
    const second = open()
    second.write(bytes)
    expect(await endOf(second)).toBe(0)
    expect(transport.stats().refused).toEqual({ replayed: 1 })
  })

  it('who says nothing, or half of it, is put out; who comes later is let in all the same', async () => {
    const silent = Array.from({ length: 100 }, open)
    for (const socket of silent.slice(50)) socket.write(knock().subarray(0, 19))
    const ends = silent.map(endOf)
    // The oldest go first, long before their time.
    expect(await ends[0]).toBe(0)
    const { socket } = await dialAs(randomBytes(32))
    expect(await arrive(socket)).toBeDefined()
    expect(await Promise.all(ends)).toEqual(ends.map(() => 0))
    await vi.waitFor(() => expect(transport.stats().halfOpen).toBe(0))
  })
})

describe('after a knock', () => {
  it('half a handshake, and garbage for one, end in time and leave nothing', async () => {
    const half = open()
    half.write(Buffer.concat([knock(), Buffer.from('1603010200010001fc0303', 'hex')]))
    const garbage = open()
    garbage.write(Buffer.concat([knock(), randomBytes(5000)]))
    await Promise.all([endOf(half), endOf(garbage)])
    expect(arrivals.count).toBe(0)
    await vi.waitFor(() => expect(transport.stats()).toMatchObject({ connections: 0, halfOpen: 0 }))
  })

  it('a handshake without a first frame, or with a wrong one, is no connection', async () => {
    const { socket: mute } = await dialAs(randomBytes(32))
    const ended = [endOf(mute)]
    for (const bytes of [header({ type: 'data', stream: 0, value: 0, length: 4 }), header({ type: 'join', stream: 0, value: 0, length: LANE_TOKEN_BYTES }), randomBytes(40)]) {
      const { socket } = await dialAs(randomBytes(32))
      socket.write(Buffer.concat([bytes, randomBytes(LANE_TOKEN_BYTES)]))
      ended.push(endOf(socket))
    }
    await Promise.all(ended)
    expect(arrivals.count).toBe(0)
  })

  it('a lane joins only with the token and the key of its connection', async () => {
    const seed = randomBytes(32)
    const { socket } = await dialAs(seed)
    await arrive(socket)
    const token = await welcomeOf(socket)
    const { socket: stranger } = await dialAs(randomBytes(32))
    stranger.write(Buffer.concat([header({ type: 'join', stream: 0, value: 0, length: token.length }), token]))
    await endOf(stranger)
    expect(transport.stats().lanes).toBe(1)
    // As many as there may be, and no more.
    const lanes = []
    for (let i = 0; i < 4; i++) {
      const { socket: lane } = await dialAs(seed)
      lane.write(Buffer.concat([header({ type: 'join', stream: 0, value: 0, length: token.length }), token]))
      lanes.push(lane)
    }
    await Promise.race(lanes.map(endOf))
    expect(transport.stats().lanes).toBe(4)
  })
})

describe('a connection whose other side breaks the rules', () => {
  const abuses: readonly (readonly [string, readonly (LaneFrame | Uint8Array)[]])[] = [
    ['an unknown type', [Uint8Array.from([99, ...new Uint8Array(13)])]],
    ['a frame longer than any may be', [Uint8Array.from([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x04, 0x00, 0x01])]],
    ['bytes where none belong', [Uint8Array.from([7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])]],
    ['data without data', [Uint8Array.from([3, ...new Uint8Array(13)])]],
    ['a second beginning', [{ type: 'open', stream: 0, value: 0, length: 0 }]],
    ['a stream that we would open', [{ type: 'data', stream: 1, value: 0, length: 1 }, Uint8Array.of(1)]],
    ['more than the window', [{ type: 'data', stream: 0, value: 65_530, length: 10 }, new Uint8Array(10)]],
    ['the same bytes twice', [{ type: 'data', stream: 0, value: 0, length: 4 }, new Uint8Array(4), { type: 'data', stream: 0, value: 2, length: 4 }, new Uint8Array(4)]],
    ['two gaps', [
      { type: 'data', stream: 0, value: 10, length: 1 }, new Uint8Array(1), { type: 'data', stream: 0, value: 20, length: 1 }, new Uint8Array(1),
    ]],
    ['two ends', [{ type: 'last-data', stream: 0, value: 0, length: 0 }, { type: 'last-data', stream: 0, value: 0, length: 0 }]],
    ['bytes after the end', [{ type: 'data', stream: 0, value: 0, length: 2 }, new Uint8Array(2), { type: 'last-data', stream: 0, value: 2, length: 0 }, { type: 'data', stream: 0, value: 2, length: 1 }, new Uint8Array(1)]],
    ['an end before what was sent', [{ type: 'data', stream: 0, value: 0, length: 2 }, new Uint8Array(2), { type: 'last-data', stream: 0, value: 1, length: 0 }]],
    ['a reset before what was sent', [{ type: 'data', stream: 0, value: 0, length: 2 }, new Uint8Array(2), { type: 'reset', stream: 0, value: 1, length: 0 }]],
  ]
  it.each(abuses)('%s: closed as a breach', async (_what, frames) => {
    const { connection, socket } = await begin()
    const end = closed(connection)
    for (const frame of frames) socket.write(frame instanceof Uint8Array ? frame : header(frame))
    expect(await end).toEqual({ by: 'us', code: 'protocol' } satisfies CloseReason)
    expect(transport.stats().connections).toBe(0)
  })

  it('what is said of streams that are gone is passed over', async () => {
    const { connection, socket } = await begin()
    const streams = streamsOf(connection)
    for (const type of ['window', 'reset'] as const) socket.write(header({ type, stream: 40, value: 9, length: 0 }))
    socket.write(header({ type: 'pong', stream: 77, value: 0, length: 0 }))
    socket.write(Buffer.concat([header({ type: 'last-data', stream: 0, value: 0, length: 2 }), Buffer.from('ok')]))
    const stream = await streams.next()
    const into = new Uint8Array(9)
    expect(await stream.read(into)).toBe(2)
    expect(await stream.read(into)).toBe(0)
  })

  it('a million tiny frames cost time and no memory', async () => {
    const { connection, socket } = await begin()
    const streams = streamsOf(connection)
    // Pings between single bytes: each byte would keep a whole packet alive if it were not copied.
    const count = 1_000_000
    const bytesMost = 60_000
    socket.write(Buffer.concat([header({ type: 'data', stream: 0, value: 0, length: 1 }), Uint8Array.of(1)]))
    const stream = await streams.next()
    const before = process.memoryUsage().arrayBuffers
    for (let sent = 1; sent < count;) {
      const frames: Uint8Array[] = []
      for (let i = 0; i < 2_000; i++, sent++) {
        if (sent % 16 === 0 && sent / 16 < bytesMost) frames.push(header({ type: 'data', stream: 0, value: sent / 16, length: 1 }), Uint8Array.of(1))
        else frames.push(header({ type: 'ping', stream: sent, value: 0, length: 0 }))
      }
      if (!socket.write(Buffer.concat(frames))) await new Promise((resolve) => socket.once('drain', resolve))
    }
    socket.write(header({ type: 'last-data', stream: 0, value: bytesMost, length: 0 }))
    const into = new Uint8Array(bytesMost * 2)
    let read = 0
    for (let got = await stream.read(into); got > 0; got = await stream.read(into)) read += got
    expect(read).toBe(bytesMost)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024)
  }, 60_000)

  it('more streams than there may be are refused one by one, and one that opens them without end is put out', async () => {
    const { connection, socket } = await begin()
    const streams = streamsOf(connection)
    for (let i = 0; i < MAX_STREAMS_PER_PEER + 3; i++) socket.write(Buffer.concat([header({ type: 'data', stream: 2 * i, value: 0, length: 1 }), Uint8Array.of(i)]))
    for (let i = 0; i < MAX_STREAMS_PER_PEER; i++) await streams.next()
    const end = closed(connection)
    for (let i = 100; i < 4_000; i++) socket.write(Buffer.concat([header({ type: 'data', stream: 2 * i, value: 0, length: 1 }), Uint8Array.of(1)]))
    expect(await end).toEqual({ by: 'us', code: 'protocol' })
    expect(streams.count).toBe(0)
  })

  it('who reads nothing is sent no more than the window, and holds up nobody else', async () => {
    const { connection, socket } = await begin()
    const streams = streamsOf(connection)
    socket.pause()
    socket.write(Buffer.concat([header({ type: 'data', stream: 0, value: 0, length: 1 }), Uint8Array.of(1)]))
    const stream = await streams.next()
    let isWritten = false
    const writing = stream.write(new Uint8Array(1_000_000)).then(() => (isWritten = true), (error: unknown) => error)
    for (let i = 0; i < 100_000; i++) socket.write(header({ type: 'ping', stream: i, value: 0, length: 0 }))
    socket.write(Buffer.concat([header({ type: 'data', stream: 2, value: 0, length: 1 }), Uint8Array.of(1)]))
    await streams.next()
    expect(isWritten).toBe(false)
    connection.close('goodbye')
    expect(await writing).toBeInstanceOf(CodedError)
  })

  it('random bytes after the beginning end the connection or mean nothing', async () => {
    for (let i = 0; i < 30; i++) {
      const { connection, socket } = await begin()
      const end = closed(connection)
      socket.write(randomBytes(1 + ((i * 997) % 5_000)))
      socket.end()
      expect((await end).code).toMatch(/^(protocol|lost|goodbye|duplicate|refused|blocked|restart|wrong-identity)$/)
    }
    expect(transport.stats().connections).toBe(0)
  })
})

// --- a client that can do anything

async function dialAs(seed: Uint8Array): Promise<{ readonly socket: TLSSocket }> {
  const target = { endpoint: { host: '127.0.0.1', port: transport.ports.v4! }, knockSecret: secrets.code, expect: { peerId: certificateFromSeed(seedOfOurs).peerId } }
  const { socket } = await dialTcp(target, makeSecureContext(certificateFromSeed(seed)), { loopbackOnly: true, signal })
  sockets.add(socket)
  socket.on('error', () => {})
  return { socket }
}

async function arrive(socket: TLSSocket): Promise<PeerConnection> {
  socket.write(header({ type: 'open', stream: 0, value: 0, length: 0 }))
  return (await arrivals.next()).connection
}

async function begin(): Promise<{ readonly connection: PeerConnection; readonly socket: TLSSocket }> {
  const { socket } = await dialAs(randomBytes(32))
  const connection = await arrive(socket)
  await welcomeOf(socket)
  socket.resume()
  return { connection, socket }
}

async function welcomeOf(socket: TLSSocket): Promise<Buffer> {
  await readFirst(socket, LANE_HEADER_BYTES)
  const token = await readFirst(socket, LANE_TOKEN_BYTES)
  if (token === null) throw new Error('no welcome')
  return token
}

function header(frame: LaneFrame): Uint8Array {
  return encodeLaneHeader(frame)
}

/** The streams that a peer opens, in order. */
function streamsOf(connection: PeerConnection): { next(): Promise<PeerStream>; readonly count: number } {
  const waiting: ((stream: PeerStream) => void)[] = []
  const arrived: PeerStream[] = []
  connection.onStream = (stream) => {
    const take = waiting.shift()
    if (take) take(stream)
    else arrived.push(stream)
  }
  return {
    next: () => {
      const stream = arrived.shift()
      return stream ? Promise.resolve(stream) : new Promise((resolve) => waiting.push(resolve))
    },
    get count() {
      return arrived.length
    },
  }
}
