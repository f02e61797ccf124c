/** The control door: serves the app, the control socket and the JSON API on a loopback address, to this machine's person only. */
import { createServer, type Server } from 'node:http'
import { isIP } from 'node:net'
import { CodedError } from '@harddrive-party/protocol'
import { type DeviceRole, formatPairingLink } from '@harddrive-party/protocol/control'
import { SCRIPT_SESSION } from './control-service.ts'
import { type HttpGuard, createHttpGuard } from './http-guard.ts'
import { createJsonApi } from './json-api.ts'
import { createPairingCodes } from './pairing-codes.ts'
import { MAX_CONNECTIONS, SERVER_LIMITS, type WebDoorOptions, createDoorSockets, createWebApp } from './web-door.ts'

export interface ControlServerOptions extends WebDoorOptions {
  /** `http://127.0.0.1:3030`; port 0 = any. Loopback only. */
  readonly uiAddress: string
  /** Of the JSON API. */
  readonly apiToken: string
  /** Of development servers that proxy here. */
  readonly trustedOrigins?: readonly string[]
  readonly now?: () => number
}

export interface ControlServer {
  /** The origin people and devices use, without a trailing slash. */
  readonly url: string
  /** For another browser on this machine. */
  createPairingLink(role?: DeviceRole): { url: string; expiresAt: number }
  /** A fresh link with a one-time pairing code. */
  pairUrl(): string
  /** Ends every connection. Idempotent. */
  close(): Promise<void>
}

/** @throws CodedError `bad-request` (not a loopback address), `address-in-use`, `not-allowed` */
export async function openControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const wanted = parseUiAddress(options.uiAddress)
  const pairingCodes = createPairingCodes({ now: options.now ?? Date.now, ...(options.now === undefined ? {} : { elapsed: options.now }) })
  // Requests have no guard before the port is known; nothing can arrive before that.
  let guard: HttpGuard = createHttpGuard(wanted.urlHost, wanted.port)
  const app = createWebApp(options, () => guard, (routes) => {
    routes.use('/api', createJsonApi(options.service(SCRIPT_SESSION), options.apiToken))
  })
  const server = createServer(SERVER_LIMITS, app)
  server.maxConnections = MAX_CONNECTIONS
  const port = await listen(server, wanted)
  guard = createHttpGuard(wanted.urlHost, port, options.trustedOrigins)

  const sockets = createDoorSockets(options, { pairingCodes, guard: () => guard, doorOf: () => null })
  sockets.attach(server)
  const url = guard.origin
  const createPairingLink = (role: DeviceRole = 'admin') => {
    const { code, expiresAt } = pairingCodes.create(role)
    return { url: formatPairingLink(url, code, options.identity.peerId), expiresAt }
  }
  let closing: Promise<void> | undefined
  return {
    url,
    createPairingLink,
    pairUrl: () => createPairingLink().url,
    close: () => (closing ??= sockets.close([server])),
  }
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
