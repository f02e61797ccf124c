/**
 * Our UDP sockets: the main one of each address family, and extra ones for punching, known by numbers. Opens them, sends, hands on what arrives.
 * Knows nothing of what is in a datagram.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { CodedError, type Endpoint } from '@harddrive-party/protocol'
import { enableOffload, meansNoCutting } from './udp-offload.ts'

export type AddressFamily = 'v4' | 'v6'

export interface UdpSockets {
  readonly ports: { readonly v4: number | null; readonly v6: number | null }
  /** Datagrams handed to the system whose fate is not known yet; senders keep it below {@link MAX_QUEUED_PACKETS}. */
  readonly queued: number
  /** Called when `queued` has fallen to half of the cap after having reached it. */
  onDrain: (() => void) | null
  /**
   * Sends one datagram. `bytes` must stay as it is until the send is over: at most MAX_QUEUED_PACKETS later datagrams.
   * Failures are silent like loss, except that `onSendError` hears of them.
   * @returns false when that family or socket is not available, or the queue is full
   */
  send(bytes: Uint8Array, to: Endpoint, via?: SendVia): boolean
  /** How many datagrams `send` takes at once on this way, as `via.packets`; 1 where the system does not cut. */
  most(socket: number, family: AddressFamily): number
  /**
   * Opens sockets on random ports beside the main ones.
   * @returns their numbers; fewer than asked for when the system gives no more
   * @throws CodedError `busy` beyond MAX_EXTRA_SOCKETS, `no-transport` when that family is not available, `closed`
   */
  openExtra(family: AddressFamily, count: number): Promise<number[]>
  /** One of them will carry much from now on: gives it the buffers of a main socket. */
  widen(socket: number): void
  /** Whether this number can be sent from: 0, or an extra one that is open and of that family. */
  has(socket: number, family: AddressFamily): boolean
  /** Numbers that are not open are passed over. */
  closeExtra(sockets: Iterable<number>): void
  /** Extra sockets that are open. */
  readonly extra: number
  /** Idempotent. */
  close(): Promise<void>
}

export interface SendVia {
  /** Number of an extra socket; 0 or absent = the main one of the family. */
  readonly socket?: number | undefined
  /** Datagrams in `bytes`, end to end, all of `segmentBytes` but the last; absent = 1. */
  readonly packets?: number | undefined
  /** Hops this one datagram may take, 1 to 255; absent = the usual number. */
  readonly ttl?: number | undefined
}

export interface UdpOptions {
  /** Wanted port for both families; 0 or taken = another one. */
  readonly port: number
  /** Binds 127.0.0.1 and ::1 only. */
  readonly loopbackOnly: boolean
  /** The size of the datagrams that are sent many at once. */
  readonly segmentBytes: number
  /** `bytes` may be several datagrams of one sender end to end, all of one size but the last, when they are longer than any single one. */
  onDatagram(bytes: Buffer, from: RemoteInfo, socket: number): void
  /** The system refused to send, for example because there is no route. */
  onSendError?(to: Endpoint, code: string, socket: number): void
}

/** The number of the main sockets. */
export const MAIN_SOCKET = 0

/** The largest search for a port uses 512, and all searches the same ones; the rest is for those that carry a connection already. */
export const MAX_EXTRA_SOCKETS = 600

/** What every system uses or takes for its usual number of hops, near enough: there is no way to ask the socket (RFC 1700). */
const USUAL_TTL = 64

/** More than this many unconfirmed datagrams mean that the system does not keep up: whoever sends must wait. */
export const MAX_QUEUED_PACKETS = 1024

/** The kernel takes 64 segments at once, and 65,507 bytes: this stays below both for every packet size we use. */
const MAX_SEGMENTS = 40

/** Room for bursts while our thread is busy elsewhere. The system may give less. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024

/** How often to look for a port that is free in both families before settling for two different ones. */
const SAME_PORT_ATTEMPTS = 8

/** @throws CodedError `no-transport` when neither family can be opened */
export async function openUdpSockets(options: UdpOptions): Promise<UdpSockets> {
  const opened = await bindBoth(options.port, options.loopbackOnly)
  if (opened.v4 === null && opened.v6 === null) {
    throw new CodedError('no-transport', 'no UDP socket could be opened', { cause: opened.cause })
  }
  return new BoundSockets(opened.v4, opened.v6, options)
}

