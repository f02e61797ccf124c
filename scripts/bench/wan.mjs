// How much of a long line a transfer between real helpers fills, and what it leaves to one TCP connection beside it: emulated lines between network
// namespaces, by netem or by a small program where the kernel has none (lab/wan-lines.ts).
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { whyNoNamespaces, worldCommand } from '../lib/namespaces.mjs'
import { ROOT } from '../lib/run.mjs'

/** What the file takes at the line's own rate: long enough that the start, which takes a second or two on long lines, is what it is to people. */
const SECONDS = 20

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
  const cells = bench.quick ? QUICK_CELLS : [...CELLS, ...beside]
  const wan = []
  const fairness = []
  for await (const figure of measured(bench, cells, bench.quick ? 5 : SECONDS)) {
    if (figure.skipped !== undefined) bench.say(`  left out: ${figure.skipped}`)
    else {
      bench.say(`  ${JSON.stringify(figure)}`)
      ;(figure.beside === undefined ? wan : fairness).push(figure)
    }
  }
  return { ...(wan.length > 0 ? { wan } : {}), ...(fairness.length > 0 ? { fairness } : {}) }
}

async function* measured(bench, cells, seconds) {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  const program = [process.execPath, join(ROOT, 'apps/helper/bin/hdp.mjs')]
  const [file, ...args] = worldCommand([process.execPath, '--import', loader, join(ROOT, 'lab/wan-speed.ts'), JSON.stringify({ program, cells, seconds })])
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
