/**
 * Composes the network side (transport, peers, serving, fetching, files origin, own addresses) and answers control's calls with it. Runs in whatever
 * process opens it; decides nothing about peers or files.
 */
import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { CodedError, type PeerId, THUMBNAILS_CAPABILITY, peerIdFromKey, publicKeyOf } from '@harddrive-party/protocol'
import { openOfferExchange } from '../adapters/offers/offer-exchange.ts'
import { openOfferedReader } from '../adapters/offers/offered-files.ts'
import { openFileJobs } from '../adapters/transfers/file-jobs.ts'
import { openFilesOrigin } from '../adapters/files/files-origin.ts'
import { MAX_TEXT_BYTES, readLocalText, textStart } from '../adapters/files/text-start.ts'
import { openThumbnailCache } from '../adapters/thumbnails/thumbnail-cache.ts'
import { openThumbnailMaker, servedThumbnails } from '../adapters/thumbnails/thumbnail-maker.ts'
import { canMakeThumbnails, openThumbnailProcess } from '../adapters/thumbnails/thumbnail-process.ts'
import { openThumbnailSource } from '../adapters/thumbnails/thumbnail-requests.ts'
import { compareWithPeer } from '../adapters/transfers/local-compare.ts'
import { type Meeting, openMeeting } from '../adapters/peers/meeting.ts'
import { openWay } from '../adapters/reach/open-way.ts'
import { openOwnFiles } from '../adapters/files/own-files.ts'
import { openOwnAddresses, summarizeReach } from '../adapters/reach/own-addresses.ts'
import { type OwnRecord, openOwnRecord } from '../adapters/peers/own-record.ts'
import { type PeerLinks, openPeerLinks } from '../adapters/peers/peer-links.ts'
import { requestList, requestRead } from '../adapters/peers/peer-requests.ts'
import { openPacer } from '../adapters/transfers/pacer.ts'
import { requestBundle } from '../adapters/transfers/bulk-requests.ts'
import { pacedBundle, pacedRead } from '../adapters/transfers/paced-read.ts'
import { openPeerService } from '../adapters/peers/peer-service.ts'
import { type Punching, openPunching } from '../adapters/reach/punching.ts'
import { rememberedRecord } from '../adapters/peers/remembered-records.ts'
import type { QuicOptions } from '../adapters/quic/quic-transport.ts'
import { openShareChanges } from '../adapters/shares/share-changes.ts'
import { openShareIndexReader } from '../adapters/shares/share-index-reader.ts'
import { type Signalling, openSignalling } from '../adapters/peers/signalling.ts'
import { parseStunServer } from '../adapters/reach/stun-server.ts'
import { bundleOverBest, overBest } from '../adapters/peers/best-connection.ts'
import type { PeerConnection } from '../adapters/peers/transport.ts'
import { MAIN_SOCKET } from '../adapters/reach/udp-socket.ts'
import { VERSION } from '../version.ts'
import { type OwnPlace, placeOf } from '../core/peers/dial-candidates.ts'
import type { OwnReach } from '../core/reach/own-reach.ts'
import { shareView } from '../core/share-view.ts'
import { bandwidthOf, uploadBoundsOf } from '../core/transfers/transfer-bounds.ts'
import { UPLOAD_LIMITS } from '../core/transfers/upload-scheduler.ts'
import type { NetworkApi, NetworkConfig, NetworkEvent, ReachSettings, TransferLimits } from './network-api.ts'
import { openTransports } from './transports.ts'

