/** Lines to the internet with delay, jitter, loss and rate: by netem where the kernel has it, else by a small program of our own between two TUN devices. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
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
  /** Of the program that makes the line; absent where the kernel does. */
  readonly pid?: number
  /** What went from the first end to the second since the quality was set; undefined where the kernel makes the line. */
  count(): Promise<WanCounts | undefined>
  /** Idempotent. */
  close(): void
}

/** Of packets. A line that could not keep up has `unread` ones, and was late. */
export interface WanCounts {
  readonly taken: number
  /** By the chance that was asked for. */
  readonly lost: number
  /** Found the line full. */
  readonly overflowed: number
  readonly delivered: number
  /** The other end did not take them. */
  readonly failed: number
  /** Never came to the line, as it did not fetch them in time. */
  readonly unread: number
  /** Behind the moment that the quality asks for; half of the packets, and 99 of 100, by no more than this. */
  readonly lateMs: number
  readonly lateP99Ms: number
}

interface End {
  readonly ns: string
  readonly device: string
}

/** `none`: every line is perfect here, and what needs another is skipped. */
export type WanMethod = 'netem' | 'program' | 'none'

let method: WanMethod | undefined
const program = join(SCRATCH, 'wan-link')
const probe = join(SCRATCH, 'wan-probe')
let probeMade: Promise<string | undefined> | undefined

/** Finds out once how lines are made on this machine. */
export async function chooseWanMethod(): Promise<WanMethod> {
  method ??= (await hasNetem()) ? 'netem' : (await compile('wan-link.c', program)) ? 'program' : 'none'
  return method
}

/** @returns the path of the program that measures lines (wan-probe.c), or undefined without a compiler */
export function probeProgram(): Promise<string | undefined> {
  probeMade ??= compile('wan-probe.c', probe).then((made) => (made ? probe : undefined))
  return probeMade
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
    count: async () => undefined,
    close: () => {},
  }
  if (!perfect) await line.set(quality)
  return line
}

async function openProgramLine(a: End, b: End, quality: WanQuality): Promise<WanLine> {
  const child: ChildProcess = spawn(program, [namespacePath(a.ns), a.device, namespacePath(b.ns), b.device], { stdio: ['pipe', 'pipe', 'inherit'] })
  const { stdin, stdout, pid } = child
  if (stdin === null || stdout === null || pid === undefined) throw new Error('no pipes to the line')
  stdin.on('error', () => {})
  const ended = once(child, 'exit').then(() => Promise.reject(new Error('the line broke')))
  ended.catch(() => {})
  const answers: ((answer: string) => void)[] = []
  createInterface({ input: stdout }).on('line', (answer) => answers.shift()?.(answer))
  const nextAnswer = () => Promise.race([new Promise<string>((resolve) => answers.push(resolve)), ended])
  const ask = (question: string): Promise<string> => {
    const answer = nextAnswer()
    stdin.write(`${question}\n`)
    return answer
  }
  await nextAnswer()
  // While the program waits for its turn on a busy machine, what comes must not be lost.
  for (const { ns, device } of [a, b]) await ip(ns, [`link set ${device} txqueuelen ${DEVICE_QUEUE}`])
  let unreadBefore = 0
  const line: WanLine = {
    pid,
    set: async ({ delayMs = 0, jitterMs = 0, lossPercent = 0, kbitPerSecond = 0, queueBytes = DEFAULT_QUEUE_BYTES }) => {
      await ask(`set ${Math.round(delayMs * 1000)} ${Math.round(jitterMs * 1000)} ${Math.round(lossPercent * 10_000)} ${kbitPerSecond} ${Math.round(queueBytes)}`)
      unreadBefore = await unread(a)
    },
    count: async () => ({ ...(JSON.parse(await ask('count')) as Omit<WanCounts, 'unread'>), unread: (await unread(a)) - unreadBefore }),
    close: () => stdin.end(),
  }
  await line.set(quality)
  return line
}

/** Packets that the device threw away, as its queue was full. */
async function unread({ ns, device }: End): Promise<number> {
  const [, , , , , , , , , , , dropped] = (await inside(ns, 'grep', [`${device}:`, '/proc/net/dev'])).trim().split(/\s+/)
  return Number(dropped)
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

async function compile(name: string, into: string): Promise<boolean> {
  const source = fileURLToPath(new URL(name, import.meta.url))
  for (const compiler of ['cc', 'gcc', 'clang']) {
    if (!(await installed(compiler))) continue
    return command(compiler, ['-O2', '-o', into, source]).then(() => true, () => false)
  }
  return false
}
