import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Page, expect, test } from '@playwright/test'
import { callApi, transfersOf } from './support/api.ts'
import { openTab, pairAnother, peerCard, transferRow } from './support/app.ts'
import { type HelperProcess, makeHelperFolder, startHelper } from './support/helper-process.ts'

/** What is on the screen stays where it is while more arrives, and only what is on the screen exists, however long a folder is. */

const LONG_FOLDER = 100_000
const cleanUp: (() => Promise<unknown>)[] = []
let anna: HelperProcess
let ben: HelperProcess

test.beforeAll(async () => {
  test.setTimeout(120_000)
  const [annaFolder, benFolder] = [await makeHelperFolder('anna'), await makeHelperFolder('ben')]
  cleanUp.push(annaFolder.remove, benFolder.remove)
  const [share, own] = [join(annaFolder.root, 'Music'), join(benFolder.root, 'Own')]
  for (const folder of [join(share, 'Live'), join(share, 'Long'), own]) await mkdir(folder, { recursive: true })
  for (let i = 0; i < 12; i++) await writeFile(join(share, 'Live', `${i}.txt`), 'la\n'.repeat(i * 100))
  await makeEmptyFiles(join(share, 'Long'), LONG_FOLDER)
  await writeFile(join(own, 'mine.txt'), 'mine')
  ;[anna, ben] = await Promise.all([startHelper(annaFolder, { shares: [share] }), startHelper(benFolder, { shares: [own] })])
  cleanUp.push(() => anna.stop(), () => ben.stop())
})

test.afterAll(async () => {
  for (const action of cleanUp.toReversed()) await action()
})

const nameAt = (index: number) => `Recording ${String(index).padStart(7, '0')}.flac`

/** One process makes thousands in the time in which we would make dozens. */
async function makeEmptyFiles(directory: string, count: number): Promise<void> {
  const atOnce = 2_000
  for (let at = 0; at < count; at += atOnce) await promisify(execFile)('touch', Array.from({ length: Math.min(atOnce, count - at) }, (_, i) => nameAt(at + i)), { cwd: directory })
}

/** Adds up what moved without anybody having done anything, as browsers count it: parts of the window that moved, times how far. */
function watchShifts() {
  const shifts: { score: number; what: string }[] = []
  Object.assign(window, { shifts })
  interface Shift extends PerformanceEntry {
    readonly value: number
    readonly hadRecentInput: boolean
    readonly sources: readonly { readonly node: Node | null }[]
  }
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, sources } of list.getEntries() as Shift[]) {
      if (!hadRecentInput) shifts.push({ score: value, what: sources.map(({ node }) => (node instanceof Element ? `${node.tagName} ${node.className}` : node?.nodeName)).join(', ') })
    }
  }).observe({ type: 'layout-shift', buffered: true })
}

/** Two frames later all that has moved has been counted. */
const shifted = (page: Page) => page.evaluate(() => new Promise<{ score: number; what: string }[]>((resolve) => {
  requestAnimationFrame(() => requestAnimationFrame(() => resolve((window as unknown as { shifts: { score: number; what: string }[] }).shifts)))
}))

/** Until nothing has changed on the page for some frames. */
const quiet = (page: Page) => page.evaluate(() => new Promise<void>((resolve) => {
  let frames = 0
  new MutationObserver(() => {
    frames = 0
  }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true })
  requestAnimationFrame(function frame() {
    frames += 1
    if (frames > 12) resolve()
    else requestAnimationFrame(frame)
  })
}))

async function expectSteady(page: Page, what: string): Promise<void> {
  const found = await shifted(page)
  expect.soft(found.reduce((sum, { score }) => sum + score, 0), `${what}: ${JSON.stringify(found)}`).toBeLessThan(0.1)
}

