/** The control door: serves the app, the control socket and the JSON API on a loopback address, to this machine's person only. */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { CodedError } from '@harddrive-party/protocol'
import { CLOSE_GOING_AWAY, type ControlApi, MAX_CONTROL_MESSAGE, formatPairingLink } from '@harddrive-party/protocol/control'
import express from 'express'
import { WebSocketServer } from 'ws'
import type { ControlHub } from './control-events.ts'
import type { ControlSession } from './control-service.ts'
import { type ControlIdentity, acceptControlSocket } from './control-socket.ts'
import { type HttpGuard, createHttpGuard } from './http-guard.ts'
import { createJsonApi } from './json-api.ts'
import { type PairingCodes, createPairingCodes } from './pairing-codes.ts'
import type { Devices } from './services.ts'

export interface ControlServerOptions {
  /** `http://127.0.0.1:3030`; port 0 = any. Loopback only. */
  readonly uiAddress: string
  readonly identity: ControlIdentity
  readonly devices: Devices
  readonly hub: ControlHub
  readonly service: (session: ControlSession) => ControlApi
  /** Of the JSON API. */
  readonly apiToken: string
  /** The built app: `index.html`, hashed files below `assets/`. */
  readonly pwaDirectory: string
  /** Of development servers that proxy here. */
  readonly trustedOrigins?: readonly string[]
  readonly now?: () => number
  readonly log: (level: 'info' | 'warn', message: string, details?: object) => void
}

export interface ControlServer {
  /** The origin people and devices use, without a trailing slash. */
  readonly url: string
  createPairingLink(): { url: string; expiresAt: number }
  /** A fresh link with a one-time pairing code. */
  pairUrl(): string
  /** Ends every connection. Idempotent. */
  close(): Promise<void>
}

const MAX_CONNECTIONS = 256
/** Tabs, and the command line a few times over. */
const MAX_SOCKETS = 64
/** Sockets that have yet to prove themselves. */
const MAX_UNPROVEN_SOCKETS = 16
/** In bytes; a character has at most three in UTF-8. */
const MAX_SOCKET_MESSAGE_BYTES = 3 * MAX_CONTROL_MESSAGE

/** @throws CodedError `bad-request` (not a loopback address), `address-in-use`, `not-allowed` */
export async function openControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const wanted = parseUiAddress(options.uiAddress)
  const pairingCodes = createPairingCodes({ now: options.now ?? Date.now })
  // Requests have no guard before the port is known; nothing can arrive before that.
  let guard: HttpGuard = createHttpGuard(wanted.urlHost, wanted.port)
  const app = createApp(options, () => guard)
  const server = createServer({ maxHeaderSize: 16 * 1024, headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000 }, app)
  server.maxConnections = MAX_CONNECTIONS
  const port = await listen(server, wanted)
  guard = createHttpGuard(wanted.urlHost, port, options.trustedOrigins)

  const sockets = acceptSockets(server, options, pairingCodes, () => guard)
  const url = guard.origin
  const createPairingLink = () => {
    const { code, expiresAt } = pairingCodes.create()
    return { url: formatPairingLink(url, code, options.identity.peerId), expiresAt }
  }
  let closing: Promise<void> | undefined
  return {
    url,
    createPairingLink,
    pairUrl: () => createPairingLink().url,
    close: () =>
      (closing ??= new Promise((resolve) => {
        for (const socket of sockets.clients) socket.close(CLOSE_GOING_AWAY, 'the helper is stopping')
        server.close(() => resolve())
        server.closeIdleConnections()
        // A client that does not answer our goodbye must not keep the helper running.
        setTimeout(() => {
          for (const socket of sockets.clients) socket.terminate()
          server.closeAllConnections()
        }, 1_000).unref()
      })),
  }
}

