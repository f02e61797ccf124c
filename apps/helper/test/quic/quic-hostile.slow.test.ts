/** What strangers and hostile peers can do to the QUIC transport. Figures are printed, bounds are asserted. */
import { createHash, randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { type Endpoint, makeKnockCid, MAX_STREAMS_PER_PEER } from '@harddrive-party/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MAX_HALF_OPEN, MAX_HALF_OPEN_PER_SOURCE } from '../../src/core/peers/knock-gate.ts'
import { certificateFromSeed } from '../../src/adapters/identity/certificate.ts'
import { LOCAL_ADDRESS, makeConfig, MAX_PACKET_BYTES, RECV_INFO, REMOTE_ADDRESS } from '../../src/adapters/quic/config.ts'
import { loadNativeQuic, type NativeConfig, type NativeConnection } from '../../src/adapters/quic/native.ts'
import { openQuicTransport, type QuicTransport } from '../../src/adapters/quic/quic-transport.ts'
import type { PeerConnection } from '../../src/adapters/peers/transport.ts'
import { Arrivals, askEcho, closed, echoStreams, nextStream, readAll, say } from '../support/transport-contract.ts'
import { openUdpRelay, type UdpRelay } from '../support/udp-relay.ts'

const native = loadNativeQuic()
const never = new AbortController().signal

interface Side {
  readonly seed: Uint8Array
  readonly secrets: { readonly code: Uint8Array; readonly known: Uint8Array }
  readonly arrivals: Arrivals
  readonly transport: QuicTransport
  readonly endpoint: Endpoint
}

async function openSide(): Promise<Side> {
  const seed = randomBytes(32)
  const secrets = { code: randomBytes(16), known: randomBytes(16) }
  const arrivals = new Arrivals()
  const { onConnection } = arrivals
  const transport = await openQuicTransport({ seed, udpPort: 0, loopbackOnly: true, knockSecrets: secrets, onConnection, log: () => {} })
  return { seed, secrets, arrivals, transport, endpoint: { host: '127.0.0.1', port: transport.ports.v4! } }
}

function dial(from: Side, to: Side, endpoint: Endpoint = to.endpoint): Promise<PeerConnection> {
  const expected = { peerId: certificateFromSeed(to.seed).peerId }
  return from.transport.dial({ endpoint, knockSecret: to.secrets.code, expect: expected }, { signal: never })
}

/** A client without any of our manners: the bare engine on a socket of its own. */
class BareClient {
  readonly connection: NativeConnection
  readonly #socket: Socket
  readonly #to: Endpoint
  onPacket: (() => void) | null = null

  private constructor(socket: Socket, connection: NativeConnection, to: Endpoint) {
    this.#socket = socket
    this.connection = connection
    this.#to = to
    socket.on('message', (packet) => {
      try {
        connection.recv(packet, RECV_INFO)
      } catch {
        // Whatever it was, the connection knows.
      }
      this.flush()
      this.onPacket?.()
    })
  }

  static async open(config: NativeConfig, scid: Uint8Array, to: Endpoint): Promise<BareClient> {
    const client = new BareClient(await bound(), native.Connection.connect(null, scid, LOCAL_ADDRESS, REMOTE_ADDRESS, config), to)
    client.flush()
    return client
  }

  flush(): void {
    for (const packet of packetsOf(this.connection)) this.#socket.send(packet, this.#to.port, this.#to.host)
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.onPacket = () => {
        if (condition()) resolve()
      }
      this.onPacket()
    })
  }

  close(): void {
    this.#socket.close()
  }
}

function packetsOf(connection: NativeConnection): Buffer[] {
  const packets: Buffer[] = []
  for (;;) {
    const into = Buffer.alloc(MAX_PACKET_BYTES)
    const sent = connection.send(into)
    if (sent === null) return packets
    packets.push(into.subarray(0, sent[0]))
  }
}

function knockFor(side: Side): Uint8Array {
  return makeKnockCid(side.secrets.code, randomBytes(8), Date.now())
}

function firstPacket(config: NativeConfig, scid: Uint8Array): Buffer {
  return packetsOf(native.Connection.connect(null, scid, LOCAL_ADDRESS, REMOTE_ADDRESS, config))[0]!
}

