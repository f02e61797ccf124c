// npm run build: everything that is stale, or everything with --force.
import { ensurePackages, requireNode } from './lib/install.mjs'
import { buildStale } from './lib/build.mjs'

requireNode()
await ensurePackages()
process.exitCode = (await buildStale({ force: process.argv.includes('--force') })) ? 0 : 1
