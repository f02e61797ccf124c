/**
 * Serves files to the person's browser from an origin of their own, apart from the app's: downloaded files, and files of peers that are fetched
 * range by range while they are read. Whatever such a file contains, it reaches neither the app nor the helper. Knows no peers and checks no shares.
 */
import { randomBytes } from 'node:crypto'
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { type Server as SecureServer, createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { basename } from 'node:path'
import { CodedError, type ErrorCode, MAX_READ_BYTES, type PeerId, type SharePath } from '@harddrive-party/protocol'
import type { FileGrant, GrantHolder, LanFiles } from '../../network/network-api.ts'
import { encodeName, fileHeaders } from './file-headers.ts'
import { isLocalAddress } from '../reach/lan-addresses.ts'
import { type LocalFile, isBelow, openLocalFile } from './local-file.ts'
import { parseRange } from './range.ts'
import { type ReadThumbnail, answerThumbnail } from '../thumbnails/thumbnail-answer.ts'

export interface FilesOriginOptions {
  /** Origins of the app, which may show what is served here in a frame. */
  readonly uiOrigins: readonly string[]
  /** Below which granted local files lie unless the grant names another; absolute. */
  readonly downloadDirectory: () => string
  /** Bytes [start, end) of a peer's file, at most MAX_READ_BYTES, all of them or a CodedError. */
  readonly readRemote: (
    peerId: PeerId, path: SharePath, start: number, end: number, expect: { size: number; mtime: number }, options: { signal: AbortSignal },
  ) => Promise<Uint8Array>
  /** A checked picture of a peer's image. */
  readonly readThumbnail: ReadThumbnail
  /** Milliseconds that pass however the wall clock is set. Absent = `performance.now`. */
  readonly now?: () => number
  readonly log: (level: 'info' | 'warn', message: string, details?: object) => void
}

export interface FilesOrigin {
  /** `http://127.0.0.1:<port>` */
  readonly origin: string
  /** @returns an address that nobody can guess @throws CodedError `not-allowed` when a local file is not below its download directory */
  grant(grant: FileGrant, holder?: GrantHolder): string
  /** Every address given to this device stops working, and what is being sent ends. */
  revoke(deviceId: string): void
  /** Also serves over TLS, at these addresses; null = no longer. @throws CodedError `address-in-use` when no port can be had */
  setLan(lan: LanFiles | null): Promise<void>
  /** Ends every transfer. Idempotent. */
  close(): Promise<void>
}

/** A film watched with a break in the middle still ends. */
const GRANT_IDLE_MS = 12 * 60 * 60 * 1000
/** Addresses given out and not yet expired; the least used goes first. */
const MAX_GRANTS = 1_000
/** Reads of a peer's file under way for one request, and bytes in them: fills a long link, holds little. */
const READS_AHEAD = 4
const BYTES_AHEAD = 8 * 1024 * 1024
/** A read is shown only when all of it is there and verified. So the first one is small, for a player to begin and to seek at once … */
const FIRST_READ_BYTES = 64 * 1024
/** … and each is twice as long as the one before, since long ones carry more in a round trip. */
const READ_GROWTH = 2
/** Of a local file. */
const READ_BYTES = 1024 * 1024
/** A browser opens about six for one origin; a few tabs. */
const MAX_CONNECTIONS = 64

type RemoteFile = Extract<FileGrant, { kind: 'remote' }>
type Target = RemoteFile | Extract<FileGrant, { kind: 'thumbnails' }> | { readonly kind: 'local'; readonly path: string; readonly directory: string }

interface Grant {
  readonly token: string
  readonly target: Target
  readonly holder: GrantHolder
  readonly responses: Set<ServerResponse>
  usedAt: number
}

const SERVER_LIMITS = { maxHeaderSize: 16 * 1024, headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000 } as const
/** Of scripts and of the app on this machine. */
const NOBODY: GrantHolder = { deviceId: null, door: null }

/** @throws CodedError `address-in-use` when no port can be had */
export async function openFilesOrigin(options: FilesOriginOptions): Promise<FilesOrigin> {
  const now = options.now ?? (() => performance.now())
  const grants = new Map<string, Grant>()
  let host = ''
  const listener = (isLan: boolean) => (request: IncomingMessage, response: ServerResponse) => {
    answer(request, response, isLan).catch((error: unknown) => {
      options.log('warn', 'serving a file failed', { error: error instanceof Error ? error.message : String(error) })
      response.destroy()
    })
  }
  const server = createServer(SERVER_LIMITS, listener(false))
  server.maxConnections = MAX_CONNECTIONS
  const { port } = await listen(server, '127.0.0.1', 0)
  host = `127.0.0.1:${port}`

  const find = (token: string): Grant | undefined => {
    const grant = grants.get(token)
    if (grant === undefined) return undefined
    grants.delete(token)
    if (now() - grant.usedAt > GRANT_IDLE_MS) return undefined
    grant.usedAt = now()
    grants.set(token, grant) // last in the order of use
    return grant
  }
  const lan = openLanServers(listener(true))
  /** Where a file that this holder asked for is: under the name by which its app sees us, so that no other page's address leads to it. */
  const authorityOf = ({ door }: GrantHolder): { origin: string; host: string } => {
    if (door === null) return { origin: `http://${host}`, host }
    if (lan.port() === 0) throw new CodedError('busy', 'files are not served to the local network yet; try again')
    const authority = `${door.host}${lan.port() === 443 ? '' : `:${lan.port()}`}`
    return { origin: `https://${authority}`, host: authority }
  }
  const drop = (grant: Grant) => {
    grants.delete(grant.token)
    for (const response of grant.responses) response.destroy()
  }
  const give = (target: Target, holder: GrantHolder): string => {
    const { origin } = authorityOf(holder)
    const name = target.kind === 'thumbnails' ? target.kind : encodeName(basename(target.path))
    const known = target.kind === 'thumbnails' ? findThumbnails(grants.values(), target.peerId, holder) : undefined
    if (known !== undefined && find(known.token) !== undefined) return `${origin}/${known.token}/${name}`
    for (const [token, { usedAt }] of grants) {
      if (grants.size < MAX_GRANTS && now() - usedAt <= GRANT_IDLE_MS) break
      grants.delete(token)
    }
    const token = randomBytes(32).toString('base64url')
    grants.set(token, { token, target, holder, responses: new Set(), usedAt: now() })
    return `${origin}/${token}/${name}`
  }

  async function answer(request: IncomingMessage, response: ServerResponse, isLan: boolean): Promise<void> {
    response.on('error', () => {})
    if (!isLan && request.headers.host !== host) return end(response, 403)
    if (request.method !== 'GET' && request.method !== 'HEAD') return end(response, 405)
    const [, token, name, query] = /^\/([A-Za-z0-9_-]{43})\/([^/?#]+)(?:\?([^#]*))?$/.exec(request.url ?? '') ?? []
    const grant = token === undefined || name === undefined ? undefined : find(token)
    if (grant === undefined) return end(response, 404)
    // An address works only where it was asked from: on that side of the machine and under that name.
    if ((grant.holder.door !== null) !== isLan || request.headers.host !== authorityOf(grant.holder).host) return end(response, 404)
    grant.responses.add(response)
    response.on('close', () => grant.responses.delete(response))
    const { target } = grant
    if (target.kind === 'thumbnails') return answerThumbnail(request, response, target.peerId, query ?? '', options.readThumbnail)
    if (query !== undefined) return end(response, 404)
    const uiOrigins = grant.holder.door === null ? options.uiOrigins : [grant.holder.door.uiOrigin]
    if (target.kind === 'remote') return sendRemote(request, response, target, { ...options, uiOrigins })
    const opened = await openLocalFile(target.path, target.directory)
    if (opened === undefined) return end(response, 404)
    try {
      await sendLocal(request, response, target.path, opened, uiOrigins)
    } finally {
      await opened.close()
    }
  }

  let closing: Promise<void> | undefined
  return {
    origin: `http://${host}`,
    grant: (grant, holder = NOBODY) => {
      if (grant.kind !== 'local') return give(grant, holder)
      const directory = grant.downloadDirectory ?? options.downloadDirectory()
      if (!isBelow(directory, grant.path)) throw new CodedError('not-allowed', 'only downloaded files can be opened')
      return give({ kind: 'local', path: grant.path, directory }, holder)
    },
    revoke: (deviceId) => {
      for (const grant of grants.values()) if (grant.holder.deviceId === deviceId) drop(grant)
    },
    setLan: async (wanted) => {
      if (wanted === null) for (const grant of grants.values()) if (grant.holder.door !== null) drop(grant)
      await lan.set(wanted)
    },
    close: () =>
      (closing ??= (async () => {
        await Promise.all([lan.set(null), closeServer(server)])
      })()),
  }
}

/** @returns what to send, or undefined when the answer has been given already (416, HEAD, nothing to send) */
function begin(request: IncomingMessage, response: ServerResponse, path: string, size: number, uiOrigins: readonly string[]): { start: number; end: number } | undefined {
  // We give no validators, so a range that depends on one is not granted.
  const range = request.headers['if-range'] === undefined ? parseRange(request.headers.range, size) : 'none'
  const headers = { ...fileHeaders(path, uiOrigins, request.headers['sec-fetch-dest'] === 'image'), 'Accept-Ranges': 'bytes' }
  if (range === 'unsatisfiable') {
    response.writeHead(416, { ...headers, 'Content-Range': `bytes */${size}`, 'Content-Length': 0 }).end()
    return undefined
  }
  const { start, end } = range === 'none' ? { start: 0, end: size } : range
  const part = range === 'none' ? {} : { 'Content-Range': `bytes ${start}-${end - 1}/${size}` }
  response.writeHead(range === 'none' ? 200 : 206, { ...headers, ...part, 'Content-Length': end - start })
  if (request.method === 'HEAD' || start === end) {
    response.end()
    return undefined
  }
  return { start, end }
}

async function sendLocal(request: IncomingMessage, response: ServerResponse, path: string, file: LocalFile, uiOrigins: readonly string[]): Promise<void> {
  const part = begin(request, response, path, file.size, uiOrigins)
  if (part === undefined) return
  for (let at = part.start; at < part.end; ) {
    const chunk = await file.read(at, Math.min(at + READ_BYTES, part.end))
    // The file was cut while it was read: ending early is the only truth left to tell.
    if (chunk.length === 0) return void response.destroy()
    at += chunk.length
    if (!(await write(response, chunk))) return
  }
  response.end()
}

async function sendRemote(request: IncomingMessage, response: ServerResponse, file: RemoteFile, options: FilesOriginOptions): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  const { peerId, path, size, mtime } = file
  const read = async (start: number, end: number): Promise<Uint8Array> => {
    const bytes = await options.readRemote(peerId, path, start, end, { size, mtime }, { signal: gone.signal })
    if (bytes.length !== end - start) throw new CodedError('wrong-length', 'the peer sent another number of bytes than asked for')
    return bytes
  }
  const asked = request.method === 'HEAD' ? 'none' : parseRange(request.headers['if-range'] === undefined ? request.headers.range : undefined, size)
  const wanted = asked === 'none' ? { start: 0, end: size } : asked
  const ahead: Promise<Uint8Array>[] = []
  let next = 0
  let length = FIRST_READ_BYTES
  let bytesAhead = 0
  const readAhead = (end: number) => {
    while (ahead.length < READS_AHEAD && next < end && (bytesAhead === 0 || bytesAhead + length <= BYTES_AHEAD)) {
      const to = Math.min(next + length, end)
      const chunk = read(next, to)
      chunk.catch(() => {}) // judged when its turn comes
      ahead.push(chunk)
      bytesAhead += to - next
      next = to
      length = Math.min(MAX_READ_BYTES, length * READ_GROWTH)
    }
  }
  try {
    let first: Uint8Array | undefined
    if (request.method !== 'HEAD' && wanted !== 'unsatisfiable' && wanted.start < wanted.end) {
      next = wanted.start
      readAhead(wanted.end)
      // Before the headers, so that a peer who is gone is an error and not an empty file.
      first = await ahead.shift()
    }
    const part = begin(request, response, path, size, options.uiOrigins)
    if (part === undefined || first === undefined) return
    for (let chunk: Uint8Array | undefined = first; chunk !== undefined; chunk = await ahead.shift()) {
      bytesAhead -= chunk.length
      readAhead(part.end)
      if (!(await write(response, chunk))) return
    }
    response.end()
  } catch (error) {
    if (gone.signal.aborted) return
    options.log('info', "reading a peer's file failed", CodedError.toWire(error))
    if (response.headersSent) response.destroy()
    else end(response, STATUS_CODES[CodedError.toWire(error).code] ?? 502)
  } finally {
    gone.abort()
  }
}

const STATUS_CODES: Partial<Record<ErrorCode, number>> = { 'not-found': 404, 'source-changed': 410, 'timed-out': 504, busy: 503 }

/** Waits until the browser takes more. @returns false when it is gone */
async function write(response: ServerResponse, chunk: Uint8Array): Promise<boolean> {
  if (response.destroyed) return false
  if (response.write(chunk)) return true
  await new Promise<void>((resolve) => {
    const settle = () => {
      response.off('drain', settle)
      response.off('close', settle)
      resolve()
    }
    response.on('drain', settle)
    response.on('close', settle)
  })
  return !response.destroyed
}

function end(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'Content-Security-Policy': "sandbox; default-src 'none'", 'X-Content-Type-Options': 'nosniff', 'Content-Length': 0, Connection: 'close' }).end()
}

