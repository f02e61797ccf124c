import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type BrowserContext, type Page, expect, test } from '@playwright/test'
import { transfersOf } from './support/api.ts'
import { addPeer, browse, download, openTab, pair, peerCard, shownCode, toggleFolder, transferRow } from './support/app.ts'
import { type HelperProcess, makeHelperFolder, startHelper } from './support/helper-process.ts'
import { planLibrary, treeHashes, writeLibrary } from './support/library.ts'

/**
 * The main job as two people do it: Anna shares a collection, Ben gets her code, looks around, searches, and takes everything;
 * on the way both helpers are killed without warning. It ends with two identical trees.
 */

const MB = 1_000_000
const PLAN = planLibrary({ files: 2_000, bytes: 1_000 * MB, largest: 700 * MB })

const cleanUp: (() => Promise<unknown>)[] = []

test.afterEach(async () => {
  for (const action of cleanUp.toReversed()) await action()
  cleanUp.length = 0
})

test('two people connect, browse, search, and a collection survives kill -9 of both sides', async ({ browser }) => {
  test.setTimeout(300_000)
  const annaFolder = await makeHelperFolder('anna')
  const benFolder = await makeHelperFolder('ben')
  cleanUp.push(annaFolder.remove, benFolder.remove)
  const library = join(annaFolder.root, 'Collection')
  await mkdir(library)
  await writeLibrary(library, PLAN)

  let anna = await startHelper(annaFolder, { shares: [library] })
  cleanUp.push(() => anna.stop())
  let ben = await startHelper(benFolder)
  cleanUp.push(() => ben.stop())

  const [annaContext, benContext] = [await browser.newContext(), await browser.newContext()]
  cleanUp.push(() => annaContext.close(), () => benContext.close())
  const annaPage = await pairedPage(annaContext, anna)
  const benPage = await pairedPage(benContext, ben)

  await test.step('Ben pastes the code that Anna\'s page shows', async () => {
    const code = await shownCode(annaPage)
    expect(code).toBe(anna.code)
    await addPeer(benPage, code)
    await expect(peerCard(benPage, anna.name)).toContainText('Connected')
    await expect(peerCard(annaPage, ben.name)).toContainText('Connected')
  })

  await test.step('he looks around', async () => {
    await browse(benPage, anna.name)
    await toggleFolder(benPage, basename(library))
    await toggleFolder(benPage, 'Films')
    await expect(benPage.getByRole('treeitem', { name: 'A long one (2026).mkv' })).toContainText('700')
    await toggleFolder(benPage, 'Music')
    await expect(benPage.getByRole('treeitem', { name: '東京の夜' })).toBeVisible()
  })

  await test.step('he searches', async () => {
    await openTab(benPage, 'Search')
    await benPage.getByRole('searchbox', { name: 'Search all connected peers' }).fill('GRÖSSE 0001')
    await expect(benPage.getByText('0001 Größe.flac', { exact: true })).toBeVisible()
  })

  await test.step('he takes everything', async () => {
    await browse(benPage, anna.name)
    await download(benPage, basename(library))
    await openTab(benPage, 'Transfers')
    await expect(transferRow(benPage, basename(library))).toHaveAttribute('data-state', 'running')
    await untilBytes(ben, 150 * MB)
  })

  await test.step('Anna\'s helper is killed, and comes back', async () => {
    await anna.kill()
    await expect(transferRow(benPage, basename(library))).toHaveAttribute('data-state', 'waiting')
    const kept = (await transfersOf(ben))[0]?.bytes ?? 0
    expect(kept).toBeGreaterThan(0)
    anna = await startHelper(annaFolder, { ui: anna.ui })
    await expect(transferRow(benPage, basename(library))).toHaveAttribute('data-state', 'running', { timeout: 45_000 })
    // What was there before is still counted: it goes on instead of starting again.
    expect((await transfersOf(ben))[0]?.bytes ?? 0).toBeGreaterThanOrEqual(kept)
    await untilBytes(ben, 450 * MB)
  })

  await test.step('Ben\'s helper is killed, and comes back', async () => {
    await ben.kill()
    await expect(benPage.getByText('Your helper is not running')).toBeVisible()
    ben = await startHelper(benFolder, { ui: ben.ui })
    // Nobody presses anything: the page finds its helper, the helpers find each other, the wish goes on.
    await expect(benPage.getByText('Your helper is not running')).toBeHidden({ timeout: 45_000 })
    expect((await transfersOf(ben))[0]?.bytes ?? 0).toBeGreaterThan(250 * MB)
    await expect(transferRow(benPage, basename(library))).toHaveAttribute('data-state', 'done', { timeout: 180_000 })
  })

  await test.step('both trees are the same, byte for byte', async () => {
    const [transfer] = await transfersOf(ben)
    expect(transfer?.files).toEqual({ done: PLAN.size, failed: 0, total: PLAN.size })
    expect(transfer?.notices).toEqual([])
    const [source, copy] = await Promise.all([treeHashes(library), treeHashes(join(benFolder.downloads, basename(library)))])
    expect(copy).toEqual(source)
  })
})

async function pairedPage(context: BrowserContext, helper: HelperProcess): Promise<Page> {
  const page = await context.newPage()
  await pair(page, helper)
  return page
}

/** Until so much is on disk, or the transfer has ended too early to be interrupted, which is a failure of the test. */
async function untilBytes(helper: HelperProcess, bytes: number): Promise<void> {
  await expect(async () => {
    const [transfer] = await transfersOf(helper)
    expect(transfer?.bytes ?? 0).toBeGreaterThanOrEqual(bytes)
  }).toPass({ intervals: [100], timeout: 120_000 })
  const [transfer] = await transfersOf(helper)
  expect(transfer?.state, 'still under way').not.toBe('done')
}
