import { randomBytes } from 'node:crypto'
import { keyHashOf } from '@harddrive-party/protocol'
import type { PeerId } from '@harddrive-party/protocol'
import { afterEach, describe, expect, it } from 'vitest'
import { certificateFromSeed } from '../../src/adapters/identity/certificate.ts'
import { openPeerLinks } from '../../src/adapters/peers/peer-links.ts'
import type { PeerLinks } from '../../src/adapters/peers/peer-links.ts'
import { requestPing } from '../../src/adapters/peers/peer-requests.ts'
import { openQuicTransport } from '../../src/adapters/quic/quic-transport.ts'
import type { Transport } from '../../src/adapters/peers/transport.ts'
import type { ConnectTarget, NetworkEvent, Policy } from '../../src/network/network-api.ts'
import { answerPings } from '../support/peer-node.ts'

/** The session layer on the real transport, on loopback: that the two fit. What it does in which case is tested on the fake. */

const signal = new AbortController().signal

class QuicNode {
  readonly peerId: PeerId
  readonly transport: Transport
  readonly links: PeerLinks
  readonly code: ConnectTarget
  #policy: Policy
  readonly #waiting = new Set<() => void>()

  static async open(): Promise<QuicNode> {
    const seed = randomBytes(32)
    const secrets = { code: randomBytes(16), known: randomBytes(16) }
    const opened: { node?: QuicNode } = {}
    const transport = await openQuicTransport({
      seed, udpPort: 0, loopbackOnly: true, knockSecrets: secrets, log: () => {},
      onConnection: (connection, knock) => opened.node?.links.onConnection(connection, knock),
    })
    return (opened.node = new QuicNode(certificateFromSeed(seed).peerId, transport, secrets))
  }

  private constructor(peerId: PeerId, transport: Transport, secrets: { readonly code: Buffer; readonly known: Buffer }) {
    this.peerId = peerId
    this.transport = transport
    this.#policy = { codeSecret: secrets.code.toString('hex'), knownSecret: secrets.known.toString('hex'), askBeforeAccepting: false, peers: [] }
    const { v4: port } = transport.ports
    if (port === null) throw new Error('no port')
    this.code = { keyHash: Buffer.from(keyHashOf(peerId)).toString('hex'), knockSecret: this.#policy.codeSecret, addresses: [{ host: '127.0.0.1', port }] }
    this.links = openPeerLinks({
      transport, self: peerId, agent: 'test/1', policy: this.#policy, addresses: () => [`127.0.0.1:${port}`], random: () => 0,
      emit: (event) => this.#heard(event), serve: (_, stream) => void answerPings(stream), log: () => {},
    })
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  async close(): Promise<void> {
    this.links.close()
    await this.transport.close()
  }

  #heard(event: NetworkEvent): void {
    if (event.type === 'peer-known') {
      const known = { peerId: event.peerId, blocked: false, wanted: true, addresses: event.addresses, knockSecret: event.knockSecret }
      this.#policy = { ...this.#policy, peers: [...this.#policy.peers.filter(({ peerId }) => peerId !== event.peerId), known] }
      this.links.setPolicy(this.#policy)
    }
    setImmediate(() => {
      for (const wake of this.#waiting) wake()
      this.#waiting.clear()
    })
  }
}

describe('the session layer on QUIC', () => {
  let nodes: QuicNode[] = []
  afterEach(async () => {
    for (const node of nodes) await node.close()
    nodes = []
  })
  const pair = async (): Promise<[QuicNode, QuicNode]> => {
    const both: [QuicNode, QuicNode] = [await QuicNode.open(), await QuicNode.open()]
    nodes = both
    return both
  }

  it('connects by code and pings both ways', async () => {
    const [anna, ben] = await pair()
    expect(await anna.links.connect(ben.code)).toEqual({ peerId: ben.peerId, state: 'connected' })
    await ben.until(() => ben.links.connection(anna.peerId) !== undefined)
    expect((await anna.links.ping(ben.peerId, { signal })).path).toMatchObject({ transport: 'quic', kind: 'loopback' })
    expect((await ben.links.ping(anna.peerId, { signal })).path).toMatchObject({ transport: 'quic', kind: 'loopback' })
  })

  it('settles on one connection when both dial at once', async () => {
    const [anna, ben] = await pair()
    await Promise.all([anna.links.connect(ben.code), ben.links.connect(anna.code)])
    await Promise.all([anna.links.ping(ben.peerId, { signal }), ben.links.ping(anna.peerId, { signal })])
    await anna.until(() => anna.links.statuses()[0]?.state === 'connected')
    await ben.until(() => ben.links.statuses()[0]?.state === 'connected')
    const [ours, theirs] = [anna.links.connection(ben.peerId), ben.links.connection(anna.peerId)]
    if (!ours || !theirs) throw new Error('not connected')
    expect(new Set([ours.role, theirs.role]).size).toBe(2)
    expect(await requestPing(ours, { signal })).toBeGreaterThan(0)
  })

  it('says what a peer that disconnected wants, and connects again when it does', async () => {
    const [anna, ben] = await pair()
    await anna.links.connect(ben.code)
    await ben.until(() => ben.links.connection(anna.peerId) !== undefined)
    ben.links.disconnect(anna.peerId)
    await anna.until(() => anna.links.statuses()[0]?.lastError?.code === 'refused')
    ben.links.reconnect(anna.peerId)
    await anna.until(() => anna.links.statuses()[0]?.state === 'connected')
    await anna.links.ping(ben.peerId, { signal })
  })
})