/** One address for all pictures of a peer, however often it is asked for. */
function findThumbnails(grants: Iterable<Grant>, peerId: PeerId, { deviceId, door }: GrantHolder): Grant | undefined {
  for (const grant of grants) {
    const { target, holder } = grant
    if (target.kind === 'thumbnails' && target.peerId === peerId && holder.deviceId === deviceId && holder.door?.host === door?.host && holder.door?.uiOrigin === door?.uiOrigin) return grant
  }
  return undefined
}

/** The TLS servers, one for each address, all on one port with one certificate. Changes are made one after the other. */
function openLanServers(listener: (request: IncomingMessage, response: ServerResponse) => void) {
  const servers = new Map<string, SecureServer>()
  let port = 0
  const apply = async (wanted: LanFiles | null): Promise<void> => {
    const addresses = new Set(wanted?.addresses)
    for (const [address, server] of servers) {
      if (addresses.has(address)) continue
      servers.delete(address)
      await closeServer(server)
    }
    if (wanted === null || addresses.size === 0) {
      port = 0
      return
    }
    const tls = { cert: wanted.certificatePem, key: wanted.keyPem, minVersion: 'TLSv1.2' } as const
    for (const address of addresses) {
      const known = servers.get(address)
      if (known !== undefined) {
        known.setSecureContext(tls)
        continue
      }
      const server = createSecureServer({ ...SERVER_LIMITS, ...tls, handshakeTimeout: 10_000 }, listener)
      server.maxConnections = MAX_CONNECTIONS
      server.on('connection', (socket: Socket) => {
        if (!isLocalAddress(socket.remoteAddress ?? '')) socket.destroy()
      })
      const bound = await listen(server, address, port || wanted.port).catch((error: unknown) => {
        if (port !== 0 || wanted.port === 0) throw error
        return listen(server, address, 0)
      })
      port = bound.port
      servers.set(address, server)
    }
  }
  let last: Promise<void> = Promise.resolve()
  return {
    /** 0 = not serving. */
    port: () => port,
    set: (wanted: LanFiles | null): Promise<void> => {
      const next = last.then(() => apply(wanted))
      last = next.catch(() => {})
      return next
    },
  }
}

function closeServer(server: Server | SecureServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

function listen(server: Server | SecureServer, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error) => reject(new CodedError('address-in-use', 'no port could be had for serving files', { cause }))
    server.once('error', onError)
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', onError)
      resolve(server.address() as AddressInfo)
    })
  })
}
