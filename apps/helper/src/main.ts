/** The control process of the helper: opens every part in order, ties them together, closes them in reverse. The composition root; decides nothing. */
import { access, constants, mkdir, realpath, rm } from 'node:fs/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { CodedError, type PeerId } from '@harddrive-party/protocol'
import type { ControlApi, DiagnosticsInfo, Settings, StatusInfo } from '@harddrive-party/protocol/control'
import { storagePaths } from './adapters/system/app-paths.ts'
import { openDevices } from './adapters/identity/devices-store.ts'
import type { CertificateFiles } from './adapters/identity/given-certificate.ts'
import { ownHostName, readLanAddresses } from './adapters/reach/lan-addresses.ts'
import { openIdentity } from './adapters/identity/identity.ts'
import { openInstanceLock } from './adapters/system/instance-lock.ts'
import { checkLmdbFile } from './adapters/system/lmdb-file.ts'
import { type Logger, openLog } from './adapters/system/log.ts'
import { removeRunningNote, writeRunningNote } from './adapters/system/running-register.ts'
import { openShares } from './adapters/shares/shares.ts'
import { openStore } from './adapters/system/store.ts'
import { openTransfers } from './adapters/transfers/transfers.ts'
import { openWishListStore } from './adapters/wishes/wish-list-store.ts'
import { type Closers, createClosers } from './closers.ts'
import { createAccessBook } from './control/access-book.ts'
import { createAnnounceCodes } from './control/announce-codes.ts'
import { createActivityBook } from './control/activity-book.ts'
import { createControlHub } from './control/control-events.ts'
import { openAutostart } from './adapters/system/autostart.ts'
import { helperCommand } from './adapters/system/helper-command.ts'
import { createControlService } from './control/control-service.ts'
import { openApiToken, openCliDevice, removeHelperFile, writeHelperFile } from './control/helper-file.ts'
import { type HelperState, createHelperState, reachOf } from './control/helper-state.ts'
import { openControlServer } from './control/http-server.ts'
import type { WebDoorOptions } from './control/web-door.ts'
import { type LanDoor, openLan } from './control/lan.ts'
import { SCRIPT_SESSION } from './control/control-service.ts'
import { createVerifications } from './control/verify-service.ts'
import { createLimitsBook } from './control/limits-book.ts'
import { createPeerBook } from './control/peer-book.ts'
import type { Devices, Shares } from './control/services.ts'
import { createSettings, defaultSettings } from './control/settings.ts'
import { createStatusBook } from './control/status-book.ts'
import { createTopicBook } from './control/topic-book.ts'
import { type OffersBook, openOffersBook } from './control/offers-book.ts'
import { type WishBook, createWishBook } from './control/wish-book.ts'
import { createStorageUse } from './control/storage-use.ts'
import { forwardCalls } from './network/ipc.ts'
import type { NetworkEvent } from './network/network-api.ts'
import { type NetworkProcess, openNetworkProcess } from './network/network-process.ts'
import { VERSION } from './version.ts'

export interface HelperOptions {
  /** Absolute; made if absent. */
  readonly storage: string
  /** Origin of the app, port 0 = any. Loopback only. */
  readonly uiAddress: URL
  /** Absolute. Those that are shared already stay so. */
  readonly shareDirectories: readonly string[]
  /** Used until somebody sets another one. */
  readonly defaultDownloadDirectory: string
  /** For this run, instead of the one that was set. */
  readonly downloadDirectory?: string
  /** `host:port`; none = ask nobody. */
  readonly stunServers: readonly string[]
  readonly loopbackOnly: boolean
  /** Joined besides those of before, and kept. */
  readonly topics?: readonly string[]
  /** For this run, instead of what was set. */
  readonly meeting?: Partial<Pick<Settings, 'localDiscovery' | 'portMapping' | 'introductions' | 'mqttBrokers'>>
  /** Use TCP beside QUIC; default true. */
  readonly tcp?: boolean
  /** Use QUIC where there is an engine for it; default true. */
  readonly quic?: boolean
  /** Absent = the one of last time, at first any. */
  readonly udpPort?: number
  readonly verbose: boolean
  /** Serve the app to the local network, over HTTPS; for this run, instead of what was set. */
  readonly lan?: boolean
  readonly lanPort?: number
  /** Of the person's own, for the local network. */
  readonly certificate?: CertificateFiles
}

