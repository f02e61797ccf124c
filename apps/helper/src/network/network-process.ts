/**
 * Runs the network process and watches over it: starts it, kills it when it is silent or grows too large, starts it again with everything it needs
 * to know. Decides nothing about peers, and nothing about when to restart (core/restart-plan.ts).
 */
import { type ChildProcess, fork } from 'node:child_process'
import { CodedError, type PeerId } from '@harddrive-party/protocol'
import { type Driven, drive } from '../adapters/system/drive.ts'
import { type RestartEffect, type RestartInput, type RestartLimits, RestartPlan } from '../core/restart-plan.ts'
import { type NetworkMethod, decodeFromNetwork } from './ipc.ts'
import {
  HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS,
  type FromNetwork, type NetworkApi, type NetworkConfig, type NetworkEvent, type PeerStatus, type ToNetwork,
} from './network-api.ts'

export interface NetworkProcessOptions {
  readonly config: NetworkConfig
  /** The program of the network process, absolute. */
  readonly entry: string
  /** Everything it says, in order. When it dies, every peer that was not offline is reported offline here first. */
  readonly onEvent: (event: NetworkEvent) => void
  /** It died or was killed and is being started again. */
  readonly onDown: () => void
  /** A new one is up and has the latest config and policy: what ran in the old one must be asked for again. */
  readonly onRestart: () => void
  readonly log: (level: 'info' | 'warn' | 'error', message: string, details?: object) => void
  /** Replaced in tests. */
  readonly limits?: Partial<RestartLimits>
}

export interface NetworkProcess extends NetworkApi {
  /** Of the process running now; undefined between two. */
  readonly pid: number | undefined
  readonly stats: NetworkStats
}

export interface NetworkStats {
  readonly rssBytes: number
  readonly eventLoopP99Ms: number
  readonly restarts: number
}

/** Restarted above this: ten times what a busy one needs. Guards against memory that a peer makes the QUIC library hold. */
const MAX_RSS_BYTES = 1.5e9

/** Until its first heartbeat; loading from a cold or busy disk takes seconds. */
const FIRST_HEARTBEAT_TIMEOUT_MS = 20_000

/** How long `close` waits for goodbyes to be said before it kills. */
const CLOSE_TIMEOUT_MS = 3_000

interface PendingCall {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** Starts the network process; it is at work when it reports `ready` (or `no-transport`). Never rejects a call with anything but a CodedError. */
export function openNetworkProcess(options: NetworkProcessOptions): NetworkProcess {
  const { entry, onEvent, onDown, onRestart, log } = options
  const plan = new RestartPlan({
    heartbeatMs: HEARTBEAT_MS,
    silenceMs: HEARTBEAT_TIMEOUT_MS,
    firstSilenceMs: FIRST_HEARTBEAT_TIMEOUT_MS,
    maxRssBytes: MAX_RSS_BYTES,
    ...options.limits,
  })
  let config = options.config
  let child: ChildProcess | undefined
  let stats = { rssBytes: 0, eventLoopP99Ms: 0, restarts: -1 }
  let nextCallId = 0
  const pending = new Map<number, PendingCall>()
  const notOffline = new Map<PeerId, PeerStatus>()
  let closing: Promise<void> | undefined

  function perform(effect: RestartEffect): void {
    if (effect.type === 'start') {
      start()
      return
    }
    log('error', 'killing the network process', { reason: effect.reason, pid: child?.pid, rssBytes: stats.rssBytes })
    child?.kill('SIGKILL')
  }

  function start(): void {
    stats = { ...stats, restarts: stats.restarts + 1 }
    const started = fork(entry, [], {
      serialization: 'advanced',
      // Its standard output is our standard error: ours may be carrying JSON for a script.
      stdio: ['ignore', 2, 2, 'ipc'],
      execArgv: [],
      // Disks join what many threads wait for at once: with the usual four, small files take four times as long.
      env: { UV_THREADPOOL_SIZE: '16', ...process.env },
    })
    child = started
    log('info', 'started the network process', { pid: started.pid, restarts: stats.restarts })
    started.on('message', (raw) => {
      if (child === started) onMessage(decodeFromNetwork(raw))
    })
    started.on('error', (error) => {
      log('error', 'the network process cannot be run', { error: error.message })
      // `exit` does not follow when it never started.
      if (started.pid === undefined) onExit(started, null, null)
    })
    started.on('exit', (code, signal) => onExit(started, code, signal))
    send(started, { kind: 'config', config })
    watch.input({ type: 'started' })
  }

  function onExit(gone: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    if (child !== gone) return
    child = undefined
    const lost = new CodedError('connection-lost', 'the network process was restarted')
    for (const call of pending.values()) call.reject(lost)
    pending.clear()
    if (closing !== undefined) return
    log('warn', 'the network process is gone', { pid: gone.pid, code, signal })
    onDown()
    for (const { peerId } of notOffline.values()) {
      onEvent({ type: 'peer', peer: { peerId, state: 'offline', path: null, lastError: null } })
    }
    notOffline.clear()
    onEvent({ type: 'uploads', uploads: [] })
    onEvent({ type: 'upload-peers', peers: [] })
    watch.input({ type: 'exited' })
  }

  function onMessage(message: FromNetwork | undefined): void {
    if (message === undefined) {
      log('warn', 'the network process said something that makes no sense')
      return
    }
    switch (message.kind) {
      case 'heartbeat':
        stats = { ...stats, rssBytes: message.rssBytes, eventLoopP99Ms: message.eventLoopP99Ms }
        watch.input({ type: 'heard', rssBytes: message.rssBytes })
        return
      case 'result':
        take(message.id)?.resolve(message.value)
        return
      case 'error':
        take(message.id)?.reject(CodedError.from(message))
        return
      case 'event':
        onNetworkEvent(message.event)
    }
  }

  function onNetworkEvent(event: NetworkEvent): void {
    if (event.type === 'peer') {
      if (event.peer.state === 'offline') notOffline.delete(event.peer.peerId)
      else if (event.peer.state !== 'away' && event.peer.state !== 'blocked') notOffline.set(event.peer.peerId, event.peer)
    }
    // Peers know our port: a restart must not change it.
    if (event.type === 'ready') config = { ...config, udpPort: event.udp.v4 ?? event.udp.v6 ?? event.tcp?.v4 ?? event.tcp?.v6 ?? config.udpPort }
    onEvent(event)
    if ((event.type === 'ready' || event.type === 'no-transport') && stats.restarts > 0) onRestart()
  }

  function take(id: number): PendingCall | undefined {
    const call = pending.get(id)
    pending.delete(id)
    return call
  }

  function call(method: NetworkMethod, args?: unknown): Promise<unknown> {
    if (closing !== undefined && method !== 'close') return Promise.reject(new CodedError('closed', 'the helper is stopping'))
    const to = child
    if (to === undefined) return Promise.reject(new CodedError('connection-lost', 'the network process is being restarted'))
    const id = nextCallId++
    return new Promise((resolve, reject) => {
      pending.set(id, { resolve, reject })
      send(to, { kind: 'call', id, method, args })
    })
  }

  /** For what the next process gets with its config anyway: between two processes there is nothing to fail. */
  async function tell(method: NetworkMethod, args: unknown): Promise<void> {
    try {
      await call(method, args)
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'connection-lost') throw error
    }
  }

