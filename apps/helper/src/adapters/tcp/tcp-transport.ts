/** The TCP transport: one TCP port per family, TLS 1.3 with the same identities as QUIC, all connections in both roles. */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { SecureContext, TLSSocket } from 'node:tls'
import { CodedError, decodeLaneHeader, encodeLaneHeader, type Endpoint, LANE_HEADER_BYTES, LANE_TOKEN_BYTES, type PeerId } from '@harddrive-party/protocol'
import type { GateSecrets } from '../../core/peers/knock-gate.ts'
import { certificateFromSeed } from '../identity/certificate.ts'
import type { DialTarget, KnockKind, PeerConnection, Transport } from '../peers/transport.ts'
import { TcpConnection } from './tcp-connection.ts'
import { dialTcp, KEEP_ALIVE_MS, TCP_DIAL_TIMEOUT_MS } from './tcp-dial.ts'
import { openTcpDoor, type TcpDoor } from './tcp-door.ts'
import { makeSecureContext, provenPeer, readFirst, secureAsListener } from './tcp-tls.ts'

export interface TcpOptions {
  /** 32 bytes, our Ed25519 private key. */
  readonly seed: Uint8Array
  /** Wanted TCP port, 0 = any; if it is taken another one is used. */
  readonly port: number
  readonly loopbackOnly: boolean
  /** The same as of the other transports. */
  readonly knockSecrets: GateSecrets
  onConnection(connection: PeerConnection, knock: KnockKind): void
  readonly log: (level: 'info' | 'warn' | 'error', message: string, details?: object) => void
}

export interface TcpTransport extends Transport {
  /** From now on only these are good for new connections; existing ones stay. */
  setKnockSecrets(secrets: GateSecrets): void
  stats(): TcpStats
}

export interface TcpStats {
  readonly connections: number
  /** Sockets that have not knocked, or whose handshake is not complete. */
  readonly halfOpen: number
  /** TCP connections that carry them. */
  readonly lanes: number
  readonly refused: Readonly<Record<string, number>>
}

/** A listener's handshake and first frame: friends on slow paths need two or three seconds. */
const ACCEPT_TIMEOUT_MS = 5_000

/** As many as of QUIC. */
const MAX_CONNECTIONS = 512

/** TCP connections that may carry one connection: the control lane, and those for bulk data. */
export const MAX_LANES = 4

/** Goodbyes have this long to leave. */
const CLOSING_MS = 1_000

/** @returns a transport that is listening @throws CodedError `no-transport` where no TCP port can be opened */
export async function openTcpTransport(options: TcpOptions): Promise<TcpTransport> {
  const transport = new OpenTcpTransport(options)
  await transport.open()
  return transport
}

class OpenTcpTransport implements TcpTransport {
  readonly kind = 'tcp'
  readonly #options: TcpOptions
  readonly #secureContext: SecureContext
  #door!: TcpDoor
  readonly #connections = new Set<TcpConnection>()
  /** Of the connections that came to us, hex: what a lane must show to join. */
  readonly #byToken = new Map<string, TcpConnection>()
  /** All of both roles, from the moment of their handshake: to be gone when we are. */
  readonly #sockets = new Set<Socket>()
  readonly #closed = new AbortController()
  #closing: Promise<void> | null = null

  constructor(options: TcpOptions) {
    this.#options = options
    this.#secureContext = makeSecureContext(certificateFromSeed(options.seed))
  }

