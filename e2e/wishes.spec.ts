import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BrowserContext, type Page, expect, test } from '@playwright/test'
import { callApi } from './support/api.ts'
import { openTab, pair } from './support/app.ts'
import { hdp, makeHelperFolder, startHelper } from './support/helper-process.ts'

const cleanUp: (() => Promise<unknown>)[] = []

test.afterEach(async () => {
  for (const action of cleanUp.toReversed()) await action()
  cleanUp.length = 0
})

const wishRow = (page: Page, name: string) => page.getByRole('region', { name: 'Searches' }).getByRole('listitem', { name, exact: true })

async function addSearch(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Wish for a search' }).fill(text)
  await page.getByRole('button', { name: 'Add wish' }).click()
  await expect(wishRow(page, text)).toBeVisible()
}

/** A browser that has loaded the app once, so that it opens without a helper. */
async function pairedPage(context: BrowserContext, helper: Parameters<typeof pair>[1]): Promise<Page> {
  const page = await context.newPage()
  await pair(page, helper)
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined))
  await openTab(page, 'Wishes')
  return page
}

test('wishes changed offline in two browsers come together, and a search is found when a friend shares a matching file', async ({ browser }) => {
  test.setTimeout(180_000)
  const annaFolder = await makeHelperFolder('anna')
  const benFolder = await makeHelperFolder('ben')
  cleanUp.push(annaFolder.remove, benFolder.remove)
  const share = join(annaFolder.root, 'Music')
  await mkdir(share)
  await writeFile(join(share, 'Old song.txt'), 'la\n')
  const anna = await startHelper(annaFolder, { shares: [share] })
  cleanUp.push(() => anna.stop())
  let ben = await startHelper(benFolder)
  cleanUp.push(() => ben.stop())
  await callApi(ben, 'connect', { code: anna.code })

  const [firstContext, secondContext] = [await browser.newContext(), await browser.newContext()]
  cleanUp.push(() => firstContext.close(), () => secondContext.close())
  const first = await pairedPage(firstContext, ben)
  const link = await callApi<{ url: string }>(ben, 'createPairingLink')
  const second = await pairedPage(secondContext, { ...ben, pairUrl: link.url })

  await test.step('a wish of one browser is in the other', async () => {
    await addSearch(first, 'Blue Train *.flac')
    await expect(wishRow(second, 'Blue Train *.flac')).toBeVisible()
  })

  await test.step('both change it while the helper is away, and wish for more', async () => {
    await ben.kill()
    for (const page of [first, second]) {
      await page.reload()
      await expect(page.getByText('Your helper is not running')).toBeVisible()
      await expect(wishRow(page, 'Blue Train *.flac')).toBeVisible()
    }
    await wishRow(first, 'Blue Train *.flac').getByRole('checkbox', { name: 'Download by itself' }).check()
    await addSearch(first, 'only in the first')
    await wishRow(second, 'Blue Train *.flac').getByRole('combobox', { name: 'Priority of Blue Train *.flac' }).selectOption('high')
    await addSearch(second, 'only in the second')
    await expect(second.getByRole('status').filter({ hasText: '2 changes are sent' })).toBeVisible()
  })

  await test.step('both changes are everywhere when it is back', async () => {
    ben = await startHelper(benFolder, { ui: ben.ui })
    for (const page of [first, second]) {
      await expect(wishRow(page, 'only in the first')).toBeVisible({ timeout: 45_000 })
      await expect(wishRow(page, 'only in the second')).toBeVisible({ timeout: 45_000 })
      const row = wishRow(page, 'Blue Train *.flac')
      await expect(row.getByRole('checkbox', { name: 'Download by itself' })).toBeChecked()
      await expect(row.getByRole('combobox')).toHaveValue('high')
      await expect(page.getByText('Not sent yet')).toHaveCount(0)
    }
    const { stdout } = await hdp(benFolder, 'wish', 'list', '--json')
    expect((JSON.parse(stdout) as { search: string }[]).map(({ search }) => search)).toEqual(['Blue Train *.flac', 'only in the first', 'only in the second'])
  })

  await test.step('Anna gets a file that fits, and Ben has it without doing anything', async () => {
    await writeFile(join(share, 'Blue Train.flac'), 'a train, and it is blue\n')
    await writeFile(join(share, 'only in the second.txt'), 'asked first\n')
    const { shares } = await callApi<{ shares: { shareId: string }[] }>(anna, 'snapshot')
    await callApi(anna, 'rescanShare', { shareId: shares[0]?.shareId })
    await expect(wishRow(first, 'Blue Train *.flac')).toContainText('1 downloaded', { timeout: 60_000 })
    await expect(async () => expect(await readFile(join(benFolder.downloads, 'Blue Train.flac'), 'utf8')).toBe('a train, and it is blue\n')).toPass({ timeout: 30_000 })
  })

  await test.step('what is to be asked for waits for an answer, once', async () => {
    const row = wishRow(second, 'only in the second')
    await row.getByRole('button', { name: 'Matches of only in the second' }).click({ timeout: 60_000 })
    await row.getByRole('button', { name: 'Download only in the second.txt' }).click()
    await expect(wishRow(first, 'only in the second')).toContainText('1 downloaded')
    await expect(async () => expect(await readFile(join(benFolder.downloads, 'only in the second.txt'), 'utf8')).toBe('asked first\n')).toPass({ timeout: 30_000 })
  })

  await test.step('a wish removed in one browser is gone from the other', async () => {
    await wishRow(first, 'only in the first').getByRole('button', { name: 'Remove only in the first from wishlist' }).click()
    await expect(wishRow(second, 'only in the first')).toBeHidden()
  })
})
