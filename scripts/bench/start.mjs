// How long a helper takes to be ready, and what it holds when nothing happens.
import { makeHelperFolder, startHelper } from '../../e2e/support/helper-process.ts'
import { residentBytes, sum, withChildren } from '../../apps/helper/bench/process-figures.ts'
import { median, round } from './lib/figures.mjs'

const STARTS = 5

/** Idle means settled: the first collections after a start are over. */
const SETTLE_MS = 10_000

export default async function measureStart(bench) {
  const folder = await makeHelperFolder('idle')
  bench.onTidy(() => folder.remove())
  const ready = []
  let resident = null
  for (let run = 1; run <= STARTS; run++) {
    const started = performance.now()
    const helper = await startHelper(folder)
    ready.push(performance.now() - started)
    if (run === STARTS) {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
      resident = await sum(await withChildren(helper.pid), residentBytes)
    }
    await helper.stop()
  }
  return {
    start: { readyMs: round(median(ready), 0) },
    idle: { rssMB: resident === null ? null : round(resident / 1e6, 0) },
  }
}
