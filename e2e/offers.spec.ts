import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type Browser, type Page, expect, test } from '@playwright/test'
import { addPeer, openTab, pair, peerCard } from './support/app.ts'
import { type HelperProcess, hdp, makeHelperFolder, startHelper } from './support/helper-process.ts'

/** Anna sends something to Ben, who has the app open in two browsers: asked in both, answered in one. */

const cleanUp: (() => Promise<unknown>)[] = []

test.afterEach(async () => {
  for (const action of cleanUp.toReversed()) await action()
  cleanUp.length = 0
})

async function friends(browser: Browser): Promise<{ anna: HelperProcess; ben: HelperProcess; annaPage: Page }> {
  const [annaFolder, benFolder] = [await makeHelperFolder('anna'), await makeHelperFolder('ben')]
  cleanUp.push(annaFolder.remove, benFolder.remove)
  const anna = await startHelper(annaFolder)
  cleanUp.push(() => anna.stop())
  const ben = await startHelper(benFolder)
  cleanUp.push(() => ben.stop())
  const annaPage = await openApp(browser, anna.pairUrl)
  await addPeer(annaPage, ben.code)
  await expect(peerCard(annaPage, ben.name)).toContainText('Connected')
  return { anna, ben, annaPage }
}

async function openApp(browser: Browser, pairUrl: string): Promise<Page> {
  const context = await browser.newContext()
  cleanUp.push(() => context.close())
  const page = await context.newPage()
  await pair(page, { pairUrl } as HelperProcess)
  return page
}

async function anotherPairUrl({ folder }: HelperProcess): Promise<string> {
  const { stdout } = await hdp(folder, 'pair', '--json')
  return (JSON.parse(stdout) as { pairUrl: string }).pairUrl
}

const question = (page: Page, from: string) => page.getByRole('dialog', { name: `${from} would like to send you something` })

test('files of a browser are offered, answered in one of two browsers, and arrive as they were', async ({ browser }) => {
  test.setTimeout(240_000)
  const { anna, ben, annaPage } = await friends(browser)
  const [desk, sofa] = [await openApp(browser, ben.pairUrl), await openApp(browser, await anotherPairUrl(ben))]
  // More than one piece, and not a whole number of them.
  const large = randomBytes(9_000_001)
  await peerCard(annaPage, ben.name).getByRole('button', { name: 'Send…' }).click()
  const dialog = annaPage.getByRole('dialog', { name: `Send to ${ben.name}` })
  await dialog.getByLabel('Choose files').setInputFiles([
    { name: 'Größe & Maß.bin', mimeType: 'application/octet-stream', buffer: large },
    { name: 'empty.txt', mimeType: 'text/plain', buffer: Buffer.alloc(0) },
  ])
  await dialog.getByLabel('A line to go with it').fill('as promised')
  await dialog.getByRole('button', { name: 'Send', exact: true }).click()

  await expect(question(desk, anna.name)).toContainText('as promised')
  await expect(question(sofa, anna.name)).toContainText('2 files')
  await question(desk, anna.name).getByLabel('Folder for it').fill('From friends/Anna')
  await question(desk, anna.name).getByRole('button', { name: 'Accept' }).click()
  await expect(question(sofa, anna.name)).toBeHidden()
  await expect(question(desk, anna.name)).toBeHidden()

  await expect(annaPage.getByRole('region', { name: 'Sent and offered' })).toContainText('arrived', { timeout: 60_000 })
  await expect(sofa.getByRole('region', { name: 'Sent and offered' })).toContainText('arrived')
  const landed = join(ben.folder.downloads, 'From friends', 'Anna', 'Größe & Maß + 1')
  expect((await readFile(join(landed, 'Größe & Maß.bin'))).equals(large)).toBe(true)
  expect(await readFile(join(landed, 'empty.txt'), 'utf8')).toBe('')
})

test('an offer is declined, and one to somebody who is away is asked about when they are back', async ({ browser }) => {
  test.setTimeout(240_000)
  const { anna, ben, annaPage } = await friends(browser)
  const folder = join(anna.folder.root, 'Plans')
  await mkdir(folder)
  await writeFile(join(folder, 'plan.txt'), 'a plan')
  const benPage = await openApp(browser, ben.pairUrl)
  expect((await hdp(anna.folder, 'send', ben.name.replaceAll(' ', '-'), folder)).code).toBe(0)
  await question(benPage, anna.name).getByRole('button', { name: 'Decline' }).click()
  await expect(annaPage.getByRole('region', { name: 'Sent and offered' })).toContainText('declined')

  await ben.stop()
  await expect(peerCard(annaPage, ben.name)).not.toContainText('Connected')
  expect((await hdp(anna.folder, 'send', ben.name.replaceAll(' ', '-'), folder)).code).toBe(0)
  await expect(annaPage.getByRole('region', { name: 'Sent and offered' })).toContainText('told when connected')
  const back = await startHelper(ben.folder, { ui: ben.ui })
  cleanUp.push(() => back.stop())
  await question(benPage, anna.name).getByRole('button', { name: 'Accept' }).click({ timeout: 90_000 })
  await expect(annaPage.getByRole('region', { name: 'Sent and offered' })).toContainText('arrived', { timeout: 60_000 })
  expect(await readFile(join(ben.folder.downloads, 'Plans', 'plan.txt'), 'utf8')).toBe('a plan')
})

test('what another program shares to the app asks to whom it goes', async ({ browser }) => {
  test.setTimeout(240_000)
  const { anna, ben, annaPage } = await friends(browser)
  await annaPage.evaluate(async () => {
    await navigator.serviceWorker.ready
  })
  await annaPage.reload()
  await expect.poll(() => annaPage.evaluate(() => navigator.serviceWorker.controller !== null)).toBe(true)
  await annaPage.evaluate(async () => {
    const data = new FormData()
    data.set('title', 'From my phone')
    data.append('files', new File(['a picture'], 'IMG 1.jpg', { type: 'image/jpeg' }))
    await fetch('/share-target', { method: 'POST', body: data, redirect: 'manual' })
  })
  await annaPage.goto(`${anna.ui}/#/send`)
  await expect(annaPage.getByRole('heading', { name: 'Send to whom?' })).toBeVisible()
  await annaPage.getByRole('button', { name: ben.name }).click()
  const dialog = annaPage.getByRole('dialog', { name: `Send to ${ben.name}` })
  await expect(dialog.getByLabel('A line to go with it')).toHaveValue('From my phone')
  await dialog.getByRole('button', { name: 'Send', exact: true }).click()
  const benPage = await openApp(browser, ben.pairUrl)
  await question(benPage, anna.name).getByRole('button', { name: 'Accept' }).click()
  await openTab(annaPage, 'Peers')
  await expect(annaPage.getByRole('region', { name: 'Sent and offered' })).toContainText('arrived', { timeout: 60_000 })
  expect(await readFile(join(ben.folder.downloads, 'IMG 1.jpg'), 'utf8')).toBe('a picture')
})
