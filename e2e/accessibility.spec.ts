import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Page, expect, test } from '@playwright/test'
import { expectAccessible, focused, tabTo } from './support/accessibility.ts'
import { callApi, transfersOf } from './support/api.ts'
import { openTab, pair, peerCard, transferRow } from './support/app.ts'
import { type HelperProcess, makeHelperFolder, startHelper } from './support/helper-process.ts'

/** The app for people who see little, hear it read, or use no mouse: every page and dialog under axe in both themes, the main job by keyboard alone, small and enlarged windows. */

const cleanUp: (() => Promise<unknown>)[] = []

test.afterEach(async () => {
  for (const action of cleanUp.toReversed()) await action()
  cleanUp.length = 0
})

const LONG = 'A very long name of a folder that somebody typed without thinking of those who have to read it later on a telephone'

/** Anna shares something; Ben, whose app is looked at, shares something too. */
async function startTwo(): Promise<{ anna: HelperProcess; ben: HelperProcess }> {
  const annaFolder = await makeHelperFolder('anna')
  const benFolder = await makeHelperFolder('ben')
  cleanUp.push(annaFolder.remove, benFolder.remove)
  const [music, own] = [join(annaFolder.root, 'Music'), join(benFolder.root, LONG)]
  for (const folder of [join(music, 'Live'), join(music, LONG), own]) await mkdir(folder, { recursive: true })
  for (const path of ['Live/one.txt', 'Live/two.txt', `${LONG}/شمس.txt`]) await writeFile(join(music, path), 'la\n'.repeat(400))
  await writeFile(join(own, 'mine.txt'), 'mine')
  const anna = await startHelper(annaFolder, { shares: [music] })
  cleanUp.push(() => anna.stop())
  const ben = await startHelper(benFolder, { shares: [own] })
  cleanUp.push(() => ben.stop())
  return { anna, ben }
}

const ADDRESSES = ['/peers', '/search?q=e', '/wishes', '/transfers', '/shares', '/shares/browse', '/activity', '/settings', '/connection'] as const

async function goTo(page: Page, address: string): Promise<void> {
  await page.evaluate((to) => {
    location.hash = to
  }, address)
  await expect(page.locator('h1').first()).toBeAttached()
}

/** A page with something on it: a peer, a download, a wish. */
async function settle(anna: HelperProcess, ben: HelperProcess): Promise<void> {
  await callApi(ben, 'connect', { code: anna.code })
  await callApi(ben, 'download', { peerId: anna.peerId, path: 'Music/Live' })
  await expect.poll(async () => (await transfersOf(ben))[0]?.state).toBe('done')
}

test('every page and dialog is accessible in both themes', async ({ browser }) => {
  test.setTimeout(300_000)
  const { anna, ben } = await startTwo()
  const context = await browser.newContext({ reducedMotion: 'reduce' })
  cleanUp.push(() => context.close())
  const page = await context.newPage()
  await page.goto(ben.ui)
  await expect(page.getByRole('heading', { name: 'Pair this browser' })).toBeVisible()
  const inBoth = async (what: string) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      await expectAccessible(page, `${what}, ${colorScheme}`)
    }
  }
  await inBoth('setup')
  await pair(page, ben)
  await inBoth('peers, nobody there')
  await settle(anna, ben)

  for (const address of ADDRESSES) {
    await goTo(page, address)
    if (address.startsWith('/search')) await expect(page.getByRole('list', { name: 'Search results' }).getByRole('listitem').first()).toBeVisible()
    await inBoth(address)
  }
  await goTo(page, `/connection/${anna.peerId}`)
  await inBoth('connection to a peer')
  await goTo(page, `/peers/${anna.peerId}`)
  await page.getByRole('treeitem', { name: 'Music', exact: true }).click()
  await expect(page.getByRole('treeitem', { name: 'Live', exact: true })).toBeVisible()
  await inBoth('folders of a peer')

  const dialog = async (what: string, open: () => Promise<unknown>) => {
    await open()
    await expect(page.getByRole('dialog')).toBeVisible()
    await inBoth(what)
    await page.keyboard.press('Escape')
    await expect(page.getByRole('dialog')).toHaveCount(0)
  }
  await dialog('what a download would fetch', () => page.getByRole('button', { name: 'What downloading Music would fetch' }).click())
  await openTab(page, 'Peers')
  await dialog('code as a picture', () => page.getByRole('button', { name: 'Show QR' }).click())
  await dialog('a new code', () => page.getByRole('button', { name: 'Renew code' }).click())
  const more = peerCard(page, anna.name).getByRole('button', { name: `More for ${anna.name}` })
  await more.click()
  await inBoth('menu of a peer')
  await dialog('limits of a peer', () => page.getByRole('menuitem', { name: 'Limits and priority…' }).click())
  await openTab(page, 'Shares')
  await dialog('folders to share', () => page.getByRole('button', { name: 'Choose folder…' }).click())
  await dialog('who will see a share', () => page.getByRole('button', { name: 'Choose who sees it' }).click())
  await openTab(page, 'Transfers')
  await page.getByRole('button', { name: 'Files of Live' }).click()
  await expect(page.getByRole('list', { name: 'Files of Music/Live' }).getByRole('listitem').first()).toBeVisible()
  await inBoth('files of a transfer')
  await dialog('clearing what has ended', () => page.getByRole('button', { name: 'Clear finished' }).click())

  await ben.kill()
  await openTab(page, 'Peers')
  await expect(page.getByText('Your helper is not running')).toBeVisible()
  await inBoth('without a helper')
})