  async open(): Promise<void> {
    const { port, loopbackOnly, knockSecrets, log } = this.#options
    this.#door = await openTcpDoor({ port, loopbackOnly, knockSecrets, onSocket: (socket, knock, settled) => void this.#accept(socket, knock).finally(settled) })
    log('info', 'listening for TCP', this.#door.ports)
  }

  get ports(): TcpTransport['ports'] {
    return this.#door.ports
  }

  async dial(target: DialTarget, { signal }: { signal: AbortSignal }): Promise<PeerConnection> {
    if (signal.aborted) throw new CodedError('aborted', 'the dial was called off')
    if (this.#closing !== null) throw new CodedError('closed', 'the transport is closed')
    const calledOff = AbortSignal.any([signal, this.#closed.signal])
    try {
      const { socket, peerId } = await this.#open(target, calledOff)
      const startedAt = performance.now()
      socket.write(encodeLaneHeader({ type: 'open', stream: 0, value: 0, length: 0 }))
      const token = await within(socket, () => readWelcome(socket), calledOff)
      return this.#add({ role: 'dialler', peerId, remote: target.endpoint, rttMs: performance.now() - startedAt, socket }, this.#laneOpener(target, peerId, token))
    } catch (error) {
      if (this.#closed.signal.aborted) throw new CodedError('closed', 'the transport was closed')
      if (signal.aborted) throw new CodedError('aborted', 'the dial was called off')
      throw error
    }
  }

  setKnockSecrets(secrets: GateSecrets): void {
    this.#door.setKnockSecrets(secrets)
  }

  stats(): TcpStats {
    const lanes = [...this.#connections].reduce((sum, connection) => sum + connection.lanes, 0)
    return { connections: this.#connections.size, halfOpen: this.#door.halfOpen, lanes, refused: { ...this.#door.refused } }
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#closed.abort()
    for (const connection of this.#connections) connection.close('goodbye')
    await this.#door.close()
    const left = [...this.#sockets].map((socket) => new Promise<void>((resolve) => {
      if (socket.destroyed) resolve()
      else socket.once('close', () => resolve())
    }))
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, CLOSING_MS)
    await Promise.all(left)
    clearTimeout(timer)
  }

  // --- as the dialler

  async #open(target: DialTarget, signal: AbortSignal): Promise<{ readonly socket: TLSSocket; readonly peerId: PeerId }> {
    const opened = await dialTcp(target, this.#secureContext, { loopbackOnly: this.#options.loopbackOnly, signal })
    this.#keep(opened.socket)
    return opened
  }

  #laneOpener(target: DialTarget, peerId: PeerId, token: Uint8Array): () => Promise<TLSSocket> {
    return async () => {
      const { socket } = await this.#open({ ...target, expect: { peerId } }, this.#closed.signal)
      socket.write(Buffer.concat([encodeLaneHeader({ type: 'join', stream: 0, value: 0, length: LANE_TOKEN_BYTES }), token]))
      return socket
    }
  }

  // --- as the listener

  async #accept(raw: Socket, knock: KnockKind): Promise<void> {
    const timer = setTimeout(() => raw.destroy(), ACCEPT_TIMEOUT_MS)
    try {
      this.#keep(raw)
      const { remotePort } = raw
      // Nobody sends to it, so the interface that the system writes behind a link-local address is left out.
      const remoteAddress = raw.remoteAddress?.split('%', 1)[0]
      const socket = await secureAsListener(raw, this.#secureContext)
      this.#keep(socket)
      socket.setKeepAlive(true, KEEP_ALIVE_MS)
      const peerId = provenPeer(socket)
      const header = await readFirst(socket, LANE_HEADER_BYTES)
      const frame = header === null ? undefined : decodeLaneHeader(header)
      if (peerId === undefined || !frame?.ok || remoteAddress === undefined || remotePort === undefined) return void socket.destroy()
      if (frame.value.type === 'open') this.#welcome(socket, peerId, { host: remoteAddress, port: remotePort }, knock)
      else if (frame.value.type === 'join') await this.#join(socket, peerId)
      else socket.destroy()
    } catch {
      raw.destroy()
    } finally {
      clearTimeout(timer)
    }
  }

  #welcome(socket: TLSSocket, peerId: PeerId, remote: Endpoint, knock: KnockKind): void {
    if (this.#closing !== null || this.#connections.size >= MAX_CONNECTIONS) return void socket.destroy()
    const token = randomBytes(LANE_TOKEN_BYTES)
    const connection = this.#add({ role: 'listener', peerId, remote, rttMs: null, socket }, undefined, token.toString('hex'))
    connection.say({ type: 'welcome', stream: 0, value: 0, length: token.length }, token)
    this.#options.onConnection(connection, knock)
  }

  async #join(socket: TLSSocket, peerId: PeerId): Promise<void> {
    const token = await readFirst(socket, LANE_TOKEN_BYTES)
    const connection = token === null ? undefined : this.#byToken.get(token.toString('hex'))
    if (connection === undefined || connection.ended || connection.peerId !== peerId || connection.lanes >= MAX_LANES) return void socket.destroy()
    connection.addLane(socket)
  }

  #add(
    how: { readonly role: 'dialler' | 'listener'; readonly peerId: PeerId; readonly remote: Endpoint; readonly rttMs: number | null; readonly socket: TLSSocket },
    openLane?: () => Promise<TLSSocket>, token?: string,
  ): TcpConnection {
    const connection = new TcpConnection({
      ...how, ...(openLane ? { openLane } : {}),
      gone: () => {
        this.#connections.delete(connection)
        if (token !== undefined) this.#byToken.delete(token)
      },
    })
    this.#connections.add(connection)
    if (token !== undefined) this.#byToken.set(token, connection)
    return connection
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
  }
}

/** @throws CodedError `refused` */
async function readWelcome(socket: TLSSocket): Promise<Uint8Array> {
  const header = await readFirst(socket, LANE_HEADER_BYTES)
  const frame = header === null ? undefined : decodeLaneHeader(header)
  const token = frame?.ok && frame.value.type === 'welcome' ? await readFirst(socket, LANE_TOKEN_BYTES) : null
  if (token === null) {
    socket.destroy()
    throw new CodedError('refused', 'the other side ended the handshake')
  }
  return token
}

/** Gives a socket up that takes too long or is not wanted any more. */
async function within<T>(socket: TLSSocket, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const end = (): void => void socket.destroy()
  const timer = setTimeout(end, TCP_DIAL_TIMEOUT_MS)
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  try {
    return await work()
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
  }
}