export interface RunningHelper {
  /** Origin of the app. */
  readonly ui: string
  /** A link with a one-time pairing code. */
  readonly pairUrl: string
  /** Null where there is no QUIC. */
  readonly code: string | null
  readonly peerId: PeerId
  readonly name: string
  readonly udp: StatusInfo['udp']
  /** What every UI can do. */
  readonly control: ControlApi
  /** Runs before anything is closed; the last one added first. */
  onStop(action: () => Promise<void>): void
  /** Resolves when everything is closed. */
  readonly stopped: Promise<void>
  /** Idempotent. */
  stop(): Promise<void>
}

/** The network process loads its libraries from a disk that may be slow; it has been killed and started again several times by then. */
const NETWORK_READY_TIMEOUT_MS = 60_000

/** How finely delays of the event loop are seen; finer would wake the process more often for nothing. */
const DELAY_RESOLUTION_MS = 20

/**
 * Starts a helper in this process and its network process beside it; resolves when peers and UIs can reach it.
 * @throws CodedError `already-running`, `address-in-use`, `bad-request`, `disk-error`, `timed-out`
 */
export async function runHelper(options: HelperOptions): Promise<RunningHelper> {
  const log = openLog('control', options)
  const onError = (error: unknown) => log.error({ err: error }, 'something went wrong')
  const closers = createClosers(onError)
  try {
    return await compose({ ...options, log, onError }, closers)
  } catch (error) {
    await closers.close()
    throw error
  }
}

