// Runs the families of figures, one after the other, and prints what they found. A family is a file beside this folder: its default export takes a
// `Bench` (bench-run.mjs) and returns its figures as a nested object; all of them are merged into one.
import { readdir, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { openBench } from './bench-run.mjs'
import { formatFigures, mergeFigures } from './figures.mjs'
import { PEERS } from './peers.mjs'

const FAMILIES = new URL('../', import.meta.url)

/** `--json` may stand alone, which parseArgs does not know. */
const args = process.argv.slice(2)
const at = args.indexOf('--json')
const toStdout = at !== -1 && (args[at + 1] ?? '--').startsWith('--')
if (toStdout) args.splice(at, 1)
const { values } = parseArgs({
  args,
  options: {
    only: { type: 'string' },
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    peers: { type: 'string' },
    cells: { type: 'string' },
  },
})

const names = (await readdir(FAMILIES)).filter((file) => file.endsWith('.mjs')).map((file) => file.slice(0, -'.mjs'.length)).sort()
const wanted = values.only?.split(',') ?? names
const unknown = wanted.filter((name) => !names.includes(name))
if (unknown.length > 0) {
  console.error(`There is no ${unknown.join(', ')}; there are ${names.join(', ')}.`)
  process.exit(2)
}

const peers = values.peers?.split(',')
const strangers = peers?.filter((name) => PEERS[name] === undefined) ?? []
if (strangers.length > 0) {
  console.error(`There is no ${strangers.join(', ')} to compare with; there are ${Object.keys(PEERS).join(', ')}.`)
  process.exit(2)
}

const bench = openBench({ quick: values.quick, cells: values.cells, peers })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void bench.close().finally(() => process.exit(130)))
let figures = {}
let failed = false
for (const name of wanted) {
  bench.say(`${name} …`)
  try {
    const { default: measure } = await import(new URL(`${name}.mjs`, FAMILIES).href)
    figures = mergeFigures(figures, await measure(bench))
  } catch (error) {
    // The other families still have something to tell.
    failed = true
    bench.say(`  ${name} failed: ${error instanceof Error ? error.stack : error}`)
  } finally {
    await bench.tidy()
  }
  // Kept after each: a run takes long, and something may end it.
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`)
}
await bench.close()
if (toStdout) console.log(JSON.stringify(figures))
else console.log(formatFigures(figures))
process.exit(failed ? 1 : 0)
