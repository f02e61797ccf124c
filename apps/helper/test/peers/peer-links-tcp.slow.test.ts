import { createHash, randomBytes } from 'node:crypto'
import { decodeRequest, encodeAnswer, keyHashOf, type PeerId, type SharePath } from '@harddrive-party/protocol'
import { afterEach, describe, expect, it } from 'vitest'
import { overBest } from '../../src/adapters/peers/best-connection.ts'
import { certificateFromSeed } from '../../src/adapters/identity/certificate.ts'
import { FrameStream } from '../../src/adapters/peers/frame-stream.ts'
import { pathKind } from '../../src/adapters/peers/peer-dials.ts'
import { openPeerLinks, type PeerLinks } from '../../src/adapters/peers/peer-links.ts'
import { requestRead } from '../../src/adapters/peers/peer-requests.ts'
import { openQuicTransport, type QuicTransport } from '../../src/adapters/quic/quic-transport.ts'
import { openTcpTransport, type TcpTransport } from '../../src/adapters/tcp/tcp-transport.ts'
import type { PeerStream } from '../../src/adapters/peers/transport.ts'
import type { ConnectTarget, NetworkEvent, PeerStatus, Policy } from '../../src/network/network-api.ts'
import { openTcpRelay, type TcpRelay } from '../support/tcp-relay.ts'

/** Two transports between the same two peers, on loopback: which one is used, and that nobody notices when it changes. */

const signal = new AbortController().signal
const MIB = 1024 * 1024

class Node {
  readonly peerId: PeerId
  readonly links: PeerLinks
  readonly code: ConnectTarget
  readonly quic: QuicTransport | undefined
  readonly tcp: TcpTransport
  readonly relay: TcpRelay
  /** What was said about the other one, each state and transport once in a row. */
  readonly told: string[] = []
  readonly data = randomBytes(MIB)
  #policy: Policy
  readonly #waiting = new Set<() => void>()

  static async open({ quic: withQuic = true } = {}): Promise<Node> {
    const seed = randomBytes(32)
    const knockSecrets = { code: randomBytes(16), known: randomBytes(16) }
    const opened: { node?: Node } = {}
    const shared = {
      seed, loopbackOnly: true, knockSecrets, log: () => {},
      onConnection: (...[connection, knock]: Parameters<PeerLinks['onConnection']>) => opened.node?.links.onConnection(connection, knock),
    }
    const quic = withQuic ? await openQuicTransport({ ...shared, udpPort: 0 }) : undefined
    const tcp = await openTcpTransport({ ...shared, port: quic?.ports.v4 ?? 0 })
    const relay = await openTcpRelay({ host: '127.0.0.1', port: tcp.ports.v4! })
    return (opened.node = new Node(certificateFromSeed(seed).peerId, quic, tcp, relay, knockSecrets))
  }

