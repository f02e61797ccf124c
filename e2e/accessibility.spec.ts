import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Page, expect, test } from '@playwright/test'
import { focused, tabTo } from './support/accessibility.ts'
import { callApi, transfersOf } from './support/api.ts'
import { pair, peerCard, transferRow } from './support/app.ts'
import { type HelperProcess, makeHelperFolder, startHelper } from './support/helper-process.ts'

/** The app for people who see little, hear it read, or use no mouse: the main job by keyboard alone, small and enlarged windows. Every page under axe is in pages.spec.ts. */

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
    await tabTo(page, 'Code or link')
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
  })

  await test.step('watches it arrive', async () => {
    await tabTo(page, /Transfers$/, 'Shift+Tab')
    await page.keyboard.press('Enter')
    await expect(transferRow(page, 'Live')).toHaveAttribute('data-state', 'done')
    expect((await transfersOf(ben))[0]?.state).toBe('done')
  })

  await test.step('forgets and takes it back', async () => {
    await tabTo(page, /Peers$/, 'Shift+Tab')
    await page.keyboard.press('Enter')
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
