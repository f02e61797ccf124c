// Runs inside of namespaces of its own (peers.mjs starts it): opens the programs, has each do the same work in turn, and prints a line of JSON for
// everything that was measured as soon as it is known.
import { openPlace } from './place.mjs'
import { PROGRAMS } from './programs.mjs'
import { MEASURES } from './measures.mjs'

/** A program that is not there by then has failed. */
const OPEN_TIMEOUT_MS = 60_000

// The parent holds the other end: the world ends with it, however that ended.
process.stdin.on('end', () => process.exit(130)).resume()
const work = JSON.parse(process.argv[2] ?? '')
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const place = await openPlace(work)
if (typeof place === 'string') {
  tell({ leftOut: place })
  process.exit(0)
}
const programs = new Map()
for (const [name, paths] of Object.entries(work.programs)) {
  try {
    programs.set(name, await within(PROGRAMS[name].open(place, paths), OPEN_TIMEOUT_MS))
  } catch (error) {
    tell({ program: name, failed: messageOf(error) })
  }
}
for (const { measure, runs, ...size } of work.measures) {
  const { make, take } = MEASURES[measure]
  const source = await make(place, size)
  const failed = new Set()
  for (let run = 0; run < runs; run++) {
    for (const [name, program] of programs) {
      if (failed.has(name)) continue
      try {
        tell({ measure, program: name, run, ...(await take(place, program, source, size)) })
      } catch (error) {
        failed.add(name)
        tell({ measure, program: name, failed: messageOf(error) })
      }
    }
  }
}
for (const program of programs.values()) await program.close().catch(() => {})
process.exit()

function within(promise, ms) {
  return Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject(new Error(`not ready after ${ms / 1000} s`)), ms).unref())])
}

function messageOf(error) {
  return error instanceof Error ? error.message : String(error)
}
