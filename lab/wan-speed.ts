/**
 * Real helpers passing a file over one long line, measured: for the benchmark, not for the lab. Runs inside of namespaces of its own (scripts/bench/wan.mjs
 * starts it), takes an object as its only argument and prints one line of JSON for each cell as soon as it has it.
 */
import { once } from 'node:events'
import { truncate } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import type { AnnounceCodeInfo, DiagnosticsInfo, PingInfo } from '@harddrive-party/protocol/control'
import { cpuSeconds } from '../apps/helper/bench/process-figures.ts'
import { type LabHelper, makeShare, readKnownFlags, startHelper, waitForOwnAddress } from './helpers.ts'
import { openHost } from './hosts.ts'
import { addNamespace, enterPrivateWorld, inside, installed, ip, spawnInside } from './namespaces.ts'
import { addWanLine, chooseWanMethod, type WanLine } from './wan-lines.ts'
import { probeLine } from './wan-probe.ts'

export interface WanCell {
  readonly mbit: number
  readonly rttMs: number
  /** Each way. */
  readonly lossPct: number
  /** What goes over at the same time in the same direction: one TCP connection with this congestion control of the kernel's, and nothing else. */
  readonly beside?: 'cubic' | 'bbr'
}

export interface WanFigure extends WanCell {
  /** Payload, from the request to the whole file on the disk; of what had come when time was up. */
  readonly MBps: number
  /** Of what the line carries, headers and all. */
  readonly linkShare: number
  /** The same without the first seconds, in which the rate is found; absent when there was nothing after them. */
  readonly steadyShare?: number
  /** The TCP connection's share, of what the line carries. */
  readonly besideShare?: number
  /** Of the sender's packets; those that overflowed a queue count too. */
  readonly lostPct?: number
  /** Median time that a request and its answer took on the same connection meanwhile. */
  readonly requestMs?: number
  readonly seconds: number
  /** Of plain UDP at nearly the line's rate, just before, what arrived of what should: below 1 the emulator is the limit. */
  readonly emulatorShare?: number
  /** By how much packets were late on the emulated line, 99 of 100 by no more: of plain UDP, and during the transfer. */
  readonly probeLateP99Ms?: number
  readonly emulatorLateP99Ms?: number
  /** Packets that the emulator had not fetched in time, during the transfer. */
  readonly emulatorMissed?: number
  /** While the file went over. */
  readonly senderCpuSeconds: number | null
  readonly receiverCpuSeconds: number | null
  readonly emulatorCpuSeconds: number | null
  /** Of all CPU time that the machine had meanwhile, how much was used, by whomever: near 1 the machine is the limit. */
  readonly machineBusy: number
}

interface Work {
  readonly program: readonly string[]
  readonly cells: readonly (WanCell & Times)[]
}

interface Times {
  /** That the file takes at the line's own rate. */
  readonly seconds: number
  /** A transfer that has not ended by then is judged by what has come. */
  readonly atMostSeconds: number
}

const LEFT = { ns: 'left', device: 'wan', address: '45.11.12.20' }
const RIGHT = { ns: 'right', device: 'wan', address: '46.21.22.20' }

/** Until then the rate is still being found, on the longest of our lines. */
const SETTLING_MS = 4000

const LOOK_EVERY_MS = 50

/** Small ones, so that they do not disturb what is measured. */
const REQUEST_EVERY_MS = 500

const TCP_PORT = 5201
const TCP_LEAD_MS = 4000

/** One side's queue holds what is on the way, as routers are dimensioned, and a little where that is little. */
const MIN_QUEUE_BYTES = 256_000

// The parent holds the other end: the world ends with it, however that ended.
process.stdin.on('end', () => process.exit(130)).resume()
const work = JSON.parse(process.argv[2] ?? '') as Work
await enterPrivateWorld()
if ((await chooseWanMethod()) === 'none') {
  process.stdout.write(`${JSON.stringify({ skipped: 'no netem here, and no C compiler' })}\n`)
  process.exit(0)
}
const line = await buildLine()
const hosts = [await openHost(LEFT.ns), await openHost(RIGHT.ns)] as const
const { directory, path } = await makeShare(1)
const file = join(directory, path.slice(path.indexOf('/') + 1))
const knownFlags = await readKnownFlags(work.program)
for (const { seconds, atMostSeconds, ...cell } of work.cells) {
  const figure = await measure(cell, { seconds, atMostSeconds }).catch((error: unknown) => ({ ...cell, failed: error instanceof Error ? error.message : String(error) }))
  process.stdout.write(`${JSON.stringify(figure)}\n`)
}
process.exit()

