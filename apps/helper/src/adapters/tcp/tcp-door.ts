/**
 * Our TCP ports: accepts, and lets through only who begins with a good knock. Everybody else's connection is closed without a byte. Bounds how many may
 * stand before the door; decides nothing about who is behind a knock.
 */
import { createHmac } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { checkTcpKnock, CodedError, type Hmac, TCP_KNOCK_BYTES } from '@harddrive-party/protocol'
import { type GateSecrets, type GateVerdict, KnockGate } from '../../core/peers/knock-gate.ts'
import { sourceNetwork } from '../quic/packet-header.ts'
import type { KnockKind } from '../peers/transport.ts'
import { readFirst } from './tcp-tls.ts'

export interface TcpDoor {
  readonly ports: { readonly v4: number | null; readonly v6: number | null }
  readonly halfOpen: number
  readonly refused: Readonly<Record<string, number>>
  setKnockSecrets(secrets: GateSecrets): void
  /** Idempotent. Sockets that were handed over are not touched. */
  close(): Promise<void>
}

export interface TcpDoorOptions {
  /** Wanted port for both families; 0 or taken = another one. */
  readonly port: number
  readonly loopbackOnly: boolean
  readonly knockSecrets: GateSecrets
  /** Has knocked; what follows the knock is still in it. `settled` is to be called once, when its handshake has ended in either way. */
  onSocket(socket: Socket, knock: KnockKind, settled: () => void): void
}

/** A knock comes with the first packet after the connection is made. */
const KNOCK_TIMEOUT_MS = 3_000

/** Sockets that have not knocked yet. When there are more the oldest goes: a friend's knock is there at once, whoever takes time is none. */
const MAX_SILENT = 64
const MAX_SILENT_PER_SOURCE = 16

/** How often to look for a port that is free in both families before settling for two different ones. */
const SAME_PORT_ATTEMPTS = 8

const hmac: Hmac = (key, data) => createHmac('sha256', key).update(data).digest()

/** @throws CodedError `no-transport` when neither family can be opened */
export async function openTcpDoor(options: TcpDoorOptions): Promise<TcpDoor> {
  const { v4, v6, cause } = await listenBoth(options.port, options.loopbackOnly)
  if (v4 === null && v6 === null) throw new CodedError('no-transport', 'no TCP port could be opened', { cause })
  return new OpenDoor(v4, v6, options)
}

class OpenDoor implements TcpDoor {
  readonly ports: TcpDoor['ports']
  readonly refused: Record<string, number> = {}
  readonly #servers: readonly Server[]
  readonly #options: TcpDoorOptions
  readonly #gate: KnockGate
  /** With where they come from, oldest first. */
  readonly #silent = new Map<Socket, string>()
  #closing: Promise<void> | null = null

  constructor(v4: Server | null, v6: Server | null, options: TcpDoorOptions) {
    this.#options = options
    this.#servers = [v4, v6].filter((server) => server !== null)
    this.ports = { v4: portOf(v4), v6: portOf(v6) }
    this.#gate = new KnockGate((knock, secret, unixMs) => checkTcpKnock(knock, secret, unixMs, hmac), options.knockSecrets)
    for (const server of this.#servers) {
      server.on('connection', (socket) => void this.#meet(socket))
      // Of accepting, such as too many open files: others may still come.
      server.on('error', () => {})
    }
  }

  get halfOpen(): number {
    return this.#gate.halfOpen + this.#silent.size
  }

  setKnockSecrets(secrets: GateSecrets): void {
    this.#gate.setSecrets(secrets)
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    for (const socket of this.#silent.keys()) socket.destroy()
    // Servers wait for sockets that were handed over as well; those are somebody else's.
    for (const server of this.#servers) server.close()
  }

  async #meet(socket: Socket): Promise<void> {
    socket.on('error', () => {})
    const source = sourceNetwork(socket.remoteAddress ?? '')
    if (this.#closing !== null || socket.remoteAddress === undefined) return void socket.destroy()
    this.#makeRoom(source)
    this.#silent.set(socket, source)
    const timer = setTimeout(() => socket.destroy(), KNOCK_TIMEOUT_MS)
    const knock = await readFirst(socket, TCP_KNOCK_BYTES)
    clearTimeout(timer)
    this.#silent.delete(socket)
    if (knock === null || this.#closing !== null) return void socket.destroy()
    const verdict: GateVerdict = this.#gate.judge({ scid: knock, scidKey: knock.toString('latin1'), source, now: performance.now(), unixMs: Date.now() })
    if (!verdict.admit) {
      this.refused[verdict.reason] = (this.refused[verdict.reason] ?? 0) + 1
      return void socket.destroy()
    }
    this.#options.onSocket(socket, verdict.knock, () => this.#gate.settle(source))
  }

  #makeRoom(source: string): void {
    const fromSource = [...this.#silent].filter(([, other]) => other === source)
    const oldest = fromSource.length >= MAX_SILENT_PER_SOURCE ? fromSource[0]?.[0] : this.#silent.size >= MAX_SILENT ? this.#silent.keys().next().value : undefined
    if (oldest === undefined) return
    this.#silent.delete(oldest)
    oldest.destroy()
  }
}

function portOf(server: Server | null): number | null {
  const address = server?.address()
  return typeof address === 'object' && address !== null ? address.port : null
}

interface Listening {
  readonly v4: Server | null
  readonly v6: Server | null
  readonly cause?: unknown
}

/** The same port in both families where that can be had. */
async function listenBoth(wanted: number, loopbackOnly: boolean): Promise<Listening> {
  const hosts = loopbackOnly ? (['127.0.0.1', '::1'] as const) : (['0.0.0.0', '::'] as const)
  let last: Listening = { v4: null, v6: null }
  for (let attempt = 0; attempt < SAME_PORT_ATTEMPTS; attempt++) {
    const v4 = await listen(hosts[0], attempt === 0 ? wanted : 0)
    const v6 = await listen(hosts[1], portOf(v4.server) ?? (attempt === 0 ? wanted : 0))
    if (v6.code !== 'EADDRINUSE' && v4.code !== 'EADDRINUSE') return { v4: v4.server, v6: v6.server, cause: v4.cause ?? v6.cause }
    last.v4?.close()
    last.v6?.close()
    last = { v4: v4.server, v6: v6.server }
  }
  const rest = last.v6 ?? (await listen(hosts[1], 0)).server
  return { v4: last.v4, v6: rest }
}

async function listen(host: string, port: number): Promise<{ readonly server: Server | null; readonly code?: string; readonly cause?: unknown }> {
  const server = createServer({ noDelay: true, allowHalfOpen: false })
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port, ipv6Only: host.includes(':'), exclusive: true }, resolve)
    })
  } catch (cause) {
    return { server: null, code: (cause as NodeJS.ErrnoException).code ?? '', cause }
  }
  server.removeAllListeners('error')
  return { server }
}