  private constructor(peerId: PeerId, quic: QuicTransport | undefined, tcp: TcpTransport, relay: TcpRelay, secrets: { readonly code: Buffer; readonly known: Buffer }) {
    this.peerId = peerId
    this.quic = quic
    this.tcp = tcp
    this.relay = relay
    this.#policy = { codeSecret: secrets.code.toString('hex'), knownSecret: secrets.known.toString('hex'), askBeforeAccepting: false, peers: [] }
    // Without UDP an address names the TCP port.
    const port = quic?.ports.v4 ?? relay.endpoint.port
    this.code = { keyHash: Buffer.from(keyHashOf(peerId)).toString('hex'), knockSecret: this.#policy.codeSecret, addresses: [{ host: '127.0.0.1', port }] }
    this.links = openPeerLinks({
      transport: quic, tcp, tcpPort: () => relay.endpoint.port, self: peerId, agent: 'test/1', policy: this.#policy, addresses: () => [`127.0.0.1:${port}`], random: () => 0,
      emit: (event) => this.#heard(event), serve: (_, stream) => void this.#serve(stream), log: () => {},
    })
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  transportTo(other: Node): string | undefined {
    return this.links.connection(other.peerId)?.transport
  }

  async close(): Promise<void> {
    this.links.close()
    await Promise.all([this.quic?.close(), this.tcp.close()])
    await this.relay.close()
  }

  /** Answers every `read` with a part of the same data. */
  async #serve(stream: PeerStream): Promise<void> {
    const frames = new FrameStream(stream)
    try {
      const body = await frames.readFrame(16 * 1024)
      const request = body && decodeRequest(body)
      if (request?.ok && request.value.type === 'ping') await frames.writeFrame(encodeAnswer({ type: 'pong' }))
      if (!request?.ok || request.value.type !== 'read') return stream.finish()
      const { start = 0, end = MIB } = request.value
      const bytes = this.data.subarray(start, end)
      await frames.writeFrame(encodeAnswer({ type: 'data', size: this.data.length, mtime: 1, start, length: bytes.length }))
      await stream.write(bytes)
      await frames.writeFrame(encodeAnswer({ type: 'sent', bytes: bytes.length, hash: createHash('sha256').update(bytes).digest() }))
      stream.finish()
    } catch {
      // The connection ended under it, as is meant here.
    }
  }

  #heard(event: NetworkEvent): void {
    if (event.type === 'peer-known') {
      const known = { peerId: event.peerId, blocked: false, wanted: true, addresses: event.addresses, knockSecret: event.knockSecret }
      this.#policy = { ...this.#policy, peers: [...this.#policy.peers.filter(({ peerId }) => peerId !== event.peerId), known] }
      this.links.setPolicy(this.#policy)
    }
    if (event.type === 'peer') {
      const said = wordFor(event.peer)
      if (this.told.at(-1) !== said) this.told.push(said)
    }
    setImmediate(() => {
      for (const wake of this.#waiting) wake()
      this.#waiting.clear()
    })
  }
}

function wordFor({ state, path }: PeerStatus): string {
  return path === null ? state : `${state} ${path.transport}`
}

describe('QUIC and TCP between the same two peers', () => {
  let nodes: Node[] = []
  afterEach(async () => {
    for (const node of nodes) await node.close()
    nodes = []
  })
  const open = async (...each: Parameters<typeof Node.open>): Promise<[Node, Node]> => {
    const both: [Node, Node] = [await Node.open(...each), await Node.open(...each)]
    nodes = both
    return both
  }
  const onTcp = async ([anna, ben]: [Node, Node]): Promise<void> => {
    await anna.until(() => anna.transportTo(ben) === 'tcp')
    await ben.until(() => ben.transportTo(anna) === 'tcp')
  }

  it('connects over QUIC first, and goes over to TCP once that is there, without a word in between', async () => {
    const [anna, ben] = await open()
    await anna.links.connect(ben.code)
    await onTcp([anna, ben])
    expect(anna.told).toEqual(['dialling', 'connected quic', 'connected tcp'])
    expect(ben.told.filter((word) => word.startsWith('connected'))).toEqual(['connected quic', 'connected tcp'])
    expect((await anna.links.ping(ben.peerId, { signal })).path).toMatchObject({ transport: 'tcp', kind: 'loopback' })
    // QUIC stays as the reserve.
    expect([anna.quic?.stats().connections, ben.quic?.stats().connections]).toEqual([1, 1])
  })

  it('settles on one when both dial at once', async () => {
    const [anna, ben] = await open()
    await Promise.all([anna.links.connect(ben.code), ben.links.connect(anna.code)])
    await onTcp([anna, ben])
    const [ours, theirs] = [anna.links.connection(ben.peerId), ben.links.connection(anna.peerId)]
    expect(new Set([ours?.role, theirs?.role]).size).toBe(2)
  })

  it('goes on over QUIC when TCP breaks in the middle of a transfer', async () => {
    const [anna, ben] = await open()
    await anna.links.connect(ben.code)
    await onTcp([anna, ben])
    const used = new Set<string>()
    const following = { connection: (peerId: PeerId) => anna.links.connection(peerId), setBusy: () => {} }
    const read = overBest(following, (connection, ...rest: [Parameters<typeof requestRead>[1], Uint8Array]) => {
      used.add(connection.transport)
      return requestRead(connection, ...rest, { signal })
    })
    const given = anna.links.connection(ben.peerId)!
    const hashes = new Set<string>()
    let left = 80
    await Promise.all(Array.from({ length: 4 }, async () => {
      const into = new Uint8Array(MIB)
      while (left-- > 0) {
        await read(given, { path: 'a/b' as SharePath, start: 0, end: MIB }, into)
        hashes.add(createHash('sha256').update(into).digest('hex'))
        if (ben.relay.bytes > 20 * MIB) {
          ben.relay.break()
          anna.relay.break()
        }
      }
    }))
    expect(hashes).toEqual(new Set([createHash('sha256').update(ben.data).digest('hex')]))
    expect(used).toEqual(new Set(['tcp', 'quic']))
    expect(anna.told).toEqual(['dialling', 'connected quic', 'connected tcp', 'connected quic'])
  }, 30_000)

  it('works on TCP alone', async () => {
    const [anna, ben] = await open({ quic: false })
    await anna.links.connect(ben.code)
    await onTcp([anna, ben])
    expect(anna.told).toEqual(['dialling', 'connected tcp'])
    const into = new Uint8Array(MIB)
    await requestRead(anna.links.connection(ben.peerId)!, { path: 'a/b' as SharePath, start: 0, end: MIB }, into, { signal })
    expect(Buffer.compare(into, ben.data)).toBe(0)
    ben.links.disconnect(anna.peerId)
    await anna.until(() => anna.links.statuses()[0]?.lastError?.code === 'refused')
  })

  it('reaches who has UDP from where there is none', async () => {
    const ben = await Node.open()
    const anna = await Node.open({ quic: false })
    nodes = [anna, ben]
    // As between open peers: the code names one port, which both transports listen on.
    const port = ben.tcp.ports.v4!
    expect(port).toBe(ben.quic?.ports.v4)
    await anna.links.connect(ben.code)
    await ben.until(() => ben.transportTo(anna) === 'tcp')
  })
})

describe('a link-local address with its interface behind it', () => {
  it('is a way like any other, though nobody else can use it', () => {
    expect(pathKind({ host: 'fe80::1%eth0', port: 1 })).toBe('lan')
  })
})
