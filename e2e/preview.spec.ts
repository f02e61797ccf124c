import { type AddressInfo, type Server, createServer } from 'node:net'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Locator, type Page, expect, test } from '@playwright/test'
import sharp from 'sharp'
import { callApi } from './support/api.ts'
import { browse, download, openTab, pairAnother, toggleFolder, transferRow } from './support/app.ts'
import { type Double, startDouble } from './support/double.ts'
import { type HelperProcess, makeHelperFolder, startHelper } from './support/helper-process.ts'

/** Looking at what others share without fetching it: pictures, a viewer for images, sound, text; and nothing in there that runs. */

const cleanUp: (() => Promise<unknown>)[] = []
let anna: HelperProcess
let ben: HelperProcess
let media: Double
let mediaName: string
/** Connections that something in a file has made. */
let beacons = 0

test.describe.configure({ timeout: 180_000 })

test.beforeAll(async () => {
  // Two helpers and a peer of our own making are started.
  test.setTimeout(180_000)
  const beacon = createServer((socket) => {
    beacons += 1
    socket.destroy()
  })
  await new Promise<void>((resolve) => beacon.listen(0, '127.0.0.1', resolve))
  cleanUp.push(() => new Promise((resolve) => (beacon as Server).close(resolve)))
  const [annaFolder, benFolder] = [await makeHelperFolder('anna'), await makeHelperFolder('ben')]
  cleanUp.push(annaFolder.remove, benFolder.remove)
  const album = join(annaFolder.root, 'Album')
  await mkdir(album)
  await writeAlbum(album, (beacon.address() as AddressInfo).port)
  anna = await startHelper(annaFolder, { shares: [album] })
  cleanUp.push(() => anna.stop())
  ben = await startHelper(benFolder)
  cleanUp.push(() => ben.stop())
  media = await startDouble('media-peer')
  cleanUp.push(() => media.stop())
  await callApi(ben, 'connect', { code: anna.code })
  await callApi(ben, 'connect', { code: media.code })
  const { peers } = await callApi<{ peers: { peerId: string; name: string }[] }>(ben, 'snapshot')
  mediaName = peers.find(({ peerId }) => peerId === media.peerId)?.name ?? ''
})

test.afterAll(async () => {
  for (const action of cleanUp.toReversed()) await action()
})

async function writeAlbum(album: string, beacon: number): Promise<void> {
  const photo = (width: number, height: number, background: string) => sharp({ create: { width, height, channels: 3, background } })
  await writeFile(join(album, '1 sea.jpg'), await photo(1600, 900, '#2468ac').jpeg().toBuffer())
  await writeFile(join(album, '2 wood.png'), await photo(700, 1000, '#2a8844').png().toBuffer())
  await writeFile(join(album, '3 sand.webp'), await photo(900, 900, '#d8b060').webp().toBuffer())
  await writeFile(join(album, 'broken.jpg'), 'this is no image')
  await writeFile(join(album, 'notes.txt'), Buffer.from('Caf\xe9 au lait\n<b>not bold</b>\n', 'latin1'))
  const call = `new Image().src='http://127.0.0.1:${beacon}/beacon'`
  await writeFile(join(album, 'evil.html'), `<!doctype html><img src="http://127.0.0.1:${beacon}/image"><script>${call}</script>`)
  await writeFile(join(album, 'evil.svg'), `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="90" height="60" onload="${call}"><script>${call}</script><image xlink:href="http://127.0.0.1:${beacon}/image" width="9" height="9"/><rect width="90" height="60" fill="#c33"/></svg>`)
  await writeFile(join(album, 'evil.xml'), `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script>${call}</script></html>`)
  await writeFile(join(album, 'evil.png'), `<!doctype html><script>${call}</script>`)
  await writeFile(join(album, 'evil.pdf'), `<!doctype html><script>${call}</script>`)
}

async function openAlbum(page: Page): Promise<void> {
  await pairAnother(page, ben)
  await browse(page, anna.name)
  await toggleFolder(page, 'Album')
}

const row = (page: Page, name: string) => page.getByRole('treeitem', { name, exact: true })
const viewer = (page: Page, name: string) => page.getByRole('dialog', { name })
const widthOf = (image: Locator) => image.evaluate((element) => (element as HTMLImageElement).naturalWidth)

