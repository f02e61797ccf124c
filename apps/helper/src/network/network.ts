/**
 * Composes the network side (transport, peers, serving, fetching, files origin, own addresses) and answers control's calls with it. Runs in whatever
 * process opens it; decides nothing about peers or files.
 */
import { isDeepStrictEqual } from 'node:util'
import { CodedError, type PeerId, peerIdFromKey, publicKeyOf } from '@harddrive-party/protocol'
import { openFileJobs } from '../adapters/file-jobs.ts'
import { openFilesOrigin } from '../adapters/files-origin.ts'
import { openOwnAddresses, summarizeReach } from '../adapters/own-addresses.ts'
import { type PeerLinks, openPeerLinks } from '../adapters/peer-links.ts'
import { requestList, requestRead } from '../adapters/peer-requests.ts'
import { openPeerService } from '../adapters/peer-service.ts'
import { type QuicOptions, type QuicTransport, openQuicTransport } from '../adapters/quic/quic-transport.ts'
import { openShareIndexReader } from '../adapters/share-index-reader.ts'
import { openShareReader } from '../adapters/share-reader.ts'
import { parseStunServer } from '../adapters/stun-server.ts'
import type { PeerConnection } from '../adapters/transport.ts'
import { VERSION } from '../version.ts'
import type { OwnReach } from '../core/own-reach.ts'
import type { NetworkApi, NetworkConfig, NetworkEvent, Policy, ReachSettings } from './network-api.ts'

export interface NetworkOptions {
  readonly config: NetworkConfig
  readonly emit: (event: NetworkEvent) => void
  readonly log: NetworkLog
}

