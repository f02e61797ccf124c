import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { callApi as call } from '../../../e2e/support/api.ts'
import { type HelperProcess, makeHelperFolder, startHelper } from '../../../e2e/support/helper-process.ts'
import { writeLibrary } from '../../../e2e/support/library.ts'
import { firstLoadKilobytes } from './app-size.ts'
import { measureIndexSpeed } from './index-speed.ts'
import { cpuSeconds, residentBytes, sum, withChildren } from './process-figures.ts'
import { median, round } from './statistics.ts'
import { tlsSeconds } from './tls-baseline.ts'

/**
 * Every figure of the project in one run: what is compared is measured alternately, so that a noisy machine is noisy for both.
 * `--json` prints one object and nothing else on stdout; `--quick` uses smaller data.
 */
const QUICK = process.argv.includes('--quick')
const JSON_ONLY = process.argv.includes('--json')
const FILE_BYTES = QUICK ? 200_000_000 : 1_000_000_000
const RUNS = 3

interface Diagnostics {
  readonly control: { readonly pid: number; readonly eventLoopP99Ms: number }
  readonly network: { readonly pid: number; readonly eventLoopP99Ms: number } | null
}

function progress(text: string): void {
  if (!JSON_ONLY) console.error(text)
}

async function throughput() {
  const [anna, ben] = [await makeHelperFolder('anna'), await makeHelperFolder('ben')]
  const library = await mkdtemp(join(tmpdir(), 'hdp-bench-library-'))
  const files = Array.from({ length: RUNS }, (_, run) => `film ${run}.mkv`)
  progress(`Writing ${RUNS} files of ${FILE_BYTES / 1e6} MB …`)
  await writeLibrary(library, new Map(files.map((file) => [file, FILE_BYTES])))
  const sender = await startHelper(anna, { shares: [library] })
  const receiver = await startHelper(ben)
  try {
    await call(receiver, 'connect', { code: sender.code })
    const share = library.slice(library.lastIndexOf('/') + 1)
    const rates: number[] = []
    const tlsRates: number[] = []
    const cpu: number[] = []
    const delays: number[] = []
    for (const file of files) {
      const pids = [...(await withChildren(sender.pid)), ...(await withChildren(receiver.pid))]
      const cpuBefore = await sum(pids, cpuSeconds)
      await call(receiver, 'diagnostics')
      const started = performance.now()
      const { transferId } = await call<{ transferId: string }>(receiver, 'download', { peerId: sender.peerId, path: `${share}/${file}` })
      await untilDone(receiver, transferId)
      const seconds = (performance.now() - started) / 1000
      const diagnostics = await call<Diagnostics>(receiver, 'diagnostics')
      const cpuAfter = await sum(pids, cpuSeconds)
      rates.push(FILE_BYTES / 1e6 / seconds)
      delays.push(diagnostics.control.eventLoopP99Ms)
      if (cpuBefore !== null && cpuAfter !== null) cpu.push((cpuAfter - cpuBefore) / (FILE_BYTES / 1e9))
      const target = join(ben.downloads, `${file}.tls`)
      tlsRates.push(FILE_BYTES / 1e6 / (await tlsSeconds(join(library, file), target)))
      await rm(target)
      progress(`  ${file}: ${round(rates.at(-1) as number)} MB/s, TLS ${round(tlsRates.at(-1) as number)} MB/s`)
    }
    return {
      throughput: {
        oneStreamMBps: round(median(rates)),
        cpuSecondsPerGB: cpu.length === 0 ? null : round(median(cpu), 2),
        tlsMBps: round(median(tlsRates)),
        vsTls: round(median(rates.map((rate, run) => rate / (tlsRates[run] as number))), 3),
      },
      eventLoop: { p99Ms: round(median(delays)), worstRunP99Ms: round(Math.max(...delays)) },
    }
  } finally {
    await Promise.all([sender.stop(), receiver.stop()])
    await Promise.all([anna.remove(), ben.remove(), rm(library, { recursive: true, force: true })])
  }
}

/** Resolves with the moment the transfer ended; looks often enough that looking adds less than 1 % to a second. */
async function untilDone(helper: HelperProcess, transferId: string): Promise<void> {
  for (;;) {
    const { transfers } = await call<{ transfers: { transferId: string; state: string; reason: unknown }[] }>(helper, 'snapshot')
    const transfer = transfers.find((candidate) => candidate.transferId === transferId)
    if (transfer?.state === 'done') return
    if (transfer === undefined || transfer.state === 'failed') throw new Error(`the transfer failed: ${JSON.stringify(transfer)}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function startAndIdle() {
  const folder = await makeHelperFolder('idle')
  const ready: number[] = []
  const resident: number[] = []
  try {
    for (let run = 0; run < 5; run++) {
      const started = performance.now()
      const helper = await startHelper(folder)
      ready.push(performance.now() - started)
      if (run === 4) {
        // Idle means settled: the first collections after start are over.
        await new Promise((resolve) => setTimeout(resolve, 10_000))
        const bytes = await sum(await withChildren(helper.pid), residentBytes)
        if (bytes !== null) resident.push(bytes)
      }
      await helper.stop()
    }
  } finally {
    await folder.remove()
  }
  return {
    start: { readyMs: round(median(ready), 0) },
    idle: { rssMB: resident.length === 0 ? null : round((resident[0] as number) / 1e6, 0) },
  }
}

function table(figures: object, prefix = ''): void {
  for (const [name, value] of Object.entries(figures)) {
    if (value !== null && typeof value === 'object') table(value, `${prefix}${name}.`)
    else console.log(`${`${prefix}${name}`.padEnd(32)} ${value ?? 'not measurable here'}`)
  }
}

progress('Throughput, ours and TLS in turn …')
const transfer = await throughput()
progress('Indexing, ours and find in turn …')
const index = await measureIndexSpeed(QUICK ? 20_000 : 100_000)
progress('Start and idle …')
const idle = await startAndIdle()
const dist = new URL('../../pwa/dist/', import.meta.url)
await stat(dist)
const figures = { ...transfer, index, ...idle, pwa: { jsGzipKB: round(await firstLoadKilobytes(dist)) } }
if (JSON_ONLY) console.log(JSON.stringify(figures))
else table(figures)
