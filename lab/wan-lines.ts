/** Lines to the internet with delay, jitter, loss and rate: by netem where the kernel has it, else by a small program of our own between two TUN devices. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SCRATCH, addCable, command, inside, installed, ip, namespacePath } from './namespaces.ts'

export interface WanQuality {
  /** One way. */
  readonly delayMs?: number
  readonly jitterMs?: number
  /** Each way. */
  readonly lossPercent?: number
  readonly kbitPerSecond?: number
  /** What waits in front of a line with a rate, each way; more is lost. Default DEFAULT_QUEUE_BYTES. */
  readonly queueBytes?: number
}

/** As home routers have them: half a second at 80 Mbit/s. */
const DEFAULT_QUEUE_BYTES = 5_000_000

/** Packets: a tenth of a second at a gigabit. */
const DEVICE_QUEUE = 10_000

export interface WanLine {
  set(quality: WanQuality): Promise<void>
  /** Idempotent. */
  close(): void
}

interface End {
  readonly ns: string
  readonly device: string
}

/** `none`: every line is perfect here, and what needs another is skipped. */
export type WanMethod = 'netem' | 'program' | 'none'

let method: WanMethod | undefined
const program = join(SCRATCH, 'wan-link')

/** Finds out once how lines are made on this machine. */
export async function chooseWanMethod(): Promise<WanMethod> {
  method ??= (await hasNetem()) ? 'netem' : (await compile()) ? 'program' : 'none'
  return method
}

/** A line that was made perfect stays a plain cable: only one with a quality can be changed later. */
export async function addWanLine(a: End, b: End, quality: WanQuality): Promise<WanLine> {
  const perfect = Object.keys(quality).length === 0
  const how = perfect ? 'none' : await chooseWanMethod()
  if (how === 'program') return openProgramLine(a, b, quality)
  await addCable(a, b)
  const line: WanLine = {
    set: async (next) => {
      if (how !== 'netem') throw new Error('this line cannot be changed')
      for (const { ns, device } of [a, b]) await inside(ns, 'tc', ['qdisc', 'replace', 'dev', device, 'root', 'netem', ...netemArguments(next)])
    },
    close: () => {},
  }
  if (!perfect) await line.set(quality)
  return line
}

async function openProgramLine(a: End, b: End, quality: WanQuality): Promise<WanLine> {
  const child: ChildProcess = spawn(program, [namespacePath(a.ns), a.device, namespacePath(b.ns), b.device], { stdio: ['pipe', 'pipe', 'inherit'] })
  const answers: (() => void)[] = []
  const { stdin, stdout } = child
  if (stdin === null || stdout === null) throw new Error('no pipes to the line')
  stdin.on('error', () => {})
  const ended = once(child, 'exit').then(() => Promise.reject(new Error('the line broke')))
  ended.catch(() => {})
  stdout.on('data', (chunk: Buffer) => {
    for (const byte of chunk) if (byte === 0x0a) answers.shift()?.()
  })
  await Promise.race([new Promise<void>((resolve) => answers.push(resolve)), ended])
  // While the program waits for its turn on a busy machine, what comes must not be lost.
  for (const { ns, device } of [a, b]) await ip(ns, [`link set ${device} txqueuelen ${DEVICE_QUEUE}`])
  const line: WanLine = {
    set: async ({ delayMs = 0, jitterMs = 0, lossPercent = 0, kbitPerSecond = 0, queueBytes = DEFAULT_QUEUE_BYTES }) => {
      const answered = new Promise<void>((resolve) => answers.push(resolve))
      stdin.write(`${Math.round(delayMs * 1000)} ${Math.round(jitterMs * 1000)} ${Math.round(lossPercent * 10_000)} ${kbitPerSecond} ${queueBytes}\n`)
      await Promise.race([answered, ended])
    },
    close: () => stdin.end(),
  }
  await line.set(quality)
  return line
}

function netemArguments({ delayMs = 0, jitterMs = 0, lossPercent = 0, kbitPerSecond, queueBytes = DEFAULT_QUEUE_BYTES }: WanQuality): string[] {
  // It has one queue for what waits and what is on its way, counted in packets.
  const onTheWay = ((kbitPerSecond ?? 0) / 8) * delayMs
  return [
    'delay', `${delayMs}ms`, ...(jitterMs > 0 ? [`${jitterMs}ms`] : []), 'loss', `${lossPercent}%`, 'limit', String(4096 + Math.ceil((onTheWay + queueBytes) / 1500)),
    ...(kbitPerSecond === undefined ? [] : ['rate', `${kbitPerSecond}kbit`]),
  ]
}

async function hasNetem(): Promise<boolean> {
  if (!(await installed('tc'))) return false
  // Tried where it does nothing: on loopback of the lab's own world.
  return command('tc', ['qdisc', 'add', 'dev', 'lo', 'root', 'netem', 'delay', '0ms'])
    .then(() => command('tc', ['qdisc', 'del', 'dev', 'lo', 'root']))
    .then(() => true, () => false)
}

async function compile(): Promise<boolean> {
  const source = fileURLToPath(new URL('wan-link.c', import.meta.url))
  for (const compiler of ['cc', 'gcc', 'clang']) {
    if (!(await installed(compiler))) continue
    return command(compiler, ['-O2', '-o', program, source]).then(() => true, () => false)
  }
  return false
}