export function familyOf(host: string): AddressFamily {
  return host.includes(':') ? 'v6' : 'v4'
}

class BoundSockets implements UdpSockets {
  readonly ports: UdpSockets['ports']
  queued = 0
  onDrain: (() => void) | null = null
  readonly #main: Readonly<Record<AddressFamily, Socket | null>>
  readonly #extra = new Map<number, { readonly socket: Socket; readonly family: AddressFamily }>()
  readonly #options: UdpOptions
  /** Sockets whose sends may be cut. */
  readonly #cutting = new WeakSet<Socket>()
  /** Extra sockets that are being opened. */
  #opening = 0
  #lastExtra = MAIN_SOCKET
  #full = false
  #closing: Promise<void> | null = null

  constructor(v4: Socket | null, v6: Socket | null, options: UdpOptions) {
    this.#main = { v4, v6 }
    this.#options = options
    this.ports = { v4: v4?.address().port ?? null, v6: v6?.address().port ?? null }
    for (const socket of [v4, v6]) {
      if (socket === null) continue
      this.#listen(socket, MAIN_SOCKET)
      this.#makeFast(socket)
    }
  }

  get extra(): number {
    return this.#extra.size
  }

  has(socket: number, family: AddressFamily): boolean {
    return this.#socket(socket, family) !== null
  }

  most(number: number, family: AddressFamily): number {
    const socket = this.#socket(number, family)
    return socket !== null && this.#cutting.has(socket) ? MAX_SEGMENTS : 1
  }

