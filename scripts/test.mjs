// npm test: every suite, headless, from whatever state the checkout is in. Ends with one line that sums them all.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { captureOutput, run, say } from './lib/run.mjs'
import { ensurePackages, requireNode } from './lib/install.mjs'

requireNode()
await ensurePackages()
// Only now: these import packages.
const { buildStale } = await import('./lib/build.mjs')
const { ensureChromium } = await import('./lib/chromium.mjs')

const reports = await mkdtemp(join(tmpdir(), 'hdp-test-'))
let passed = 0
let failed = 0

/** Counts a step that either holds or does not. */
function count(name, ok) {
  if (ok) passed += 1
  else {
    failed += 1
    say(`✗ ${name}`)
  }
  return ok
}

async function step(name, action) {
  const started = Date.now()
  say(`\n── ${name}`)
  await action()
  say(`── ${name}: ${((Date.now() - started) / 1000).toFixed(0)} s`)
}

async function readReport(file) {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch {
    return undefined
  }
}

await step('lint', async () => count('lint', (await run('npx', ['--no-install', 'oxlint', '--quiet'])) === 0))
await step('types', async () => count('types', (await run('node', ['scripts/types.mjs'])) === 0))

let built = false
await step('build', async () => {
  built = count('build', await buildStale())
})

await step('unit', async () => {
  const file = join(reports, 'unit.json')
  const code = await run('npx', ['--no-install', 'vitest', 'run', '--reporter=default', '--silent=passed-only', '--reporter=json', `--outputFile.json=${file}`])
  const report = await readReport(file)
  if (report === undefined) return count('unit tests ran', false)
  passed += report.numPassedTests
  failed += report.numFailedTests
  // A file that could not even be loaded has no tests to fail.
  const broken = report.testResults.filter((suite) => suite.status === 'failed' && suite.assertionResults.every((test) => test.status !== 'failed'))
  for (const suite of broken) count(suite.name, false)
  if (code !== 0 && report.numFailedTests === 0 && broken.length === 0) count('unit tests ended cleanly', false)
})

await step('end to end', async () => {
  if (!built) return count('end to end needs a build', false)
  const browser = await ensureChromium()
  if (browser === undefined) return count('end to end needs a browser', false)
  const { ensureCertutil } = await import('./lib/certutil.mjs')
  await ensureCertutil()
  const file = join(reports, 'e2e.json')
  const code = await run('npx', ['--no-install', 'playwright', 'test', '--reporter=list,json'], {
    env: { HDP_CHROMIUM: browser, PLAYWRIGHT_JSON_OUTPUT_NAME: file },
  })
  const report = await readReport(file)
  if (report === undefined) return count('end to end tests ran', false)
  passed += report.stats.expected
  failed += report.stats.unexpected + report.stats.flaky
  for (const error of report.errors) count(error.message ?? 'end to end set-up', false)
  if (code !== 0 && report.stats.unexpected + report.stats.flaky + report.errors.length === 0) count('end to end tests ended cleanly', false)
})

await step('lab', async () => {
  if (!built) return count('the lab needs a build', false)
  const { code, output } = await captureOutput('node', ['scripts/lab.mjs', '--quick', '--json'])
  let report
  try {
    report = JSON.parse(output)
  } catch {
    return count('the lab ran', false)
  }
  // It has said why already.
  if (report.skipped !== undefined) return
  for (const { a, b, note, asExpected } of report.pairs) count(`lab: ${a} and ${b}${note === '' ? '' : `, ${note}`}`, asExpected)
  for (const { name, skipped, asExpected } of report.scenarios) if (skipped === undefined) count(`lab: ${name}`, asExpected)
  if (code !== 0 && [...report.pairs, ...report.scenarios].every(({ asExpected }) => asExpected)) count('the lab ended cleanly', false)
})

await rm(reports, { recursive: true, force: true })
process.exitCode = failed === 0 ? 0 : 1
// Both streams are drained before the last line, so that nothing can follow it.
await new Promise((resolve) => process.stderr.write('\n', resolve))
console.log(`${passed} passed, ${failed} failed`)
