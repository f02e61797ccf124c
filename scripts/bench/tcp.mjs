// How fast one file goes from disk to disk over TCP between two helpers, as they are at home, beside what the disk does alone, a plain TLS stream and
// others' programs with the same file on the same disk.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { callApi } from '../../e2e/support/api.ts'
import { diskSeconds } from '../../apps/helper/bench/disk-baseline.ts'
import { tlsSeconds } from '../../apps/helper/bench/tls-baseline.ts'
import { openFilePeers } from './lib/file-peers.mjs'
import { median, ratio, round } from './lib/figures.mjs'
import { connect, download, makeLibrary, openHelper } from './lib/helpers.mjs'

/** TCP joins a connection over QUIC within this, or not at all. */
const JOINED_MS = 10_000

export default async function measureTcp(bench) {
  const bytes = bench.quick ? 300_000_000 : 1_500_000_000
  const files = Array.from({ length: bench.runs }, (_, run) => `film ${run}.mkv`)
  const library = await makeLibrary(bench, Object.fromEntries(files.map((file) => [file, bytes])))
  const sender = await openHelper(bench, 'anna', { shares: [library] })
  const receiver = await openHelper(bench, 'ben')
  const scratch = await bench.temporary('others')
  await connect(receiver, sender)
  await untilOnTcp(receiver)
  const others = [{ name: 'disk', seconds: diskSeconds }, { name: 'tls', seconds: tlsSeconds }, ...(await openFilePeers(bench))]

  const ours = []
  const cpu = []
  const theirs = Object.fromEntries(others.map(({ name }) => [name, []]))
  for (const file of files) {
    const got = await download(receiver, sender, library, file)
    ours.push(bytes / 1e6 / got.seconds)
    if (got.cpuSeconds !== null) cpu.push(got.cpuSeconds / (bytes / 1e9))
    for (const { name, seconds } of others) {
      const target = join(scratch, `${file}.${name}`)
      theirs[name].push(bytes / 1e6 / (await seconds(join(library, file), target)))
      await rm(target, { recursive: true, force: true })
    }
    bench.say(`  ${file}: ${round(ours.at(-1))} MB/s; ${others.map(({ name }) => `${name} ${round(theirs[name].at(-1), 0)}`).join(', ')}`)
  }
  return {
    throughput: {
      tcpDiskToDiskMBps: round(median(ours)),
      tcpCpuSecondsPerGB: cpu.length === 0 ? null : round(median(cpu)),
      ...Object.fromEntries(others.map(({ name }) => [`tcpVs${name[0].toUpperCase()}${name.slice(1)}`, ratio(ours, theirs[name], 3)])),
    },
  }
}

async function untilOnTcp(helper) {
  const until = performance.now() + JOINED_MS
  for (;;) {
    const { peers } = await callApi(helper, 'snapshot')
    if (peers.some(({ path }) => path?.transport === 'tcp')) return
    if (performance.now() > until) throw new Error(`no connection over TCP: ${JSON.stringify(peers)}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
