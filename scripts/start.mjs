// npm start: installs what is missing, builds what is stale, then becomes `hdp start`. Arguments after -- go to the helper.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { ROOT, say } from './lib/run.mjs'
import { ensurePackages, requireNode } from './lib/install.mjs'
import { buildStale } from './lib/build.mjs'

requireNode()
await ensurePackages()
if (!(await buildStale())) process.exit(1)

const helper = spawn(process.execPath, [join(ROOT, 'apps/helper/bin/hdp.mjs'), 'start', ...process.argv.slice(2)], { stdio: 'inherit' })
// The terminal sends Ctrl-C to both; the helper says goodbye to its peers, and we end when it has.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (signal !== 'SIGINT') helper.kill(signal)
  })
}
helper.on('error', (error) => {
  say(`The helper could not be started: ${error.message}`)
  process.exitCode = 1
})
helper.on('close', (code) => {
  process.exitCode = code ?? 1
})
