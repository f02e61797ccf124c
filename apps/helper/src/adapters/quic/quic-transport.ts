/** The QUIC transport: one UDP port per family, all connections in both roles on it, and the loop that turns them. */
import { createHmac, randomBytes } from 'node:crypto'
import type { RemoteInfo } from 'node:dgram'
import {
  CID_BYTES, checkKnockCid, classifyDatagram, CodedError, type Endpoint, type Hmac, KNOCK_NONCE_BYTES, makeKnockCid, ownDatagramType,
} from '@harddrive-party/protocol'
import { type GateVerdict, KnockGate } from '../../core/peers/knock-gate.ts'
import { type Certificate, certificateFromSeed } from '../identity/certificate.ts'
import type { DialTarget, KnockKind, PeerConnection, Transport } from '../peers/transport.ts'
import { type AddressFamily, familyOf, MAIN_SOCKET, MAX_QUEUED_PACKETS, openUdpSockets, type SendVia, type UdpSockets } from '../reach/udp-socket.ts'
import { LOCAL_ADDRESS, makeConfig, MAX_PACKET_BYTES, REMOTE_ADDRESS } from './config.ts'
import { beginDial, type Dial, DIAL_TIMEOUT_MS } from './dial.ts'
import { loadNativeQuic, type NativeConfig, type NativeConnection, type NativeQuic } from './native.ts'
import { cidKey, coalescedSize, parseLongHeader, shortHeaderCidKey, sourceNetwork, splitOwnDatagrams } from './packet-header.ts'
import { PacketRing } from './packet-ring.ts'
import type { ConnectionHost, HandshakeListener } from './connection-host.ts'
import { QuicConnection } from './quic-connection.ts'

export interface KnockSecrets {
  /** 16 bytes each. */
  readonly code: Uint8Array
  readonly known: Uint8Array
  /** Only while we announce ourselves on the local network. */
  readonly lan?: Uint8Array | undefined
}

export interface QuicOptions {
  /** 32 bytes, our Ed25519 private key. */
  readonly seed: Uint8Array
  /** Wanted UDP port, 0 = any; if it is taken another one is used. */
  readonly udpPort: number
  readonly loopbackOnly: boolean
  readonly knockSecrets: KnockSecrets
  onConnection(connection: PeerConnection, knock: KnockKind): void
  /**
   * Datagrams on our sockets that are not QUIC. Path probes of our connections are not passed on.
   * @param socket where it came in: 0 = the main socket of the sender's family, else a number from `openSockets`
   */
  onDatagram?(kind: 'stun' | 'own', bytes: Uint8Array, from: Endpoint, socket: number): void
  readonly log: (level: 'info' | 'warn' | 'error', message: string, details?: object) => void
}

export interface QuicTransport extends Transport {
  /** From now on only these are good for new connections; existing ones stay. */
  setKnockSecrets(secrets: KnockSecrets): void
  /** One datagram as it is, from our port or an extra socket, with few hops if so wished. Lost in silence like any other. `bytes` must not change any more. */
  sendDatagram(bytes: Uint8Array, to: Endpoint, via?: SendVia): void
  /**
   * Opens sockets on random ports beside the main one: QUIC comes in and can be dialled on them as well.
   * @returns their numbers, to be given back with `closeSockets`; perhaps fewer than asked for
   * @throws CodedError `busy` beyond the bound, `no-transport` when the family is not available, `closed`
   */
  openSockets(family: AddressFamily, count: number): Promise<number[]>
  /** Gives sockets back. One that carries a connection is closed with it, the others now. Unknown numbers are passed over. */
  closeSockets(sockets: Iterable<number>): void
  stats(): QuicStats
}

export interface QuicStats {
  /** Established, in both roles. */
  readonly connections: number
  readonly halfOpen: number
  /** Sockets beside the main ones. */
  readonly extraSockets: number
  /** Datagrams that were no business of ours: noise, or for connections that are gone. */
  readonly dropped: number
  /** First packets admitted, and refused, by reason. */
  readonly admitted: number
  readonly refused: Readonly<Record<RefusalReason, number>>
}

type RefusalReason = Extract<GateVerdict, { admit: false }>['reason']

/** A listener's handshake: friends on slow paths need two or three seconds, a stranger's costs memory. */
const ACCEPT_TIMEOUT_MS = 5000

/** The smallest datagram that may carry a first packet (RFC 9000 section 14.1). */
const MIN_INITIAL_BYTES = 1200
const MIN_ORIGINAL_DCID_BYTES = 8

/** Connections in all; 16 GB of windows if all were hostile at once, a few MB when they are not. */
const MAX_CONNECTIONS = 512