for (const [place, viewport] of [['at the desk', { width: 1280, height: 800 }], ['on a phone', { width: 390, height: 844 }]] as const) {
  test(`pages stand still while they load and while things arrive, ${place}`, async ({ browser }) => {
    test.setTimeout(120_000)
    await callApi(ben, 'forget', { peerId: anna.peerId }).catch(() => undefined)
    await callApi(ben, 'clearFinished')
    const context = await browser.newContext({ viewport })
    await context.addInitScript(watchShifts)
    const page = await context.newPage()
    await pairAnother(page, ben)
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined))

    // Once this browser is let in, which brings the frame. Somebody connects while the page of peers is looked at.
    await page.reload()
    await expect(page.getByRole('heading', { name: 'Your code' })).toBeVisible()
    await callApi(ben, 'connect', { code: (await callApi<{ code: string }>(anna, 'announceCode')).code })
    await expect(peerCard(page, anna.name)).toContainText('Connected')
    await expectSteady(page, 'a peer comes')
    // A download runs through while the page of transfers is looked at.
    await page.goto(`${ben.ui}/#/transfers`)
    await page.reload()
    await callApi(ben, 'download', { peerId: anna.peerId, path: 'Music/Live' })
    await expect(transferRow(page, 'Live')).toHaveAttribute('data-state', 'done')
    await expectSteady(page, 'a download comes and ends')

    for (const path of ['/peers', `/peers/${anna.peerId}`, '/search?q=txt', '/wishes', '/transfers', '/shares', '/shares/browse', '/activity', '/settings', '/connection']) {
      await page.goto(`${ben.ui}/#${path}`)
      await page.reload()
      // The name of the helper is there once it has answered.
      await expect(page.getByRole('button', { name: `${ben.name}, my helpers` }).filter({ visible: true })).toBeVisible()
      await quiet(page)
      await expectSteady(page, path)
    }
    await context.close()
  })
}

test('of a folder of a hundred thousand only what is seen exists, and what is seen is right', async ({ page }) => {
  test.setTimeout(120_000)
  await pairAnother(page, ben)
  await callApi(ben, 'connect', { code: (await callApi<{ code: string }>(anna, 'announceCode')).code })
  await expect(peerCard(page, anna.name)).toContainText('Connected')
  await page.goto(`${ben.ui}/#/peers/${anna.peerId}`)
  for (const name of ['Music', 'Long']) await page.getByRole('treeitem', { name, exact: true }).click()
  const tree = page.getByRole('tree')
  const rows = tree.getByRole('treeitem')
  await expect(page.getByRole('treeitem', { name: nameAt(0) })).toBeVisible()
  const few = async () => expect(await page.evaluate(() => document.querySelectorAll('*').length)).toBeLessThan(3_000)
  await few()

  await page.getByRole('button', { name: /^Load the rest of/ }).click()
  await expect(page.getByRole('status').filter({ hasText: '100,000 entries loaded' })).toBeAttached({ timeout: 60_000 })
  await few()
  await tree.focus()
  await page.keyboard.press('End')
  await expect(page.getByRole('treeitem', { name: nameAt(LONG_FOLDER - 1) })).toBeVisible()
  await few()

  // Wherever the bar is dragged to there are rows without gaps, in order, and each says which one it is.
  for (const part of [0.5, 0.123, 0.987]) {
    await tree.evaluate((element, at) => element.scrollTo({ top: at * element.scrollHeight }), part)
    await expect(rows.first()).toBeVisible()
    await expect.poll(async () => {
      const seen = await rows.evaluateAll((elements) => elements
        .map((element) => ({ name: element.getAttribute('aria-label') ?? '', position: Number(element.getAttribute('aria-posinset')), top: element.getBoundingClientRect().top }))
        .sort((a, b) => a.top - b.top))
      const numbers = seen.map(({ name }) => Number(/\d+/.exec(name)?.[0]))
      return {
        isNear: Math.abs((numbers[0] ?? 0) / 100_000 - part) < 0.01, hasNoGaps: numbers.every((number, i) => i === 0 || number === (numbers[i - 1] ?? 0) + 1), saysPlace: seen.every(({ position }, i) => position === (numbers[i] ?? 0) + 1), many: numbers.length > 10,
      }
    }).toEqual({ isNear: true, hasNoGaps: true, saysPlace: true, many: true })
    await few()
  }

  await openTab(page, 'Search')
  await page.getByRole('searchbox').fill('0077777')
  await expect(page.getByRole('list', { name: 'Search results' }).getByRole('listitem')).toHaveCount(1)
  await expect(page.getByRole('list', { name: 'Search results' })).toContainText(nameAt(77_777))
  expect((await transfersOf(ben)).filter(({ path }) => path.includes('Long'))).toEqual([])
})
