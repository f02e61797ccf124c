#!/usr/bin/env node
// The command `hdp`. The program itself is the bundle that `npm run build` makes.
import { existsSync } from 'node:fs'

const bundle = new URL('../dist/cli.js', import.meta.url)
if (existsSync(bundle)) await import(bundle.href)
else {
  console.error('hdp is not built yet. Run "npm run build" (or "npm start") in the checkout first.')
  process.exitCode = 1
}
