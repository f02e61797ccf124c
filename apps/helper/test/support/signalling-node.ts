import { randomBytes } from 'node:crypto'
import { formatEndpoint, keyHashOf, parseEndpoint } from '@harddrive-party/protocol'
import type { Endpoint, PeerId, PeerRecord, SignedPeerRecord } from '@harddrive-party/protocol'
import { openPeerLinks } from '../../src/adapters/peers/peer-links.ts'
import type { PeerLinks } from '../../src/adapters/peers/peer-links.ts'
import { openPeerService } from '../../src/adapters/peers/peer-service.ts'
import { openSignalling } from '../../src/adapters/peers/signalling.ts'
import type { Signalling } from '../../src/adapters/peers/signalling.ts'
import type { ShareReader } from '../../src/adapters/shares/share-reader.ts'
import type { DialTarget, PeerConnection, Transport } from '../../src/adapters/peers/transport.ts'
import type { ConnectTarget, KnownPeer, NetworkEvent, PeerStatus, Policy } from '../../src/network/network-api.ts'
import type { MemoryHost, MemoryNetwork } from './memory-transport.ts'
import { person, recordOf } from './peer-records.ts'
import type { Person } from './peer-records.ts'

/** A world of helpers behind NATs that let in only those whom they have just written to, with sessions, gossip and introductions as they are. */
export class NatWorld {
  readonly network: MemoryNetwork
  /** Every dial that left a helper: who, to where. */
  readonly dials: { readonly from: PeerId; readonly to: string }[] = []
  readonly #holes = new Set<string>()
  readonly #closed = new Set<string>()
  readonly #waiting = new Set<() => void>()

  constructor(network: MemoryNetwork) {
    this.network = network
  }

  /** From now on nobody gets through to this address without having been written to from there. */
  closeNat(endpoint: Endpoint): void {
    this.#closed.add(formatEndpoint(endpoint))
  }

