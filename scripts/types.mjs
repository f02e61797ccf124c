// npm run types: the compiler over every part, each with its own walls.
import { cpus } from 'node:os'
import { capture } from './lib/run.mjs'

const PROJECTS = [
  ['tsc', 'apps/helper'],
  ['vue-tsc', 'apps/pwa'],
  ['tsc', 'packages/protocol'],
  ['tsc', 'packages/protocol/src/control'],
  ['tsc', 'packages/protocol/test'],
  ['tsc', 'apps/helper/src/core'],
  ['tsc', 'e2e'],
  ['tsc', 'lab'],
]

let failed = false
const waiting = [...PROJECTS]
async function work() {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const [compiler, project] = next
    const { code, output } = await capture('npx', [
      '--no-install', compiler, '--noEmit', '-p', project,
      // What has not changed since the last time is not looked at again.
      '--incremental', '--tsBuildInfoFile', `node_modules/.cache/types/${project.replaceAll('/', '-')}.tsbuildinfo`,
    ])
    if (code === 0) continue
    failed = true
    console.error(`${project}\n${output}`)
  }
}
await Promise.all(Array.from({ length: Math.min(2, cpus().length) }, work))
process.exitCode = failed ? 1 : 0
