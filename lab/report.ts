/** The lab's results as text: a table for people at a terminal, and one for the README. */
import type { CellResult } from './pair-runs.ts'
import type { ScenarioResult } from './scenario-runs.ts'

export function formatPairs(pairs: readonly CellResult[]): string {
  return pairs.map((pair) => {
    const name = `${pair.a} | ${pair.b}${pair.note === '' ? '' : ` (${pair.note})`}`
    const times = pair.p50Ms === null ? '' : `  connected p50 ${pair.p50Ms} p95 ${pair.p95Ms} ms, first byte p50 ${pair.firstByteP50Ms} p95 ${pair.firstByteP95Ms} ms`
    return `${pair.asExpected ? '✓' : '✗'} ${name.padEnd(72)} ${String(pair.ok).padStart(3)}/${pair.runs}${times}${pair.asExpected ? '' : `  expected ${pair.expected}`}${pair.reason === undefined ? '' : `  "${pair.reason}"`}`
  }).join('\n')
}

export function formatScenarios(scenarios: readonly ScenarioResult[]): string {
  return scenarios.map(({ name, asExpected, runs, ok, p50Ms, limitMs, detail, skipped }) => {
    if (skipped !== undefined) return `- ${name.padEnd(72)} skipped: ${skipped}`
    const times = p50Ms === null ? '' : `  p50 ${p50Ms} ms${limitMs === null ? '' : ` of ${limitMs}`}`
    return `${asExpected ? '✓' : '✗'} ${name.padEnd(72)} ${String(ok).padStart(3)}/${runs}${times}  "${detail}"`
  }).join('\n')
}
