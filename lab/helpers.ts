/** Real helpers on the lab's hosts: started as a person would start them, driven over their API, thrown away with everything they know. */
import { randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ControlApi, ControlSnapshot, PeerInfo, StatusInfo } from '@harddrive-party/protocol/control'
import type { Host } from './hosts.ts'
import type { ApiOutcome } from './host-agent.ts'
import { SCRATCH, command } from './namespaces.ts'
import { STUN_ADDRESSES, STUN_ADDRESSES_V6 } from './places.ts'
import { STUN_PORT } from './stun-responder.ts'

export interface LabHelper {
  readonly host: Host
  readonly peerId: string
  readonly storage: string
  readonly downloads: string
  /** Until it said that it is ready. */
  readonly startMs: number
  /** When it said so, on the machine's monotonic clock. */
  readonly readyAt: number
  /** Never rejects: a refusal is an outcome. */
  call(method: keyof ControlApi, body?: object, timeoutMs?: number): Promise<ApiOutcome>
  snapshot(): Promise<ControlSnapshot>
  /** Idempotent; nothing of it remains. */
  stop(): Promise<void>
}

export interface HelperOptions {
  /** The program and its first arguments. */
  readonly program: readonly string[]
  /** Served to others. */
  readonly shareDirectory: string
  /** Default: the lab's own. */
  readonly stunServers?: readonly string[]
  /** Looking around on the LAN. Default off: most meetings are not about it. */
  readonly mdns?: boolean
  /** Asking the router for a port. Default off. */
  readonly portMapping?: boolean
  /** Connections over TCP as well. Default on, as for everybody. */
  readonly tcp?: boolean
  readonly broker?: string
  readonly topics?: readonly string[]
  /** Where it keeps everything. Default: a place of the lab's in memory. */
  readonly directory?: string
  /** Gets what the helper logged, when it has stopped. */
  readonly onLog?: (log: string) => void
  /** What this build of the helper understands; the rest is left out. */
  readonly knownFlags: ReadonlySet<string>
}

const STUN_SERVERS = [...STUN_ADDRESSES.map((host) => `${host}:${STUN_PORT}`), ...STUN_ADDRESSES_V6.map((host) => `[${host}]:${STUN_PORT}`)]

const CALL_TIMEOUT_MS = 15_000

let last = 0

export async function startHelper(host: Host, options: HelperOptions): Promise<LabHelper> {
  const root = options.directory ?? join(SCRATCH, `helper-${++last}`)
  const storage = join(root, 'storage')
  const downloads = join(root, 'downloads')
  await mkdir(downloads, { recursive: true })
  const stun = options.stunServers ?? STUN_SERVERS
  const { ready, ms } = await host.startHelper({
    storage,
    command: [
      ...options.program, 'start', '--json', '--no-open', '--ui-address', 'http://127.0.0.1:0', '--storage', storage, '--download-dir', downloads,
      '--share-dir', options.shareDirectory, ...(options.onLog === undefined ? [] : ['--verbose']),
      ...(stun.length === 0 ? ['--no-stun'] : stun.flatMap((server) => ['--stun-server', server])),
      ...(options.mdns === true ? [] : ['--no-mdns']),
      ...known(options.knownFlags, options.portMapping === true ? [] : ['--no-port-mapping']),
      ...known(options.knownFlags, options.tcp === false ? ['--no-tcp'] : []),
      ...known(options.knownFlags, options.broker === undefined ? ['--no-mqtt'] : ['--mqtt-broker', options.broker]),
      ...(options.topics ?? []).flatMap((topic) => known(options.knownFlags, ['--topic', topic])),
    ],
  })
  const readyAt = monotonicNow()
  const call: LabHelper['call'] = (method, body = {}, timeoutMs = CALL_TIMEOUT_MS) => host.api({ method, body, timeoutMs })
  return {
    host, storage, downloads, call, readyAt, peerId: ready.peerId, startMs: ms,
    snapshot: async () => {
      const { ok, value, error } = await call('snapshot')
      if (!ok) throw new Error(`no snapshot: ${error?.code} ${error?.message}`)
      return value as ControlSnapshot
    },
    stop: async () => {
      await host.stopHelper({})
      options.onLog?.(await host.helperErrors({}))
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** @returns the flags of `hdp start` that this build has: an older one can be measured too */
export async function readKnownFlags(program: readonly string[]): Promise<ReadonlySet<string>> {
  const [file = '', ...args] = program
  return new Set((await command(file, [...args, 'start', '--help'])).match(/--[a-z][a-z-]+/g))
}

function known(flags: ReadonlySet<string>, [flag = '', ...rest]: readonly string[]): readonly string[] {
  return flags.has(flag) ? [flag, ...rest] : []
}

/** Polls until something is so; the helper tells scripts its state only when asked. @returns what `look` found, or undefined when time is up */
export async function waitUntil<T>(helper: LabHelper, look: (snapshot: ControlSnapshot) => T | undefined, timeoutMs: number): Promise<T | undefined> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const found = look(await helper.snapshot())
    if (found !== undefined || Date.now() > deadline) return found
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

/** A poll costs the helper about a millisecond. */
const POLL_MS = 15

/** Waits until a helper has found out how it is seen: its code says so only then. @returns what it knows by then */
export async function waitForOwnAddress(helper: LabHelper, { quietMs, timeoutMs }: { readonly quietMs: number; readonly timeoutMs: number }): Promise<StatusInfo> {
  const deadline = Date.now() + timeoutMs
  let seen = ''
  let since = Date.now()
  for (;;) {
    const { status } = await helper.snapshot()
    const now = JSON.stringify([status.natKind, status.addresses])
    if (now !== seen) {
      seen = now
      since = Date.now()
    }
    if ((status.natKind !== 'unknown' && Date.now() - since >= quietMs) || Date.now() > deadline) return status
    await new Promise((resolve) => setTimeout(resolve, 2 * POLL_MS))
  }
}

export function peerOf(snapshot: ControlSnapshot, peerId: string): PeerInfo | undefined {
  return snapshot.peers.find((peer) => peer.peerId === peerId)
}

/** Makes the folder that every helper shares. @returns its name, and a file in it of that many random bytes */
export async function makeShare(bytes: number): Promise<{ readonly directory: string; readonly path: string; readonly content: Buffer }> {
  const directory = join(SCRATCH, 'Shared')
  await mkdir(directory, { recursive: true })
  const content = randomBytes(bytes)
  const name = `${bytes} bytes.bin`
  await writeFile(join(directory, name), content)
  return { directory, path: `Shared/${name}`, content }
}

/** Milliseconds on the clock the agents use too. */
export function monotonicNow(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}
