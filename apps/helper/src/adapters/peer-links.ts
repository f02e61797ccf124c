import { randomBytes } from 'node:crypto'
import { CodedError, addressScope, formatEndpoint, parseEndpoint } from '@harddrive-party/protocol'
import type { Endpoint, HelloMessage, PeerId, PeerRecord } from '@harddrive-party/protocol'
import type { PeerPath, PeerState } from '@harddrive-party/protocol/control'
import { PeerLinksMachine } from '../core/peer-links.ts'
import type { LinkStatus, LinksEffect, LinksInput, RecordOrigin } from '../core/peer-link-messages.ts'
import type { ConnectTarget, NetworkEvent, PeerStatus, Policy } from '../network/network-api.ts'
import { drive, systemClock } from './drive.ts'
import type { Clock, Driven } from './drive.ts'
import { FrameStream } from './frame-stream.ts'
import { answerFault, answerHello, answerWait, believedAddresses, hearHello, makeHello, sayHello } from './hello.ts'
import { requestPing } from './peer-requests.ts'
import type { KnockKind, PeerConnection, PeerStream, Transport } from './transport.ts'

/**
 * From authenticated connections to peers one can talk to: carries out what `core/peer-links.ts` decides, by dialling, saying hello and closing.
 * It knows nothing of what is asked on streams after hello.
 */

/** A connection in doubt has this long to answer a ping: twice a bad round trip, with one loss. */
const PROBE_MS = 3_000
/** Streams that a listener may open before its hello has reached us: packets overtake each other. Kept until then. */
const MAX_EARLY_STREAMS = 16

export interface PeerLinksOptions {
  /** For dialling; what arrives is passed to `onConnection`. */
  readonly transport: Pick<Transport, 'dial'>
  readonly self: PeerId
  /** Program and version, for people reading logs. */
  readonly agent: string
  readonly policy: Policy
  /** Where others can dial us, best first. */
  addresses(): readonly string[]
  /** Uniform in [0, 1); for spreading attempts in time, never for secrets. */
  random(): number
  emit(event: NetworkEvent): void
  /** A stream that a peer opened after hello: a request to be answered. */
  serve(connection: PeerConnection, stream: PeerStream): void
  log(message: string, details?: Record<string, unknown>): void
  /** Of somebody we know, a newer record has been learnt. */
  onRecord?(record: PeerRecord): void
  readonly clock?: Clock
}

export interface PeerLinks {
  /** To be given to the transport. */
  onConnection(connection: PeerConnection, knock: KnockKind): void
  setPolicy(policy: Policy): void
  /** Resolves at `connected` or `waiting`. @throws CodedError why not */
  connect(target: ConnectTarget): Promise<{ peerId: PeerId; state: PeerState }>
  disconnect(peerId: PeerId): void
  /** @throws CodedError `not-found`, `blocked` */
  reconnect(peerId: PeerId): void
  /** @throws CodedError `not-found` when it is not asking */
  answerPeer(peerId: PeerId, accept: boolean): void
  /** @throws CodedError `offline`, and as `requestPing` */
  ping(peerId: PeerId, options: { signal: AbortSignal }): Promise<{ rttMs: number; path: PeerPath }>
  /** The connection to send requests on; undefined unless the peer is `connected`. Ask anew for every request. */
  connection(peerId: PeerId): PeerConnection | undefined
  statuses(): PeerStatus[]
  /**
   * Takes a record whose signature and time were checked. Hints about somebody unknown are passed over.
   * @param options.live its owner is trying to reach us at this moment
   */
  learn(record: PeerRecord, origin: RecordOrigin, options?: { readonly live?: boolean }): void
  /** The machine slept or changed networks: absent peers are tried at once. */
  wake(): void
  /** Says goodbye to everybody. Idempotent. */
  close(): void
}

interface OpenLink {
  readonly connection: PeerConnection
  /** Our half of the path keys of this connection. */
  readonly pathKey: Uint8Array
  readonly early: PeerStream[]
  /** As the listener: the stream that hello is to be answered on. */
  hello: FrameStream | null
  /** What the other side said of itself. */
  theirs: HelloMessage | null
  ready: boolean
  /** Where our dialling succeeded; null when it came to us. */
  readonly reachedAt: Endpoint | null
}