async function compose(options: HelperOptions & { log: Logger; onError: (error: unknown) => void }, closers: Closers): Promise<RunningHelper> {
  const { log, onError } = options
  const startedAt = Date.now()
  const paths = storagePaths(options.storage)
  await makeDirectory(paths.root, 'storage', 0o700)
  const lock = await openInstanceLock(paths.root)
  closers.add(lock.close)
  const identity = await openIdentity(paths.identityKey)
  const { peerId, name } = identity
  const store = openStore(paths.database)
  closers.add(store.close)

  const hub = createControlHub((change) => activity.hear(change))
  const activity = createActivityBook({ store, now: Date.now, onChange: hub.push, onError })
  const settings = createSettings({
    store,
    defaults: defaultSettings(options.defaultDownloadDirectory),
    override: {
      ...options.meeting,
      ...(options.downloadDirectory === undefined ? {} : { downloadDirectory: await makeDirectory(options.downloadDirectory, 'download directory') }),
    },
    onChange: hub.push,
  })
  const downloadDirectory = await makeDirectory(settings.current().downloadDirectory, 'download directory')
  const book = createPeerBook({ store, now: Date.now, onChange: hub.push, onError })
  const status = createStatusBook({
    version: VERSION, peerId, name, startedAt, downloadDirectory: () => settings.current().downloadDirectory, nameOf: book.nameOf, onChange: hub.push,
  })
  closers.add(status.close)
  const topics = createTopicBook({ topics: () => settings.current().topics, onChange: hub.push })
  const access = createAccessBook({ store, onChange: hub.push })
  const limits = createLimitsBook({ store, now: () => new Date(), onChange: hub.push, publish: () => state?.publishLimits().catch(onError) })
  closers.add(limits.close)
  const devices = openDevices({ store, now: Date.now, onError })
  devices.onRemoved((deviceId) => void network.revokeGrants({ deviceId }).catch(onError))
  await introduceCommandLine(paths.root, devices)

  // The parts know each other. The network process comes last, when it is known what it must be told.
  let running: NetworkProcess | undefined
  const network = forwardCalls(() => {
    if (running === undefined) throw new CodedError('connection-lost', 'the helper is still starting')
    return running
  })
  let ui = options.uiAddress.origin
  const codes = await createAnnounceCodes({ store, peerId, appUrl: () => ui })
  let state: HelperState | undefined
  let wishes: WishBook | undefined
  let offers: OffersBook | undefined
  await dropDamagedIndex(paths.index, log)
  const started = once()
  const shares = await openShares({
    indexDirectory: paths.index,
    store,
    after: started.promise,
    onChange: (change) => (change.type === 'share' ? state?.onShare(change.share) : state?.onShareRemoved(change.shareId)),
    log: (message) => log.warn(message),
  })
  closers.add(shares.close)
  const transfers = await openTransfers({
    store,
    network,
    downloadDirectory,
    peerName: book.nameOf,
    onChange: (transfer) => {
      hub.push({ type: 'transfer', transfer })
      wishes?.onTransfer(transfer)
      offers?.onTransfer(transfer)
    },
    onRemoved: (transferId) => {
      hub.push({ type: 'transfer-removed', transferId })
      wishes?.onTransferRemoved(transferId)
      offers?.onTransferRemoved(transferId)
    },
    onQueue: (queue) => hub.push({ type: 'queue', queue }),
    log,
  })
  closers.add(transfers.close)
  const wishBook = createWishBook({ kept: await openWishListStore(store), network, transfers, peers: book, now: Date.now, onChange: hub.push, note: activity.note, onError })
  wishes = wishBook
  closers.add(() => wishBook.close())
  const offersBook = await openOffersBook({
    store, network, transfers, nameOf: book.nameOf, storage: await realpath(paths.root), stagingDirectory: paths.staging, onChange: hub.push, note: activity.note, onError,
  })
  offers = offersBook
  closers.add(offersBook.close)
  activity.seed({ peers: book.infos(), transfers: transfers.infos(), shares: shares.infos() })
  const helperState = createHelperState({
    network: () => network, shares: () => shares, transfers: () => transfers, wishes: () => wishes, book, codes, settings, status, topics, access, limits: () => limits, onChange: hub.push, onError,
  })

  const delays = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS })
  delays.enable()
  const diagnostics = (): DiagnosticsInfo => {
    const control = { pid: process.pid, rssBytes: process.memoryUsage.rss(), eventLoopP99Ms: Math.max(0, delays.percentile(99) / 1e6 - DELAY_RESOLUTION_MS) }
    delays.reset()
    const pid = running?.pid
    return { control, network: running === undefined || pid === undefined ? null : { pid, rssBytes: running.stats.rssBytes, eventLoopP99Ms: running.stats.eventLoopP99Ms } }
  }
  const verifications = createVerifications({ network, book, transfers, settings })
  closers.add(async () => verifications.close())
  const storageUse = createStorageUse({ downloads: () => settings.current().downloadDirectory, index: paths.index, thumbnails: paths.thumbnails, staging: paths.staging })
  const { stop, stopped, onStop } = createStop(closers)
  let lanDoor: LanDoor | undefined
  const lan = () => {
    if (lanDoor === undefined) throw new CodedError('busy', 'the helper is still starting', { detail: { code: 'starting', values: {} } })
    return lanDoor
  }
  const service: Parameters<typeof openControlServer>[0]['service'] = (session) =>
    createControlService({
      peerId, network, shares, transfers, wishes: wishBook, book, codes, settings, status, topics, devices, access, limits, activity, autostart: openAutostart({ command: helperCommand(options) }), diagnostics,
      state: helperState, verifications, offers: offersBook, storageUse,
      lan: { info: () => lan().info(), set: (enabled) => lan().set(enabled) },
      createPairingLink: (wish) => (wish.lan ? lan().createPairingLink(wish) : server.createPairingLink(wish.role)),
      // The answer to whoever asked should still leave.
      shutdown: () => void setImmediate(() => void stop()),
    }, session)
  const door: WebDoorOptions = {
    identity,
    devices,
    hub,
    service,
    staging: offersBook.staging,
    pwaDirectory: fileURLToPath(new URL('../../pwa/dist', import.meta.url)),
    log: (level, message, details) => log[level](details ?? {}, message),
  }
  const server = await openControlServer({ ...door, uiAddress: options.uiAddress.origin, apiToken: await openApiToken(paths.root) })
  closers.add(server.close)
  ui = server.url
  lock.announce(ui)

  await addShares(shares, options.shareDirectories)
  if ((options.topics ?? []).length > 0) await settings.update({ topics: [...new Set([...settings.current().topics, ...(options.topics ?? [])])] })
  state = helperState
  const ports = store.table<{ port: number }>('udp-port', decodePort)
  const ready = waitForNetwork()
  const opened = openNetworkProcess({
    config: {
      identitySeed: identity.seed,
      udpPort: options.udpPort ?? ports.get('last')?.port ?? 0,
      tcp: options.tcp ?? true,
      quic: options.quic ?? true,
      loopbackOnly: options.loopbackOnly,
      stunServers: options.stunServers,
      indexDirectory: paths.index,
      thumbnailDirectory: paths.thumbnails,
      downloadDirectory,
      shares: helperState.roots(),
      limits: limits.current(),
      offers: offersBook.policy(),
      policy: helperState.policy(),
      uiOrigins: [ui],
      verbose: options.verbose,
      ...reachOf(settings.current()),
    },
    entry: fileURLToPath(new URL('./network-main.js', import.meta.url)),
    onEvent: (event) => {
      helperState.onNetworkEvent(event)
      offersBook.onNetworkEvent(event)
      ready.hear(event)
      if (event.type === 'ready') ports.put('last', { port: event.udp.v4 ?? event.udp.v6 ?? event.tcp?.v4 ?? event.tcp?.v6 ?? 0 }).catch(onError)
    },
    onDown: () => {
      helperState.onNetworkDown()
      offersBook.onNetworkDown()
    },
    onRestart: helperState.onNetworkRestart,
    log: (level, message, details) => log[level](details ?? {}, message),
  })
  running = opened
  closers.add(opened.close)
  await ready.done
  lanDoor = await openLan({
    ...door, storage: paths.root, store, network, now: Date.now, host: ownHostName(),
    addresses: options.loopbackOnly ? () => ['127.0.0.1'] : readLanAddresses,
    ...(options.lan === undefined ? {} : { override: options.lan }),
    ...(options.lanPort === undefined ? {} : { port: options.lanPort }),
    ...(options.certificate === undefined ? {} : { certificate: options.certificate }),
  })
  closers.add(lanDoor.close)

  await writeHelperFile(paths.root, { pid: process.pid, url: ui, peerId, startedAt })
  closers.add(() => removeHelperFile(paths.root, process.pid))
  await noteRunning(ui, paths.root, closers, onError)
  started.resolve()
  return {
    ui,
    pairUrl: server.pairUrl(),
    code: status.info().network === 'unavailable' ? null : codes.current().code,
    peerId,
    name,
    udp: status.info().udp,
    control: service(SCRIPT_SESSION),
    onStop,
    stopped,
    stop,
  }
}

