import { randomBytes } from 'node:crypto'
import { CodedError, formatEndpoint, parseEndpoint } from '@harddrive-party/protocol'
import type { Endpoint, HelloMessage, PeerId, SignedPeerRecord } from '@harddrive-party/protocol'
import type { PeerPath, PeerState, PingInfo } from '@harddrive-party/protocol/control'
import { keyHashText } from '../../core/peers/peer-link-state.ts'
import { PeerLinksMachine } from '../../core/peers/peer-links.ts'
import type { LinkStatus, LinkWay, LinksEffect, LinksInput, RecordOrigin } from '../../core/peers/peer-link-messages.ts'
import type { OwnPlace } from '../../core/peers/dial-candidates.ts'
import type { ConnectTarget, NetworkEvent, PeerStatus, Policy, ReachReport } from '../../network/network-api.ts'
import { drive, systemClock } from '../system/drive.ts'
import type { Clock, Driven } from '../system/drive.ts'
import { FrameStream } from './frame-stream.ts'
import { answerFault, answerHello, answerWait, believedAddresses, hearHello, makeHello, sayHello } from './hello.ts'
import { PeerDials, faultOf, pathKind } from './peer-dials.ts'
import { RememberedRecords } from './remembered-records.ts'
import { requestPing } from './peer-requests.ts'
import type { Punching } from '../reach/punching.ts'
import type { KnockKind, PeerConnection, PeerStream, Transport } from './transport.ts'

/**
 * From authenticated connections to peers one can talk to: carries out what `core/peers/peer-links.ts` decides, by dialling, saying hello and closing.
 * It knows nothing of what is asked on streams after hello.
 */

/** A connection in doubt has this long to answer a ping: twice a bad round trip, with one loss. */
const PROBE_MS = 3_000
/** Streams that a listener may open before its hello has reached us: packets overtake each other. Kept until then. */
const MAX_EARLY_STREAMS = 16

export interface PeerLinksOptions {
  /** For dialling; what arrives is passed to `onConnection`. Absent where there is no QUIC. */
  readonly transport?: Pick<Transport, 'dial'> | undefined
  /** The second one, over TCP; absent = not used. */
  readonly tcp?: Pick<Transport, 'dial'> | undefined
  /** Our TCP port, where it is another one than that of our addresses. */
  tcpPort?(): number | undefined
  /** Absent = peers are only dialled. */
  readonly punching?: Punching
  /** Where we are; absent = not known. */
  place?(): OwnPlace
  /** As in `PeerDialsOptions`. */
  inward?(): 'open' | 'mapped' | 'closed'
  readonly self: PeerId
  /** Program and version, for people reading logs. */
  readonly agent: string
  /** What we understand that not every helper does. */
  readonly capabilities?: readonly string[]
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
  onRecord?(record: SignedPeerRecord): void
  /** A peer is `connected`, over a new connection, and what it said it understands; null = it is not connected any more. */
  onPresence?(peerId: PeerId, capabilities: readonly string[] | null): void
  /** We are trying to reach the owner of a key. @param knockSecret hex: what we knock with */
  onTrying?(keyHash: string, knockSecret: string): void
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
  ping(peerId: PeerId, options: { signal: AbortSignal }): Promise<PingInfo>
  /** The connection to send requests on; undefined unless the peer is `connected`. Ask anew for every request. */
  connection(peerId: PeerId): PeerConnection | undefined
  statuses(): PeerStatus[]
  /**
   * Takes a record whose signature and time were checked. Hints about somebody unknown are passed over.
   * @param options.live its owner is trying to reach us at this moment
   */
  learn(signed: SignedPeerRecord, origin: RecordOrigin, options?: { readonly live?: boolean }): void
  /** The machine slept or changed networks: absent peers are tried at once, and the connections of the others are looked after. */
  wake(): void
  /** What was tried lately to reach whom. */
  attempts(): ReachReport['peers']
  /** Sparse punching towards the owner of this key has found a way, or has ended; or it knocks though nobody punches. */
  onPunching(event: 'punched' | 'punching-over' | 'knocked', keyHash: string): void
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
  readonly kind: PeerPath['kind']
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
  readonly #dials: PeerDials
  readonly #connects = new Map<number, PendingConnect>()
  /** Peers that are said to be connected, and over which connection. */
  readonly #present = new Map<PeerId, number>()
  readonly #records = new RememberedRecords()
  #knownSecret: Uint8Array
  #lastLink = 0
  #lastConnect = 0
  #closed = false

