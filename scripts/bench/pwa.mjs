// What a browser needs to load before the app shows, how soon it shows with its service worker warm, and what scrolling a long folder costs.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium } from '@playwright/test'
import { firstLoadKilobytes } from '../../apps/helper/bench/app-size.ts'
import { makeHelperFolder, startHelper } from '../../e2e/support/helper-process.ts'
import { ensureChromium } from '../lib/chromium.mjs'
import { median, round } from './lib/figures.mjs'

const DIST = new URL('../../apps/pwa/dist/', import.meta.url)
const LOADS = 5
const SCROLL_MS = 5000
/** Faster than anybody reads, slow enough that every frame has new rows to draw. */
const SCROLL_PX_PER_FRAME = 120
/** So many files are made at a time. */
const BATCH = 500

export default async function measurePwa(bench) {
  const jsGzipKB = round(await firstLoadKilobytes(DIST))
  const folder = await makeHelperFolder('pwa')
  bench.onTidy(() => folder.remove())
  const share = join(folder.root, 'Long')
  await fillFolder(share, bench.quick ? 5_000 : 100_000)
  const helper = await startHelper(folder, { shares: [share] })
  bench.onTidy(() => helper.stop())
  const browser = await chromium.launch({ executablePath: await ensureChromium(), args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
  bench.onTidy(() => browser.close())
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
  await pairBrowser(context, helper)
  const loads = []
  for (let i = 0; i < LOADS; i++) loads.push(await firstRender(context, helper))
  return { pwa: { jsGzipKB, firstRenderMs: round(median(loads), 0), ...(await scrollLongFolder(context, helper)) } }
}

async function fillFolder(folder, files) {
  await mkdir(folder)
  for (let at = 0; at < files; at += BATCH) {
    await Promise.all(Array.from({ length: Math.min(BATCH, files - at) }, (_, i) => writeFile(join(folder, `Recording ${String(at + i).padStart(7, '0')}.flac`), '')))
  }
}

/** Afterwards the service worker serves the app. */
async function pairBrowser(context, helper) {
  const page = await context.newPage()
  await page.goto(helper.pairUrl)
  await page.getByRole('heading', { name: 'Your code' }).waitFor()
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined))
  await page.close()
}

async function firstRender(context, helper) {
  const page = await context.newPage()
  await page.goto(helper.ui)
  await page.getByRole('heading', { name: 'Your code' }).waitFor()
  const { ms, isWarm } = await page.evaluate(() => ({ ms: performance.getEntriesByName('first-contentful-paint')[0]?.startTime, isWarm: navigator.serviceWorker.controller !== null }))
  await page.close()
  if (!isWarm || ms === undefined) throw new Error('the service worker did not serve the page')
  return ms
}

/** @returns frames per second of a steady scroll, and what the page holds on its heap when that is over */
async function scrollLongFolder(context, helper) {
  const page = await context.newPage()
  await page.goto(`${helper.ui}#/shares/browse`)
  await page.getByRole('treeitem', { name: 'Long', exact: true }).click()
  await page.getByRole('treeitem', { name: 'Recording 0000003.flac' }).waitFor()
  const listFps = await page.evaluate(([duration, step]) => new Promise((resolve) => {
    const tree = document.querySelector('[role="tree"]')
    let frames = 0
    let started
    requestAnimationFrame(function frame(now) {
      started ??= now
      if (now - started >= duration) return resolve((1000 * frames) / (now - started))
      frames += 1
      tree.scrollTop += step
      requestAnimationFrame(frame)
    })
  }), [SCROLL_MS, SCROLL_PX_PER_FRAME])
  const session = await context.newCDPSession(page)
  await session.send('HeapProfiler.collectGarbage')
  await session.send('Performance.enable')
  const { metrics } = await session.send('Performance.getMetrics')
  await page.close()
  return { listFps: round(listFps, 0), memoryMB: round((metrics.find(({ name }) => name === 'JSHeapUsedSize')?.value ?? Number.NaN) / 1e6) }
}
