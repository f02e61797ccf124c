/** The lab's command line: which cells run, how often, and what is printed. Started by scripts/lab.mjs inside of namespaces of its own. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type PairCell, PAIR_CELLS } from './cells.ts'
import { type CheckOutcome, runChecks } from './checks.ts'
import { openLab } from './lab.ts'
import { type CellResult, runPairCell } from './pair-runs.ts'
import { formatPairs, formatScenarios, updateReadme } from './report.ts'
import { type ScenarioResult, runScenario } from './scenario-runs.ts'
import { SCENARIOS } from './scenarios.ts'
import { missingTools } from './sites.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    runs: { type: 'string' },
    only: { type: 'string' },
    helper: { type: 'string', default: '' },
    pairs: { type: 'boolean', default: false },
    readme: { type: 'boolean', default: false },
    logs: { type: 'boolean', default: false },
  },
})

if (values.readme && (values.quick || values.only !== undefined)) throw new Error('--readme is for a whole run')

/** Many where luck decides, a few where nothing but a mistake can fail. */
const RUNS = { chance: 20, certain: 5, impossible: 2, quick: 1, quickChance: 2 }

// The parent holds the other end: the world ends with it, however that ended.
process.stdin.on('end', () => process.exit(130)).resume()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130))

const tell = (line: string) => process.stderr.write(`${line}\n`)
const missing = await missingTools()
if (missing.length > 0) {
  const reason = `${missing.join(', ')} not installed (npm run lab -- --install, on Debian)`
  tell(`lab skipped: ${reason}`)
  if (values.json) await print(JSON.stringify({ skipped: reason, pairs: [] }))
  process.exit(0)
}
const lab = await openLab([process.execPath, values.helper], values.logs, tell)
process.exitCode = positionals[0] === 'check' ? await check() : await runCells()
process.exit()

async function check(): Promise<number> {
  const outcomes: CheckOutcome[] = []
  await runChecks((outcome) => {
    outcomes.push(outcome)
    tell(`${outcome.ok ? '✓' : '✗'} ${outcome.name}: ${outcome.saw}`)
  })
  const failed = outcomes.filter(({ ok }) => !ok).length
  if (values.json) await print(JSON.stringify({ checks: outcomes }))
  tell(`${outcomes.length - failed} checks as named, ${failed} not`)
  return failed === 0 ? 0 : 1
}

async function runCells(): Promise<number> {
  const pairs: CellResult[] = []
  for (const cell of PAIR_CELLS.filter(isWanted)) {
    const result = await runPairCell(lab, cell, runsOf(cell))
    pairs.push(result)
    tell(formatPairs([result]))
  }
  const scenarios: ScenarioResult[] = []
  for (const scenario of SCENARIOS.filter(({ name, quick }) => !values.pairs && (values.quick ? quick : true) && (values.only === undefined || name.includes(values.only)))) {
    const result = await runScenario(lab, scenario, values.runs !== undefined && values.only !== undefined ? Number(values.runs) : 1)
    scenarios.push(result)
    tell(formatScenarios([result]))
  }
  if (values.readme) await updateReadme(fileURLToPath(new URL('../README.md', import.meta.url)), pairs)
  if (values.json) await print(JSON.stringify({ pairs, scenarios }))
  else await print(`\n${formatPairs(pairs)}\n\n${formatScenarios(scenarios)}`)
  return [...pairs, ...scenarios].every(({ asExpected }) => asExpected) ? 0 : 1
}

function isWanted(cell: PairCell): boolean {
  if (values.quick && !cell.quick) return false
  if (values.only === undefined) return true
  const wanted = values.only.split(',')
  const [one = '', other = one] = wanted
  if (wanted.length <= 2) return (cell.a === one && cell.b === other) || (cell.a === other && cell.b === one)
  return wanted.includes(cell.a) && wanted.includes(cell.b)
}

function runsOf(cell: PairCell): number {
  if (values.runs !== undefined) return cell.expected.outcome === 'explains' ? Math.min(RUNS.impossible, Number(values.runs)) : Number(values.runs)
  // One failure may be bad luck, two are not.
  if (values.quick) return cell.chance ? RUNS.quickChance : RUNS.quick
  return cell.expected.outcome === 'explains' ? RUNS.impossible : cell.chance ? RUNS.chance : RUNS.certain
}

function print(text: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${text}\n`, () => resolve()))
}
