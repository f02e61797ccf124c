// npm run check: lint, types and unit tests; the gate before every commit.
import { run } from './lib/run.mjs'
import { ensurePackages, requireNode } from './lib/install.mjs'

requireNode()
await ensurePackages()
const [lint, types, unit] = await Promise.all([
  run('npx', ['--no-install', 'oxlint', '--quiet']),
  run('node', ['scripts/types.mjs']),
  run('npx', ['--no-install', 'vitest', 'run', '--reporter=default', '--silent=passed-only', '--exclude', '**/*.slow.test.ts']),
])
process.exitCode = lint === 0 && types === 0 && unit === 0 ? 0 : 1
