// Others' programs and ours side by side, on two machines in namespaces with one line between them: one large file, many small files with and without
// a delay, and how long a large share takes until its first bytes can be had. Nothing outside is contacted (scripts/bench/programs).
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { whyNoNamespaces, worldCommand } from '../lib/namespaces.mjs'
import { ROOT } from '../lib/run.mjs'
import { median, ratio, round } from './lib/figures.mjs'
import { PROGRAMS } from './programs/programs.mjs'

const RTT_MS = 50
/** What a line to the internet has at best, so that it is the delay that counts. */
const MBIT = 1000

/** Who has not finished by then is measured by what has come. */
const LIMIT_SECONDS = { bigFile: 60, smallFiles: 25, firstBytes: 20 }

export default async function measurePeers(bench) {
  const reason = await whyNoNamespaces()
  if (reason !== undefined) {
    bench.say(`  left out: ${reason}`)
    return {}
  }
  const programs = await findPrograms(bench)
  const measures = {
    bigFile: { bytes: bench.quick ? 200_000_000 : 1_000_000_000, runs: bench.runs },
    smallFiles: { files: bench.quick ? 2_000 : 10_000, runs: 1 },
    firstBytes: { bytes: bench.quick ? 500_000_000 : 5_000_000_000, runs: 1 },
  }
  const wish = (names) => names.map((measure) => ({ measure, limitSeconds: LIMIT_SECONDS[measure], ...measures[measure] }))
  const near = await takenIn(bench, { programs, rttMs: 0, measures: wish(['bigFile', 'smallFiles', 'firstBytes']) })
  const far = await takenIn(bench, { programs, rttMs: RTT_MS, mbit: MBIT, measures: wish(['smallFiles']) })
  return {
    peers: {
      bigFile: table(near.bigFile, (run) => (run.complete ? { shareSeconds: run.offerSeconds, MBps: measures.bigFile.bytes / 1e6 / run.seconds } : {}), 'MBps'),
      smallFiles: table(near.smallFiles, filesPerSecond, 'filesPerSecond'),
      [`smallFilesAt${RTT_MS}ms`]: table(far.smallFiles, filesPerSecond, 'filesPerSecond'),
      readyToServe: table(near.firstBytes, ({ seconds }) => ({ gigabytes: measures.firstBytes.bytes / 1e9, firstBytesSeconds: seconds }), 'firstBytesSeconds', true),
    },
  }
}

/** Those that are wanted and here, with the paths of what they need. */
async function findPrograms(bench) {
  const found = {}
  for (const [name, { needs }] of Object.entries(PROGRAMS)) {
    const paths = {}
    for (const need of needs) {
      const path = await bench.peer(need)
      if (path !== undefined) paths[need] = path
    }
    if (needs.every((need) => paths[need] !== undefined)) found[name] = paths
  }
  return found
}

/** @returns {Promise<Record<string, Map<string, object[]>>>} by what was measured, by program: the runs */
async function takenIn(bench, work) {
  const scratch = await bench.temporary('peers')
  const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  const [file, ...args] = worldCommand([process.execPath, '--import', loader, join(ROOT, 'scripts/bench/programs/world.mjs'), JSON.stringify({ ...work, scratch })])
  // That world ends when its standard input does, so it cannot outlive this process.
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  bench.onTidy(() => child.stdin.end())
  const taken = {}
  for await (const line of createInterface({ input: child.stdout })) {
    const { measure, program, leftOut, failed, ...figures } = JSON.parse(line)
    if (leftOut !== undefined) bench.say(`  left out: ${leftOut}`)
    else if (failed !== undefined) bench.say(`  left out: ${program}${measure === undefined ? '' : ` of ${measure}`}: ${failed}`)
    else if (figures.complete === false && figures.files === 0) bench.say(`  left out: ${program} of ${measure}, run ${figures.run}: nothing came within ${round(figures.seconds, 0)} s`)
    else {
      bench.say(`  ${work.rttMs} ms ${measure} ${program}: ${JSON.stringify(figures)}`)
      const runs = ((taken[measure] ??= new Map()).get(program) ?? [])
      taken[measure].set(program, [...runs, figures])
    }
  }
  return taken
}

function filesPerSecond({ offerSeconds, seconds, files, complete }) {
  return { shareSeconds: offerSeconds, filesPerSecond: files / seconds, ...(complete ? {} : { givenUpAfterSeconds: seconds }) }
}

/** A row for each program: medians, and in `oursIsBetter` how many times ours does as well, run by run. */
function table(byProgram, figuresOf, decisive, lessIsBetter = false) {
  const ours = new Map(byProgram?.get('ours')?.map((run) => [run.run, figuresOf(run)[decisive]]))
  return [...(byProgram ?? [])].map(([program, runs]) => {
    const figures = runs.map(figuresOf)
    const columns = [...new Set(figures.flatMap(Object.keys))]
    const medians = columns.map((column) => [column, figures.some((each) => each[column] == null) ? null : round(median(figures.map((each) => each[column])), 2)])
    const pairs = runs.map((run, i) => [ours.get(run.run), figures[i][decisive]]).filter((pair) => pair.every((value) => value != null))
    const [a, b] = [pairs.map(([own]) => own), pairs.map(([, other]) => other)]
    return { program, ...Object.fromEntries(medians), oursIsBetter: pairs.length === 0 ? null : lessIsBetter ? ratio(b, a) : ratio(a, b) }
  })
}
