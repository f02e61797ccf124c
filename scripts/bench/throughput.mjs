// How fast bytes go between helpers on one machine: the QUIC transport alone, disk to disk with everything on, from four peers at once, and what
// others' programs make of the same file on the same disk.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { measureQuic } from '../../apps/helper/bench/quic-throughput.ts'
import { tlsSeconds } from '../../apps/helper/bench/tls-baseline.ts'
import { connect, download, makeLibrary, openHelper } from './lib/helpers.mjs'
import { median, ratio, round } from './lib/figures.mjs'
import { openFilePeers } from './lib/file-peers.mjs'

export default async function measureThroughput(bench) {
  const bytes = bench.quick ? 200_000_000 : 1_000_000_000
  const files = Array.from({ length: bench.runs }, (_, run) => `film ${run}.mkv`)
  const library = await makeLibrary(bench, Object.fromEntries(files.map((file) => [file, bytes])))
  // QUIC is what is looked at here; TCP has a family of its own.
  const sender = await openHelper(bench, 'anna', { shares: [library], args: ['--no-tcp'] })
  const receiver = await openHelper(bench, 'ben')
  const scratch = await bench.temporary('others')
  await connect(receiver, sender)
  const others = [{ name: 'tls', seconds: tlsSeconds }, ...(await openFilePeers(bench))]

  const memory = []
  const memoryCpu = []
  const disk = []
  const cpu = []
  const delays = []
  const theirs = Object.fromEntries(others.map(({ name }) => [name, []]))
  for (const file of files) {
    const alone = await measureQuic(bytes)
    memory.push(alone.MBps)
    memoryCpu.push(alone.cpuSecondsPerGB.sender + alone.cpuSecondsPerGB.receiver)
    const got = await download(receiver, sender, library, file)
    disk.push(bytes / 1e6 / got.seconds)
    delays.push(got.controlP99Ms)
    if (got.cpuSeconds !== null) cpu.push(got.cpuSeconds / (bytes / 1e9))
    for (const { name, seconds } of others) {
      const target = join(scratch, `${file}.${name}`)
      theirs[name].push(bytes / 1e6 / (await seconds(join(library, file), target)))
      await rm(target, { recursive: true, force: true })
    }
    const sums = others.map(({ name }) => `${name} ${round(theirs[name].at(-1), 0)}`).join(', ')
    bench.say(`  ${file}: memory ${alone.MBps}, disk ${round(disk.at(-1))} MB/s; ${sums}`)
  }
  return {
    throughput: {
      oneStreamMBps: round(median(memory)),
      transportCpuSecondsPerGB: round(median(memoryCpu)),
      diskToDiskMBps: round(median(disk)),
      cpuSecondsPerGB: cpu.length === 0 ? null : round(median(cpu)),
      fourPeersMBps: await fourPeers(bench, library, files[0], bytes),
      ...Object.fromEntries(others.flatMap(({ name }) => [
        [`${name}MBps`, round(median(theirs[name]))],
        [`vs${name[0].toUpperCase()}${name.slice(1)}`, ratio(disk, theirs[name], 3)],
      ])),
    },
    eventLoop: { p99Ms: round(median(delays)), worstRunP99Ms: round(Math.max(...delays)) },
  }
}

/** Four who have the same file; all four copies are fetched at once. */
async function fourPeers(bench, library, file, bytes) {
  const receiver = await openHelper(bench, 'eve')
  const senders = []
  for (const name of ['fay', 'gus', 'hal', 'ida']) {
    const sender = await openHelper(bench, name, { shares: [library], args: ['--no-tcp'] })
    await connect(receiver, sender)
    senders.push(sender)
  }
  const started = performance.now()
  await Promise.all(senders.map((sender) => download(receiver, sender, library, file)))
  return round((senders.length * bytes) / 1e6 / ((performance.now() - started) / 1000))
}
