import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { CodedError, MAX_READ_BYTES, READS_IN_FLIGHT } from '@harddrive-party/protocol'
import { certificateFromSeed } from '../src/adapters/identity/certificate.ts'
import { openQuicTransport, type QuicTransport } from '../src/adapters/quic/quic-transport.ts'
import type { PeerConnection, PeerStream } from '../src/adapters/peers/transport.ts'

/**
 * The QUIC transport alone, memory to memory between two processes on loopback: streams of 4 MiB, eight in flight, as downloads use it.
 * `tsx bench/quic-throughput.ts [gigabytes]` prints one JSON object. Run as a child it is the sender.
 */
export interface QuicThroughput {
  readonly MBps: number
  readonly cpuSecondsPerGB: { readonly sender: number; readonly receiver: number }
  readonly peakRssMB: { readonly sender: number; readonly receiver: number }
}

interface SenderReady {
  readonly port: number
  readonly cpuSeconds: number
  readonly rssMB: number
}

const SENDER_SEED = new Uint8Array(32).fill(7)
const SECRETS = { code: new Uint8Array(16).fill(1), known: new Uint8Array(16).fill(2) }

export async function measureQuic(bytes: number): Promise<QuicThroughput> {
  const sender = fork(fileURLToPath(import.meta.url), ['--sender'], { execArgv: process.execArgv })
  const { port } = await answer(sender)
  const transport = await open(randomBytes(32), () => {})
  const target = {
    endpoint: { host: '127.0.0.1', port },
    knockSecret: SECRETS.code,
    expect: { peerId: certificateFromSeed(SENDER_SEED).peerId },
  }
  const connection = await transport.dial(target, { signal: AbortSignal.timeout(10_000) })
  connection.setBusy(true)
  const before = process.cpuUsage()
  sender.send('figures')
  const senderBefore = (await answer(sender)).cpuSeconds
  const started = performance.now()
  let chunks = Math.ceil(bytes / MAX_READ_BYTES)
  const total = chunks * MAX_READ_BYTES
  await Promise.all(
    Array.from({ length: READS_IN_FLIGHT }, async () => {
      const into = new Uint8Array(MAX_READ_BYTES)
      while (chunks-- > 0) await fetchChunk(connection, into)
    }),
  )
  const seconds = (performance.now() - started) / 1000
  const cpu = process.cpuUsage(before)
  sender.send('figures')
  const sent = await answer(sender)
  connection.close('goodbye')
  await transport.close()
  const gone = new Promise((resolve) => sender.once('exit', resolve))
  sender.kill()
  await gone
  const perGB = 1e9 / total
  return {
    MBps: Math.round(total / 1e6 / seconds),
    cpuSecondsPerGB: { sender: round((sent.cpuSeconds - senderBefore) * perGB), receiver: round(((cpu.user + cpu.system) / 1e6) * perGB) },
    peakRssMB: { sender: sent.rssMB, receiver: peakRssMB() },
  }
}

async function fetchChunk(connection: PeerConnection, into: Uint8Array): Promise<void> {
  const stream = connection.openStream()
  await stream.write(Uint8Array.of(1))
  stream.finish()
  let filled = 0
  while (filled < into.length) {
    const count = await stream.read(into.subarray(filled))
    if (count === 0) throw new CodedError('wrong-length', 'the sender ended too early')
    filled += count
  }
  if ((await stream.read(new Uint8Array(1))) !== 0) throw new CodedError('wrong-length', 'the sender sent too much')
}

async function send(): Promise<void> {
  const chunk = randomBytes(MAX_READ_BYTES)
  const answerStream = async (stream: PeerStream): Promise<void> => {
    while ((await stream.read(new Uint8Array(16))) > 0);
    await stream.write(chunk)
    stream.finish()
  }
  const transport = await open(SENDER_SEED, (connection) => {
    connection.setBusy(true)
    connection.onStream = (stream) => void answerStream(stream)
  })
  const report = (): void => {
    const { user, system } = process.cpuUsage()
    const ready: SenderReady = { port: transport.ports.v4!, cpuSeconds: (user + system) / 1e6, rssMB: peakRssMB() }
    process.send!(ready)
  }
  process.on('message', report)
  report()
}

function open(seed: Uint8Array, onConnection: (connection: PeerConnection) => void): Promise<QuicTransport> {
  return openQuicTransport({ seed, udpPort: 0, loopbackOnly: true, knockSecrets: SECRETS, onConnection, log: () => {} })
}

function answer(child: ChildProcess): Promise<SenderReady> {
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as SenderReady))
    child.once('error', reject)
  })
}

function peakRssMB(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024)
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === '--sender') await send()
  else console.log(JSON.stringify(await measureQuic(Number(process.argv[2] ?? 1) * 1e9)))
}
