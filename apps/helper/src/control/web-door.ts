/** What every door for browsers has, on loopback and on the local network: the app's files behind a guard, and the control socket. Opens no port. */
import type { IncomingMessage, Server } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { CLOSE_GOING_AWAY, type ControlApi, MAX_CONTROL_MESSAGE } from '@harddrive-party/protocol/control'
import express from 'express'
import { WebSocketServer } from 'ws'
import type { ControlHub } from './control-events.ts'
import type { ControlSession, Door } from './control-service.ts'
import { type ControlIdentity, acceptControlSocket } from './control-socket.ts'
import type { HttpGuard } from './http-guard.ts'
import type { PairingCodes } from './pairing-codes.ts'
import type { Devices } from './services.ts'
import type { Staging } from '../adapters/offers/staging.ts'
import { STAGING_PREFIX, createStagingDoor } from './staging-door.ts'

export interface WebDoorOptions {
  readonly identity: ControlIdentity
  readonly devices: Devices
  readonly hub: ControlHub
  readonly service: (session: ControlSession) => ControlApi
  /** The built app: `index.html`, hashed files below `assets/`. */
  readonly pwaDirectory: string
  /** Takes files that browsers hand over; absent = nothing does. */
  readonly staging?: Pick<Staging, 'put' | 'putFolder'>
  readonly log: (level: 'info' | 'warn', message: string, details?: object) => void
}

/** Of every server behind a door. */
export const SERVER_LIMITS = { maxHeaderSize: 16 * 1024, headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000 } as const
export const MAX_CONNECTIONS = 256
/** Tabs, and the command line a few times over. */
const MAX_SOCKETS = 64
/** Sockets that have yet to prove themselves. */
const MAX_UNPROVEN_SOCKETS = 16
/** In bytes; a character has at most three in UTF-8. */
const MAX_SOCKET_MESSAGE_BYTES = 3 * MAX_CONTROL_MESSAGE
/** A client that does not answer our goodbye must not keep the helper running. */
const GOODBYE_MS = 1_000

const STATIC = { dotfiles: 'ignore', redirect: false, fallthrough: true } as const

/** @param routes what this door has besides the app; before the app, behind the guard */
export function createWebApp(options: WebDoorOptions, guard: () => HttpGuard, routes: (app: express.Express) => void): express.Express {
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
  if (options.staging !== undefined) app.use(STAGING_PREFIX, createStagingDoor(options.staging))
  routes(app)
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

/** The control sockets of one door, of however many servers. */
export interface DoorSockets {
  /** Takes the sockets of a server. */
  attach(server: Server | SecureServer): void
  /** Says goodbye to every UI, then closes the servers. */
  close(servers: readonly (Server | SecureServer)[]): Promise<void>
}

/** @param doorOf the names under which the browser that sent this request sees us */
export function createDoorSockets(options: WebDoorOptions, parts: { pairingCodes: PairingCodes; guard: () => HttpGuard; doorOf: (origin: string) => Door }): DoorSockets {
  const { pairingCodes, guard } = parts
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_SOCKET_MESSAGE_BYTES, perMessageDeflate: false })
  let unproven = 0
  const upgrade = (request: IncomingMessage, stream: Duplex, head: Buffer) => {
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
      const origin = guard().originOf(request.headers)
      acceptControlSocket({ ...options, pairingCodes, socket, origin, door: parts.doorOf(origin), onAdmitted: settle })
    })
  }
  return {
    attach: (server) => void server.on('upgrade', upgrade),
    close: async (servers) => {
      for (const socket of sockets.clients) socket.close(CLOSE_GOING_AWAY, 'the helper is stopping')
      const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())))
      for (const server of servers) server.closeIdleConnections()
      const end = setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate()
        for (const server of servers) server.closeAllConnections()
      }, GOODBYE_MS)
      end.unref()
      await Promise.all(closed)
    },
  }
}

function endUpgrade(stream: Duplex, status: string): void {
  stream.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
