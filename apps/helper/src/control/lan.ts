/**
 * The door to the local network: whether it is open, where, and with which certificate. HTTPS and nothing else, on addresses of local networks and
 * nowhere else. Follows the machine from network to network. What a phone may do once it is in is decided elsewhere.
 */
import { type Server, createServer } from 'node:https'
import type { Socket } from 'node:net'
import { CodedError, type Reason } from '@harddrive-party/protocol'
import { type LanInfo, formatPairingLink } from '@harddrive-party/protocol/control'
import * as v from 'valibot'
import { type CertificateFiles, readCertificate, versionOf } from '../adapters/identity/given-certificate.ts'
import { isLocalAddress } from '../adapters/reach/lan-addresses.ts'
import { type LocalAuthority, type ServerCertificate, openLocalAuthority } from '../adapters/identity/local-authority.ts'
import type { Store } from '../adapters/system/store.ts'
import type { NetworkApi } from '../network/network-api.ts'
import { type HttpGuard, createLanGuard, urlHost } from './http-guard.ts'
import { createPairingCodes } from './pairing-codes.ts'
import type { Lan, MakePairingLink } from './services.ts'
import { AUTHORITY_PATH, TRUST_PATH, TRUST_POLICY, trustPage } from './trust-page.ts'
import { type DoorSockets, MAX_CONNECTIONS, SERVER_LIMITS, type WebDoorOptions, createDoorSockets, createWebApp } from './web-door.ts'

export interface LanOptions extends WebDoorOptions {
  readonly storage: string
  readonly store: Store
  readonly network: Pick<NetworkApi, 'setLanFiles'>
  /** For this run, whatever was set; until somebody sets it. */
  readonly override?: boolean
  /** Wanted for the app where none is remembered; another one is taken if it is not free, and kept. 0 = any. */
  readonly port?: number
  /** Of the person's own; absent = the helper's authority makes one. */
  readonly certificate?: CertificateFiles
  /** To listen at, the one to give out first. Asked again and again. */
  readonly addresses: () => readonly string[]
  /** The machine's name without a domain, or empty. */
  readonly host: string
  readonly now: () => number
  /** Milliseconds that nobody can set back; replaced in tests. */
  readonly elapsed?: () => number
}

export interface LanDoor extends Lan {
  readonly createPairingLink: MakePairingLink
  /** Looks whether addresses or certificate have changed; called by itself every few seconds, too. */
  refresh(): Promise<void>
  /** Idempotent. */
  close(): Promise<void>
}

const DEFAULT_PORT = 3443
const LAN_OFF: Reason = { code: 'conflict', message: 'the helper does not serve the local network; switch that on first', detail: { code: 'lan-off', values: {} } }
/** A phone that is carried through a change of address should not notice; looking costs a tenth of a millisecond. */
const LOOK_EVERY_MS = 5_000
const RENEW_BEFORE_MS = 10 * 24 * 60 * 60 * 1000

const SAVED = v.object({ enabled: v.boolean(), port: v.exactOptional(v.number()) })
type Saved = v.InferOutput<typeof SAVED>

interface Opened {
  readonly key: string
  readonly certificate: ServerCertificate
  readonly guard: HttpGuard
  readonly urls: readonly string[]
}

