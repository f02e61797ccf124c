/** Our UDP sockets, one per address family: opens them, sends, hands on what arrives. Knows nothing of what is in a datagram. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { CodedError, type Endpoint } from '@harddrive-party/protocol'

export type AddressFamily = 'v4' | 'v6'

export interface UdpSockets {
  readonly ports: { readonly v4: number | null; readonly v6: number | null }
  /** Datagrams handed to the system whose fate is not known yet; senders keep it below {@link MAX_QUEUED_SENDS}. */
  readonly queued: number
  /** Called when `queued` has fallen to half of the cap after having reached it. */
  onDrain: (() => void) | null
  /**
   * Sends one datagram. `bytes` must stay as it is until the send is over: at most MAX_QUEUED_SENDS later sends.
   * Failures are silent like loss, except that `onSendError` hears of them.
   * @returns false when that family is not available or the queue is full
   */
  send(bytes: Uint8Array, to: Endpoint): boolean
  /** Idempotent. */
  close(): Promise<void>
}

export interface UdpOptions {
  /** Wanted port for both families; 0 or taken = another one. */
  readonly port: number
  /** Binds 127.0.0.1 and ::1 only. */
  readonly loopbackOnly: boolean
  onDatagram(bytes: Buffer, from: RemoteInfo): void
  /** The system refused to send, for example because there is no route. */
  onSendError?(to: Endpoint, code: string): void
}

/** More than this many unconfirmed sends mean that the system does not keep up: whoever sends must wait. */
export const MAX_QUEUED_SENDS = 1024

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
  readonly #v4: Socket | null
  readonly #v6: Socket | null
  #full = false
  #closing: Promise<void> | null = null
  readonly #onSendError: NonNullable<UdpOptions['onSendError']>

  constructor(v4: Socket | null, v6: Socket | null, options: UdpOptions) {
    this.#v4 = v4
    this.#v6 = v6
    this.ports = { v4: v4?.address().port ?? null, v6: v6?.address().port ?? null }
    this.#onSendError = options.onSendError ?? (() => {})
    for (const socket of [v4, v6]) {
      if (socket === null) continue
      socket.on('message', options.onDatagram)
      // Some systems report a stranger's "port unreachable" here. It concerns one datagram, not the socket.
      socket.on('error', () => {})
      for (const set of [() => socket.setRecvBufferSize(SOCKET_BUFFER_BYTES), () => socket.setSendBufferSize(SOCKET_BUFFER_BYTES)]) {
        try {
          set()
        } catch {
          // The system's own size then has to do.
        }
      }
    }
  }

  send(bytes: Uint8Array, to: Endpoint): boolean {
    const socket = familyOf(to.host) === 'v4' ? this.#v4 : this.#v6
    if (socket === null || this.#closing !== null || this.queued >= MAX_QUEUED_SENDS) {
      this.#full ||= this.queued >= MAX_QUEUED_SENDS
      return false
    }
    this.queued++
    try {
      socket.send(bytes, to.port, to.host, (error) => {
        this.#sent()
        if (error !== null) this.#onSendError(to, 'code' in error ? String(error.code) : 'unknown')
      })
    } catch (error) {
      // A port or address that the system does not take at all.
      this.#sent()
      this.#onSendError(to, error instanceof Error && 'code' in error ? String(error.code) : 'unknown')
    }
    return true
  }

  #sent(): void {
    this.queued--
    if (this.#full && this.queued <= MAX_QUEUED_SENDS / 2) {
      this.#full = false
      this.onDrain?.()
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeBoth()
    return this.#closing
  }

  async #closeBoth(): Promise<void> {
    await Promise.all([closeSocket(this.#v4), closeSocket(this.#v6)])
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