function bound(): Promise<Socket> {
  const socket = createSocket('udp4')
  return new Promise((resolve) => socket.bind({ port: 0, address: '127.0.0.1' }, () => resolve(socket)))
}

function send(socket: Socket, packet: Buffer, to: Endpoint): Promise<void> {
  return new Promise((resolve, reject) => socket.send(packet, to.port, to.host, (error) => (error === null ? resolve() : reject(error))))
}

/** One turn of the event loop in which sockets are read. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

describe('QUIC among strangers', () => {
  let us: Side
  let friend: Side
  let stranger: Socket

  beforeEach(async () => {
    ;[us, friend, stranger] = await Promise.all([openSide(), openSide(), bound()])
  })
  afterEach(async () => {
    stranger.close()
    await Promise.all([us.transport.close(), friend.transport.close()])
  })

  async function expectFriendsServed(): Promise<void> {
    const connection = await dial(friend, us)
    echoStreams((await us.arrivals.next()).connection)
    expect(String(await askEcho(connection, Buffer.from('hello')))).toBe('hello')
  }

  it('answers noise of all kinds with silence, and goes on', async () => {
    const answers: Buffer[] = []
    stranger.on('message', (packet) => answers.push(packet))
    const config = makeConfig(native, certificateFromSeed(randomBytes(32)))
    const initial = firstPacket(config, knockFor(us))
    for (let i = 0; i < 2000; i++) {
      const noise = i % 2 === 0 ? randomBytes(1 + (i % 1300)) : Buffer.from(initial.subarray(0, i % initial.length))
      if (i % 2 === 0) noise[0] = i
      else if (noise.length > 0) noise[i % noise.length]! ^= 1 << (i % 8)
      await send(stranger, noise, us.endpoint)
    }
    await expectFriendsServed()
    expect(answers).toHaveLength(0)
    expect(us.transport.stats().halfOpen).toBeLessThanOrEqual(MAX_HALF_OPEN_PER_SOURCE)
  })

  it('spends nothing on 20,000 first packets without a knock', async () => {
    const answers: Buffer[] = []
    stranger.on('message', (packet) => answers.push(packet))
    const config = makeConfig(native, certificateFromSeed(randomBytes(32)))
    const template = firstPacket(config, randomBytes(20))
    const refused = (): number => Object.values(us.transport.stats().refused).reduce((sum, count) => sum + count, 0)
    const rss = process.memoryUsage.rss()
    const cpu = process.cpuUsage()
    const started = performance.now()
    for (let i = 0; i < 20_000; i++) {
      const packet = Buffer.from(template)
      randomBytes(16).copy(packet, 6)
      randomBytes(20).copy(packet, 23)
      await send(stranger, packet, us.endpoint)
      if (i % 32 === 31) await turn()
    }
    const seconds = (performance.now() - started) / 1000
    const { user, system } = process.cpuUsage(cpu)
    const grownMB = (process.memoryUsage.rss() - rss) / 1e6
    console.log(`refused ${refused()} of 20000 strangers in ${seconds.toFixed(2)} s and ${((user + system) / 1e6).toFixed(2)} CPU s, both sides; RSS grew by ${grownMB.toFixed(1)} MB`)
    expect(refused()).toBeGreaterThan(15_000)
    expect(us.transport.stats()).toMatchObject({ halfOpen: 0, admitted: 0, connections: 0 })
    expect(answers).toHaveLength(0)
    expect(grownMB).toBeLessThan(100)
  }, 30_000)

  it('keeps few handshakes open for those who know the knock and then say nothing', async () => {
    const config = makeConfig(native, certificateFromSeed(randomBytes(32)))
    for (let i = 0; i < 300; i++) await send(stranger, firstPacket(config, knockFor(us)), us.endpoint)
    await turn()
    const stats = us.transport.stats()
    expect(stats.halfOpen).toBeLessThanOrEqual(Math.min(MAX_HALF_OPEN, MAX_HALF_OPEN_PER_SOURCE))
    expect(stats.halfOpen).toBeGreaterThan(0)
    expect(stats.refused['half-open-source']).toBeGreaterThan(0)
  })

  it('refuses a first packet that was used before', async () => {
    const client = await BareClient.open(makeConfig(native, certificateFromSeed(friend.seed)), knockFor(us), us.endpoint)
    const { connection } = await us.arrivals.next()
    await client.until(() => client.connection.isEstablished())
    const ended = closed(connection)
    client.connection.close(true, 0, new Uint8Array(0))
    client.flush()
    await ended
    client.close()
    const scid = knockFor(us)
    const first = firstPacket(makeConfig(native, certificateFromSeed(friend.seed)), scid)
    await send(stranger, first, us.endpoint)
    const again = firstPacket(makeConfig(native, certificateFromSeed(friend.seed)), scid)
    const answered = new Promise((resolve) => stranger.once('message', resolve))
    await answered
    await send(stranger, again, us.endpoint)
    await expectFriendsServed()
    expect(us.transport.stats().refused.replayed).toBe(1)
  })

  it('forgets the old secrets at once', async () => {
    us.transport.setKnockSecrets({ code: randomBytes(16), known: us.secrets.known })
    await send(stranger, firstPacket(makeConfig(native, certificateFromSeed(friend.seed)), knockFor(us)), us.endpoint)
    const known = { endpoint: us.endpoint, knockSecret: us.secrets.known, expect: { peerId: certificateFromSeed(us.seed).peerId } }
    await friend.transport.dial(known, { signal: never })
    expect((await us.arrivals.next()).knock).toBe('known')
    expect(us.transport.stats().refused['no-knock']).toBe(1)
  })

  it('refuses a client that shows no certificate that it has the key of', async () => {
    const [mine, other] = [certificateFromSeed(randomBytes(32)), certificateFromSeed(friend.seed)]
    const stolen = makeConfig(native, { ...mine, certificatePem: other.certificatePem })
    const client = await BareClient.open(stolen, knockFor(us), us.endpoint)
    await client.until(() => client.connection.peerError() !== null)
    expect(client.connection.peerError()).toMatchObject({ isApp: false, errorCode: 372 })
    client.close()
    await expectFriendsServed()
    expect(us.transport.stats()).toMatchObject({ connections: 1, halfOpen: 0 })
  })

  it('refuses another protocol', async () => {
    const config = makeConfig(native, certificateFromSeed(friend.seed), 'other/1')
    const client = await BareClient.open(config, knockFor(us), us.endpoint)
    await client.until(() => client.connection.peerError() !== null)
    expect(client.connection.peerError()).toMatchObject({ isApp: false, errorCode: 376 })
    client.close()
    expect(us.arrivals.count).toBe(0)
  })

  it('drops streams beyond the limit, and a peer that insists', async () => {
    const client = await BareClient.open(makeConfig(native, certificateFromSeed(friend.seed)), knockFor(us), us.endpoint)
    const { connection } = await us.arrivals.next()
    let surfaced = 0
    connection.onStream = () => surfaced++
    const ended = closed(connection)
    await client.until(() => client.connection.isEstablished())
    let id = 0
    const more = (): void => {
      for (let i = 0; i < 16; i++, id += 4) client.connection.streamSend(id, Buffer.from('x'), false)
      client.flush()
    }
    client.onPacket = () => {
      if (!client.connection.isDraining()) more()
    }
    more()
    expect(await ended).toEqual({ by: 'us', code: 'protocol' })
    expect(surfaced).toBe(MAX_STREAMS_PER_PEER)
    client.close()
  })
})

describe('a QUIC peer that does not read', () => {
  it('costs the sender and the receiver one window for each stream, and nobody else anything', async () => {
    const [us, friend] = await Promise.all([openSide(), openSide()])
    const theirs = await dial(friend, us)
    const ours = (await us.arrivals.next()).connection
    echoStreams(theirs)
    const file = randomBytes(16 * 1024 * 1024)
    await askEcho(ours, file.subarray(0, 1_000_000))
    const rss = process.memoryUsage.rss()
    const arrived = new Promise<void>((resolve) => {
      let streams = 0
      theirs.onStream = () => {
        if (++streams === 8) resolve()
      }
    })
    let written = 0
    const writes = Array.from({ length: 8 }, async () => {
      await ours.openStream().write(file)
      written++
    })
    await arrived
    echoStreams(theirs)
    for (let i = 0; i < 30; i++) await askEcho(ours, file.subarray(0, 500_000))
    const grownMB = (process.memoryUsage.rss() - rss) / 1e6
    console.log(`8 streams of 16 MiB that nobody reads: RSS of both sides together grew by ${grownMB.toFixed(1)} MB`)
    expect(written).toBe(0)
    expect(grownMB).toBeLessThan(8 * 16 * 1.05)
    await Promise.all([us.transport.close(), friend.transport.close()])
    expect((await Promise.allSettled(writes)).map(({ status }) => status)).toEqual(Array(8).fill('rejected'))
  }, 20_000)
})

describe('a QUIC peer that moves', () => {
  let us: Side
  let friend: Side
  let relay: UdpRelay

  beforeEach(async () => {
    ;[us, friend] = await Promise.all([openSide(), openSide()])
    relay = await openUdpRelay(us.endpoint)
  })
  afterEach(async () => {
    await Promise.all([us.transport.close(), friend.transport.close(), relay.close()])
  })

  async function connectThroughRelay(): Promise<[PeerConnection, PeerConnection]> {
    const theirs = await dial(friend, us, relay.endpoint)
    const ours = (await us.arrivals.next()).connection
    const keys = [randomBytes(16), randomBytes(16)] as const
    ours.setPathKeys({ ours: keys[0], theirs: keys[1] })
    theirs.setPathKeys({ ours: keys[1], theirs: keys[0] })
    return [theirs, ours]
  }

  it('is followed in the middle of a transfer, in both directions', async () => {
    const [theirs, ours] = await connectThroughRelay()
    const before = ours.remote
    const data = randomBytes(6_000_000)
    let forwarded = 0
    const moved = new Promise<void>((resolve, reject) => {
      relay.onForward = () => {
        if (++forwarded === 100) relay.rebind().then(resolve, reject)
        return true
      }
    })
    echoStreams(ours)
    const answer = await askEcho(theirs, data)
    await moved
    expect(createHash('sha256').update(answer).digest('hex')).toBe(createHash('sha256').update(data).digest('hex'))
    expect(ours.remote).not.toEqual(before)
  }, 20_000)

  it('is followed at once when the one who moved is told that its network may have changed', async () => {
    const [theirs, ours] = await connectThroughRelay()
    const before = ours.remote
    const probed = new Promise<void>((resolve) => {
      relay.onReturn = (packet) => {
        if (packet[0] === 0x30) resolve()
        return true
      }
    })
    await relay.rebind()
    theirs.nudge?.()
    await probed
    echoStreams(ours)
    expect(String(await askEcho(theirs, Buffer.from('from there')))).toBe('from there')
    expect(ours.remote).not.toEqual(before)
  })

  it('is not followed to where a copy of its packet came from', async () => {
    const [theirs, ours] = await connectThroughRelay()
    const before = ours.remote
    const thief = await bound()
    const probed = new Promise((resolve) => thief.once('message', resolve))
    // The thief is faster: the original is lost, its copy comes from elsewhere.
    let stolen = 0
    relay.onForward = (packet) => {
      if (stolen++ >= 3) return true
      thief.send(packet, us.endpoint.port, us.endpoint.host)
      return false
    }
    const arriving = nextStream(ours)
    await say(theirs.openStream(), Buffer.from('from here'))
    expect(String(await readAll(await arriving))).toBe('from here')
    await probed
    expect(ours.remote).toEqual(before)
    const back = nextStream(theirs)
    await say(ours.openStream(), Buffer.from('to there'))
    expect(String(await readAll(await back))).toBe('to there')
    expect(ours.remote).toEqual(before)
    thief.close()
  })

  it('is not followed before both sides have agreed on keys', async () => {
    const theirs = await dial(friend, us, relay.endpoint)
    const ours = (await us.arrivals.next()).connection
    const before = ours.remote
    await relay.rebind()
    const arriving = nextStream(ours)
    await say(theirs.openStream(), Buffer.from('moved'))
    expect(String(await readAll(await arriving))).toBe('moved')
    expect(ours.remote).toEqual(before)
  })
})