/** @throws CodedError `disk-error`; `bad-request` when the person's certificate cannot be used. That no port is free is told in `info` instead. */
export async function openLan(options: LanOptions): Promise<LanDoor> {
  const { store, log, now } = options
  const table = store.table<Saved>('lan', (raw) => {
    const result = v.safeParse(SAVED, raw)
    return result.success ? result.output : undefined
  })
  let saved: Saved = table.get('lan') ?? { enabled: false }
  let { override } = options
  let problem: Reason | null = null
  let opened: Opened | undefined
  let authority: LocalAuthority | undefined
  let given: { readonly certificate: ServerCertificate; readonly version: string } | undefined
  const servers = new Map<string, Server>()
  /** Node does not end connections that have become control sockets. */
  const connections = new WeakMap<Server, Set<Socket>>()
  const pairingCodes = createPairingCodes({ now, ...(options.elapsed === undefined ? {} : { elapsed: options.elapsed }) })
  const closedGuard = createLanGuard([], [], 443)
  const guard = () => opened?.guard ?? closedGuard
  const isOn = () => override ?? saved.enabled

  const app = createWebApp(options, guard, (routes) => {
    routes.get(TRUST_PATH, (request, response, next) => {
      if (authority === undefined || options.certificate !== undefined) return next()
      response.setHeader('Content-Security-Policy', TRUST_POLICY)
      response.setHeader('Cache-Control', 'no-store')
      response.type('html').send(trustPage(authority, request.headers['accept-language'] ?? ''))
    })
    routes.get(AUTHORITY_PATH, (_request, response, next) => {
      if (authority === undefined || options.certificate !== undefined) return next()
      response.setHeader('Cache-Control', 'no-store')
      // By this type phones know that it is to be installed.
      response.type('application/x-x509-ca-cert').send(Buffer.from(authority.certificateDer))
    })
    // The API for scripts is for this machine.
    routes.use('/api', (_request, response) => {
      response.status(404).type('text/plain').send('there is nothing here')
    })
  })
  const makeSockets = (): DoorSockets => createDoorSockets(options, { pairingCodes, guard, doorOf: (uiOrigin) => ({ host: new URL(uiOrigin).hostname, uiOrigin }) })
  let sockets = makeSockets()

  const certificateFor = async (addresses: readonly string[], key: string): Promise<ServerCertificate> => {
    if (options.certificate !== undefined) {
      const version = await versionOf(options.certificate)
      if (given?.version === version) return given.certificate
      try {
        given = { certificate: await readCertificate(options.certificate), version }
      } catch (error) {
        // A file that is just being written, for example: the one we have goes on.
        if (given === undefined) throw error
        log('warn', 'the new certificate cannot be used', CodedError.toWire(error))
      }
      return given.certificate
    }
    authority ??= await openLocalAuthority({ storage: options.storage, host: options.host, owner: options.identity.name, now })
    if (opened !== undefined && opened.key === key && opened.certificate.expiresAt - now() > RENEW_BEFORE_MS) return opened.certificate
    const names = [...(options.host === '' ? [] : [`${options.host}.local`, options.host]), ...(addresses.some((address) => address.startsWith('127.')) ? ['localhost'] : [])]
    return authority.issue({ names, addresses })
  }

  const shut = async (keep: ReadonlySet<string>): Promise<void> => {
    const gone = [...servers].filter(([address]) => !keep.has(address))
    for (const [address] of gone) servers.delete(address)
    if (servers.size > 0) {
      await Promise.all(gone.map(([, server]) => closeServer(server, connections.get(server) ?? new Set())))
      return
    }
    const leaving = sockets
    sockets = makeSockets()
    await leaving.close(gone.map(([, server]) => server))
  }

  const bind = async (address: string, port: number, certificate: ServerCertificate): Promise<Server> => {
    const server = createServer({ ...SERVER_LIMITS, cert: certificate.certificatePem, key: certificate.keyPem, minVersion: 'TLSv1.2', handshakeTimeout: 10_000 }, app)
    server.maxConnections = MAX_CONNECTIONS
    const open = new Set<Socket>()
    connections.set(server, open)
    server.on('connection', (socket: Socket) => {
      // A router may pass on what comes from outside.
      if (!isLocalAddress(socket.remoteAddress ?? '')) return void socket.destroy()
      open.add(socket)
      socket.on('close', () => open.delete(socket))
    })
    sockets.attach(server)
    await listen(server, address, port)
    return server
  }

  const openDoor = async (): Promise<void> => {
    const addresses = options.addresses()
    const key = addresses.join(' ')
    if (addresses.length === 0) {
      await turnOff()
      problem = { code: 'conflict', message: 'this machine is in no local network just now', detail: { code: 'lan-none', values: {} } }
      return
    }
    const certificate = await certificateFor(addresses, key)
    if (opened?.key === key && opened.certificate === certificate) return
    await shut(new Set(addresses))
    let port = portOf(servers)
    for (const address of addresses) {
      const running = servers.get(address)
      if (running !== undefined) {
        running.setSecureContext({ cert: certificate.certificatePem, key: certificate.keyPem, minVersion: 'TLSv1.2' })
        continue
      }
      const wanted = port ?? saved.port ?? options.port ?? DEFAULT_PORT
      const server = await bind(address, wanted, certificate).catch((error: unknown) => {
        if (port !== undefined) throw error
        return bind(address, 0, certificate)
      })
      servers.set(address, server)
      port = portOf(servers)
    }
    // The phone knows us under this port: the next start should have it, too.
    if (port !== undefined && port !== saved.port) await save({ ...saved, port })
    const isGiven = options.certificate !== undefined
    const suffix = port === 443 ? '' : `:${port}`
    const exact = certificate.names.filter((name) => !name.startsWith('*.'))
    const hosts = isGiven ? [...exact, ...certificate.addresses.map(urlHost)] : [...addresses.map(urlHost), ...exact]
    opened = {
      key, certificate,
      guard: createLanGuard(certificate.names, isGiven ? certificate.addresses : addresses, port ?? 0),
      urls: hosts.map((host) => `https://${host}${suffix}`),
    }
    problem = null
    await options.network.setLanFiles({ addresses, port: 0, certificatePem: certificate.certificatePem, keyPem: certificate.keyPem })
  }

  const turnOff = async (): Promise<void> => {
    problem = null
    if (opened === undefined && servers.size === 0) return
    opened = undefined
    await shut(new Set())
    await options.network.setLanFiles(null)
  }

  const save = async (next: Saved): Promise<void> => {
    await table.put('lan', next)
    saved = next
  }

  let last: Promise<void> = Promise.resolve()
  /** One after the other, or two would bind the same port. */
  const refresh = (): Promise<void> => {
    const next = last.then(() => (isOn() ? openDoor() : turnOff()))
    last = next.catch(() => {})
    return next
  }
  const tell = (error: unknown) => {
    const reason = CodedError.toReason(error)
    if (problem?.message !== reason.message) log('warn', 'the local network is not served', { reason: reason.message })
    problem = reason
  }
  const info = (): LanInfo => ({
    enabled: isOn(),
    urls: opened?.urls ?? [],
    problem: isOn() ? problem : null,
    authority: authority === undefined || options.certificate !== undefined ? null : { name: authority.name, fingerprint: authority.fingerprint },
  })

  // A certificate that was named and cannot be used is a mistake to be told at once.
  if (options.certificate !== undefined && isOn()) await certificateFor([], '')
  await refresh().catch(tell)
  const timer = setInterval(() => void refresh().catch(tell), LOOK_EVERY_MS)
  timer.unref()
  let closing: Promise<void> | undefined
  return {
    info,
    set: async (enabled) => {
      await save({ ...saved, enabled })
      override = undefined
      await refresh().catch(tell)
      return info()
    },
    createPairingLink: ({ role }) => {
      const [url] = opened?.urls ?? []
      if (url === undefined) throw CodedError.from(problem === null ? LAN_OFF : { ...problem, code: 'conflict' })
      const { code, expiresAt } = pairingCodes.create(role)
      return { url: formatPairingLink(url, code, options.identity.peerId), expiresAt }
    },
    refresh,
    close: () => (closing ??= (async () => {
      clearInterval(timer)
      await last
      await shut(new Set())
    })()),
  }
}

function portOf(servers: ReadonlyMap<string, Server>): number | undefined {
  for (const server of servers.values()) {
    const address = server.address()
    if (address !== null && typeof address === 'object') return address.port
  }
  return undefined
}

function closeServer(server: Server, connections: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    for (const socket of connections) socket.destroy()
  })
}

/** @throws CodedError `address-in-use`, `not-allowed` */
function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException) => {
      reject(cause.code === 'EACCES' ? new CodedError('not-allowed', `port ${port} needs more rights than this program has`, { cause }) : new CodedError('address-in-use', `the app cannot be served at ${host} port ${port}`, { cause }))
    }
    server.once('error', fail)
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', fail)
      server.on('error', () => {})
      resolve()
    })
  })
}
