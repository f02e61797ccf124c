import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Page, expect, test } from '@playwright/test'
import { callApi } from './support/api.ts'
import { openTab, pair, pairAnother, peerCard, shownCode } from './support/app.ts'
import { type HelperProcess, makeHelperFolder, startHelper } from './support/helper-process.ts'

/** What comes into the app from other programs: codes out of a messenger, files out of a gallery, and what somebody with bad intentions makes of them. */

const cleanUp: (() => Promise<unknown>)[] = []
let anna: HelperProcess
let ben: HelperProcess

test.beforeAll(async () => {
  const [annaFolder, benFolder] = [await makeHelperFolder('anna'), await makeHelperFolder('ben')]
  cleanUp.push(annaFolder.remove, benFolder.remove)
  anna = await startHelper(annaFolder)
  cleanUp.push(() => anna.stop())
  ben = await startHelper(benFolder)
  cleanUp.push(() => ben.stop())
})

test.afterAll(async () => {
  for (const action of cleanUp.toReversed()) await action()
})

const field = (page: Page) => page.getByRole('textbox', { name: 'Code or link' })
const peersOf = async (helper: HelperProcess) => (await callApi<{ peers: { peerId: string; state: string }[] }>(helper, 'snapshot')).peers

interface Handlers {
  readonly protocolHandlers?: readonly { readonly protocol: string; readonly url: string }[]
  readonly launchHandler?: { readonly clientMode?: string }
}

/** Where the system leads a link, as Chromium itself has understood the manifest. */
async function handlerFor(page: Page, link: string): Promise<string> {
  const { manifest } = (await (await page.context().newCDPSession(page)).send('Page.getAppManifest')) as { manifest: Handlers }
  const handler = manifest.protocolHandlers?.find(({ protocol }) => link.startsWith(`${protocol}:`))
  if (handler === undefined) throw new Error(`the app takes no links like ${link}`)
  return handler.url.replace('%s', encodeURIComponent(link))
}

test('a code out of a messenger is filled in, in a new window and in one that is open, and connects when it is told to', async ({ page, context }) => {
  await pairAnother(page, ben)
  const annaPage = await context.newPage()
  await pair(annaPage, anna)
  const code = await shownCode(annaPage)
  await annaPage.close()
  const { manifest } = (await (await context.newCDPSession(page)).send('Page.getAppManifest')) as { manifest: Handlers }
  // The window that is open is used: nobody wants ten of them.
  expect(manifest.launchHandler?.clientMode).toMatch(/NavigateExisting$/)
  const target = await handlerFor(page, `web+hdp:${code}`)
  expect(target.startsWith(`${new URL(ben.ui).origin}/`)).toBe(true)

  const fresh = await context.newPage()
  await fresh.goto(target)
  await expect(field(fresh)).toHaveValue(code)
  await expect(field(fresh)).toBeFocused()
  await fresh.close()

  await openTab(page, 'Settings')
  await page.evaluate(() => void Object.assign(window, { isTheSame: true }))
  await page.evaluate((to) => location.assign(to), target)
  await expect(field(page)).toHaveValue(code)
  expect(await page.evaluate(() => 'isTheSame' in window)).toBe(true)
  await expect(page.getByText('This code came with the link you opened.')).toBeVisible()
  expect(await peersOf(ben)).toEqual([])

  // The next link is another one's, in the same window.
  await page.evaluate((to) => location.assign(to), await handlerFor(page, 'web+hdp:something-else'))
  await expect(field(page)).toHaveValue(/something-else/)
  await expect(page.getByRole('button', { name: 'Connect' })).toBeDisabled()
  await page.evaluate((to) => location.assign(to), target)
  await expect(field(page)).toHaveValue(code)
  await page.getByRole('button', { name: 'Connect' }).click()
  await expect(peerCard(page, anna.name)).toContainText('Connected')
})

