// Ten thousand small files from helper to helper: on loopback, where their number costs, and over a link with a delay, where round trips would.
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { callApi } from '../../e2e/support/api.ts'
import { connect, download, openHelper } from './lib/helpers.mjs'
import { median, round } from './lib/figures.mjs'
import { codeBehindDelay } from './lib/slow-link.mjs'

const FILE_BYTES = 10 * 1024
const FILES_PER_FOLDER = 100
const RTT_MS = 50

export default async function measureSmallFiles(bench) {
  const count = bench.quick ? 2_000 : 10_000
  const library = await bench.temporary('library')
  for (let folder = 0; folder < count / FILES_PER_FOLDER; folder++) {
    const directory = join(library, 'small', `folder ${folder}`)
    await mkdir(directory, { recursive: true })
    await Promise.all(Array.from({ length: FILES_PER_FOLDER }, (_, file) => writeFile(join(directory, `${file}.bin`), randomBytes(FILE_BYTES))))
  }
  const sender = await openHelper(bench, 'anna', { shares: [library] })
  const near = await openHelper(bench, 'ben')
  await connect(near, sender)
  const seconds = []
  const cpu = []
  for (let run = 0; run < bench.runs; run++) {
    const got = await download(near, sender, library, 'small')
    seconds.push(got.seconds)
    if (got.cpuSeconds !== null) cpu.push((got.cpuSeconds * 1000) / count)
    bench.say(`  loopback: ${round(got.seconds)} s, ${round(cpu.at(-1) ?? NaN, 2)} ms of processor time per file`)
  }
  // The slow link is one for UDP.
  const far = await openHelper(bench, 'eve', { args: ['--no-tcp'] })
  await callApi(far, 'connect', { code: await codeBehindDelay(bench, sender.code, RTT_MS) })
  const delayed = (await download(far, sender, library, 'small')).seconds
  bench.say(`  ${RTT_MS} ms: ${round(delayed)} s`)
  return { smallFiles: { '10kPerSecond': round(count / median(seconds), 0), cpuMsPerFile: cpu.length === 0 ? null : round(median(cpu), 2), at50msRtt: { files: count, seconds: round(delayed) } } }
}
