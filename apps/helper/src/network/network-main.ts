/**
 * The network process: takes its config and its calls from the process that started it, and tells it how it lives. Ends when that process is gone.
 * What it does for a living is in network.ts.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { CodedError, type Reason } from '@harddrive-party/protocol'
import { openLog } from '../adapters/system/log.ts'
import { type NetworkCall, decodeToNetwork } from './ipc.ts'
import { type Network, openNetwork } from './network.ts'
import { type FromNetwork, HEARTBEAT_MS, type NetworkConfig } from './network-api.ts'

/** How finely delays are seen; finer would wake the process more often for nothing. */
const DELAY_RESOLUTION_MS = 20
/** Delays are told for the time since the last such turn: recent enough to mean something, long enough for a percentile. */
const DELAY_WINDOW_MS = 10_000
/** Two heartbeats this far apart: the machine slept, or we were stopped. */
const SLEPT_MS = 10_000

// What TLS receives comes in buffers of their own, 64,000 for a gigabyte. V8 takes that for a heap that grows and marks it all in the background, again
// and again: a fifth of the processor time of a download. The heap is small: collected in one go it costs less. A V8 that does not know the flag ignores it.
setFlagsFromString('--no-incremental-marking')

let opening: Promise<Network> | undefined

process.on('message', (raw) => {
  const message = decodeToNetwork(raw)
  if (message === undefined) return
  if (message.kind === 'config') {
    opening ??= begin(message.config)
    return
  }
  void answer(message)
})

// Whoever started us is gone, however that happened: nobody can use us any more.
process.on('disconnect', () => process.exit(0))
// Ctrl-C in a terminal reaches us too; it is control that says when to stop.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

async function begin(config: NetworkConfig): Promise<Network> {
  const log = openLog('network', { verbose: config.verbose })
  let lastBeat = performance.now()
  const delays = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS })
  delays.enable()
  let windowStart = lastBeat
  const beat = () => {
    send({ kind: 'heartbeat', rssBytes: process.memoryUsage.rss(), eventLoopP99Ms: Math.max(0, delays.percentile(99) / 1e6 - DELAY_RESOLUTION_MS) })
  }
  beat()
  setInterval(() => {
    beat()
    const now = performance.now()
    if (now - lastBeat > SLEPT_MS) void opening?.then((network) => network.wake())
    lastBeat = now
    if (now - windowStart < DELAY_WINDOW_MS) return
    windowStart = now
    delays.reset()
  }, HEARTBEAT_MS)
  try {
    return await openNetwork({ config, log, emit: (event) => send({ kind: 'event', event }) })
  } catch (error) {
    log.error({ err: error }, 'the network process cannot start')
    process.exit(1)
  }
}

async function answer({ id, method, args }: NetworkCall): Promise<void> {
  try {
    if (opening === undefined) throw new CodedError('internal', 'a call came before the config')
    const network = await opening
    // The method's name and arguments were made by the typed side of the same program.
    const call = network[method] as (args: unknown) => Promise<unknown>
    send({ kind: 'result', id, value: await call(args) })
  } catch (error) {
    send({ kind: 'error', id, ...toAnswer(error) })
  }
  // Control knows by our end that we have closed; it waits for nothing else.
  if (method === 'close') process.exit(0)
}

/** Between our own two processes nothing needs hiding: an unknown error keeps its text. */
function toAnswer(error: unknown): Reason {
  return error instanceof CodedError ? CodedError.toReason(error) : { code: 'internal', message: String(error) }
}

function send(message: FromNetwork): void {
  if (process.connected) process.send?.(message, undefined, {}, () => {})
}