const HOSTILE = [
  '<img src=x onerror="window.attacked=true">', '"><script>window.attacked=true</script>', 'javascript:window.attacked=true', '{{constructor.constructor("window.attacked=true")()}}',
  '../../../settings', '%00%0a\u202Egpj.exe', 'a'.repeat(100_000), '%E0%A4%A', 'hdp1', '//evil.example/hdp1',
]

test('whatever else a link carries stays text, and does nothing by itself', async ({ page }) => {
  await pairAnother(page, ben)
  const before = (await peersOf(ben)).map(({ peerId }) => peerId)
  const problems: string[] = []
  const asked: string[] = []
  page.on('pageerror', (error) => problems.push(error.message))
  page.on('request', (request) => asked.push(request.url()))
  page.on('dialog', (dialog) => void dialog.dismiss().then(() => problems.push('a dialog')))
  for (const text of HOSTILE) {
    for (const link of [`/#/add/${encodeURIComponent(`web+hdp:${text}`)}`, `/#/add/${text}`]) {
      await page.goto(`${ben.ui}${link}`)
      await expect(field(page), link.slice(0, 80)).toBeVisible()
      await expect(page.getByRole('button', { name: 'Connect' }), link.slice(0, 80)).toBeDisabled()
    }
  }
  expect(await page.evaluate(() => 'attacked' in window)).toBe(false)
  expect(problems).toEqual([])
  expect(asked.filter((url) => new URL(url).origin !== new URL(ben.ui).origin)).toEqual([])
  expect((await peersOf(ben)).map(({ peerId }) => peerId)).toEqual(before)
})

test('files shared by another program are posted to the app, which asks to whom they go', async ({ page, context }) => {
  await pairAnother(page, ben)
  await callApi(ben, 'connect', { code: (await callApi<{ code: string }>(anna, 'announceCode')).code })
  await expect(peerCard(page, anna.name)).toContainText('Connected')
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined))
  const files = [join(ben.folder.root, 'IMG 1.jpg'), join(ben.folder.root, '‮gpj.exe')]
  for (const file of files) await writeFile(file, 'a picture')

  // The gallery of a phone: a form of its own, sent to where the manifest says.
  const gallery = await context.newPage()
  const { share_target: target } = (await (await gallery.request.get(`${ben.ui}/manifest.webmanifest`)).json()) as { share_target: { action: string; method: string; enctype: string; params: { title: string; files: { name: string }[] } } }
  await gallery.setContent(`<form action="${new URL(target.action, ben.ui).href}" method="${target.method}" enctype="${target.enctype}"><input name="${target.params.title}" value="From my phone"><input type="file" multiple name="${target.params.files[0]?.name}"><button>Share</button></form>`)
  await gallery.locator('input[type=file]').setInputFiles(files)
  await gallery.getByRole('button', { name: 'Share' }).click()

  await expect(gallery.getByRole('heading', { name: 'Send to whom?' })).toBeVisible()
  await expect(gallery.getByText('2 files')).toBeVisible()
  await gallery.getByRole('button', { name: anna.name }).click()
  const dialog = gallery.getByRole('dialog', { name: `Send to ${anna.name}` })
  await expect(dialog.getByLabel('A line to go with it')).toHaveValue('From my phone')
  await expect(dialog.locator('bdi', { hasText: 'IMG 1.jpg' })).toBeVisible()
  // A name cannot turn what stands around it.
  expect(await dialog.locator('bdi', { hasText: 'gpj.exe' }).evaluate((element) => getComputedStyle(element).unicodeBidi)).toBe('isolate')
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await gallery.getByRole('button', { name: 'Cancel' }).click()

  // Dropped is dropped.
  await expect(gallery.getByRole('heading', { name: 'Your code' })).toBeVisible()
  await gallery.goto(`${ben.ui}/#/send`)
  await expect(gallery.getByText('Nothing to send')).toBeVisible()
})
