import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Page, expect, test } from '@playwright/test'
import { callApi } from './support/api.ts'
import { openTab, pair } from './support/app.ts'
import { type HelperProcess, hdp, makeHelperFolder, startHelper } from './support/helper-process.ts'

/** What happens while the app is open but not in front is told by the system, once, and counted on the icon of the app. */

const cleanUp: (() => Promise<unknown>)[] = []
let anna: HelperProcess
let ben: HelperProcess
let share: string

test.beforeEach(async () => {
  const [annaFolder, benFolder] = [await makeHelperFolder('anna'), await makeHelperFolder('ben')]
  cleanUp.push(annaFolder.remove, benFolder.remove)
  share = join(annaFolder.root, 'Music')
  await mkdir(share)
  for (const [name, text] of [['song.txt', 'la'], ['seen.txt', 'la'], ['late.txt', 'la la']] as const) await writeFile(join(share, name), text)
  anna = await startHelper(annaFolder, { shares: [share] })
  cleanUp.push(() => anna.stop())
  ben = await startHelper(benFolder)
  cleanUp.push(() => ben.stop())
  await callApi(ben, 'connect', { code: anna.code })
})

test.afterEach(async () => {
  for (const action of cleanUp.toReversed()) await action()
  cleanUp.length = 0
})

interface Told {
  readonly title: string
  readonly body: string
  /** What has the same one is shown once. */
  readonly tag: string
  readonly url: string
}

/** Notes what is told to the system and written on the icon: what the system makes of it no page can see. */
function noteWhatIsTold() {
  const told: Told[] = []
  const badges: number[] = []
  Object.assign(window, { told, badges })
  const { showNotification } = ServiceWorkerRegistration.prototype
  // Names are put in marks of direction, which nobody sees.
  const plain = (text = '') => text.replaceAll(/[\u2066-\u2069]/g, '')
  ServiceWorkerRegistration.prototype.showNotification = async function (title, options) {
    await showNotification.call(this, title, options)
    told.push({ title: plain(title), body: plain(options?.body), tag: options?.tag ?? '', url: (options?.data as { url: string } | undefined)?.url ?? '' })
  }
  Object.defineProperties(Navigator.prototype, {
    setAppBadge: { configurable: true, value: async (count: number) => void badges.push(count) },
    clearAppBadge: { configurable: true, value: async () => void badges.push(0) },
  })
}

const toldBy = (page: Page) => page.evaluate(() => (window as unknown as { told: Told[] }).told)
const badge = (page: Page) => page.evaluate(() => (window as unknown as { badges: number[] }).badges.at(-1))
const openActivity = (page: Page) => page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: /Activity/ }).click()

/** As when another window is in front of it: pages under test otherwise all say that they have the focus. */
const putBehind = (page: Page) => page.evaluate(() => {
  document.hasFocus = () => false
})

test('a finished download, an offer and a wish that came true are told once, and counted until they are looked at', async ({ browser }) => {
  test.setTimeout(120_000)
  const context = await browser.newContext({ permissions: ['notifications'] })
  cleanUp.push(() => context.close())
  await context.addInitScript(noteWhatIsTold)
  const page = await context.newPage()
  await pair(page, ben)
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined))
  await openTab(page, 'Settings')
  const wanted = page.getByRole('switch', { name: 'Notify me in this browser' })
  await expect(wanted).not.toBeChecked()
  await wanted.check()
  expect(await toldBy(page)).toEqual([])
  // The same browser has the app open twice.
  const twin = await context.newPage()
  await twin.goto(ben.ui)
  await expect(twin.getByRole('heading', { name: 'Your code' })).toBeVisible()

  await test.step('whoever looks at the app is not told by the system', async () => {
    await callApi(ben, 'download', { peerId: anna.peerId, path: 'Music/seen.txt' })
    await openActivity(page)
    await expect(page.getByRole('link', { name: /seen\.txt is here/ })).toBeVisible()
    expect(await toldBy(page)).toEqual([])
    await openTab(page, 'Settings')
    expect(await badge(page)).toBe(0)
  })
  for (const one of [page, twin]) await putBehind(one)

  await test.step('a download', async () => {
    await callApi(ben, 'download', { peerId: anna.peerId, path: 'Music/late.txt' })
    await expect.poll(() => toldBy(page)).toMatchObject([{ title: 'late.txt is here', body: `from ${anna.name}, 5 B`, url: '/#/transfers' }])
    await expect.poll(() => badge(page)).toBe(1)
  })

  await test.step('an offer', async () => {
    await hdp(anna.folder, 'send', ben.name.replaceAll(' ', '-'), join(share, 'song.txt'))
    await expect.poll(() => toldBy(page)).toMatchObject([{}, { title: `${anna.name} would like to send you song.txt`, body: '2 B', url: '/#/peers' }])
    await expect.poll(() => badge(page)).toBe(2)
  })

  await test.step('a wish', async () => {
    expect((await hdp(ben.folder, 'wish', 'add', '--search', 'blue train')).code).toBe(0)
    await writeFile(join(share, 'blue train.txt'), 'whistles')
    await callApi(anna, 'rescanShare', { shareId: (await callApi<{ shares: { shareId: string }[] }>(anna, 'snapshot')).shares[0]?.shareId })
    await expect.poll(() => toldBy(page), { timeout: 45_000 }).toMatchObject([{}, {}, { title: 'Found for your wish “blue train”', body: `1 match at ${anna.name}`, url: '/#/wishes' }])
    await expect.poll(() => badge(page)).toBe(3)
  })

  await test.step('each is shown once, though two windows heard of it; looked at, nothing is left to count', async () => {
    const tags = (await toldBy(page)).map(({ tag }) => tag)
    expect(new Set(tags).size).toBe(3)
    await expect.poll(async () => (await toldBy(twin)).map(({ tag }) => tag)).toEqual(tags)
    await page.getByRole('dialog').getByRole('button', { name: 'Later' }).click()
    await openActivity(page)
    await expect(page.getByRole('link', { name: /late\.txt is here/ })).toBeVisible()
    await expect.poll(() => badge(page)).toBe(0)
  })
})