test('pictures of images appear in the list and as tiles, and rows keep their size', async ({ page }) => {
  await openAlbum(page)
  const before = await row(page, '1 sea.jpg').boundingBox()
  for (const name of ['1 sea.jpg', '2 wood.png', '3 sand.webp']) await expect(row(page, name).locator('img.ready')).toBeVisible()
  expect(await widthOf(row(page, '1 sea.jpg').locator('img'))).toBe(96)
  expect(await row(page, '1 sea.jpg').boundingBox()).toEqual(before)
  await expect(row(page, 'broken.jpg').locator('img.ready')).toHaveCount(0)

  await page.getByRole('button', { name: 'Grid' }).click()
  await page.getByRole('button', { name: 'Open folder Album' }).click()
  for (const name of ['1 sea.jpg', '2 wood.png', '3 sand.webp']) await expect(page.getByRole('button', { name: `Show ${name}` }).locator('img.ready')).toBeVisible()
  expect(await widthOf(page.getByRole('button', { name: 'Show 1 sea.jpg' }).locator('img'))).toBe(320)
  await page.getByRole('navigation', { name: 'Where you are' }).getByRole('button', { name: 'All folders' }).click()
  await expect(page.getByRole('button', { name: 'Open folder Album' })).toBeVisible()
})

test('the viewer shows an image, leads on by keys, and shows text as text', async ({ page }) => {
  await openAlbum(page)
  await row(page, '1 sea.jpg').click()
  const first = viewer(page, '1 sea.jpg').getByRole('img', { name: '1 sea.jpg' })
  await expect.poll(() => widthOf(first)).toBe(1600)
  await expect(viewer(page, '1 sea.jpg')).toContainText('1 of')
  await page.getByRole('button', { name: 'Larger' }).click()
  await expect(viewer(page, '1 sea.jpg')).toContainText('2×')
  await page.keyboard.press('ArrowRight')
  await expect.poll(() => widthOf(viewer(page, '2 wood.png').getByRole('img', { name: '2 wood.png' }))).toBe(700)
  await page.keyboard.press('ArrowLeft')
  await expect(viewer(page, '1 sea.jpg')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toHaveCount(0)

  await row(page, 'notes.txt').click()
  await expect(viewer(page, 'notes.txt').getByRole('region')).toContainText('Café au lait\n<b>not bold</b>')
  await page.keyboard.press('Escape')
  await row(page, 'broken.jpg').click()
  await expect(viewer(page, 'broken.jpg').getByRole('alert')).toContainText('cannot show')
  await page.keyboard.press('Escape')

  // The same viewer for what has been fetched.
  await download(page, '1 sea.jpg')
  await openTab(page, 'Transfers')
  await expect(transferRow(page, '1 sea.jpg')).toHaveAttribute('data-state', 'done')
  await transferRow(page, '1 sea.jpg').getByRole('button', { name: 'Open 1 sea.jpg' }).click()
  await expect.poll(() => widthOf(viewer(page, '1 sea.jpg').getByRole('img', { name: '1 sea.jpg' }))).toBe(1600)
})

async function counted(): Promise<number> {
  const { entries } = await callApi<{ entries: { path: string; size: number }[] }>(ben, 'list', { peerId: media.peerId, recursive: false, limit: 10 })
  return entries.find(({ path }) => path === 'Counted')?.size ?? 0
}

test('a long recording plays and seeks, and little more than what is heard is fetched', async ({ page }) => {
  const before = (await readdir(ben.folder.downloads)).length
  await pairAnother(page, ben)
  await browse(page, mediaName)
  await toggleFolder(page, 'Media')
  await row(page, 'long.wav').click()
  const player = viewer(page, 'long.wav').getByLabel('long.wav', { exact: true })
  const at = () => player.evaluate((element) => (element as HTMLAudioElement).currentTime)
  await player.evaluate(async (element) => {
    const audio = element as HTMLAudioElement
    audio.muted = true
    await audio.play()
  })
  await expect.poll(at).toBeGreaterThan(0.3)
  expect(await player.evaluate((element) => Math.round((element as HTMLAudioElement).duration))).toBe(1134)
  const played = await counted()
  const seek = (to: number) => player.evaluate((element, where) => new Promise<void>((resolve) => {
    element.addEventListener('seeked', () => resolve(), { once: true })
    ;(element as HTMLAudioElement).currentTime = where
  }), to)
  await seek(900)
  await expect.poll(at).toBeGreaterThan(900.3)
  const sought = await counted()
  await seek(300)
  await expect.poll(at).toBeGreaterThan(300.3)
  const back = await counted()
  test.info().annotations.push({ type: 'bytes', description: `start ${played}, seek to 900 s ${sought - played}, seek to 300 s ${back - sought}, of 200,000,000` })
  console.log(`bytes asked of the peer: start ${played}, seek to 900 s ${sought - played}, seek to 300 s ${back - sought}, of 200,000,000`)
  expect(back).toBeLessThan(50_000_000)
  expect(back).toBeGreaterThan(0)
  expect(await page.evaluate(() => navigator.mediaSession.metadata?.title)).toBe('long.wav')
  // Whoever stops looking stops fetching.
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toHaveCount(0)
  const closed = await counted()
  await row(page, 'long.wav').click()
  await expect(viewer(page, 'long.wav')).toBeVisible()
  expect(closed - back).toBeLessThan(30_000_000)
  expect((await readdir(ben.folder.downloads)).length).toBe(before)
})

test('hostile documents among previews run nothing, however they are opened', async ({ page, context }) => {
  await openAlbum(page)
  await row(page, 'evil.svg').click()
  await expect.poll(() => widthOf(viewer(page, 'evil.svg').getByRole('img', { name: 'evil.svg' }))).toBe(90)
  await page.keyboard.press('Escape')
  for (const name of ['evil.html', 'evil.xml']) {
    await row(page, name).click()
    await expect(viewer(page, name).getByRole('region')).toContainText('<script>')
    await page.keyboard.press('Escape')
  }
  await row(page, 'evil.png').click()
  await expect(viewer(page, 'evil.png').getByRole('alert')).toBeVisible()
  await page.keyboard.press('Escape')
  await row(page, 'evil.pdf').click()
  await expect(viewer(page, 'evil.pdf')).toBeVisible()
  await page.keyboard.press('Escape')

  // Straight from the address bar, and in a frame of our own.
  for (const name of ['evil.svg', 'evil.html', 'evil.xml', 'evil.png', 'evil.pdf']) {
    const { url } = await callApi<{ url: string }>(ben, 'remoteFileUrl', { peerId: anna.peerId, path: `Album/${name}` })
    const tab = await context.newPage()
    const settled = Promise.race([tab.waitForEvent('download'), tab.waitForLoadState('load')])
    await tab.goto(url).catch((error: Error) => expect(error.message, name).toMatch(/download|aborted/i))
    await settled
    await tab.close()
    await page.evaluate((src) => new Promise<void>((resolve) => {
      const frame = document.createElement('iframe')
      frame.addEventListener('load', () => resolve())
      document.body.append(frame)
      frame.src = src
      // What is saved instead of shown never loads.
      setTimeout(resolve, 1_000)
    }), url)
  }
  expect(beacons).toBe(0)
})

test('what a peer sends instead of pictures is not shown, and harms nobody', async ({ page }) => {
  const answers = new Map<string, number>()
  page.on('response', (response) => {
    const url = new URL(response.url())
    const path = url.searchParams.get('path')
    if (url.pathname.endsWith('/thumbnails') && path !== null) answers.set(path, response.status())
  })
  await pairAnother(page, ben)
  await browse(page, mediaName)
  await toggleFolder(page, 'Photos')
  await expect(row(page, 'good.jpg').locator('img.ready')).toBeVisible()
  await expect.poll(() => answers.size).toBe(6)
  expect(Object.fromEntries(answers)).toEqual({
    'Photos/good.jpg': 200, 'Photos/page.jpg': 502, 'Photos/drawing.jpg': 502, 'Photos/bomb.jpg': 502, 'Photos/heavy.jpg': 502, 'Photos/noise.jpg': 502,
  })
  await expect(page.getByRole('tree').locator('img.ready')).toHaveCount(1)
})