  constructor(options: PeerLinksOptions) {
    this.#options = options
    this.#knownSecret = Buffer.from(options.policy.knownSecret, 'hex')
    const { place } = options
    const means = { quic: options.transport !== undefined, tcp: options.tcp !== undefined }
    this.#machine = new PeerLinksMachine({ self: options.self, random: options.random, means: () => means, ...(place && options.punching ? { place } : {}) })
    this.#dials = new PeerDials({
      ...options,
      punching: options.punching ?? null,
      onConnected: (dial, connection, reachedAt, kind) => this.#onConnected(dial, connection, reachedAt, kind),
      onFailed: (dial, fault, patient) => this.#driven.input({ type: 'dial-failed', dial, fault, patient }),
    })
    this.#driven = drive(this.#machine, (effect) => this.#perform(effect), options.clock ?? systemClock)
    this.setPolicy(options.policy)
  }

  onConnection(connection: PeerConnection, knock: KnockKind): void {
    if (this.#closed) return connection.close('goodbye')
    const link = this.#addLink(connection, null, this.#dials.kindOf(connection))
    this.#driven.input({ type: 'arrived', link, peerId: connection.peerId, knock, ...wayOf(connection) })
    this.#listen(link)
  }

  setPolicy(policy: Policy): void {
    this.#knownSecret = Buffer.from(policy.knownSecret, 'hex')
    const peers = policy.peers.map((peer) => ({ ...peer, addresses: peer.addresses.flatMap(endpointsOf), record: this.#records.read(peer) }))
    this.#driven.input({ type: 'policy', policy: { codeSecret: policy.codeSecret, askBeforeAccepting: policy.askBeforeAccepting, peers } })
  }

  connect({ keyHash, knockSecret, addresses, natKind, nat }: ConnectTarget): Promise<{ peerId: PeerId; state: PeerState }> {
    if (this.#closed) return Promise.reject(new CodedError('closed', 'the network is closed'))
    const connect = ++this.#lastConnect
    return new Promise((resolve, reject) => {
      this.#connects.set(connect, { resolve, reject })
      this.#driven.input({ type: 'connect', connect, keyHash: keyHash.toLowerCase(), knockSecret, addresses, nat: natKind ? { nat: { v4: natKind, v6: 'unknown' }, ...nat } : null })
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

  async ping(peerId: PeerId, { signal }: { signal: AbortSignal }): Promise<PingInfo> {
    const connection = this.connection(peerId)
    if (!connection) throw new CodedError('offline', 'this peer is not connected')
    const rttMs = await requestPing(connection, { signal })
    return { rttMs, path: this.#pathOf(connection), packets: connection.packets ?? null }
  }

  connection(peerId: PeerId): PeerConnection | undefined {
    const link = this.#machine.connection(peerId)
    return link === undefined ? undefined : this.#links.get(link)?.connection
  }

  statuses(): PeerStatus[] {
    return this.#machine.statuses().map(({ peerId, status }) => this.#describe(peerId, status))
  }

  learn({ record, bytes }: SignedPeerRecord, origin: RecordOrigin, { live = false }: { readonly live?: boolean } = {}): void {
    this.#driven.input({ type: 'learned', record, bytes, knockSecret: Buffer.from(record.knockSecret).toString('hex'), origin, live })
  }

  wake(): void {
    this.#options.punching?.restart()
    this.#driven.input({ type: 'wake' })
    // What has moved is to be heard of by the other side, and what is dead to be noticed: a word on each connection does both.
    for (const { connection, ready } of this.#links.values()) if (ready) connection.nudge?.()
  }

  attempts(): ReachReport['peers'] {
    return this.#dials.report()
  }

  onPunching(event: 'punched' | 'punching-over' | 'knocked', keyHash: string): void {
    this.#driven.input({ type: event, keyHash })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#driven.close()
    this.#dials.close()
    for (const { connection } of this.#links.values()) connection.close('goodbye')
    for (const { reject } of this.#connects.values()) reject(new CodedError('closed', 'the network is closed'))
    this.#links.clear()
    this.#connects.clear()
  }

  #perform(effect: LinksEffect): void {
    switch (effect.type) {
      case 'dial':
        this.#tellTrying(effect)
        return void this.#dials.dial(effect)
      case 'punch':
        this.#tellTrying(effect)
        return void this.#dials.punch(effect)
      case 'abort-dial': return this.#dials.abort(effect.dial)
      case 'stop-punching': return this.#options.punching?.stop(effect.keyHash)
      case 'punch-now': return this.#options.punching?.hurry(effect.keyHash, effect.candidates, effect.nat)
      case 'greet': return void this.#greet(effect.link)
      case 'hold': return this.#answer(effect.link, answerWait)
      case 'admit': return this.#admit(effect.link)
      case 'probe': return void this.#probe(effect.link)
      case 'close': return this.#close(effect.link, effect.code)
      case 'known': return this.#known(effect.peerId, effect.link)
      case 'record': return this.#options.onRecord?.(effect)
      case 'status':
        this.#tellPresence(effect.peerId, effect.status)
        return this.#options.emit({ type: 'peer', peer: this.#describe(effect.peerId, effect.status) })
      case 'connect-succeeded':
        this.#connects.get(effect.connect)?.resolve({ peerId: effect.peerId, state: effect.state })
        this.#connects.delete(effect.connect)
        return
      case 'connect-failed':
        this.#connects.get(effect.connect)?.reject(CodedError.from(effect.fault))
        this.#connects.delete(effect.connect)
    }
  }

  #tellTrying({ expect, knockSecret }: Pick<Extract<LinksEffect, { type: 'dial' }>, 'expect' | 'knockSecret'>): void {
    this.#options.onTrying?.('keyHash' in expect ? expect.keyHash : keyHashText(expect.peerId), knockSecret)
  }

  #tellPresence(peerId: PeerId, { state, link }: LinkStatus): void {
    const now = state === 'connected' ? link : null
    if ((this.#present.get(peerId) ?? null) === now) return
    if (this.#present.delete(peerId)) this.#options.onPresence?.(peerId, null)
    const theirs = now === null ? null : this.#links.get(now)?.theirs
    if (now === null || !theirs) return
    this.#present.set(peerId, now)
    this.#options.onPresence?.(peerId, theirs.capabilities)
  }

  #onConnected(dial: number, connection: PeerConnection, reachedAt: Endpoint, kind: PeerPath['kind']): void {
    if (this.#closed) return connection.close('goodbye')
    const link = this.#addLink(connection, reachedAt, kind)
    // Streams that the listener opens right after its hello may overtake it.
    connection.onStream = (stream) => this.#onStream(link, stream)
    this.#driven.input({ type: 'dialled', dial, link, peerId: connection.peerId, ...wayOf(connection) })
  }

  #addLink(connection: PeerConnection, reachedAt: Endpoint | null, kind: PeerPath['kind']): number {
    const link = ++this.#lastLink
    this.#links.set(link, { connection, pathKey: randomBytes(16), early: [], hello: null, theirs: null, ready: false, reachedAt, kind })
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
    this.#tell(link, open)
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
    this.#tell(link, open)
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

  #tell(link: number, { theirs }: OpenLink): void {
    if (theirs) this.#driven.input({ type: 'told', link, told: { knockSecret: Buffer.from(theirs.knockSecret).toString('hex'), tcpPort: theirs.tcpPort ?? null } })
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
    // Addresses name UDP ports, as far as there are any: a TCP port of another number is told by itself.
    const isAddress = connection.transport === 'quic' || theirs.tcpPort === undefined || (reachedAt && theirs.addresses.includes(formatEndpoint(reachedAt)))
    const seen = (reachedAt && isAddress ? [reachedAt] : connection.transport === 'quic' ? [connection.remote] : []).filter(isForAll)
    const knockSecret = Buffer.from(theirs.knockSecret).toString('hex')
    this.#options.emit({ type: 'peer-known', peerId, knockSecret, addresses: believedAddresses(seen, theirs.addresses), worked: seen.map(formatEndpoint) })
  }

  #ownHello(open: OpenLink): HelloMessage {
    const { agent, addresses } = this.#options
    const tcpPort = this.#options.tcpPort?.()
    return makeHello({ agent, knockSecret: this.#knownSecret, pathKey: open.pathKey, addresses: addresses(), ...(tcpPort === undefined ? {} : { tcpPort }) }, this.#options.capabilities)
  }

  /** A peer that has moved is reached as its new address says. */
  #pathOf(connection: PeerConnection): PeerPath {
    const { remote, transport, rttMs } = connection
    const open = [...this.#links.values()].find((link) => link.connection === connection)
    const isPlain = open === undefined || pathKind(remote) !== 'direct'
    return { transport, kind: isPlain ? pathKind(remote) : open.kind, address: formatEndpoint(remote), rttMs }
  }

  #describe(peerId: PeerId, { state, link, lastError }: LinkStatus): PeerStatus {
    const connection = link === null ? undefined : this.#links.get(link)?.connection
    return { peerId, state, path: connection ? this.#pathOf(connection) : null, lastError }
  }
}

/** Where the peer can be dialled: over TCP it dials from another port than it listens on. */
function wayOf({ transport, remote }: PeerConnection): LinkWay {
  return transport === 'tcp' ? { transport } : isForAll(remote) ? { remote } : {}
}

/** The system writes the interface behind a link-local address (`fe80::1%eth0`): that means nothing elsewhere, and nothing tomorrow. */
function isForAll({ host }: Endpoint): boolean {
  return !host.includes('%')
}

/** Addresses come from disk and from peers: what cannot be read is passed over. */
function endpointsOf(text: string): Endpoint[] {
  const endpoint = parseEndpoint(text)
  return endpoint.ok ? [endpoint.value] : []
}