  send(bytes: Uint8Array, to: Endpoint, { socket: number = MAIN_SOCKET, ttl, packets = 1 }: SendVia = {}): boolean {
    const socket = this.#socket(number, familyOf(to.host))
    if (socket === null || this.#closing !== null || this.queued >= MAX_QUEUED_PACKETS) {
      this.#full ||= this.queued >= MAX_QUEUED_PACKETS
      return false
    }
    this.queued += packets
    const done = (error: Error | null): void => {
      this.queued -= packets
      if (error !== null) {
        const code = 'code' in error ? String(error.code) : 'unknown'
        // Not every device and route can do it, and the first try tells. What was lost is sent again, one by one.
        if (packets > 1 && meansNoCutting(code)) this.#cutting.delete(socket)
        this.#options.onSendError?.(to, code, number)
      }
      if (!this.#full || this.queued > MAX_QUEUED_PACKETS / 2) return
      this.#full = false
      this.onDrain?.()
    }
    try {
      if (ttl === undefined) socket.send(bytes, to.port, to.host, done)
      else sendWithTtl(socket, bytes, to, ttl, done)
    } catch (error) {
      // A port or address that the system does not take at all.
      done(error instanceof Error ? error : new Error('unknown'))
    }
    return true
  }

  async openExtra(family: AddressFamily, count: number): Promise<number[]> {
    if (this.#main[family] === null) throw new CodedError('no-transport', 'this address family is not available here')
    if (this.#extra.size + this.#opening + count > MAX_EXTRA_SOCKETS) throw new CodedError('busy', 'too many sockets are open already')
    this.#opening += count
    const bound = await Promise.all(Array.from({ length: count }, () => bind(0, family, this.#options.loopbackOnly)))
    this.#opening -= count
    const sockets = bound.flatMap(({ socket }) => (socket === null ? [] : [socket]))
    if (this.#closing !== null) {
      await Promise.all(sockets.map(closeSocket))
      throw new CodedError('closed', 'the sockets are closed')
    }
    return sockets.map((socket) => {
      const number = ++this.#lastExtra
      this.#extra.set(number, { socket, family })
      this.#listen(socket, number)
      return number
    })
  }

  widen(number: number): void {
    const extra = this.#extra.get(number)
    if (extra !== undefined) this.#makeFast(extra.socket)
  }

  closeExtra(numbers: Iterable<number>): void {
    for (const number of numbers) {
      const extra = this.#extra.get(number)
      this.#extra.delete(number)
      extra?.socket.close()
    }
  }

  #socket(number: number, family: AddressFamily): Socket | null {
    if (number === MAIN_SOCKET) return this.#main[family]
    const extra = this.#extra.get(number)
    return extra?.family === family ? extra.socket : null
  }

  #makeFast(socket: Socket): void {
    widenBuffers(socket)
    if (enableOffload(socket, this.#options.segmentBytes)) this.#cutting.add(socket)
  }

  #listen(socket: Socket, number: number): void {
    socket.on('message', (bytes, from) => this.#options.onDatagram(bytes, from, number))
    // Some systems report a stranger's "port unreachable" here. It concerns one datagram, not the socket.
    socket.on('error', () => {})
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll()
    return this.#closing
  }

  async #closeAll(): Promise<void> {
    const extra = [...this.#extra.values()].map(({ socket }) => socket)
    this.#extra.clear()
    await Promise.all([this.#main.v4, this.#main.v6, ...extra].map(closeSocket))
  }
}

/**
 * The number of hops belongs to the socket, not to the datagram. It is changed for one send only, which the system takes at once while its queue is
 * empty. Otherwise the datagram is given up: a queued one would leave with the usual number, and others would not with the low one.
 */
function sendWithTtl(socket: Socket, bytes: Uint8Array, to: Endpoint, ttl: number, done: (error: Error | null) => void): void {
  if (socket.getSendQueueCount() > 0) return done(null)
  try {
    socket.setTTL(ttl)
    socket.send(bytes, to.port, to.host, done)
  } finally {
    socket.setTTL(USUAL_TTL)
  }
}

function widenBuffers(socket: Socket): void {
  for (const set of [() => socket.setRecvBufferSize(SOCKET_BUFFER_BYTES), () => socket.setSendBufferSize(SOCKET_BUFFER_BYTES)]) {
    try {
      set()
    } catch {
      // The system's own size then has to do.
    }
  }
}

function closeSocket(socket: Socket | null): Promise<void> {
  return new Promise((resolve) => (socket === null ? resolve() : socket.close(resolve)))
}

interface Opened {
  readonly v4: Socket | null
  readonly v6: Socket | null
  readonly cause: unknown
}

async function bindBoth(wanted: number, loopbackOnly: boolean): Promise<Opened> {
  for (let attempt = 0; ; attempt++) {
    const v4 = await bindOr(attempt === 0 ? wanted : 0, 'v4', loopbackOnly)
    const port = v4.socket?.address().port ?? wanted
    const v6 = await bind(port, 'v6', loopbackOnly)
    const taken = v4.socket !== null && v6.socket === null && v6.code === 'EADDRINUSE'
    if (!taken) {
      const other = v6.code === 'EADDRINUSE' ? await bind(0, 'v6', loopbackOnly) : v6
      return { v4: v4.socket, v6: other.socket, cause: v4.cause ?? other.cause }
    }
    // A port given to us in v4 may belong to somebody else in v6. A port that was asked for and got in v4 is kept all the same.
    if (port === wanted || attempt === SAME_PORT_ATTEMPTS) {
      return { v4: v4.socket, v6: (await bind(0, 'v6', loopbackOnly)).socket, cause: null }
    }
    await closeSocket(v4.socket)
  }
}

interface Bound {
  readonly socket: Socket | null
  readonly code: string | null
  readonly cause: unknown
}

async function bindOr(port: number, family: AddressFamily, loopbackOnly: boolean): Promise<Bound> {
  const bound = await bind(port, family, loopbackOnly)
  return bound.socket === null && port !== 0 ? await bind(0, family, loopbackOnly) : bound
}

function bind(port: number, family: AddressFamily, loopbackOnly: boolean): Promise<Bound> {
  const address = family === 'v4' ? (loopbackOnly ? '127.0.0.1' : '0.0.0.0') : loopbackOnly ? '::1' : '::'
  return new Promise((resolve) => {
    const socket = createSocket({
      type: family === 'v4' ? 'udp4' : 'udp6',
      ipv6Only: family === 'v6',
      // We send to literals only: nothing may ever ask a name server, and the answer is needed at once.
      lookup: (host, _options, callback) => callback(null, host, family === 'v4' ? 4 : 6),
    })
    const fail = (error: Error & { code?: string }): void => {
      socket.close()
      resolve({ socket: null, code: error.code ?? 'unknown', cause: error })
    }
    socket.once('error', fail)
    socket.bind({ port, address, exclusive: true }, () => {
      socket.off('error', fail)
      resolve({ socket, code: null, cause: null })
    })
  })
}