async function buildLine(): Promise<WanLine> {
  for (const { ns } of [LEFT, RIGHT]) await addNamespace(ns)
  const built = await addWanLine(LEFT, RIGHT, { delayMs: 0.1 })
  for (const [own, other] of [[LEFT, RIGHT], [RIGHT, LEFT]] as const) {
    await ip(own.ns, [`addr add ${own.address}/32 dev ${own.device}`, `link set ${own.device} up`, `route add ${other.address}/32 dev ${own.device}`, `route add default dev ${own.device}`])
  }
  return built
}

async function measure(cell: WanCell, times: Times): Promise<WanFigure> {
  const bytes = Math.round((cell.mbit / 8) * 1e6 * times.seconds)
  // Holes read as zeros, and cost neither disk nor memory.
  await truncate(file, bytes)
  if (cell.beside !== undefined && !(await installed('iperf3'))) throw new Error('iperf3 is not installed')
  const onTheWay = (cell.mbit / 8) * 1000 * cell.rttMs
  const quality = { delayMs: cell.rttMs / 2, lossPercent: cell.lossPct, kbitPerSecond: cell.mbit * 1000, queueBytes: Math.max(MIN_QUEUE_BYTES, onTheWay) }
  await line.set(quality)
  const probe = await probeLine(LEFT, RIGHT, cell)
  const options = { program: work.program, shareDirectory: directory, stunServers: [], knownFlags, tcp: false }
  const [sender, receiver] = await Promise.all(hosts.map((host) => startHelper(host, options))) as [LabHelper, LabHelper]
  const tcp = cell.beside === undefined ? undefined : await startTcp(cell.beside)
  try {
    await meet(sender, receiver)
    // Counts anew.
    await line.set(quality)
    const cost = await startCost(sender, receiver)
    const from = (await tcp?.bytes()) ?? 0
    const asking = askMeanwhile(receiver, sender.peerId)
    const { seconds, got, steady } = await transfer(receiver, sender.peerId, bytes, times)
    const costs = await cost()
    const requestMs = await asking.median()
    const perSecond = (cell.mbit / 8) * 1e6
    const { packets } = ((await sender.call('ping', { peerId: receiver.peerId })).value ?? {}) as Partial<PingInfo>
    const counts = await line.count()
    return {
      ...cell, MBps: round(got / 1e6 / seconds), linkShare: round(got / (perSecond * seconds)),
      ...(steady === undefined ? {} : { steadyShare: round(steady / perSecond) }),
      ...(tcp === undefined ? {} : { besideShare: round(((await tcp.bytes()) - from) / (perSecond * seconds)) }),
      ...(requestMs === undefined ? {} : { requestMs: Math.round(requestMs) }),
      ...(packets === undefined || packets === null ? {} : { lostPct: round((100 * packets.lost) / packets.sent) }),
      ...(probe === undefined ? {} : { emulatorShare: round(probe.share), probeLateP99Ms: round(probe.lateP99Ms) }),
      ...(counts === undefined ? {} : { emulatorLateP99Ms: counts.lateP99Ms, emulatorMissed: counts.unread + counts.failed }),
      seconds: round(seconds), ...costs,
    }
  } finally {
    await tcp?.close()
    await Promise.all([sender.stop(), receiver.stop()])
  }
}

interface Transferred {
  readonly seconds: number
  readonly got: number
  /** Bytes per second after the first seconds. */
  readonly steady: number | undefined
}