  async function close(): Promise<void> {
    const running = child
    watch.close()
    if (running === undefined) return
    const exited = new Promise<void>((resolve) => running.once('exit', () => resolve()))
    call('close').catch(() => {})
    const kill = setTimeout(() => running.kill('SIGKILL'), CLOSE_TIMEOUT_MS)
    await exited
    clearTimeout(kill)
  }

  const network: NetworkProcess = {
    get pid() {
      return child?.pid
    },
    get stats() {
      return stats
    },
    setPolicy: (policy) => {
      config = { ...config, policy }
      return tell('setPolicy', policy)
    },
    sharesChanged: (args) => {
      config = { ...config, shares: args.shares }
      return tell('sharesChanged', args)
    },
    setDownloadDirectory: (args) => {
      config = { ...config, downloadDirectory: args.directory }
      return tell('setDownloadDirectory', args)
    },
    setOffers: (args) => {
      config = { ...config, offers: args }
      return tell('setOffers', args)
    },
    tellOffer: (args) => call('tellOffer', args) as Promise<void>,
    setLimits: (args) => {
      config = { ...config, limits: args }
      return tell('setLimits', args)
    },
    setReach: (args) => {
      config = { ...config, ...args }
      return tell('setReach', args)
    },
    setLanFiles: (args) => {
      config = { ...config, lanFiles: args }
      return tell('setLanFiles', args)
    },
    reachReport: () => call('reachReport') as ReturnType<NetworkApi['reachReport']>,
    connect: (args) => call('connect', args) as ReturnType<NetworkApi['connect']>,
    disconnect: (args) => call('disconnect', args) as Promise<void>,
    reconnect: (args) => call('reconnect', args) as Promise<void>,
    answerPeer: (args) => call('answerPeer', args) as Promise<void>,
    ping: (args) => call('ping', args) as ReturnType<NetworkApi['ping']>,
    list: (args) => call('list', args) as ReturnType<NetworkApi['list']>,
    startFiles: (args) => call('startFiles', args) as Promise<void>,
    stopFile: (args) => call('stopFile', args) as Promise<void>,
    compareFile: (args) => call('compareFile', args) as ReturnType<NetworkApi['compareFile']>,
    grantFile: (args) => call('grantFile', args) as ReturnType<NetworkApi['grantFile']>,
    readText: (args) => call('readText', args) as ReturnType<NetworkApi['readText']>,
    makesThumbnails: (args) => call('makesThumbnails', args) as Promise<boolean>,
    revokeGrants: (args) => call('revokeGrants', args) as Promise<void>,
    close: () => (closing ??= close()),
  }
  const watch: Driven<RestartInput> = drive(plan, perform)
  start()
  return network
}

/** A process that has just died takes no messages; its `exit` tells the rest. */
function send(child: ChildProcess, message: ToNetwork): void {
  if (child.connected) child.send(message, () => {})
}