interface PendingConnect {
  resolve(outcome: { peerId: PeerId; state: PeerState }): void
  reject(error: CodedError): void
}

export function openPeerLinks(options: PeerLinksOptions): PeerLinks {
  return new OpenPeerLinks(options)
}

class OpenPeerLinks implements PeerLinks {
  readonly #options: PeerLinksOptions
  readonly #machine: PeerLinksMachine
  readonly #driven: Driven<LinksInput>
  readonly #links = new Map<number, OpenLink>()
  readonly #dials = new Map<number, AbortController>()
  readonly #connects = new Map<number, PendingConnect>()
  #knownSecret: Uint8Array
  #lastLink = 0
  #lastConnect = 0
  #closed = false

  constructor(options: PeerLinksOptions) {
    this.#options = options
    this.#knownSecret = Buffer.from(options.policy.knownSecret, 'hex')
    this.#machine = new PeerLinksMachine({ self: options.self, random: options.random })
    this.#driven = drive(this.#machine, (effect) => this.#perform(effect), options.clock ?? systemClock)
    this.setPolicy(options.policy)
  }

  onConnection(connection: PeerConnection, knock: KnockKind): void {
    if (this.#closed) return connection.close('goodbye')
    const link = this.#addLink(connection, null)
    this.#driven.input({ type: 'arrived', link, peerId: connection.peerId, knock })
    this.#listen(link)
  }

  setPolicy(policy: Policy): void {
    this.#knownSecret = Buffer.from(policy.knownSecret, 'hex')
    const peers = policy.peers.map((peer) => ({ ...peer, addresses: peer.addresses.flatMap(endpointsOf) }))
    this.#driven.input({ type: 'policy', policy: { codeSecret: policy.codeSecret, askBeforeAccepting: policy.askBeforeAccepting, peers } })
  }

  connect({ keyHash, knockSecret, addresses }: ConnectTarget): Promise<{ peerId: PeerId; state: PeerState }> {
    if (this.#closed) return Promise.reject(new CodedError('closed', 'the network is closed'))
    const connect = ++this.#lastConnect
    return new Promise((resolve, reject) => {
      this.#connects.set(connect, { resolve, reject })
      this.#driven.input({ type: 'connect', connect, keyHash: keyHash.toLowerCase(), knockSecret, addresses })
    })
  }

  disconnect(peerId: PeerId): void {
    this.#driven.input({ type: 'disconnect', peerId })
  }

  reconnect(peerId: PeerId): void {
    const status = this.#machine.status(peerId)
    if (!status) throw new CodedError('not-found', 'this peer is not known')
    if (status.state === 'blocked') throw new CodedError('blocked', 'you have blocked this peer')
    this.#driven.input({ type: 'reconnect', peerId })
  }

  answerPeer(peerId: PeerId, accept: boolean): void {
    if (this.#machine.status(peerId)?.state !== 'asks') throw new CodedError('not-found', 'this peer is not asking to connect any more')
    this.#driven.input({ type: 'answer', peerId, accept })
  }

  async ping(peerId: PeerId, { signal }: { signal: AbortSignal }): Promise<{ rttMs: number; path: PeerPath }> {
    const connection = this.connection(peerId)
    if (!connection) throw new CodedError('offline', 'this peer is not connected')
    const rttMs = await requestPing(connection, { signal })
    return { rttMs, path: pathOf(connection) }
  }

  connection(peerId: PeerId): PeerConnection | undefined {
    const link = this.#machine.connection(peerId)
    return link === undefined ? undefined : this.#links.get(link)?.connection
  }

  statuses(): PeerStatus[] {
    return this.#machine.statuses().map(({ peerId, status }) => this.#describe(peerId, status))
  }

  learn(record: PeerRecord, origin: RecordOrigin, { live = false }: { readonly live?: boolean } = {}): void {
    this.#driven.input({ type: 'learned', record, knockSecret: Buffer.from(record.knockSecret).toString('hex'), origin, live })
  }

  wake(): void {
    this.#driven.input({ type: 'wake' })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#driven.close()
    for (const dial of this.#dials.values()) dial.abort()
    for (const { connection } of this.#links.values()) connection.close('goodbye')
    for (const { reject } of this.#connects.values()) reject(new CodedError('closed', 'the network is closed'))
    this.#links.clear()
    this.#connects.clear()
  }

  #perform(effect: LinksEffect): void {
    switch (effect.type) {
      case 'dial': return void this.#dial(effect)
      case 'abort-dial':
        this.#dials.get(effect.dial)?.abort()
        this.#dials.delete(effect.dial)
        return
      case 'greet': return void this.#greet(effect.link)
      case 'hold': return this.#answer(effect.link, answerWait)
      case 'admit': return this.#admit(effect.link)
      case 'probe': return void this.#probe(effect.link)
      case 'close': return this.#close(effect.link, effect.code)
      case 'known': return this.#known(effect.peerId, effect.link)
      case 'record': return this.#options.onRecord?.(effect.record)
      case 'status': return this.#options.emit({ type: 'peer', peer: this.#describe(effect.peerId, effect.status) })
      case 'connect-succeeded':
        this.#connects.get(effect.connect)?.resolve({ peerId: effect.peerId, state: effect.state })
        this.#connects.delete(effect.connect)
        return
      case 'connect-failed':
        this.#connects.get(effect.connect)?.reject(new CodedError(effect.fault.code, effect.fault.message))
        this.#connects.delete(effect.connect)
    }
  }

  async #dial({ dial, endpoint, knockSecret, expect }: Extract<LinksEffect, { type: 'dial' }>): Promise<void> {
    const controller = new AbortController()
    this.#dials.set(dial, controller)
    let connection: PeerConnection
    try {
      const target = {
        endpoint, knockSecret: Buffer.from(knockSecret, 'hex'), expect: 'peerId' in expect ? expect : { keyHash: Buffer.from(expect.keyHash, 'hex') },
      }
      connection = await this.#options.transport.dial(target, { signal: controller.signal })
    } catch (error) {
      this.#dials.delete(dial)
      if (controller.signal.aborted) return
      this.#options.log('dialling failed', { endpoint: formatEndpoint(endpoint), error: String(error) })
      this.#driven.input({ type: 'dial-failed', dial, fault: faultOf(error) })
      return
    }
    this.#dials.delete(dial)
    if (this.#closed) return connection.close('goodbye')
    const link = this.#addLink(connection, endpoint)
    // Streams that the listener opens right after its hello may overtake it.
    connection.onStream = (stream) => this.#onStream(link, stream)
    this.#driven.input({ type: 'dialled', dial, link, peerId: connection.peerId })
  }

  #addLink(connection: PeerConnection, reachedAt: Endpoint | null): number {
    const link = ++this.#lastLink
    this.#links.set(link, { connection, pathKey: randomBytes(16), early: [], hello: null, theirs: null, ready: false, reachedAt })
    connection.onClose = ({ by, code }) => {
      this.#links.delete(link)
      this.#driven.input({ type: 'closed', link, by, code })
    }
    return link
  }

  #listen(link: number): void {
    const open = this.#links.get(link)
    if (open) open.connection.onStream = (stream) => this.#onStream(link, stream)
  }

  #onStream(link: number, stream: PeerStream): void {
    const open = this.#links.get(link)
    if (!open) return stream.abort()
    if (open.ready) return this.#options.serve(open.connection, stream)
    if (open.connection.role === 'listener' && open.hello === null) return void this.#hear(link, open, stream)
    open.early.push(stream)
    // Whoever listens has our hello and owes us its own; whoever dials has to wait for our answer.
    if (open.connection.role === 'dialler' && open.early.length <= MAX_EARLY_STREAMS) return
    this.#driven.input({ type: 'hello-failed', link, fault: { code: 'bad-request', message: 'requests came before hello' }, told: false })
  }

  async #hear(link: number, open: OpenLink, stream: PeerStream): Promise<void> {
    const frames = new FrameStream(stream)
    open.hello = frames
    try {
      open.theirs = await hearHello(frames)
    } catch (error) {
      const fault = faultOf(error)
      // A stranger is told only what helps a person: that the versions do not match.
      const told = fault.code === 'unsupported'
      if (told) this.#answer(link, (to) => answerFault(to, fault))
      this.#driven.input({ type: 'hello-failed', link, fault, told })
      return
    }
    this.#driven.input({ type: 'hello', link })
  }

  async #greet(link: number): Promise<void> {
    const open = this.#links.get(link)
    if (!open) return
    try {
      open.theirs = await sayHello(open.connection.openStream(), this.#ownHello(open), () => this.#driven.input({ type: 'waits', link }))
    } catch (error) {
      // A connection that ended meanwhile says why by itself, and better.
      if (this.#links.has(link)) this.#helloBroke(link, error)
      return
    }
    if (!this.#links.has(link)) return
    this.#begin(open)
    this.#driven.input({ type: 'greeted', link })
    this.#serveEarly(open)
  }

  #helloBroke(link: number, error: unknown): void {
    const fault = faultOf(error)
    if (fault.code === 'connection-lost') return
    this.#driven.input({ type: 'hello-failed', link, fault, told: false })
  }

  #admit(link: number): void {
    const open = this.#links.get(link)
    if (!open) return
    // First the keys and the streams: the answer allows the other side to use them.
    this.#begin(open)
    this.#answer(link, (frames) => answerHello(frames, this.#ownHello(open)))
  }

  #begin(open: OpenLink): void {
    open.ready = true
    if (open.theirs) open.connection.setPathKeys({ ours: open.pathKey, theirs: open.theirs.pathKey })
  }

