import { createHash, randomBytes } from 'node:crypto'
import { CodedError, PROBE_BYTES, PUNCH_BYTES } from '@harddrive-party/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { certificateFromSeed } from '../../src/adapters/identity/certificate.ts'
import { targets } from '../../src/adapters/quic/native.ts'
import { parseLongHeader, sourceNetwork, splitOwnDatagrams } from '../../src/adapters/quic/packet-header.ts'
import { openQuicTransport, type QuicTransport } from '../../src/adapters/quic/quic-transport.ts'
import { MAX_UNREAD_BYTES, StreamTable } from '../../src/adapters/quic/stream-table.ts'
import {
  Arrivals, askEcho, closed, connect, type ContractPair, type ContractSide, dial, echoStreams, nextStream, readAll, say, transportContract,
} from '../support/transport-contract.ts'
import { openUdpRelay, type UdpRelay } from '../support/udp-relay.ts'

interface QuicSide extends ContractSide {
  readonly transport: QuicTransport
  readonly relay: UdpRelay
  readonly datagrams: { kind: string; bytes: string; port: number }[]
  onDatagram: (() => void) | null
}

interface QuicPair extends ContractPair {
  readonly a: QuicSide
  readonly b: QuicSide
}

async function openPair(): Promise<QuicPair> {
  const [a, b] = [await openSide(), await openSide()]
  return {
    a,
    b,
    part() {
      a.relay.cut()
      b.relay.cut()
    },
    async close() {
      await Promise.all([a.transport.close(), b.transport.close()])
      await Promise.all([a.relay.close(), b.relay.close()])
    },
  }
}

