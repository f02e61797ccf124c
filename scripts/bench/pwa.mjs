// What a browser needs to load before the app shows, how soon it shows with its service worker warm, and what scrolling and searching a folder of a million files costs.
import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { chromium } from '@playwright/test'
import { firstLoadKilobytes } from '../../apps/helper/bench/app-size.ts'
import { callApi } from '../../e2e/support/api.ts'
import { makeHelperFolder, startHelper } from '../../e2e/support/helper-process.ts'
import { ensureChromium } from '../lib/chromium.mjs'
import { median, round } from './lib/figures.mjs'

const DIST = new URL('../../apps/pwa/dist/', import.meta.url)
const LOADS = 5
const SCROLL_MS = 5000
/** Faster than anybody reads, slow enough that every frame has new rows to draw. */
const SCROLL_PX_PER_FRAME = 120
/** So many files are made at a time; their names have to fit a command line. */
const BATCH = 5000
/** To read a million files, and to load the list of them. */
const PATIENCE_MS = 600_000

export default async function measurePwa(bench) {
  const jsGzipKB = round(await firstLoadKilobytes(DIST))
  const [folder, friendFolder] = [await makeHelperFolder('pwa'), await makeHelperFolder('pwa-friend')]
  bench.onTidy(() => Promise.all([folder.remove(), friendFolder.remove()]))
  const share = join(friendFolder.root, 'Long')
  const files = bench.quick ? 5_000 : 1_000_000
  await fillFolder(share, files)
  const friend = await startHelper(friendFolder, { shares: [share] })
  bench.onTidy(() => friend.stop())
  const helper = await startHelper(folder)
  bench.onTidy(() => helper.stop())
  await callApi(helper, 'connect', { code: friend.code })
  while ((await callApi(friend, 'snapshot')).shares[0].state !== 'ready') await sleep(500)
  const browser = await chromium.launch({ executablePath: await ensureChromium(), args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
  bench.onTidy(() => browser.close())
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
  await pairBrowser(context, helper)
  const loads = []
  for (let i = 0; i < LOADS; i++) loads.push(await firstRender(context, helper))
  return { pwa: { jsGzipKB, firstRenderMs: round(median(loads), 0), ...(await useLongFolder(context, `${helper.ui}#/peers/${friend.peerId}`, files)) } }
}

const nameAt = (index) => `Recording ${String(index).padStart(7, '0')}.flac`

/** One process makes thousands in the time in which we would make dozens. */
async function fillFolder(folder, files) {
  await mkdir(folder)
  for (let at = 0; at < files; at += BATCH) {
    await promisify(execFile)('touch', Array.from({ length: Math.min(BATCH, files - at) }, (_, i) => nameAt(at + i)), { cwd: folder })
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

/** @returns frames per second of a steady scroll through the whole folder and of typing a search in it, and what the page holds on its heap when that is over */
async function useLongFolder(context, address, files) {
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE_MS)
  await page.goto(address)
  await page.getByRole('treeitem', { name: 'Long', exact: true }).click()
  await page.getByRole('treeitem', { name: nameAt(3) }).waitFor()
  await page.getByRole('button', { name: /^Load the rest/ }).click()
  await page.getByRole('status').filter({ hasText: `${files.toLocaleString('en')} entries loaded` }).waitFor({ state: 'attached' })
  const listFps = await framesWhile(page, () => page.getByRole('tree').evaluate((tree, [duration, step]) => new Promise((resolve) => {
    // From the middle, where no row has been drawn yet.
    tree.scrollTop = tree.scrollHeight / 2
    let started
    requestAnimationFrame(function frame(now) {
      started ??= now
      if (now - started >= duration) return resolve()
      tree.scrollTop += step
      requestAnimationFrame(frame)
    })
  }), [SCROLL_MS, SCROLL_PX_PER_FRAME]))
  const last = nameAt(files - 1)
  const searchFps = await framesWhile(page, async () => {
    await page.getByRole('searchbox').pressSequentially(last.slice(0, -5), { delay: 60 })
    await page.getByRole('list', { name: 'Results' }).getByRole('listitem').filter({ hasText: last }).waitFor()
  })
  const session = await context.newCDPSession(page)
  await session.send('HeapProfiler.collectGarbage')
  await session.send('Performance.enable')
  const { metrics } = await session.send('Performance.getMetrics')
  await page.close()
  return { listEntries: files, listFps: round(listFps, 0), searchFps: round(searchFps, 0), memoryMB: round((metrics.find(({ name }) => name === 'JSHeapUsedSize')?.value ?? Number.NaN) / 1e6) }
}

async function framesWhile(page, action) {
  await page.evaluate(() => {
    const counted = { frames: 0, started: performance.now(), isOver: false }
    window.counted = counted
    requestAnimationFrame(function frame() {
      counted.frames += 1
      if (!counted.isOver) requestAnimationFrame(frame)
    })
  })
  await action()
  return page.evaluate(() => {
    const { counted } = window
    counted.isOver = true
    return (1000 * counted.frames) / (performance.now() - counted.started)
  })
}
