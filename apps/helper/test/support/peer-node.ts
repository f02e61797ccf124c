import { randomBytes } from 'node:crypto'
import { decodeRequest, encodeAnswer, formatEndpoint, keyHashOf, peerIdFromKey } from '@harddrive-party/protocol'
import type { PeerId } from '@harddrive-party/protocol'
import { FrameStream } from '../../src/adapters/peers/frame-stream.ts'
import { openPeerLinks } from '../../src/adapters/peers/peer-links.ts'
import type { PeerLinks, PeerLinksOptions } from '../../src/adapters/peers/peer-links.ts'
import type { PeerConnection, PeerStream, Transport } from '../../src/adapters/peers/transport.ts'
import type { ConnectTarget, KnownPeer, NetworkEvent, PeerStatus, Policy } from '../../src/network/network-api.ts'
import type { MemoryHost, MemoryNetwork } from './memory-transport.ts'

/** One helper's session layer on the fake transport, with the little of control that it needs: it remembers whom it gets to know. */
export class PeerNode {
  readonly peerId: PeerId
  readonly host: MemoryHost
  readonly transport: Transport
  readonly links: PeerLinks
  readonly events: NetworkEvent[] = []
  readonly served: PeerStream[] = []
  policy: Policy
  readonly #waiting = new Set<() => void>()

  constructor(network: MemoryNetwork, number: number, options: Partial<Pick<PeerLinksOptions, 'clock' | 'addresses'>> & { policy?: Partial<Policy> } = {}) {
    this.peerId = peerIdFromKey(new Uint8Array(32).fill(number))
    this.policy = {
      codeSecret: randomBytes(16).toString('hex'), knownSecret: randomBytes(16).toString('hex'), askBeforeAccepting: false, peers: [], ...options.policy,
    }
    this.host = {
      peerId: this.peerId,
      endpoint: { host: `10.0.0.${number}`, port: 4000 + number },
      secrets: () => ({ code: this.policy.codeSecret, known: this.policy.knownSecret }),
      events: { onConnection: (connection, knock) => this.links.onConnection(connection, knock) },
    }
    this.transport = network.open(this.host)
    this.links = openPeerLinks({
      transport: this.transport,
      self: this.peerId,
      agent: 'test/1',
      policy: this.policy,
      addresses: options.addresses ?? (() => [formatEndpoint(this.host.endpoint)]),
      random: () => 0,
      emit: (event) => this.#heard(event),
      serve: (_, stream) => {
        this.served.push(stream)
        void answerPings(stream)
      },
      log: () => {},
      ...(options.clock ? { clock: options.clock } : {}),
    })
  }

  /** What a code of this helper says. */
  get code(): ConnectTarget {
    return { keyHash: Buffer.from(keyHashOf(this.peerId)).toString('hex'), knockSecret: this.policy.codeSecret, addresses: [this.host.endpoint] }
  }

  setPolicy(change: Partial<Policy>): void {
    this.policy = { ...this.policy, ...change }
    this.links.setPolicy(this.policy)
  }

  changePeer(peerId: PeerId, change: Partial<KnownPeer>): void {
    this.setPolicy({ peers: this.policy.peers.map((peer) => (peer.peerId === peerId ? { ...peer, ...change } : peer)) })
  }

  status(peer: { readonly peerId: PeerId }): PeerStatus | undefined {
    return this.links.statuses().find(({ peerId }) => peerId === peer.peerId)
  }

  /** Resolves once a peer is in a state, or is not known at all for undefined. */
  async reaches(peer: { readonly peerId: PeerId }, state: PeerStatus['state'] | undefined): Promise<PeerStatus | undefined> {
    await this.until(() => this.status(peer)?.state === state)
    return this.status(peer)
  }

  /** Resolves once something holds; looked at after every event. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  async close(): Promise<void> {
    this.links.close()
    await this.transport.close()
  }

  #heard(event: NetworkEvent): void {
    this.events.push(event)
    if (event.type === 'peer-known') {
      const others = this.policy.peers.filter(({ peerId }) => peerId !== event.peerId)
      const known = { peerId: event.peerId, blocked: false, wanted: true, addresses: event.addresses, knockSecret: event.knockSecret }
      this.setPolicy({ peers: [...others, known] })
    }
    // After the machine has finished its step.
    setImmediate(() => {
      for (const wake of this.#waiting) wake()
      this.#waiting.clear()
    })
  }
}

/** A whole service for streams of peers, as far as these tests need one. */
export async function answerPings(stream: PeerStream): Promise<void> {
  try {
    const frames = new FrameStream(stream)
    const body = await frames.readFrame(16 * 1024)
    const request = body && decodeRequest(body)
    await frames.writeFrame(encodeAnswer(
      request?.ok && request.value.type === 'ping' ? { type: 'pong' } : { type: 'error', code: 'unsupported', message: 'only pings here' },
    ))
    stream.finish()
  } catch {
    stream.abort()
  }
}

/** A clock that moves when the test says so. */
export class ManualClock {
  #now = 0
  readonly #alarms = new Set<{ readonly at: number; readonly wake: () => void }>()

  now(): number {
    return this.#now
  }

  wakeAfter(delayMs: number, wake: () => void): () => void {
    const alarm = { at: this.#now + delayMs, wake }
    this.#alarms.add(alarm)
    return () => this.#alarms.delete(alarm)
  }

  advance(byMs: number): void {
    const end = this.#now + byMs
    for (;;) {
      const next = [...this.#alarms].toSorted((a, b) => a.at - b.at)[0]
      if (!next || next.at > end) break
      this.#alarms.delete(next)
      this.#now = next.at
      next.wake()
    }
    this.#now = end
  }
}

/** A dialler that speaks the protocol only as far as a test wants. */
export async function rawDial(network: MemoryNetwork, to: PeerNode, number: number, onConnection: (connection: PeerConnection) => void = () => {}): Promise<PeerConnection> {
  const transport = network.open({
    peerId: peerIdFromKey(new Uint8Array(32).fill(number)),
    endpoint: { host: '10.0.1.1', port: 10_000 + number },
    secrets: () => ({ code: 'ab'.repeat(16), known: 'cd'.repeat(16) }),
    events: { onConnection },
  })
  const { knockSecret, addresses: [endpoint] } = to.code
  if (!endpoint) throw new Error('a code without an address')
  return transport.dial({ endpoint, knockSecret: Buffer.from(knockSecret, 'hex'), expect: { peerId: to.peerId } }, { signal: new AbortController().signal })
}