async function openSide(): Promise<QuicSide> {
  const seed = randomBytes(32)
  const arrivals = new Arrivals()
  const knockSecrets = { code: randomBytes(16), known: randomBytes(16) }
  const { onConnection } = arrivals
  const transport = await openQuicTransport({
    seed, udpPort: 0, loopbackOnly: true, knockSecrets, onConnection, log: () => {},
    onDatagram(kind, bytes, from) {
      side.datagrams.push({ kind, bytes: Buffer.from(bytes).toString('hex'), port: from.port })
      side.onDatagram?.()
    },
  })
  const relay = await openUdpRelay({ host: '127.0.0.1', port: transport.ports.v4! })
  const { peerId } = certificateFromSeed(seed)
  const side: QuicSide = { transport, peerId, knockSecrets, endpoint: relay.endpoint, arrivals, relay, datagrams: [], onDatagram: null }
  return side
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

transportContract('QUIC', openPair)

describe('QUIC', () => {
  let pair: QuicPair
  let a: QuicSide
  let b: QuicSide

  beforeEach(async () => {
    pair = await openPair()
    ;({ a, b } = pair)
  })
  afterEach(() => pair.close())

  it('gets what was finished across before it says goodbye', async () => {
    const [dialled, accepted] = await connect(a, b)
    const ours = dialled.openStream()
    await ours.write(Buffer.from('may I?'))
    const theirs = await nextStream(accepted)
    const end = closed(dialled)
    const answer = readAll(ours)
    await say(theirs, Buffer.from('no'))
    accepted.close('refused')
    expect(String(await answer)).toBe('no')
    expect(await end).toEqual({ by: 'peer', code: 'refused' })
  })

  it('tries again with another knock when the first packet is lost', async () => {
    const knocks = new Set<string>()
    b.relay.onForward = (packet) => {
      const header = parseLongHeader(packet)
      if (header?.initial === true) knocks.add(header.scid.toString('hex'))
      return knocks.size > 1
    }
    const connection = await dial(a, b)
    expect(connection.peerId).toBe(b.peerId)
    expect(knocks.size).toBe(2)
  })

  it('brings everything across a line that loses packets, ends of streams included', async () => {
    const [dialled, accepted] = await connect(a, b)
    let packets = 0
    // The same for every run: one in 31 on the way there, one in 37 back.
    b.relay.onForward = () => ++packets % 31 !== 0
    b.relay.onReturn = () => ++packets % 37 !== 0
    echoStreams(accepted)
    const data = Array.from({ length: 40 }, (_, i) => randomBytes(1000 + 2000 * i))
    const answers = await Promise.all(data.map((each) => askEcho(dialled, each)))
    expect(answers.map(sha256)).toEqual(data.map(sha256))
  }, 20_000)

  it('passes on datagrams that are not its own, and sends such', async () => {
    const stun = Buffer.alloc(20)
    stun.writeUInt32BE(0x2112a442, 4)
    const own = Buffer.from([0x35, 1, 2, 3])
    const both = new Promise<void>((resolve) => {
      b.onDatagram = () => {
        if (b.datagrams.length === 2) resolve()
      }
    })
    const to = { host: '127.0.0.1', port: b.transport.ports.v4! }
    a.transport.sendDatagram(stun, to)
    a.transport.sendDatagram(own, to)
    await both
    const port = a.transport.ports.v4
    expect(b.datagrams).toEqual([{ kind: 'stun', bytes: stun.toString('hex'), port }, { kind: 'own', bytes: '35010203', port }])
  })

  it('works over IPv6 where there is any', async () => {
    const port = b.transport.ports.v6
    const target = { endpoint: { host: '::1', port: port ?? 1 }, knockSecret: b.knockSecrets.code, expect: { peerId: b.peerId } }
    const dialling = a.transport.dial(target, { signal: new AbortController().signal })
    if (port === null) await expect(dialling).rejects.toMatchObject({ code: 'unreachable' })
    else {
      expect((await dialling).remote).toEqual({ host: '::1', port })
      expect((await b.arrivals.next()).connection.remote.host).toBe('::1')
    }
  })

  it('counts what is going on', async () => {
    const [dialled, accepted] = await connect(a, b)
    expect(b.transport.stats()).toMatchObject({ connections: 1, halfOpen: 0, admitted: 1 })
    expect(dialled.rttMs).toBeTypeOf('number')
    const end = closed(accepted)
    dialled.close('goodbye')
    await end
    expect(b.transport.stats()).toMatchObject({ connections: 0, halfOpen: 0 })
  })
})

describe('the parts of the QUIC transport', () => {
  it('know where engines come from', () => {
    expect(targets('linux', 'arm64')).toEqual(['linux-arm64'])
    expect(targets('darwin', 'arm64')).toEqual(['darwin-arm64', 'darwin-universal'])
    expect(targets('win32', 'x64')).toEqual(['win32-x64'])
    expect([targets('win32', 'arm64'), targets('sunos', 'x64'), targets('linux', 'riscv64')]).toEqual([[], [], []])
  })

  it('take apart what the kernel has joined', () => {
    const knocks = [1, 2, 3].map((fill) => Buffer.concat([Buffer.of(0x32), Buffer.alloc(PUNCH_BYTES - 1, fill)]))
    const probes = [1, 2].map((fill) => Buffer.concat([Buffer.of(0x31), Buffer.alloc(PROBE_BYTES - 1, fill)]))
    for (const datagrams of [knocks, probes]) expect(splitOwnDatagrams(Buffer.concat(datagrams))).toEqual(datagrams)
    for (const odd of [Buffer.of(0x32), Buffer.of(0x30), Buffer.alloc(PUNCH_BYTES + 1, 0x33), Buffer.alloc(PROBE_BYTES - 1, 0x30)]) {
      expect(splitOwnDatagrams(odd)).toEqual([odd])
    }
  })

  it('count a source by its customer', () => {
    expect(sourceNetwork('192.0.2.7')).toBe('192.0.2.7')
    expect(sourceNetwork('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2')
    expect(sourceNetwork('2001:db8::5')).toBe('2001:db8:0:0')
    expect(sourceNetwork('::1')).toBe('0:0:0:0')
    expect(sourceNetwork('fe80::1%eth0')).toBe('fe80:0:0:0')
  })

  it('take no packet for one that it is not', () => {
    for (let length = 0; length < 60; length++) {
      const packet = randomBytes(length)
      if (length > 5) packet.writeUInt32BE(1, 1)
      const header = parseLongHeader(packet)
      if (header === null) continue
      expect(header.dcid.length + header.scid.length + 7).toBeLessThanOrEqual(length)
    }
    expect(parseLongHeader(Buffer.from('c00000000200000000000000', 'hex'))).toBeNull()
  })

  it('notice when a peer sends more than anybody reads', () => {
    const table = new StreamTable({
      get engine(): never {
        throw new CodedError('internal', 'not asked for here')
      },
      get native(): never {
        throw new CodedError('internal', 'not asked for here')
      },
      ended: false, turn: 0, wantsToWrite() {}, wantsFlush() {}, released() {}, exhausted() {},
    }, true)
    let recv = 0
    const arrive = (bytes: number): boolean => table.overfull({ recv: (recv += bytes / 1350), recvBytes: recv * 1350 })
    for (let i = 0; i < 1000; i++) {
      table.taken(1_300_000)
      expect(arrive(1_350_000)).toBe(false)
    }
    // A full window on every stream is allowed, anything beyond is not.
    expect(arrive(MAX_UNREAD_BYTES * 0.9)).toBe(false)
    expect(arrive(MAX_UNREAD_BYTES * 0.3)).toBe(true)
  })
})
