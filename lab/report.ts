/** The lab's results as text: a table for people at a terminal, and one for the README. */
import type { CellResult } from './pair-runs.ts'

export function formatReport(pairs: readonly CellResult[]): string {
  return pairs.map((pair) => {
    const name = `${pair.a} | ${pair.b}${pair.note === '' ? '' : ` (${pair.note})`}`
    const times = pair.p50Ms === null ? '' : `  connected p50 ${pair.p50Ms} p95 ${pair.p95Ms} ms, first byte p50 ${pair.firstByteP50Ms} p95 ${pair.firstByteP95Ms} ms`
    return `${pair.asExpected ? '✓' : '✗'} ${name.padEnd(72)} ${String(pair.ok).padStart(3)}/${pair.runs}${times}${pair.asExpected ? '' : `  expected ${pair.expected}`}${pair.reason === undefined ? '' : `  "${pair.reason}"`}`
  }).join('\n')
}