function createApp(options: ControlServerOptions, guard: () => HttpGuard): express.Express {
  const app = express()
  app.disable('x-powered-by')
  app.use((request, response, next) => {
    for (const [name, value] of Object.entries(guard().answerHeaders(request.headers.host ?? ''))) if (value !== undefined) response.setHeader(name, value)
    const kind = request.path === '/api' || request.path.startsWith('/api/') ? 'api' : 'page'
    const refusal = guard().refusal(request.headers, kind)
    if (refusal === undefined) return next()
    // Not a warning: a page that tries again and again would fill the log.
    options.log('info', 'refused a request', { refusal, host: request.headers.host, origin: request.headers.origin })
    response.status(403).type('text/plain').send(refusal)
  })
  app.get('/healthz', (_request, response) => {
    response.status(204).end()
  })
  app.use('/api', createJsonApi(options.service({ deviceId: null, restartEvents: () => 0 }), options.apiToken))
  app.use('/assets', express.static(join(options.pwaDirectory, 'assets'), { ...STATIC, index: false, immutable: true, maxAge: '1y' }))
  app.use(express.static(options.pwaDirectory, { ...STATIC, index: 'index.html', setHeaders: (response) => response.setHeader('Cache-Control', 'no-cache') }))
  app.use((_request, response) => {
    response.status(404).type('text/plain').send('there is nothing here')
  })
  app.use(onError)
  return app
}

const onError: express.ErrorRequestHandler = (error: { status?: unknown }, _request, response, _next) => {
  const status = typeof error.status === 'number' && error.status >= 400 && error.status < 500 ? error.status : 500
  response.status(status).type('text/plain').send('this request cannot be answered')
}

const STATIC = { dotfiles: 'ignore', redirect: false, fallthrough: true } as const

function acceptSockets(server: Server, options: ControlServerOptions, pairingCodes: PairingCodes, guard: () => HttpGuard): WebSocketServer {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_SOCKET_MESSAGE_BYTES, perMessageDeflate: false })
  let unproven = 0
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on('error', () => stream.destroy())
    const refusal = request.url === '/control' ? guard().refusal(request.headers, 'socket') : 'there is no socket here'
    if (refusal !== undefined) {
      options.log('info', 'refused a socket', { refusal, host: request.headers.host, origin: request.headers.origin })
      return endUpgrade(stream, '403 Forbidden')
    }
    if (sockets.clients.size >= MAX_SOCKETS || unproven >= MAX_UNPROVEN_SOCKETS) return endUpgrade(stream, '503 Service Unavailable')
    sockets.handleUpgrade(request, stream, head, (socket) => {
      unproven += 1
      let proven = false
      const settle = () => {
        if (proven) return
        proven = true
        unproven -= 1
      }
      // Such as a message over the limit; the close that follows is all there is to do.
      socket.on('error', () => {})
      socket.on('close', settle)
      acceptControlSocket({ ...options, pairingCodes, socket, origin: guard().originOf(request.headers), onAdmitted: settle })
    })
  })
  return sockets
}

function endUpgrade(stream: Duplex, status: string): void {
  stream.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

interface UiAddress {
  /** As `listen` wants it. */
  readonly host: string
  /** As URLs have it. */
  readonly urlHost: string
  readonly port: number
}

function parseUiAddress(text: string): UiAddress {
  const refuse = () => new CodedError('bad-request', `the address of the app must be like http://127.0.0.1:3030 (this machine only), not ${text}`)
  if (!URL.canParse(text)) throw refuse()
  const { protocol, hostname, port, pathname, search, hash, username } = new URL(text)
  if (protocol !== 'http:' || pathname !== '/' || search !== '' || hash !== '' || username !== '') throw refuse()
  const host = hostname.replace(/^\[|\]$/g, '')
  const isLoopback = host === 'localhost' || host === '::1' || (isIP(host) === 4 && host === '127.0.0.1')
  if (!isLoopback) throw refuse()
  // The name could lead elsewhere (a hosts file); the address cannot.
  return { host: host === 'localhost' ? '127.0.0.1' : host, urlHost: hostname, port: port === '' ? 80 : Number(port) }
}

function listen(server: Server, { host, port }: UiAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'EADDRINUSE') {
        reject(new CodedError('address-in-use', `port ${port} is taken by another program (or another helper); choose another one, for example --ui-address http://127.0.0.1:${port + 1}`, { cause }))
      } else if (cause.code === 'EACCES') reject(new CodedError('not-allowed', `port ${port} needs more rights than this program has; choose one above 1023`, { cause }))
      else reject(new CodedError('bad-request', `cannot listen on ${host} port ${port}`, { cause }))
    })
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address()
      if (address !== null && typeof address === 'object') resolve(address.port)
    })
  })
}