  /** A dial opens our NAT; it succeeds once theirs is open too, and otherwise goes on until it is called off. */
  async dial(host: MemoryHost, transport: Transport, target: DialTarget, signal: AbortSignal): Promise<PeerConnection> {
    const [from, to] = [formatEndpoint(host.endpoint), formatEndpoint(target.endpoint)]
    this.dials.push({ from: host.peerId, to })
    this.#holes.add(`${from} ${to}`)
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    while (this.#closed.has(to) && !this.#holes.has(`${to} ${from}`) && !signal.aborted) {
      await Promise.race([aborted, new Promise<void>((resolve) => this.#waiting.add(resolve))])
    }
    return transport.dial(target, { signal })
  }
}

/** One helper of that world. */
export class SignallingNode {
  readonly person: Person
  readonly peerId: PeerId
  readonly host: MemoryHost
  readonly links: PeerLinks
  readonly signalling: Signalling
  readonly events: NetworkEvent[] = []
  policy: Policy
  record: SignedPeerRecord
  readonly #transport: Transport
  /** Whom the NAT was opened to without being dialled. */
  readonly opened: PeerId[] = []
  readonly #service: ReturnType<typeof openPeerService>
  readonly #waiting = new Set<() => void>()

  constructor(world: NatWorld, number: number, options: { readonly policy?: Partial<Policy>; readonly record?: Partial<PeerRecord> } = {}) {
    this.person = person(number)
    this.peerId = this.person.peerId
    this.policy = {
      codeSecret: randomBytes(16).toString('hex'), knownSecret: randomBytes(16).toString('hex'), askBeforeAccepting: false, peers: [], ...options.policy,
    }
    this.host = {
      peerId: this.peerId,
      endpoint: { host: `10.0.0.${number}`, port: 4000 + number },
      secrets: () => ({ code: this.policy.codeSecret, known: this.policy.knownSecret }),
      events: { onConnection: (connection, knock) => this.links.onConnection(connection, knock) },
    }
    const transport = world.network.open(this.host)
    this.#transport = transport
    this.record = this.makeRecord(options.record)
    this.#service = openPeerService({
      reader: {} as ShareReader, onUploads: () => {},
      signal: async (connection, request, { signal }) => (request.type !== 'gossip' && request.type !== 'introduce' ? { type: 'noted' } : this.signalling.answer(connection, request, { signal })),
    })
    this.links = openPeerLinks({
      transport: { dial: (target, { signal }) => world.dial(this.host, transport, target, signal) },
      self: this.peerId,
      agent: 'test/1',
      policy: this.policy,
      addresses: () => [formatEndpoint(this.host.endpoint)],
      random: () => 0,
      emit: (event) => this.#heard(event),
      serve: (connection, stream) => this.#service.serve(connection, stream),
      log: () => {},
      onRecord: (signed) => this.#heard({ type: 'peer-record', peerId: signed.record.peerId, record: Buffer.from(signed.bytes).toString('hex'), knockSecret: '' }),
      onPresence: (peerId, capabilities) => this.signalling.onPresence(peerId, capabilities),
      onTrying: (keyHash, knockSecret) => this.signalling.onTrying(keyHash, knockSecret),
    })
    this.signalling = openSignalling({
      self: this.peerId, policy: this.policy, links: this.links, ownRecord: () => this.record, log: () => {},
      open: ({ record: { peerId } }) => void this.opened.push(peerId),
    })
  }

  /** A record of this helper as it is now. */
  makeRecord(change: Partial<PeerRecord> = {}): SignedPeerRecord {
    const issuedAt = Date.now()
    return recordOf(this.person, {
      sequence: issuedAt, issuedAt, expiresAt: issuedAt + 3_600_000, knockSecret: Buffer.from(this.policy.knownSecret, 'hex'),
      addresses: [{ endpoint: this.host.endpoint, source: 'stun' }], ...change,
    })
  }

  get code(): ConnectTarget {
    return { keyHash: Buffer.from(keyHashOf(this.peerId)).toString('hex'), knockSecret: this.policy.codeSecret, addresses: [this.host.endpoint] }
  }

  /** As somebody who has met it remembers it. */
  known(change: Partial<KnownPeer> = {}): KnownPeer {
    return { peerId: this.peerId, blocked: false, wanted: true, addresses: [formatEndpoint(this.host.endpoint)], knockSecret: this.policy.knownSecret, ...change }
  }

  setPolicy(change: Partial<Policy>): void {
    this.policy = { ...this.policy, ...change }
    this.links.setPolicy(this.policy)
    this.signalling.setPolicy(this.policy)
  }

  changePeer(peerId: PeerId, change: Partial<KnownPeer>): void {
    this.setPolicy({ peers: this.policy.peers.map((peer) => (peer.peerId === peerId ? { ...peer, ...change } : peer)) })
  }

  status(peer: { readonly peerId: PeerId }): PeerStatus | undefined {
    return this.links.statuses().find(({ peerId }) => peerId === peer.peerId)
  }

  async connected(...peers: readonly { readonly peerId: PeerId }[]): Promise<void> {
    for (const peer of peers) await this.until(() => this.status(peer)?.state === 'connected')
  }

  /** Whether it has remembered a record that somebody said of itself. */
  remembers({ peerId }: { readonly peerId: PeerId }): boolean {
    return this.events.some((event) => event.type === 'peer-record' && event.peerId === peerId)
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  async close(): Promise<void> {
    this.signalling.close()
    this.#service.close()
    this.links.close()
    await this.#transport.close()
  }

  #heard(event: NetworkEvent): void {
    this.events.push(event)
    if (event.type === 'peer-known') {
      const before = this.policy.peers.find(({ peerId }) => peerId === event.peerId)
      const addresses = event.addresses.filter((text) => parseEndpoint(text).ok)
      const known = { blocked: false, wanted: true, ...before, peerId: event.peerId, addresses, knockSecret: event.knockSecret }
      this.setPolicy({ peers: [...this.policy.peers.filter((peer) => peer !== before), known] })
    }
    // After the machine has finished its step.
    setImmediate(() => {
      for (const wake of this.#waiting) wake()
      this.#waiting.clear()
    })
  }
}