/** Probes and echoes looked at per second: each is compared with every connection's key. */
const PROBES_PER_SECOND = 200

const hmac: Hmac = (key, data) => createHmac('sha256', key).update(data).digest()

/**
 * @returns a transport that is listening
 * @throws CodedError `no-transport` where there is no engine for this platform, or no UDP
 */
export async function openQuicTransport(options: QuicOptions): Promise<QuicTransport> {
  const engine = loadNativeQuic()
  const certificate = certificateFromSeed(options.seed)
  const config = makeConfig(engine, certificate)
  const loop = new QuicLoop(engine, config, certificate, options)
  loop.start(
    await openUdpSockets({
      port: options.udpPort,
      loopbackOnly: options.loopbackOnly,
      segmentBytes: MAX_PACKET_BYTES,
      onDatagram: (bytes, from, socket) => loop.onDatagram(bytes, from, socket),
      onSendError: (to, code, socket) => loop.onSendError(to, code, socket),
    }),
  )
  return loop
}

class QuicLoop implements QuicTransport, ConnectionHost {
  readonly kind = 'quic'
  readonly engine: NativeQuic
  readonly #config: NativeConfig
  readonly #certificate: Certificate
  readonly #options: QuicOptions
  readonly #gate: KnockGate
  #sockets!: UdpSockets
  readonly #byCid = new Map<string, QuicConnection>()
  readonly #connections = new Set<QuicConnection>()
  readonly #dials = new Set<Dial>()
  /** Connections on each extra socket. */
  readonly #carried = new Map<number, number>()
  /** Extra sockets that were given back while they carried a connection. */
  readonly #givenBack = new Set<number>()
  readonly #ring: PacketRing
  #awake: QuicConnection[] = []
  #immediate: NodeJS.Immediate | null = null
  #drowsy = new Set<QuicConnection>()
  #soon: NodeJS.Timeout | null = null
  readonly #stalled = new Set<QuicConnection>()
  #timer: NodeJS.Timeout | null = null
  #timerAt = Number.POSITIVE_INFINITY
  #closing: Promise<void> | null = null
  #dropped = 0
  #admitted = 0
  readonly #refused: Record<RefusalReason, number> = {
    'no-knock': 0, replayed: 0, 'too-fast': 0, 'half-open': 0, 'half-open-source': 0,
  }
  #probes = { left: PROBES_PER_SECOND, since: 0 }

  constructor(engine: NativeQuic, config: NativeConfig, certificate: Certificate, options: QuicOptions) {
    this.engine = engine
    this.#config = config
    this.#certificate = certificate
    this.#options = options
    this.#gate = new KnockGate((cid, secret, unixMs) => checkKnockCid(cid, secret, unixMs, hmac), options.knockSecrets)
    this.#ring = new PacketRing({
      most: (to, socket) => this.#sockets.most(socket, familyOf(to.host)),
      send: (bytes, to, socket, packets) => this.#sockets.send(bytes, to, { socket, packets }),
    })
  }

  start(sockets: UdpSockets): void {
    this.#sockets = sockets
    sockets.onDrain = () => {
      for (const connection of this.#stalled) this.wake(connection)
      this.#stalled.clear()
    }
    this.#options.log('info', 'listening for QUIC', { ...sockets.ports, peerId: this.#certificate.peerId })
  }

  get ports(): QuicTransport['ports'] {
    return this.#sockets.ports
  }

  async dial(target: DialTarget, { signal }: { signal: AbortSignal }): Promise<PeerConnection> {
    if (signal.aborted) throw new CodedError('aborted', 'the dial was called off')
    if (this.#closing !== null) throw new CodedError('closed', 'the transport is closed')
    if (!this.#sockets.has(target.socket ?? MAIN_SOCKET, familyOf(target.endpoint.host))) {
      throw new CodedError('unreachable', 'this address family is not available here')
    }
    const dial = beginDial(target, (listener) => this.#connect(target, listener), signal)
    this.#dials.add(dial)
    try {
      return await dial.connected
    } finally {
      this.#dials.delete(dial)
    }
  }

  setKnockSecrets(secrets: KnockSecrets): void {
    this.#gate.setSecrets(secrets)
  }

  sendDatagram(bytes: Uint8Array, to: Endpoint, via?: SendVia): void {
    this.#sockets.send(bytes, to, via)
  }

  openSockets(family: AddressFamily, count: number): Promise<number[]> {
    return this.#closing === null ? this.#sockets.openExtra(family, count) : Promise.reject(new CodedError('closed', 'the transport is closed'))
  }

  closeSockets(sockets: Iterable<number>): void {
    for (const socket of sockets) {
      if (this.#carried.has(socket)) this.#givenBack.add(socket)
      else this.#sockets.closeExtra([socket])
    }
  }

  stats(): QuicStats {
    let connections = 0
    for (const { established, ended } of this.#connections) if (established && !ended) connections++
    return {
      connections,
      halfOpen: this.#gate.halfOpen,
      extraSockets: this.#sockets.extra,
      dropped: this.#dropped,
      admitted: this.#admitted,
      refused: { ...this.#refused },
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    for (const dial of this.#dials) dial.abandon(new CodedError('closed', 'the transport was closed'))
    for (const connection of this.#connections) connection.close('goodbye')
    if (this.#immediate !== null) clearImmediate(this.#immediate)
    if (this.#soon !== null) clearTimeout(this.#soon)
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#sockets.close()
    this.#connections.clear()
    this.#byCid.clear()
    this.#carried.clear()
    this.#givenBack.clear()
  }

  // --- what arrives

  onDatagram(bytes: Buffer, from: RemoteInfo, socket: number): void {
    if (this.#closing !== null) return
    switch (classifyDatagram(bytes)) {
      case 'quic-short': {
        const key = shortHeaderCidKey(bytes)
        const connection = key === null ? undefined : this.#byCid.get(key)
        if (connection === undefined) this.#dropped++
        else this.#receive(connection, bytes, from)
        return
      }
      case 'quic-long':
        this.#onLongHeader(bytes, from, socket)
        return
      case 'stun':
        this.#options.onDatagram?.('stun', bytes, { host: from.address, port: from.port }, socket)
        return
      case 'own':
        for (const own of splitOwnDatagrams(bytes)) this.#onOwn(own, { host: from.address, port: from.port }, socket)
        return
      case 'unknown':
        this.#dropped++
    }
  }

  /** The kernel may hand over several at once, small ones too. */
  #receive(connection: QuicConnection, bytes: Buffer, from: RemoteInfo): void {
    const size = coalescedSize(bytes)
    for (let at = 0; at < bytes.length; at += size) connection.receive(size === bytes.length ? bytes : bytes.subarray(at, at + size), from)
  }

  onSendError(to: Endpoint, code: string, socket: number): void {
    for (const dial of this.#dials) {
      const { endpoint, socket: from = MAIN_SOCKET } = dial.target
      if (endpoint.host === to.host && endpoint.port === to.port && from === socket) dial.onSendError(code)
    }
  }

  #onLongHeader(bytes: Buffer, from: RemoteInfo, socket: number): void {
    const header = parseLongHeader(bytes)
    const connection = header === null ? undefined : this.#byCid.get(cidKey(header.dcid))
    if (connection !== undefined) {
      connection.receive(bytes, from)
      return
    }
    if (
      header === null || !header.initial || bytes.length < MIN_INITIAL_BYTES || header.scid.length !== CID_BYTES ||
      header.dcid.length < MIN_ORIGINAL_DCID_BYTES || this.#connections.size >= MAX_CONNECTIONS
    ) {
      this.#dropped++
      return
    }
    const source = sourceNetwork(from.address)
    const verdict = this.#gate.judge({ scid: header.scid, scidKey: cidKey(header.scid), source, now: this.now(), unixMs: Date.now() })
    if (verdict.admit) this.#accept(bytes, from, socket, cidKey(header.dcid), source, verdict.knock)
    else this.#refused[verdict.reason]++
  }

  #accept(bytes: Buffer, from: RemoteInfo, socket: number, originalDcid: string, source: string, knock: KnockKind): void {
    this.#admitted++
    const scid = randomBytes(CID_BYTES)
    const native = this.engine.Connection.accept(scid, null, LOCAL_ADDRESS, REMOTE_ADDRESS, this.#config)
    const listener: HandshakeListener = {
      established: (connection) => {
        this.#gate.settle(source)
        // After this packet has been dealt with, so that the owner meets a connection that is ready.
        queueMicrotask(() => {
          if (!connection.ended) this.#options.onConnection(connection, knock)
        })
        return true
      },
      failed: (_connection, _reason, badCertificate) => {
        this.#gate.settle(source)
        if (badCertificate) this.#options.log('warn', 'refused a peer without a usable certificate', { from: from.address })
      },
    }
    const remote = { host: from.address, port: from.port }
    const cidKeys = [cidKey(scid), originalDcid]
    this.#add('listener', native, cidKeys, { remote, socket }, ACCEPT_TIMEOUT_MS, listener).receive(bytes, from)
  }

  #connect(target: DialTarget, listener: HandshakeListener): QuicConnection {
    const scid = makeKnockCid(target.knockSecret, randomBytes(KNOCK_NONCE_BYTES), Date.now(), hmac)
    const native = this.engine.Connection.connect(null, scid, LOCAL_ADDRESS, REMOTE_ADDRESS, this.#config)
    const path = { remote: target.endpoint, socket: target.socket ?? MAIN_SOCKET }
    const connection = this.#add('dialler', native, [cidKey(scid)], path, DIAL_TIMEOUT_MS, listener)
    this.wake(connection)
    return connection
  }

  #add(
    role: 'dialler' | 'listener', native: NativeConnection, cidKeys: readonly string[], path: { readonly remote: Endpoint; readonly socket: number },
    handshakeMs: number, listener: HandshakeListener,
  ): QuicConnection {
    const connection = new QuicConnection(this, listener, { role, native, cidKeys, ...path, handshakeMs })
    this.#connections.add(connection)
    if (path.socket !== MAIN_SOCKET) this.#carry(path.socket)
    for (const key of cidKeys) this.#byCid.set(key, connection)
    return connection
  }

  #carry(socket: number): void {
    this.#carried.set(socket, (this.#carried.get(socket) ?? 0) + 1)
    this.#sockets.widen(socket)
  }

  #release(socket: number): void {
    const left = (this.#carried.get(socket) ?? 0) - 1
    if (left > 0) this.#carried.set(socket, left)
    else {
      this.#carried.delete(socket)
      if (this.#givenBack.delete(socket)) this.#sockets.closeExtra([socket])
    }
  }

  #onOwn(bytes: Buffer, from: Endpoint, socket: number): void {
    const type = ownDatagramType(bytes)
    if (type === undefined) {
      this.#options.onDatagram?.('own', bytes, from, socket)
      return
    }
    const now = this.now()
    if (now - this.#probes.since >= 1000) this.#probes = { left: PROBES_PER_SECOND, since: now }
    if (this.#probes.left-- <= 0) {
      this.#dropped++
      return
    }
    for (const connection of this.#connections) if (connection.receiveProbe(type, bytes, from)) return
    this.#dropped++
  }

  // --- for the connections

  now(): number {
    return performance.now()
  }

  stalled(connection: QuicConnection): boolean {
    if (this.#sockets.queued < MAX_QUEUED_PACKETS - 1) return false
    this.#stalled.add(connection)
    return true
  }

  packetBuffer(): Uint8Array {
    return this.#ring.buffer
  }

  transmitBuffer(length: number, to: Endpoint, socket: number): void {
    this.#ring.push(length, to, socket)
  }

  transmitted(): void {
    this.#ring.flush()
  }

  transmit(packet: Uint8Array, to: Endpoint, socket: number): void {
    this.#ring.flush()
    this.#sockets.send(packet, to, { socket })
  }

  wake(connection: QuicConnection): void {
    if (connection.awake) return
    connection.awake = true
    this.#awake.push(connection)
    this.#immediate ??= setImmediate(this.#turn)
  }

  wakeSoon(connection: QuicConnection): void {
    if (connection.awake) return
    this.#drowsy.add(connection)
    this.#soon ??= setTimeout(this.#rouse, 1)
  }

  wakeAt(at: number): void {
    if (at >= this.#timerAt || at === Number.POSITIVE_INFINITY || this.#closing !== null) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timerAt = at
    this.#timer = setTimeout(this.#tick, Math.max(1, at - this.now()))
  }

  gone(connection: QuicConnection): void {
    if (!this.#connections.delete(connection)) return
    if (connection.socket !== MAIN_SOCKET) this.#release(connection.socket)
    this.#drowsy.delete(connection)
    this.#stalled.delete(connection)
    for (const key of connection.cidKeys) if (this.#byCid.get(key) === connection) this.#byCid.delete(key)
  }

  readonly #turn = (): void => {
    this.#immediate = null
    const awake = this.#awake
    this.#awake = []
    for (const connection of awake) {
      connection.awake = false
      this.#drowsy.delete(connection)
      connection.flush()
    }
  }

  readonly #rouse = (): void => {
    this.#soon = null
    const drowsy = this.#drowsy
    this.#drowsy = new Set()
    for (const connection of drowsy) connection.flush()
  }

  readonly #tick = (): void => {
    this.#timer = null
    this.#timerAt = Number.POSITIVE_INFINITY
    const now = this.now()
    for (const connection of this.#connections) {
      connection.tick(now)
      if (connection.dueAt > 0) this.wakeAt(connection.dueAt)
    }
  }
}
