import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Page, expect, test } from '@playwright/test'
import { callApi, transfersOf } from './support/api.ts'
import { openTab, pair, transferRow } from './support/app.ts'
import { makeHelperFolder, startHelper } from './support/helper-process.ts'

/** What a person adjusts: the order of the queue by hand and by keys, limits, shares. It holds over a restart, and what was taken away can be taken back. */

const cleanUp: (() => Promise<unknown>)[] = []

test.afterEach(async () => {
  for (const action of cleanUp.toReversed()) await action()
  cleanUp.length = 0
})

const NAMES = ['one.txt', 'two.txt', 'three.txt', 'four.txt'] as const
const grip = (page: Page, name: string) => transferRow(page, name).getByRole('button', { name: `Move ${name}` })
const shown = (page: Page) => page.locator('.transfer-name').allTextContents()

test('the queue is put in order by keys and by hand, limits hold, a share is taken back, and all that survives a restart', async ({ page }) => {
  test.setTimeout(120_000)
  const [annaFolder, benFolder] = [await makeHelperFolder('anna'), await makeHelperFolder('ben')]
  cleanUp.push(annaFolder.remove, benFolder.remove)
  const [share, own] = [join(annaFolder.root, 'Music'), join(benFolder.root, 'Own')]
  for (const folder of [share, own]) await mkdir(folder)
  for (const name of NAMES) await writeFile(join(share, name), name)
  const anna = await startHelper(annaFolder, { shares: [share] })
  cleanUp.push(() => anna.stop())
  let ben = await startHelper(benFolder, { shares: [own] })
  cleanUp.push(() => ben.stop())
  await callApi(ben, 'connect', { code: anna.code })
  await callApi(ben, 'pauseTransfers', { all: true })
  for (const name of NAMES) await callApi(ben, 'download', { peerId: anna.peerId, path: `Music/${name}` })
  await pair(page, ben)

  await test.step('by keys: the focus goes with what is moved', async () => {
    await openTab(page, 'Transfers')
    await expect.poll(() => shown(page)).toEqual([...NAMES])
    await grip(page, 'three.txt').focus()
    await page.keyboard.press('ArrowUp')
    await expect.poll(() => shown(page)).toEqual(['one.txt', 'three.txt', 'two.txt', 'four.txt'])
    await expect(grip(page, 'three.txt')).toBeFocused()
    await page.keyboard.press('End')
    await expect.poll(() => shown(page)).toEqual(['one.txt', 'two.txt', 'four.txt', 'three.txt'])
    await expect(grip(page, 'three.txt')).toBeFocused()
  })

  await test.step('by hand', async () => {
    await grip(page, 'four.txt').dragTo(transferRow(page, 'one.txt'))
    await expect.poll(() => shown(page)).toEqual(['four.txt', 'one.txt', 'two.txt', 'three.txt'])
  })

  await test.step('a limit', async () => {
    await openTab(page, 'Settings')
    await page.getByRole('spinbutton', { name: 'Upload, in all' }).fill('250')
    await page.getByRole('button', { name: 'Save limits' }).click()
    await expect(page.getByText('Limits saved.')).toBeVisible()
  })

  await test.step('a share, gone at once and back as it was', async () => {
    await openTab(page, 'Shares')
    const card = page.getByRole('listitem', { name: 'Own', exact: true })
    await card.getByRole('button', { name: /^Remove/ }).click()
    await expect(card).toHaveCount(0)
    expect((await callApi<{ shares: unknown[] }>(ben, 'snapshot')).shares).toEqual([])
    await page.getByRole('button', { name: 'Undo' }).click()
    await expect(card).toBeVisible()
  })

  await test.step('all that is there after a restart', async () => {
    await ben.kill()
    ben = await startHelper(benFolder, { ui: ben.ui })
    await page.reload()
    await expect(page.getByRole('listitem', { name: 'Own', exact: true })).toBeVisible()
    await openTab(page, 'Settings')
    await expect(page.getByRole('spinbutton', { name: 'Upload, in all' })).toHaveValue('250')
    await openTab(page, 'Transfers')
    await expect.poll(() => shown(page)).toEqual(['four.txt', 'one.txt', 'two.txt', 'three.txt'])
    await page.getByRole('button', { name: /^(Resume|Continue) all|^Go on/ }).click()
    await expect.poll(async () => (await transfersOf(ben)).map(({ state }) => state)).toEqual(NAMES.map(() => 'done'))
  })
})
