import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'protocol', root: 'packages/protocol', include: ['test/**/*.test.ts'] } },
      { test: { name: 'helper', root: 'apps/helper', include: ['test/**/*.test.ts'], pool: 'forks' } },
      'apps/pwa/vitest.config.ts',
    ],
  },
})