/** Fetches the file, or as much of it as comes in time. */
async function transfer(receiver: LabHelper, peerId: string, bytes: number, { atMostSeconds }: Times): Promise<Transferred> {
  const startedAt = performance.now()
  const started = await receiver.call('download', { peerId, path })
  if (!started.ok) throw new Error(`no download: ${started.error?.message}`)
  const { transferId } = started.value as { transferId: string }
  let settled: { readonly at: number; readonly bytes: number } | undefined
  for (;;) {
    const found = (await receiver.snapshot()).transfers.find((each) => each.transferId === transferId)
    const at = performance.now() - startedAt
    if (found?.state === 'failed') throw new Error(JSON.stringify(found.reason))
    const done = found?.state === 'done'
    const got = done ? bytes : (found?.bytes ?? 0)
    if (done || at > atMostSeconds * 1000) {
      const after = settled === undefined ? 0 : (at - settled.at) / 1000
      return { seconds: at / 1000, got, steady: settled === undefined || after < 1 ? undefined : (got - settled.bytes) / after }
    }
    if (at >= SETTLING_MS) settled ??= { at, bytes: got }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

type Costs = Pick<WanFigure, 'senderCpuSeconds' | 'receiverCpuSeconds' | 'emulatorCpuSeconds' | 'machineBusy'>

/** @returns what to call afterwards to hear what it has cost */
async function startCost(sender: LabHelper, receiver: LabHelper): Promise<() => Promise<Costs>> {
  const [ofSender, ofReceiver] = await Promise.all([sender, receiver].map(processesOf))
  const read = async () => ({ sender: await used(ofSender), receiver: await used(ofReceiver), emulator: line.pid === undefined ? null : await cpuSeconds(line.pid), machine: machineTimes() })
  const before = await read()
  return async () => {
    const after = await read()
    const spent = (who: 'sender' | 'receiver' | 'emulator') => {
      const [from, to] = [before[who], after[who]]
      return from === null || to === null ? null : round(to - from)
    }
    return {
      senderCpuSeconds: spent('sender'), receiverCpuSeconds: spent('receiver'), emulatorCpuSeconds: spent('emulator'),
      machineBusy: round((after.machine.busy - before.machine.busy) / (after.machine.all - before.machine.all)),
    }
  }
}

async function processesOf(helper: LabHelper): Promise<readonly number[]> {
  const { control, network } = ((await helper.call('diagnostics')).value ?? {}) as Partial<DiagnosticsInfo>
  return [control, network].flatMap((figures) => (figures === undefined || figures === null ? [] : [figures.pid]))
}

async function used(pids: readonly number[] | undefined): Promise<number | null> {
  const seconds = await Promise.all((pids ?? []).map(cpuSeconds))
  return seconds.reduce<number | null>((sum, each) => (sum === null || each === null ? null : sum + each), 0)
}

function machineTimes(): { readonly busy: number; readonly all: number } {
  let idle = 0
  let all = 0
  for (const { times } of cpus()) {
    idle += times.idle
    all += times.idle + times.user + times.nice + times.sys + times.irq
  }
  return { busy: all - idle, all }
}

async function meet(sender: LabHelper, receiver: LabHelper): Promise<void> {
  await Promise.all([sender, receiver].map((helper) => waitForOwnAddress(helper, { quietMs: 200, timeoutMs: 1500 })))
  const { code } = (await sender.call('announceCode')).value as AnnounceCodeInfo
  const connected = await receiver.call('connect', { code })
  if (!connected.ok) throw new Error(`they did not meet: ${connected.error?.message}`)
}

/** A small request now and then, as when somebody browses while a film comes in. */
function askMeanwhile(receiver: LabHelper, peerId: string): { median(): Promise<number | undefined> } {
  const took: number[] = []
  const over = new AbortController()
  const asking = (async () => {
    while (!over.signal.aborted) {
      const { ok, value } = await receiver.call('ping', { peerId })
      if (ok && !over.signal.aborted) took.push((value as PingInfo).rttMs)
      await new Promise((resolve) => setTimeout(resolve, REQUEST_EVERY_MS))
    }
  })()
  return {
    median: async () => {
      over.abort()
      await asking
      return took.sort((a, b) => a - b)[took.length >> 1]
    },
  }
}

/** One connection that sends as much as it may from left to right; it has had time to find its share when this resolves. */
async function startTcp(congestionControl: string): Promise<{ bytes(): Promise<number>; close(): Promise<void> }> {
  const server = spawnInside(RIGHT.ns, 'iperf3', ['-s', '-1', '--forceflush', '-p', String(TCP_PORT)], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (server.stdout === null) throw new Error('no pipe to iperf3')
  await once(server.stdout, 'data')
  const client = spawnInside(LEFT.ns, 'iperf3', ['-c', RIGHT.address, '-p', String(TCP_PORT), '-t', '3600', '-C', congestionControl], { stdio: 'ignore' })
  await new Promise((resolve) => setTimeout(resolve, TCP_LEAD_MS))
  return {
    bytes: async () => {
      // It has a second connection for control.
      const counts = [...(await inside(LEFT.ns, 'ss', ['-tinH', 'dport', '=', String(TCP_PORT)])).matchAll(/bytes_acked:(\d+)/g)].map(([, count]) => Number(count))
      return Math.max(0, ...counts)
    },
    close: async () => {
      for (const child of [client, server]) {
        if (child.exitCode !== null || child.signalCode !== null) continue
        const gone = once(child, 'exit')
        child.kill('SIGKILL')
        await gone
      }
    },
  }
}

function round(value: number): number {
  return Number(value.toFixed(3))
}