/** How what nobody has asked for reaches us over IPv4. */
function inwardOf({ nat, mapping }: OwnReach): 'open' | 'mapped' | 'closed' {
  return nat.v4 === 'open' ? 'open' : mapping?.state === 'mapped' ? 'mapped' : 'closed'
}

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
  const self = peerIdFromKey(publicKeyOf(Buffer.from(config.identitySeed, 'hex')))
  const index = openShareIndexReader({ directory: config.indexDirectory, shares: config.shares })
  const reader = openOfferedReader({ index })
  if (config.offers !== undefined) reader.setOffers(config.offers.offered)
  let links: PeerLinks | undefined
  let punching: Punching | undefined
  const busy = new BusyConnections()
  const connectionTo = (peerId: PeerId) => links?.connection(peerId)
  const requireConnection = (peerId: PeerId): PeerConnection => {
    const connection = connectionTo(peerId)
    if (connection === undefined) throw new CodedError('offline', 'this peer is not connected')
    return connection
  }
  const requireLinks = (): PeerLinks => {
    if (links === undefined) throw new CodedError('no-transport', 'there is no way to connect from here')
    return links
  }

  let signalling: Signalling | undefined
  let { shares } = config
  const changes = openShareChanges({
    secret: Buffer.from(config.identitySeed, 'hex'),
    connection: connectionTo,
    stateFor: (peerId) => index.state({ visible: shareView(shares, peerId) }),
    emit,
    log: (message, details) => log.debug(details ?? {}, message),
  })
  const offers = openOfferExchange({ connection: connectionTo, has: reader.has, emit })
  if (config.offers !== undefined) offers.setPolicy(config.offers)
  const upPacer = openPacer()
  const downPacer = openPacer()
  const read = pacedRead(requestRead, downPacer)
  const thumbnails = canMakeThumbnails() ? openThumbnailMaker({
    index, reader,
    process: openThumbnailProcess({ log: (message, details) => log.warn(details, message) }),
    ...(config.thumbnailDirectory === undefined ? {} : { cache: openThumbnailCache(config.thumbnailDirectory) }),
  }) : undefined
  const pictures = openThumbnailSource({ connection: connectionTo })
  const ownFiles = openOwnFiles({ peerId: self, reader, thumbnails })
  const service = openPeerService({
    reader,
    ...(thumbnails === undefined ? {} : { thumbnail: servedThumbnails(thumbnails, upPacer) }),
    pacer: upPacer,
    viewOf: (peerId) => reader.viewOf(shareView(shares, peerId), peerId),
    onUploads: (uploads, peers) => {
      emit({ type: 'uploads', uploads })
      emit({ type: 'upload-peers', peers })
    },
    setBusy: (connection, isBusy) => busy.set('serving', connection, isBusy),
    signal: async (connection, request, options) => {
      if (request.type === 'offer' || request.type === 'offer-news') return offers.answer(connection.peerId, request)
      if (request.type === 'changed') return changes.answer(connection.peerId, request)
      if (signalling === undefined) throw new CodedError('unsupported', 'not yet')
      return signalling.answer(connection, request, options)
    },
    log: (message) => log.warn({}, message),
  })
  const setLimits = (limits: TransferLimits): void => {
    upPacer.setLimits(bandwidthOf(limits, 'up'))
    downPacer.setLimits(bandwidthOf(limits, 'down'))
    service.setBounds(uploadBoundsOf(limits, UPLOAD_LIMITS))
  }
  if (config.limits !== undefined) setLimits(config.limits)
  const following = { connection: connectionTo, setBusy: (connection: PeerConnection, isBusy: boolean) => busy.set('reading', connection, isBusy) }
  const jobs = openFileJobs({
    read: overBest(following, read),
    readBundle: bundleOverBest(following, pacedBundle(requestBundle, downPacer)),
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
      if (peerId === self) return ownFiles.read(path, start, end, expect, options)
      const bytes = new Uint8Array(end - start)
      await read(requireConnection(peerId), { path, start, end, expect }, bytes, options)
      return bytes
    },
    readThumbnail: (peerId, request, options) => (peerId === self ? ownFiles.thumbnail(request, options) : pictures.get(peerId, request, options)),
    log: (level, message, details) => log[level](details ?? {}, message),
  })
  if (config.lanFiles != null) await files.setLan(config.lanFiles).catch((error: unknown) => log.warn({ err: error }, 'files cannot be served to the local network'))
  const closed = new AbortController()

  /** New at every start: what anybody on the local network is told, to be let in as far as asking. */
  const lanSecret = randomBytes(16)
  let { policy } = config
  // Who hears only this machine has nobody to announce itself to.
  const reachOf = (settings: ReachSettings): ReachSettings => ({ ...settings, mdns: settings.mdns && !config.loopbackOnly })
  let reach = reachOf(config)
  const knockSecrets = (): QuicOptions['knockSecrets'] => ({
    code: Buffer.from(policy.codeSecret, 'hex'), known: Buffer.from(policy.knownSecret, 'hex'), lan: reach.mdns ? lanSecret : undefined,
  })
  let record: OwnRecord | undefined
  let meeting: Meeting | undefined

  const transports = await openTransports(config, log, {
    knockSecrets: knockSecrets(),
    onConnection: (connection, knock) => links?.onConnection(connection, knock),
    onDatagram: (kind, bytes, from, socket) => {
      if (kind === 'own') punching?.take(bytes, from, socket)
      else if (socket === MAIN_SOCKET) own?.take(from, bytes)
    },
  })
  let told: ReturnType<typeof summarizeReach> | undefined
  const { quic, tcp } = transports
  const own = quic ?? tcp ? openOwnAddressesHere() : undefined
  const ownReach = (): OwnReach => own?.current ?? { candidates: [], nat: { v4: 'unknown', v6: 'unknown' }, stun: [], mapping: null, interfaces: [] }
  if (own === undefined) emit({ type: 'no-transport', reason: transports.missing })
  else {
    const place = (): OwnPlace => placeOf(ownReach(), config.loopbackOnly)
    if (quic) punching = openPunching({
      transport: quic, self, own: ownReach, place,
      secrets: () => Object.values(knockSecrets()).filter((secret) => secret !== undefined),
      wanted: () => policy.peers.flatMap(({ peerId, blocked, wanted }) => (wanted && !blocked ? [peerId] : [])),
      onPath: (keyHash) => links?.onPunching('punched', keyHash),
      onOver: (keyHash) => {
        own?.portsUsed()
        links?.onPunching('punching-over', keyHash)
      },
      onKnock: (keyHash) => links?.onPunching('knocked', keyHash),
      log: (message, details) => log.debug(details ?? {}, message),
    })
    links = openPeerLinks({
      transport: quic, tcp, ...(punching ? { punching } : {}), place,
      tcpPort: () => transports.tcpPort,
      inward: () => inwardOf(ownReach()),
      self,
      agent: `harddrive-party/${VERSION}`,
      capabilities: thumbnails === undefined ? [] : [THUMBNAILS_CAPABILITY],
      policy: config.policy,
      addresses: () => (own === undefined ? [] : summarizeReach(own.current).addresses),
      random: Math.random,
      emit: (event) => {
        emit(event)
        meeting?.heard(event)
      },
      serve: (connection, stream) => service.serve(connection, stream),
      log: (message, details) => log.debug(details ?? {}, message),
      onRecord: (signed) => emit({ type: 'peer-record', ...rememberedRecord(signed) }),
      onPresence: (peerId, capabilities) => {
        signalling?.onPresence(peerId, capabilities)
        changes.onPresence(peerId, capabilities)
        pictures.onPresence(peerId, capabilities)
        offers.onPresence(peerId, capabilities)
      },
      onTrying: (keyHash, knockSecret) => signalling?.onTrying(keyHash, knockSecret),
    })
  }

  function openOwnAddressesHere(): ReturnType<typeof openOwnAddresses> {
    emit({ type: 'ready', udp: quic?.ports ?? { v4: null, v6: null }, ...(tcp ? { tcp: tcp.ports } : {}), filesOrigin: files.origin })
    return openOwnAddresses({
      ports: transports.ports,
      loopbackOnly: config.loopbackOnly,
      // Without a UDP socket there is nothing to ask about.
      servers: quic === undefined ? [] : config.stunServers.flatMap((text) => {
        const server = parseStunServer(text)
        return server.ok ? [server.value] : []
      }),
      send: (to, bytes) => quic?.sendDatagram(bytes, to),
      portMapping: {
        on: config.portMapping, secret: Buffer.from(config.identitySeed, 'hex'),
        ...(quic === undefined ? { of: 'tcp' } : { tcpPorts: tcp?.ports ?? null }),
      },
      onChange: (current) => {
        record?.update({ reach: current })
        const summary = summarizeReach(current)
        // Only what others are told matters here; a server that is being asked again does not.
        if (isDeepStrictEqual(summary, told)) return
        const isSameNetwork = told !== undefined && isDeepStrictEqual({ ...summary, nat: undefined }, { ...told, nat: undefined })
        told = summary
        emit({ type: 'addresses', ...summary })
        // Ports are asked for again after each punching: others of the same NAT are no reason to begin anew.
        if (isSameNetwork) return
        links?.wake()
        meeting?.changed()
      },
    })
  }

  if (links !== undefined) {
    const seed = Buffer.from(config.identitySeed, 'hex')
    record = openOwnRecord({ seed, facts: { reach: ownReach(), knockSecret: policy.knownSecret, passOn: reach.passMeOn }, onChange: () => signalling?.ownChanged() })
    const { connect, learn } = { connect: links.connect.bind(links), learn: links.learn.bind(links) }
    signalling = openSignalling({
      self, policy, links, ownRecord: () => record?.current, log: (message, details) => log.debug(details ?? {}, message),
      open: (signed) => void (punching && openWay(punching, placeOf(ownReach(), config.loopbackOnly), signed, closed)),
    })
    signalling.setHelpsOthers(reach.introductions)
    meeting = openMeeting({
      self, seed, port: transports.ports.v4 ?? transports.ports.v6, lanSecret, settings: reach, policy, connect, emit,
      ownRecord: () => record?.current,
      learn: (learnt, live) => learn(learnt, 'topic', { live }),
      isConnected: (peerId) => connectionTo(peerId) !== undefined,
      onLost: () => own?.wake(),
      log: (message, details) => log.debug(details ?? {}, message),
    })
  }

  let closing: Promise<void> | undefined
  async function close(): Promise<void> {
    closed.abort()
    const unmapped = own?.close()
    record?.close()
    signalling?.close()
    changes.close()
    offers.close()
    const goodbye = meeting?.close()
    // First what is on disk, then the goodbyes; a peer that hears goodbye stops asking.
    await jobs.close()
    service.close()
    thumbnails?.close()
    upPacer.close()
    downPacer.close()
    links?.close()
    punching?.close()
    await files.close()
    await transports.close()
    reader.close()
    await index.close()
    await unmapped
    await goodbye
  }

  return {
    setPolicy: async (next) => {
      policy = next
      transports.setKnockSecrets(knockSecrets())
      links?.setPolicy(policy)
      record?.update({ knockSecret: policy.knownSecret })
      meeting?.setPolicy(policy)
      signalling?.setPolicy(policy)
    },
    connect: async (target) => requireLinks().connect(target),
    disconnect: async ({ peerId }) => requireLinks().disconnect(peerId),
    reconnect: async ({ peerId }) => {
      const isKnown = policy.peers.some((peer) => peer.peerId === peerId)
      const nearby = isKnown ? undefined : meeting?.neighbour(peerId)
      if (nearby === undefined) requireLinks().reconnect(peerId)
      else await requireLinks().connect(nearby)
    },
    answerPeer: async ({ peerId, accept }) => requireLinks().answerPeer(peerId, accept),
    ping: async ({ peerId }) => requireLinks().ping(peerId, { signal: closed.signal }),
    list: async ({ peerId, request }) => requestList(requireConnection(peerId), request, { signal: closed.signal }),
    startFiles: async (args) => jobs.start(args.jobs),
    stopFile: async ({ jobId, discard, partial }) => jobs.stop(jobId, discard, partial),
    compareFile: async (args) => ({ differsAt: await compareWithPeer(args, requireConnection(args.peerId), { signal: closed.signal }) }),
    grantFile: async ({ holder, ...grant }) => ({ url: files.grant(grant, holder) }),
    readText: async (file) => {
      if (file.kind === 'local') return readLocalText(file, downloadDirectory)
      const end = Math.min(file.size, MAX_TEXT_BYTES)
      const expect = { size: file.size, mtime: file.mtime }
      if (file.peerId === self) return textStart(await ownFiles.read(file.path, 0, end, expect, { signal: closed.signal }), file.size)
      const bytes = new Uint8Array(end)
      await read(requireConnection(file.peerId), { path: file.path, start: 0, end, expect }, bytes, { signal: closed.signal })
      return textStart(bytes, file.size)
    },
    makesThumbnails: async ({ peerId }) => (peerId === self ? ownFiles.makesThumbnails : pictures.isOffered(peerId)),
    revokeGrants: async ({ deviceId }) => files.revoke(deviceId),
    setLanFiles: (lan) => files.setLan(lan),
    sharesChanged: async (next) => {
      shares = next.shares
      index.setShares(shares)
      service.viewsChanged()
      changes.sharesChanged()
    },
    setOffers: async (policy) => {
      reader.setOffers(policy.offered)
      offers.setPolicy(policy)
      service.viewsChanged()
    },
    tellOffer: async ({ peerId, message }) => offers.tell(peerId, message),
    setLimits: async (limits) => setLimits(limits),
    setDownloadDirectory: async ({ directory }) => {
      jobs.setDownloadDirectory(directory)
      downloadDirectory = directory
    },
    setReach: async (args) => {
      reach = reachOf(args)
      own?.setPortMapping(args.portMapping)
      transports.setKnockSecrets(knockSecrets())
      record?.update({ passOn: args.passMeOn })
      signalling?.setHelpsOthers(args.introductions)
      meeting?.set(reach)
    },
    reachReport: async () => ({ own: ownReach(), discovery: meeting?.report() ?? { mdns: false, topics: [], brokers: [] }, peers: links?.attempts() ?? [] }),
    wake: () => {
      own?.wake()
      links?.wake()
      meeting?.changed()
    },
    close: () => (closing ??= close()),
  }
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
