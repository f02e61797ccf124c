// How much of a long line a transfer between real helpers fills, and what it leaves to one TCP connection beside it: emulated lines between network
// namespaces, by netem or by a small program where the kernel has none (lab/wan-lines.ts).
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { whyNoNamespaces, worldCommand } from '../lib/namespaces.mjs'
import { ROOT } from '../lib/run.mjs'

/**
 * What the file takes at the line's own rate: long enough that the start, which takes a second or two on long lines, weighs little. And what a cell may
 * take in all: on the worst lines a part of the file says as much as the whole. All cells take about eight minutes.
 */
const TIMES = { seconds: 16, atMostSeconds: 22 }
const FAST_LINE_TIMES = { seconds: 12, atMostSeconds: 16 }
const QUICK_TIMES = { seconds: 5, atMostSeconds: 15 }
const FAST_MBIT = 500

const CELLS = [100, 1000].flatMap((mbit) => [20, 100, 200].flatMap((rttMs) => [0, 0.5, 2].map((lossPct) => ({ mbit, rttMs, lossPct }))))
const QUICK_CELLS = [{ mbit: 100, rttMs: 100, lossPct: 0 }, { mbit: 100, rttMs: 100, lossPct: 2 }]

/** Beside one TCP connection, as most of the internet's are and as the large senders' are. */
const FAIRNESS = [20, 100].flatMap((rttMs) => ['cubic', 'bbr'].map((beside) => ({ mbit: 100, rttMs, lossPct: 0, beside })))

export default async function measureWan(bench) {
  const reason = await whyNoNamespaces()
  if (reason !== undefined) {
    bench.say(`  left out: ${reason}`)
    return {}
  }
  const beside = (await bench.peer('iperf3')) === undefined ? [] : FAIRNESS
  const cells = bench.cells === undefined ? (bench.quick ? QUICK_CELLS : [...CELLS, ...beside]) : bench.cells.split(',').map(parseCell)
  const wan = []
  const fairness = []
  for await (const figure of measured(bench, cells)) {
    if (figure.skipped !== undefined) bench.say(`  left out: ${figure.skipped}`)
    else {
      bench.say(`  ${JSON.stringify(figure)}`)
      ;(figure.beside === undefined ? wan : fairness).push(figure)
    }
  }
  return { ...(wan.length > 0 ? { wan } : {}), ...(fairness.length > 0 ? { fairness } : {}) }
}

/** As `1000/200/0.5`: Mbit/s, ms there and back, per cent lost each way; and `100/20/0/cubic` beside a TCP connection of that kind. */
function parseCell(text) {
  const [mbit, rttMs, lossPct, ...more] = text.split('/')
  const cell = { mbit: Number(mbit), rttMs: Number(rttMs), lossPct: Number(lossPct) }
  const fits = cell.mbit > 0 && cell.mbit <= 10_000 && cell.rttMs >= 0 && cell.rttMs <= 1000 && cell.lossPct >= 0 && cell.lossPct < 100
  if (!fits || more.length > 1 || ![undefined, 'cubic', 'bbr'].includes(more[0])) throw new Error(`“${text}” is no cell; one is written as 100/20/0.5 or 100/20/0/cubic`)
  return more.length === 0 ? cell : { ...cell, beside: more[0] }
}

async function* measured(bench, cells) {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  const program = [process.execPath, join(ROOT, 'apps/helper/bin/hdp.mjs')]
  const timed = cells.map((cell) => ({ ...cell, ...(bench.quick ? QUICK_TIMES : cell.mbit >= FAST_MBIT ? FAST_LINE_TIMES : TIMES) }))
  const [file, ...args] = worldCommand([process.execPath, '--import', loader, join(ROOT, 'lab/wan-speed.ts'), JSON.stringify({ program, cells: timed })])
  // That world ends when its standard input does, so it cannot outlive this process.
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  bench.onTidy(() => child.stdin.end())
  let lines = 0
  for await (const line of createInterface({ input: child.stdout })) {
    lines++
    yield JSON.parse(line)
  }
  if (lines === 0) throw new Error('nothing was measured')
}