  #serveEarly(open: OpenLink): void {
    for (const stream of open.early.splice(0)) this.#options.serve(open.connection, stream)
  }

  #answer(link: number, write: (frames: FrameStream) => Promise<void>): void {
    const frames = this.#links.get(link)?.hello
    if (!frames) return
    write(frames).catch((error: unknown) => {
      if (this.#links.has(link)) this.#helloBroke(link, error)
    })
  }

  async #probe(link: number): Promise<void> {
    const connection = this.#links.get(link)?.connection
    if (!connection) return
    const alive = await requestPing(connection, { signal: new AbortController().signal, noProgressMs: PROBE_MS }).then(() => true, () => false)
    this.#driven.input({ type: 'probed', link, alive })
  }

  #close(link: number, code: Parameters<PeerConnection['close']>[0]): void {
    const open = this.#links.get(link)
    this.#links.delete(link)
    open?.connection.close(code)
  }

  #known(peerId: PeerId, link: number): void {
    const open = this.#links.get(link)
    if (!open?.theirs) return
    const { connection, reachedAt, theirs } = open
    // One UDP socket dials and listens, so where a QUIC peer is seen it can be dialled; a TCP peer dials from another port.
    const seen = reachedAt ? [reachedAt] : connection.transport === 'quic' ? [connection.remote] : []
    const knockSecret = Buffer.from(theirs.knockSecret).toString('hex')
    this.#options.emit({ type: 'peer-known', peerId, knockSecret, addresses: believedAddresses(seen, theirs.addresses) })
  }

  #ownHello(open: OpenLink): HelloMessage {
    const { agent, addresses } = this.#options
    return makeHello({ agent, knockSecret: this.#knownSecret, pathKey: open.pathKey, addresses: addresses() })
  }

  #describe(peerId: PeerId, { state, link, lastError }: LinkStatus): PeerStatus {
    const connection = link === null ? undefined : this.#links.get(link)?.connection
    return { peerId, state, path: connection ? pathOf(connection) : null, lastError }
  }
}

/** How a connection reaches its peer now. */
export function pathOf(connection: PeerConnection): PeerPath {
  const { remote, transport, rttMs } = connection
  return { transport, kind: pathKind(remote), address: formatEndpoint(remote), rttMs }
}

function pathKind({ host }: Endpoint): PeerPath['kind'] {
  const scope = addressScope(host)
  if (scope === 'loopback') return 'loopback'
  if (scope === 'private' || scope === 'link-local') return 'lan'
  return host.includes(':') && !host.startsWith('::ffff:') ? 'ipv6' : 'direct'
}

/** Addresses come from disk and from peers: what cannot be read is passed over. */
function endpointsOf(text: string): Endpoint[] {
  const endpoint = parseEndpoint(text)
  return endpoint.ok ? [endpoint.value] : []
}

function faultOf(error: unknown): { code: CodedError['code']; message: string } {
  if (error instanceof CodedError) return { code: error.code, message: error.message }
  throw error
}
