import { defineConfig } from 'vitest/config'

// A test that hangs must end; one on a busy machine must not. No test asserts on the clock.
const patience = { testTimeout: 60_000, hookTimeout: 60_000 }

export default defineConfig({
  test: {
    // Most tests compute, and a spare core for nobody is a core wasted.
    maxWorkers: '100%',
    projects: [
      { test: { ...patience, name: 'protocol', isolate: false, root: 'packages/protocol', include: ['test/**/*.test.ts'] } },
      { test: { ...patience, name: 'helper', root: 'apps/helper', include: ['test/**/*.test.ts'], pool: 'forks' } },
      'apps/pwa/vitest.config.ts',
    ],
  },
})
