/** The lab's results as text: a table for people at a terminal, and one for the README. */
import { readFile, writeFile } from 'node:fs/promises'
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

const BEGIN = '<!-- lab: made by npm run lab -- --readme -->'
const END = '<!-- /lab -->'

/** The table for the README: the plain pairs, the worse of the two where a pair was tried both ways. */
export function formatReadmeTable(pairs: readonly CellResult[]): string {
  const rows = new Map<string, CellResult>()
  for (const pair of pairs.filter(({ note }) => note === '')) {
    const key = [pair.a, pair.b].sort().join(' | ')
    const before = rows.get(key)
    if (before === undefined || pair.ok / pair.runs < before.ok / before.runs) rows.set(key, pair)
  }
  const lines = [...rows.values()].map(({ a, b, runs, ok, p50Ms, p95Ms, firstByteP50Ms, reason }) => {
    const times = p50Ms === null ? ` | | ${reason === undefined ? '' : `"${withoutCode(reason)}"`}` : `${seconds(p50Ms)} / ${seconds(p95Ms)} | ${seconds(firstByteP50Ms)} |`
    return `| ${a} | ${b} | ${ok === 0 ? 'no' : `${ok} of ${runs}`} | ${times} |`
  })
  return ['| one side | the other | connected | after, p50 / p95 | first byte, p50 | if not |', '|---|---|---|---|---|---|', ...lines].join('\n')
}

/** @throws when the README has no place for it */
export async function updateReadme(file: string, pairs: readonly CellResult[]): Promise<void> {
  const text = await readFile(file, 'utf8')
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`${file} has no lines "${BEGIN}" and "${END}"`)
  await writeFile(file, `${text.slice(0, begin + BEGIN.length)}\n${formatReadmeTable(pairs)}\n${text.slice(end)}`)
}

function seconds(ms: number | null): string {
  return ms === null ? '-' : `${(ms / 1000).toFixed(2)} s`
}

function withoutCode(reason: string): string {
  return reason.replace(/^[a-z-]+: /, '').replaceAll('|', '\\|')
}