test('the main job by keyboard alone, with the focus in sight all the time', async ({ page }) => {
  test.setTimeout(180_000)
  const { anna, ben } = await startTwo()
  await pair(page, ben)

  await test.step('past the menu, by the link that comes first', async () => {
    await page.reload()
    await expect(page.getByRole('heading', { name: 'Your code' })).toBeVisible()
    await page.keyboard.press('Tab')
    expect(await focused(page)).toMatchObject({ name: 'Skip to content', isVisible: true })
    await page.keyboard.press('Enter')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main')
  })

  await test.step('a dialog opens, keeps the focus, and gives it back on Escape', async () => {
    await tabTo(page, 'Show QR')
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog')
    await expect(dialog).toBeVisible()
    for (let i = 0; i < 6; i++) {
      await page.keyboard.press('Tab')
      // Between the last and the first stop of a dialog is the browser itself.
      expect(await page.evaluate(() => document.activeElement === document.body || document.activeElement?.closest('dialog') !== null)).toBe(true)
    }
    await page.keyboard.press('Escape')
    await expect(dialog).toHaveCount(0)
    expect((await focused(page)).name).toBe('Show QR')
  })

  await test.step('connects', async () => {
    await page.getByRole('textbox', { name: 'Code or link' }).focus()
    await page.keyboard.insertText(anna.code)
    await page.keyboard.press('Enter')
    await expect(peerCard(page, anna.name)).toContainText('Connected')
  })

  await test.step('a menu is walked by arrows and closed by Escape', async () => {
    await tabTo(page, `More for ${anna.name}`)
    await page.keyboard.press('Enter')
    const items = page.getByRole('menuitem')
    await expect(items.first()).toBeFocused()
    await page.keyboard.press('End')
    await expect(items.last()).toBeFocused()
    await page.keyboard.press('ArrowDown')
    await expect(items.first()).toBeFocused()
    await page.keyboard.press('Escape')
    expect((await focused(page)).name).toBe(`More for ${anna.name}`)
  })

  await test.step('browses and downloads', async () => {
    await tabTo(page, new RegExp(`^Browse ?${anna.name}$`))
    await page.keyboard.press('Enter')
    await expect(page.getByRole('treeitem', { name: 'Music', exact: true })).toBeVisible()
    await tabTo(page, `Folders of ${anna.name}`)
    await page.keyboard.press('ArrowRight')
    await expect(page.getByRole('treeitem', { name: 'Live', exact: true })).toBeVisible()
    await page.keyboard.press('End')
    await page.keyboard.press('Home')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    await expect(page.getByRole('treeitem', { name: 'Live', exact: true })).toHaveAttribute('aria-selected', 'true')
    expect((await focused(page)).isVisible).toBe(true)
    await page.keyboard.press('d')
    await expect.poll(async () => (await transfersOf(ben))[0]?.state).toBe('done')
  })

  await test.step('forgets and takes it back', async () => {
    await openTab(page, 'Peers')
    await tabTo(page, `More for ${anna.name}`)
    await page.keyboard.press('Enter')
    await page.keyboard.press('End')
    await page.keyboard.press('Enter')
    await expect(peerCard(page, anna.name)).toHaveCount(0)
    await expect(page.getByRole('button', { name: 'Undo' })).toBeFocused()
    await page.keyboard.press('Enter')
    await expect(peerCard(page, anna.name)).toContainText('Connected')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main')
  })
})

test('everything fits narrow and enlarged windows, and what moves stands still for who asks', async ({ browser }) => {
  test.setTimeout(180_000)
  const { anna, ben } = await startTwo()
  const context = await browser.newContext({ reducedMotion: 'reduce', locale: 'en-GB' })
  cleanUp.push(() => context.close())
  const page = await context.newPage()
  await pair(page, ben)
  await settle(anna, ben)

  const tooWide: string[] = []
  for (const language of ['en', 'de']) {
    await goTo(page, '/settings')
    await page.locator('#language').selectOption(language)
    await page.reload()
    // 320 px is a small telephone, and 1280 px enlarged four times; 640 by 400 is 1280 by 800 at 200 %.
    for (const [width, height] of [[320, 568], [640, 400]] as const) {
      await page.setViewportSize({ width, height })
      for (const address of [...ADDRESSES, `/peers/${anna.peerId}`]) {
        await goTo(page, address)
        const wide = await page.evaluate(() => Math.max(...[document.documentElement].concat(Array.from(document.querySelectorAll<HTMLElement>('.shell-view'))).map((box) => box.scrollWidth - box.clientWidth)))
        if (wide > 0) tooWide.push(`${address} at ${width} px in ${language}: ${wide} px`)
        expect(await page.evaluate(() => document.getAnimations().length), `nothing moves on ${address}`).toBe(0)
      }
    }
  }
  expect(tooWide).toEqual([])

  await test.step('what changes all the time is not read out all the time', async () => {
    await goTo(page, '/transfers')
    await expect(transferRow(page, 'Live')).toBeVisible()
    expect(await page.locator('[aria-live] [role="progressbar"], [role="status"] [role="progressbar"], [aria-live] .transfer-facts, [role="status"] .overview-now').count()).toBe(0)
  })

  await test.step('a name of another direction does not turn what stands around it', async () => {
    await goTo(page, '/search?q=txt')
    const name = page.locator('.entry-name bdi', { hasText: 'شمس' })
    await expect(name).toBeVisible()
    expect(await name.evaluate((element) => getComputedStyle(element).unicodeBidi)).toBe('isolate')
  })
})
