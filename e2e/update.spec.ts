import { join } from 'node:path'
import { type Page, expect, test } from '@playwright/test'
import { openTab, pair } from './support/app.ts'
import { type HelperProcess, makeHelperFolder, startHelper } from './support/helper-process.ts'
import { installAt } from './support/installation.ts'

/** The helper is updated and with it the app: whoever has it open is told, and changes over when they say so. */

const cleanUp: (() => Promise<unknown>)[] = []

test.afterEach(async () => {
  for (const action of cleanUp.toReversed()) await action()
  cleanUp.length = 0
})

const banner = (page: Page) => page.getByText('A new version of this app is ready.')
const script = (page: Page) => page.locator('script[type=module]').evaluate((element) => (element as HTMLScriptElement).src.split('/').pop())

/** True as long as the page is not loaded afresh. */
const mark = (page: Page) => page.evaluate(() => void Object.assign(window, { isTheSame: true }))
const isTheSame = (page: Page) => page.evaluate(() => 'isTheSame' in window)

test('a new version waits until it is asked for, in every window, and nothing that was typed is lost', async ({ page, context }) => {
  const folder = await makeHelperFolder('update')
  cleanUp.push(folder.remove)
  const installed = await installAt(join(folder.root, 'installed'))
  let helper: HelperProcess = await startHelper(folder, { program: installed.program })
  cleanUp.push(() => helper.stop())
  await pair(page, helper)
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined))
  await page.reload()
  const other = await context.newPage()
  await other.goto(helper.ui)
  const first = await script(page)
  const code = page.getByRole('textbox', { name: 'Code or link' })
  await code.fill('brave-otter-hdp1 and the re')
  await expect(other.getByRole('heading', { name: 'Your code' })).toBeVisible()
  for (const one of [page, other]) await mark(one)

  await test.step('the helper comes back as another version', async () => {
    await helper.stop()
    await installed.publishApp('second')
    helper = await startHelper(folder, { program: installed.program, ui: helper.ui })
    for (const one of [page, other]) await expect(banner(one)).toBeVisible()
  })

  await test.step('until it is asked for everything stays, also pages that were never open', async () => {
    await openTab(other, 'Shares')
    await expect(other.getByRole('region', { name: 'Share a folder' })).toBeVisible()
    for (const one of [page, other]) {
      expect(await isTheSame(one)).toBe(true)
      expect(await script(one)).toBe(first)
    }
    await expect(code).toHaveValue('brave-otter-hdp1 and the re')
  })

  await test.step('where it is asked for it runs, with what was typed', async () => {
    await page.getByRole('button', { name: 'Update now' }).click()
    await expect.poll(() => script(page).catch(() => '')).toMatch(/-second\.js$/)
    await expect(code).toHaveValue('brave-otter-hdp1 and the re')
    await expect(banner(page)).toBeHidden()
  })

  await test.step('the other window is not loaded afresh under its reader, but goes on with the new version where the old one has no page', async () => {
    await expect(banner(other)).toBeVisible()
    expect(await isTheSame(other)).toBe(true)
    // As browsers do when they need the room.
    await (await context.newCDPSession(other)).send('Network.clearBrowserCache')
    await openTab(other, 'Wishes')
    await expect(other.getByRole('textbox', { name: 'Wish for a search' })).toBeVisible()
    await expect.poll(() => script(other).catch(() => '')).toMatch(/-second\.js$/)
    await expect(banner(other)).toBeHidden()
  })
})
