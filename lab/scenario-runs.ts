/** Runs scenarios, or says aloud why one cannot be run here. */
import type { Lab } from './lab.ts'
import { installed } from './namespaces.ts'
import { RUNS_FOR_TIMES, quantile } from './pair-runs.ts'
import type { ScenarioOutcome } from './scenario-parts.ts'
import type { Scenario } from './scenario-parts.ts'
import { chooseWanMethod } from './wan-lines.ts'

export interface ScenarioResult {
  readonly name: string
  readonly runs: number
  readonly ok: number
  readonly p50Ms: number | null
  readonly limitMs: number | null
  /** Of the first run that failed, or of the last. */
  readonly detail: string
  readonly asExpected: boolean
  readonly skipped?: string
}

/** A median of few runs on a busy machine is given twice the time. */
const FEW_RUNS_FACTOR = 2

export async function runScenario(lab: Lab, scenario: Scenario, runs: number): Promise<ScenarioResult> {
  const { name, limitMs } = scenario
  const skipped = await whySkipped(lab, scenario)
  if (skipped !== undefined) return { name, limitMs, runs: 0, ok: 0, p50Ms: null, detail: '', asExpected: true, skipped }
  const outcomes: ScenarioOutcome[] = []
  for (let run = 0; run < runs; run++) {
    const outcome = await scenario.run(lab).catch((error: unknown) => ({ ok: false, ms: null, detail: error instanceof Error ? error.message : String(error) }))
    lab.tell(`  ${name} run ${run + 1}: ${outcome.ok ? 'ok' : 'failed'}, ${outcome.ms === null ? '' : `${Math.round(outcome.ms)} ms, `}${outcome.detail}`)
    outcomes.push(outcome)
  }
  const good = outcomes.filter(({ ok }) => ok)
  const p50Ms = quantile(good.flatMap(({ ms }) => (ms === null ? [] : [ms])).sort((a, b) => a - b), 0.5)
  const limit = limitMs === null ? null : limitMs * (runs < RUNS_FOR_TIMES ? FEW_RUNS_FACTOR : 1)
  const asExpected = good.length === outcomes.length && (limit === null || (p50Ms !== null && p50Ms <= limit))
  const detail = (outcomes.find(({ ok }) => !ok) ?? outcomes.at(-1))?.detail ?? ''
  return { name, limitMs, runs, ok: good.length, p50Ms, detail, asExpected }
}

async function whySkipped(lab: Lab, { programs, flags, lines }: Scenario): Promise<string | undefined> {
  for (const program of programs) if (!(await installed(program))) return `${program} is not installed`
  for (const flag of flags) if (!lab.helper.knownFlags.has(flag)) return `this helper has no ${flag}`
  return lines && (await chooseWanMethod()) === 'none' ? 'neither netem nor a C compiler' : undefined
}