/** Everything is closed once, whoever asks; those who registered act first. */
function createStop(closers: Closers): Pick<RunningHelper, 'stop' | 'stopped' | 'onStop'> {
  const stopped = once()
  let stopping: Promise<void> | undefined
  return {
    stopped: stopped.promise,
    onStop: closers.add,
    stop: () => (stopping ??= closers.close().then(stopped.resolve)),
  }
}

interface Once {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** A promise to be settled from outside. Nobody has to be waiting when it fails. */
function once(): Once {
  const settle: { resolve?: () => void; reject?: (error: Error) => void } = {}
  const promise = new Promise<void>((resolve, reject) => Object.assign(settle, { resolve, reject }))
  promise.catch(() => {})
  return { promise, resolve: () => settle.resolve?.(), reject: (error) => settle.reject?.(error) }
}

/** @throws CodedError `bad-request` @returns its real path */
async function makeDirectory(directory: string, what: string, mode?: number): Promise<string> {
  try {
    await mkdir(directory, { recursive: true, ...(mode === undefined ? {} : { mode }) })
    await access(directory, constants.W_OK)
    return await realpath(directory)
  } catch (cause) {
    throw new CodedError('bad-request', `the ${what} ${directory} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

/** The index says nothing that a scan cannot find out again. */
async function dropDamagedIndex(directory: string, log: Logger): Promise<void> {
  try {
    checkLmdbFile(directory)
  } catch (error) {
    log.warn({ reason: error instanceof Error ? error.message : String(error) }, 'the share index is made anew')
    await rm(directory, { recursive: true, force: true })
  }
}

/** The command line is a device like any other, except that its key lies in the storage: no pairing is needed where the storage can be read. */
async function introduceCommandLine(storage: string, devices: Devices): Promise<void> {
  const { deviceId } = await openCliDevice(storage)
  if (devices.find(deviceId) === undefined) await devices.add({ deviceId, name: 'command line', kind: 'cli', role: 'admin' })
}

/** @throws CodedError as `Shares.add`, except for what is shared already */
async function addShares(shares: Shares, directories: readonly string[]): Promise<void> {
  for (const directory of directories) {
    const real = await realpath(directory).catch(() => directory)
    if (!shares.infos().some((share) => share.directory === real)) await shares.add(directory)
  }
}

function waitForNetwork(): { readonly done: Promise<void>; hear(event: NetworkEvent): void } {
  const ready = once()
  const timer = setTimeout(() => ready.reject(new CodedError('timed-out', 'the network process does not get ready; --verbose shows why')), NETWORK_READY_TIMEOUT_MS)
  return {
    done: ready.promise,
    hear: ({ type }) => {
      if (type !== 'ready' && type !== 'no-transport') return
      clearTimeout(timer)
      ready.resolve()
    },
  }
}

async function noteRunning(ui: string, storage: string, closers: Closers, onError: (error: unknown) => void): Promise<void> {
  const { port } = new URL(ui)
  try {
    await writeRunningNote(Number(port === '' ? 80 : port), { pid: process.pid, storage })
    closers.add(() => removeRunningNote(Number(port === '' ? 80 : port), process.pid))
  } catch (error) {
    // Only `--ui-address` alone will not find us.
    onError(error)
  }
}

function decodePort(raw: unknown): { port: number } | undefined {
  const port = typeof raw === 'object' && raw !== null ? (raw as { port?: unknown }).port : undefined
  return typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65_536 ? { port } : undefined
}
