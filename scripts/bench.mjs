// npm run bench: the figures, side by side in one run. With --json one object on stdout and nothing else there.
import { ensurePackages, requireNode } from './lib/install.mjs'
import { buildStale } from './lib/build.mjs'
import { run } from './lib/run.mjs'

requireNode()
await ensurePackages()
if (!(await buildStale())) process.exit(1)
process.exitCode = await run('npx', ['--no-install', 'tsx', 'apps/helper/bench/main.ts', ...process.argv.slice(2)])
