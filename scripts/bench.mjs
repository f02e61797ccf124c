// npm run bench: the figures, what is compared measured in turn in one run. `-- --only throughput,wan` for some families, `-- --quick` for smaller
// data, `-- --json FILE` for machines (`--json` alone: one object on stdout and nothing else there), `-- --peers scp,sendme` to be
// compared with some programs only, `-- --install-peers` to install what is missing of them.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ensurePackages, requireNode } from './lib/install.mjs'
import { buildStale } from './lib/build.mjs'
import { ROOT, run } from './lib/run.mjs'
import { installPeers } from './bench/lib/peers.mjs'

requireNode()
const args = process.argv.slice(2)
if (args.includes('--install-peers')) process.exit(await installPeers())
await ensurePackages()
if (!(await buildStale())) process.exit(1)
const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
process.exitCode = await run(process.execPath, ['--import', loader, join(ROOT, 'scripts/bench/lib/main.mjs'), ...args])
