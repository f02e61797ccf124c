import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  plugins: [vue()],
  // As patient as the other projects: a busy machine is no failure.
  test: { name: 'pwa', testTimeout: 60_000, hookTimeout: 60_000, environment: 'happy-dom', include: ['test/**/*.test.ts'] },
})
