import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Page, expect, test } from '@playwright/test'
import { callApi } from './support/api.ts'
import { openTab, pair } from './support/app.ts'
import { type HelperProcess, hdp, makeHelperFolder, startHelper } from './support/helper-process.ts'

/** One person, two helpers, the laptop and the storage in the cellar: one app leads to both, and neither knows of the other. */

const cleanUp: (() => Promise<unknown>)[] = []

test.afterEach(async () => {
  for (const action of cleanUp.toReversed()) await action()
  cleanUp.length = 0
})

async function startSharing(name: string, share: string): Promise<HelperProcess> {
  const folder = await makeHelperFolder(name)
  cleanUp.push(folder.remove)
  await mkdir(join(folder.root, share))
  await writeFile(join(folder.root, share, 'one.txt'), 'one')
  const helper = await startHelper(folder, { shares: [join(folder.root, share)] })
  cleanUp.push(() => helper.stop())
  return helper
}

const openMenu = (page: Page, name: string) => page.getByRole('button', { name: `${name}, my helpers` }).click()
const list = (page: Page) => page.getByRole('dialog', { name: 'My helpers' })
const address = (page: Page) => list(page).getByRole('textbox', { name: 'Address or pairing link of another helper' })
const share = (page: Page, name: string) => page.getByRole('listitem', { name, exact: true })

/** @param current the helper that is shown */
async function openList(page: Page, current: string): Promise<void> {
  await openMenu(page, current)
  await page.getByRole('menuitem', { name: 'My helpers' }).click()
}

test('two helpers in one app: added, named, switched, one of them down', async ({ page }) => {
  test.setTimeout(120_000)
  const laptop = await startSharing('laptop', 'Papers')
  let cellar = await startSharing('cellar', 'Films')
  const { stdout } = await hdp(cellar.folder, 'pair', '--json')
  const { pairUrl } = JSON.parse(stdout) as { pairUrl: string }
  await pair(page, laptop)

  await test.step('what is no address of a helper is refused with the reason', async () => {
    await openList(page, laptop.name)
    for (const [text, reason] of [['http://192.168.1.9:3030', 'Without encryption'], ['javascript:alert(1)', 'Only addresses that begin with'], [laptop.ui, 'the helper that you see right now']] as const) {
      await address(page).fill(text)
      await list(page).getByRole('button', { name: 'Add', exact: true }).click()
      await expect(list(page).getByRole('alert')).toContainText(reason)
    }
  })

  await test.step('a pairing link adds the second one and leads there', async () => {
    await address(page).fill(pairUrl)
    await list(page).getByRole('button', { name: 'Add', exact: true }).click()
    await expect(page.getByRole('button', { name: `${cellar.name}, my helpers` })).toBeVisible()
    expect(new URL(page.url()).origin).toBe(new URL(cellar.ui).origin)
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined))
    await openTab(page, 'Shares')
    await expect(share(page, 'Films')).toBeVisible()
    await expect(share(page, 'Papers')).toHaveCount(0)
  })

  await test.step('the way back is the address of the first, and the switch keeps the page', async () => {
    await openList(page, cellar.name)
    await address(page).fill(laptop.ui)
    await list(page).getByRole('button', { name: 'Add', exact: true }).click()
    await list(page).getByRole('textbox', { name: /^Name of 127/ }).fill('Laptop')
    await page.keyboard.press('Tab')
    await list(page).getByRole('button', { name: 'Close' }).click()
    await openMenu(page, cellar.name)
    await page.getByRole('menuitemradio', { name: 'Laptop' }).click()
    await expect(share(page, 'Papers')).toBeVisible()
    await expect(share(page, 'Films')).toHaveCount(0)
    expect(page.url()).toBe(`${new URL(laptop.ui).origin}/#/shares`)
  })

  await test.step('what is done at one is not done at the other', async () => {
    await openTab(page, 'Wishes')
    await page.getByRole('textbox', { name: 'Wish for a search' }).fill('only for the laptop')
    await page.getByRole('button', { name: 'Add wish' }).click()
    await expect(page.getByRole('listitem', { name: 'only for the laptop' })).toBeVisible()
    await openMenu(page, laptop.name)
    await page.getByRole('menuitemradio', { name: /^127\.0\.0\.1|/ }).and(page.getByRole('menuitemradio', { checked: false })).click()
    await expect(page.getByRole('button', { name: `${cellar.name}, my helpers` })).toBeVisible()
    await expect(page.getByText('No wishes')).toBeVisible()
    expect(await callApi<{ shares: { name: string }[] }>(cellar, 'snapshot')).toMatchObject({ shares: [{ name: 'Films' }] })
  })

  await test.step('one that is down says so, and the way to the other stays open', async () => {
    await cellar.kill()
    await page.reload()
    await expect(page.getByText('Your helper is not running')).toBeVisible()
    await openMenu(page, cellar.name)
    await page.getByRole('menuitemradio', { name: 'Laptop' }).click()
    await expect(page.getByRole('listitem', { name: 'only for the laptop' })).toBeVisible()
    await openMenu(page, laptop.name)
    await page.getByRole('menuitemradio', { checked: false }).click()
    await expect(page.getByText('Your helper is not running')).toBeVisible()
    cellar = await startHelper(cellar.folder, { ui: cellar.ui })
    cleanUp.push(() => cellar.stop())
    await expect(page.getByText('Your helper is not running')).toBeHidden()
    await openTab(page, 'Shares')
    await expect(share(page, 'Films')).toBeVisible()
  })

  await test.step('removed from the list it is gone from the menu, and nothing else happens to it', async () => {
    await openList(page, cellar.name)
    await list(page).getByRole('button', { name: 'Remove Laptop from this list' }).click()
    await expect(list(page).getByRole('listitem')).toHaveCount(1)
    expect((await callApi<{ shares: unknown[] }>(laptop, 'snapshot')).shares).toHaveLength(1)
  })
})