export interface NetworkLog {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface Network extends NetworkApi {
  /** The machine slept: absent peers are tried at once. */
  wake(): void
}

/** Emits `ready` (or `no-transport`) before it resolves. @throws CodedError `disk-error` */
export async function openNetwork({ config, emit, log }: NetworkOptions): Promise<Network> {
  const index = openShareIndexReader({ directory: config.indexDirectory, shares: config.shares })
  const reader = openShareReader({ index })
  let links: PeerLinks | undefined
  const busy = new BusyConnections()
  const connectionTo = (peerId: PeerId) => links?.connection(peerId)
  const requireConnection = (peerId: PeerId): PeerConnection => {
    const connection = connectionTo(peerId)
    if (connection === undefined) throw new CodedError('offline', 'this peer is not connected')
    return connection
  }
  const requireLinks = (): PeerLinks => {
    if (links === undefined) throw new CodedError('no-transport', 'this platform has no QUIC transport')
    return links
  }

  const service = openPeerService({
    reader,
    onUploads: (uploads) => emit({ type: 'uploads', uploads }),
    setBusy: (connection, isBusy) => busy.set('serving', connection, isBusy),
    log: (message) => log.warn({}, message),
  })
  const jobs = openFileJobs({
    connection: connectionTo,
    onEvent: emit,
    setBusy: (connection, isBusy) => busy.set('fetching', connection, isBusy),
    downloadDirectory: config.downloadDirectory,
    log,
  })
  let { downloadDirectory } = config
  const files = await openFilesOrigin({
    uiOrigins: config.uiOrigins,
    downloadDirectory: () => downloadDirectory,
    readRemote: async (peerId, path, start, end, expect, options) => {
      const bytes = new Uint8Array(end - start)
      await requestRead(requireConnection(peerId), { path, start, end, expect }, bytes, options)
      return bytes
    },
    log: (level, message, details) => log[level](details ?? {}, message),
  })
  const closed = new AbortController()

  const transport = await openTransport(config, log, {
    onConnection: (connection, knock) => links?.onConnection(connection, knock),
    onDatagram: (kind, bytes, from) => {
      if (kind === 'stun') own?.take(from, bytes)
    },
  })
  let told: ReturnType<typeof summarizeReach> | undefined
  const own = typeof transport === 'string' ? undefined : openOwnAddressesOf(transport)
  if (typeof transport === 'string') emit({ type: 'no-transport', reason: transport })
  else {
    links = openPeerLinks({
      transport,
      self: peerIdFromKey(publicKeyOf(Buffer.from(config.identitySeed, 'hex'))),
      agent: `harddrive-party/${VERSION}`,
      policy: config.policy,
      addresses: () => (own === undefined ? [] : summarizeReach(own.current).addresses),
      random: Math.random,
      emit,
      serve: (connection, stream) => service.serve(connection, stream),
      log: (message, details) => log.debug(details ?? {}, message),
    })
  }

  function openOwnAddressesOf(quic: QuicTransport): ReturnType<typeof openOwnAddresses> {
    emit({ type: 'ready', udp: quic.ports, filesOrigin: files.origin })
    return openOwnAddresses({
      ports: quic.ports,
      loopbackOnly: config.loopbackOnly,
      servers: config.stunServers.flatMap((text) => {
        const server = parseStunServer(text)
        return server.ok ? [server.value] : []
      }),
      send: (to, bytes) => quic.sendDatagram(bytes, to),
      portMapping: { on: config.portMapping, secret: Buffer.from(config.identitySeed, 'hex') },
      onChange: (reach) => {
        const summary = summarizeReach(reach)
        // Only what others are told matters here; a server that is being asked again does not.
        if (isDeepStrictEqual(summary, told)) return
        told = summary
        emit({ type: 'addresses', ...summary })
        links?.wake()
      },
    })
  }

  const ownReach = (): OwnReach => own?.current ?? { candidates: [], nat: { v4: 'unknown', v6: 'unknown' }, stun: [], mapping: null, interfaces: [] }

  let reach: ReachSettings = config
  let closing: Promise<void> | undefined
  async function close(): Promise<void> {
    closed.abort()
    const unmapped = own?.close()
    // First what is on disk, then the goodbyes; a peer that hears goodbye stops asking.
    await jobs.close()
    service.close()
    links?.close()
    await files.close()
    if (typeof transport !== 'string') await transport.close()
    reader.close()
    await index.close()
    await unmapped
  }

  return {
    setPolicy: async (policy) => {
      if (typeof transport !== 'string') transport.setKnockSecrets(knockSecretsOf(policy))
      links?.setPolicy(policy)
    },
    connect: async (target) => requireLinks().connect(target),
    disconnect: async ({ peerId }) => requireLinks().disconnect(peerId),
    reconnect: async ({ peerId }) => requireLinks().reconnect(peerId),
    answerPeer: async ({ peerId, accept }) => requireLinks().answerPeer(peerId, accept),
    ping: async ({ peerId }) => requireLinks().ping(peerId, { signal: closed.signal }),
    list: async ({ peerId, request }) => requestList(requireConnection(peerId), request, { signal: closed.signal }),
    startFile: async (job) => jobs.start(job),
    stopFile: async ({ jobId, discard, partial }) => jobs.stop(jobId, discard, partial),
    grantFile: async (grant) => ({ url: files.grant(grant) }),
    sharesChanged: async ({ shares }) => index.setShares(shares),
    setDownloadDirectory: async ({ directory }) => {
      jobs.setDownloadDirectory(directory)
      downloadDirectory = directory
    },
    setReach: async (args) => {
      reach = args
      own?.setPortMapping(args.portMapping)
    },
    reachReport: async () => ({ own: ownReach(), discovery: { mdns: false, topics: reach.topics.map((topic) => ({ topic, members: [] })), brokers: [] }, peers: [] }),
    wake: () => {
      own?.wake()
      links?.wake()
    },
    close: () => (closing ??= close()),
  }
}

/** @returns why there is no transport, where this platform has none */
async function openTransport(
  config: NetworkConfig, log: NetworkLog, events: Pick<QuicOptions, 'onConnection' | 'onDatagram'>,
): Promise<QuicTransport | string> {
  try {
    return await openQuicTransport({
      seed: Buffer.from(config.identitySeed, 'hex'),
      udpPort: config.udpPort,
      loopbackOnly: config.loopbackOnly,
      knockSecrets: knockSecretsOf(config.policy),
      log: (level, message, details) => log[level](details ?? {}, message),
      ...events,
    })
  } catch (error) {
    if (error instanceof CodedError && error.code === 'no-transport') return error.message
    throw error
  }
}

function knockSecretsOf({ codeSecret, knownSecret }: Policy): QuicOptions['knockSecrets'] {
  return { code: Buffer.from(codeSecret, 'hex'), known: Buffer.from(knownSecret, 'hex') }
}

/** A connection is busy while anybody says so: it may serve and fetch at once. */
class BusyConnections {
  readonly #reasons = new WeakMap<PeerConnection, Set<string>>()

  set(reason: string, connection: PeerConnection, busy: boolean): void {
    const reasons = this.#reasons.get(connection) ?? new Set()
    this.#reasons.set(connection, reasons)
    const before = reasons.size > 0
    if (busy) reasons.add(reason)
    else reasons.delete(reason)
    if (before !== reasons.size > 0) connection.setBusy(reasons.size > 0)
  }
}
