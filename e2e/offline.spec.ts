import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { callApi } from './support/api.ts'
import { browse, download, openTab, pair, toggleFolder, transferRow } from './support/app.ts'
import { makeHelperFolder, startHelper } from './support/helper-process.ts'

test('with the helper down the app still opens, shows what was seen, takes a wish, and sends it when the helper is back', async ({ page }) => {
  test.setTimeout(120_000)
  const annaFolder = await makeHelperFolder('anna')
  const benFolder = await makeHelperFolder('ben')
  const share = join(annaFolder.root, 'Poems')
  await mkdir(share)
  await writeFile(join(share, 'first.txt'), 'one line\n')
  await writeFile(join(share, 'second.txt'), 'another line\n')
  const anna = await startHelper(annaFolder, { shares: [share] })
  let ben = await startHelper(benFolder)
  try {
    await callApi(ben, 'connect', { code: anna.code })
    await pair(page, ben)
    await browse(page, anna.name)
    await toggleFolder(page, 'Poems')
    await expect(page.getByRole('treeitem', { name: 'second.txt' })).toBeVisible()
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined))

    await ben.kill()
    await page.reload()
    await expect(page.getByText('Your helper is not running')).toBeVisible()

    await browse(page, anna.name)
    await toggleFolder(page, 'Poems')
    await download(page, 'second.txt')
    await openTab(page, 'Transfers')
    await expect(page.getByRole('region', { name: 'Wishlist' })).toContainText('second.txt')

    // The wish is in the browser, not in the page: it survives a reload.
    await page.reload()
    await expect(page.getByRole('region', { name: 'Wishlist' })).toContainText('second.txt')

    ben = await startHelper(benFolder, { ui: ben.ui })
    await expect(transferRow(page, 'second.txt')).toHaveAttribute('data-state', 'done', { timeout: 60_000 })
    await expect(page.getByRole('region', { name: 'Wishlist' })).toBeHidden()
    expect(await readFile(join(benFolder.downloads, 'second.txt'), 'utf8')).toBe('another line\n')
  } finally {
    await Promise.all([anna.stop(), ben.stop()])
    await Promise.all([annaFolder.remove(), benFolder.remove()])
  }
})
