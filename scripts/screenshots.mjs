// node scripts/screenshots.mjs [--out DIR] [--only peers,search] [--sizes 390,1280]: pictures of every page in both themes and both languages, for looking at.
// The app runs in its development server with the pretended helper (`?mock=…`); nothing is compared with anything.
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium } from '@playwright/test'
import { createServer } from 'vite'
import { ensureChromium } from './lib/chromium.mjs'
import { ROOT } from './lib/run.mjs'

const SIZES = [[390, 844], [768, 1024], [1280, 800], [1920, 1080]]
const THEMES = ['light', 'dark']
const LANGUAGES = ['en-US', 'de-DE']

/** What stands still when it is pictured: name, world, address, and what is done there first. */
const PAGES = [
  ['peers', 'default', '/peers'],
  ['peers-empty', 'empty', '/peers'],
  ['peers-qr', 'default', '/peers', async (page) => {
    await page.locator('.my-code .button').filter({ hasText: 'QR' }).click()
    await page.locator('dialog[open] svg').last().waitFor()
  }],
  ['browse', 'default', null, openFirstPeer],
  ['search', 'default', '/search?q=e', (page) => page.locator('.results-row').first().waitFor()],
  ['search-empty', 'default', '/search'],
  ['wishes', 'default', '/wishes'],
  ['wishes-empty', 'empty', '/wishes'],
  ['transfers', 'default', '/transfers', (page) => page.waitForTimeout(6000)],
  ['transfers-empty', 'empty', '/transfers'],
  ['shares', 'default', '/shares'],
  ['shares-empty', 'empty', '/shares'],
  ['activity', 'default', '/activity'],
  ['settings', 'default', '/settings'],
  ['connection', 'strict', '/connection'],
  ['setup', 'unpaired', '/peers'],
  ['down', 'down', '/peers'],
]

async function openFirstPeer(page) {
  await page.locator('a.peer-browse').first().click()
  for (const name of ['Music', 'Lena Okafor', 'Slow Machines (2023)']) await page.getByRole('treeitem', { name, exact: true }).click()
  await page.locator('[role="treeitem"][aria-level="4"]').first().waitFor()
}

const option = (name) => {
  const at = process.argv.indexOf(`--${name}`)
  return at === -1 ? undefined : process.argv[at + 1]
}

const out = option('out') ?? join(ROOT, 'test-results', 'screenshots')
const only = option('only')?.split(',')
const sizes = option('sizes')?.split(',').map(Number)
const themes = option('themes')?.split(',') ?? THEMES
const languages = option('languages')?.split(',') ?? LANGUAGES

await rm(out, { recursive: true, force: true })
await mkdir(out, { recursive: true })
const server = await createServer({ root: join(ROOT, 'apps/pwa'), logLevel: 'error', server: { host: '127.0.0.1', port: 0, hmr: false } })
await server.listen()
const base = `http://127.0.0.1:${server.httpServer.address().port}/`
const browser = await chromium.launch({ executablePath: await ensureChromium(), args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
let count = 0
let problems = 0
try {
  for (const language of languages) {
    for (const theme of themes) {
      for (const [width, height] of SIZES.filter(([wide]) => sizes?.includes(wide) ?? true)) {
        const context = await browser.newContext({ viewport: { width, height }, locale: language, colorScheme: theme, reducedMotion: 'reduce' })
        for (const [name, world, path, prepare] of PAGES.filter(([known]) => only?.includes(known) ?? true)) {
          const page = await context.newPage()
          page.setDefaultTimeout(30_000)
          page.on('pageerror', (error) => {
            problems += 1
            console.error(`${name}: ${error.message}`)
          })
          // One picture less is no reason to go without the others.
          if (!(await page.goto(`${base}?mock=${world}#${path ?? '/peers'}`, { waitUntil: 'domcontentloaded' }).catch(() => undefined))) {
            problems += 1
            console.error(`${name}: did not load`)
            continue
          }
          try {
            await page.locator('h1').first().waitFor({ state: 'attached' })
            await prepare?.(page)
          } catch (error) {
            problems += 1
            console.error(`${name}: ${error.message}`)
          }
          await page.waitForTimeout(400)
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
          if (wide > 0) {
            problems += 1
            console.error(`${name} ${width} ${language}: ${wide} px wider than the window`)
          }
          await page.screenshot({ path: join(out, `${name}-${width}-${theme}-${language.slice(0, 2)}.png`) })
          count += 1
          await page.close()
        }
        await context.close()
      }
    }
  }
} finally {
  await browser.close()
  await server.close()
}
console.log(`${count} pictures in ${out}${problems === 0 ? '' : `, ${problems} problems`}`)
process.exitCode = problems === 0 ? 0 : 1
