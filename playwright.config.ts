import { defineConfig } from '@playwright/test'

/** Real helpers as processes and a real Chromium; loopback only. `npm test` finds the browser and passes its path on. */
export default defineConfig({
  testDir: 'e2e',
  testMatch: '**/*.spec.ts',
  outputDir: 'test-results',
  // Every test has helpers, folders and ports of its own, but the machine's cores are shared: one at a time keeps timings honest.
  workers: 1,
  forbidOnly: process.env.CI !== undefined,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  use: {
    browserName: 'chromium',
    headless: true,
    screenshot: 'only-on-failure',
    trace: 'retain-on-failure',
    launchOptions: {
      ...(process.env.HDP_CHROMIUM === undefined ? {} : { executablePath: process.env.HDP_CHROMIUM }),
      args: [
        // Chromium refuses its sandbox to root; the pages under test are our own.
        ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
        '--disable-background-networking',
        '--disable-component-update',
        '--no-first-run',
      ],
    },
  },
})
