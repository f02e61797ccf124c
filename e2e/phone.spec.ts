import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BrowserContext, type Page, expect, test } from '@playwright/test'
import { expectAccessible } from './support/accessibility.ts'
import { browse, openTab } from './support/app.ts'
import { callApi } from './support/api.ts'
import { type HelperFolder, type HelperProcess, hdp, makeHelperFolder, startHelper } from './support/helper-process.ts'
import { type TrustedBrowser, hasCertutil, openTrustedBrowser } from './support/trusted-browser.ts'

/** A phone drives the helper at home: over HTTPS with the helper's own authority in the phone's store, let in by a QR code, and held to its role. */

const FILE = 'Holidays/beach.txt'
let folder: HelperFolder & { remove(): Promise<void> }
let friendFolder: HelperFolder & { remove(): Promise<void> }
let helper: HelperProcess
let friend: HelperProcess
let trusting: TrustedBrowser
let hasNss = false

test.beforeAll(async () => {
  hasNss = await hasCertutil()
  if (!hasNss) return
  folder = await makeHelperFolder('phone')
  friendFolder = await makeHelperFolder('phone-friend')
  await mkdir(join(friendFolder.root, 'Holidays'))
  await writeFile(join(friendFolder.root, FILE), 'sand and sea')
  friend = await startHelper(friendFolder, { shares: [join(friendFolder.root, 'Holidays')] })
  helper = await startHelper(folder, { args: ['--lan', '--lan-port', '0'] })
  await callApi(helper, 'connect', { code: friend.code })
  const { certificatePem } = JSON.parse(await readFile(join(folder.storage, 'local-authority.json'), 'utf8')) as { certificatePem: string }
  trusting = await openTrustedBrowser(certificatePem)
})

test.beforeEach(() => {
  test.skip(!hasNss, 'certutil is missing (Debian: libnss3-tools), so no authority can be put into the browser\'s store')
})

test.afterAll(async () => {
  // Whatever did not come up need not be ended.
  await trusting?.close()
  await Promise.all([helper?.stop(), friend?.stop()])
  await Promise.all([folder?.remove(), friendFolder?.remove()])
})

interface Device {
  readonly deviceId: string
  readonly name: string
  readonly role: string
  readonly kind: string
}

const devices = () => callApi<readonly Device[]>(helper, 'devices')
const lanUrl = async () => (await callApi<{ urls: readonly string[] }>(helper, 'lan')).urls[0] ?? ''

/** What `hdp pair --lan` shows as a QR code. */
async function invitation(role: 'view' | 'control' | 'admin'): Promise<string> {
  const { stdout } = await hdp(folder, 'pair', '--lan', '--role', role, '--json')
  return (JSON.parse(stdout) as { pairUrl: string }).pairUrl
}

/** A phone that is let in with a role. @returns its page, and which device it is */
async function letIn(role: 'view' | 'control' | 'admin'): Promise<{ page: Page; context: BrowserContext; deviceId: string }> {
  const before = new Set((await devices()).map(({ deviceId }) => deviceId))
  const context = await trusting.open()
  const page = await context.newPage()
  await page.goto(await invitation(role))
  await expect(page.getByRole('heading', { name: 'Peers', exact: true })).toBeVisible()
  const found = (await devices()).find(({ deviceId }) => !before.has(deviceId))
  if (found === undefined) throw new Error('the phone is in no list')
  expect(found.role).toBe(role)
  return { page, context, deviceId: found.deviceId }
}

test('a phone is led through trust, let in by its code, and downloads and opens a file over HTTPS', async () => {
  const url = await lanUrl()
  expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
  const context = await trusting.open()
  const page = await context.newPage()
  await page.goto(`${url}/trust`)
  await expect(page.getByRole('heading', { name: 'Trust your helper on this phone' })).toBeVisible()
  const { authority } = await callApi<{ authority: { fingerprint: string } }>(helper, 'lan')
  await expect(page.getByText(authority.fingerprint)).toBeVisible()
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await expectAccessible(page, `the page about trust, ${colorScheme}`)
  }

  await page.goto(await invitation('control'))
  await expect(page.getByRole('heading', { name: 'Your code' })).toBeVisible()
  expect(await page.evaluate(() => isSecureContext)).toBe(true)
  // What makes a phone offer to install it.
  expect(await page.evaluate(async () => (await navigator.serviceWorker.ready).active?.scriptURL)).toBe(`${url}/sw.js`)

  await browse(page, friend.name)
  await page.getByRole('treeitem', { name: 'Holidays', exact: true }).click()
  await page.getByRole('button', { name: 'Download beach.txt', exact: true }).click()
  await openTab(page, 'Transfers')
  await page.getByRole('button', { name: /Open .*beach\.txt/ }).click()
  await expect(page.getByText('sand and sea')).toBeVisible()

  // The files origin: another one, over HTTPS, under the name the phone knows us by, in the same sandbox.
  const [transfer] = (await callApi<{ transfers: { transferId: string }[] }>(helper, 'snapshot')).transfers
  const file = await fileUrl(page, 'downloadedFileUrl', { transferId: transfer?.transferId })
  expect(file.protocol).toBe('https:')
  expect(file.hostname).toBe('127.0.0.1')
  expect(file.origin).not.toBe(url)
  const opened = await context.newPage()
  const answer = await opened.goto(file.href)
  expect(answer?.status()).toBe(200)
  expect(answer?.headers()['content-security-policy']).toMatch(/^sandbox;.*frame-ancestors https:\/\/127\.0\.0\.1:\d+$/)
  await expect(opened.locator('body')).toContainText('sand and sea')
  await context.close()
})

test('a browser that does not trust the authority gets nothing without being warned', async () => {
  const stranger = await openTrustedBrowser(null)
  const page = await (await stranger.open()).newPage()
  await expect(page.goto(`${await lanUrl()}/`)).rejects.toThrow(/ERR_CERT_AUTHORITY_INVALID/)
  await stranger.close()
})

test('a role shows in the app, and holds against direct calls', async () => {
  const { page, context } = await letIn('view')
  await expect(page.getByRole('note')).toContainText('This device may only look')
  await expect(page.getByRole('heading', { name: 'Your code' })).toHaveCount(0)
  await openTab(page, 'Shares')
  await expect(page.getByRole('note')).toContainText('This device may only look')
  await expect(page.getByRole('textbox', { name: /folder/i }).first()).toBeDisabled()
  await page.goto(`${await lanUrl()}/#/settings`)
  await expect(page.getByRole('switch', { name: 'Ask before accepting' })).toBeDisabled()
  await expect(page.getByRole('heading', { name: 'Devices' })).toHaveCount(0)
  // Past the app: the same device key, straight to the socket.
  const before = await devices()
  for (const [method, args] of [
    ['changeDevice', { deviceId: before[0]?.deviceId, role: 'admin' }], ['createPairingLink', { role: 'admin' }], ['shutdown', undefined], ['updateSettings', { askBeforeAccepting: true }],
    ['addShare', { directory: '/' }], ['browseFolders', {}], ['download', { peerId: friend.peerId, path: FILE }], ['announceCode', undefined], ['setLan', { enabled: false }],
  ] as const) {
    expect(await callFromPage(page, method, args), method).toMatch(/not-allowed/)
  }
  expect(await callFromPage(page, 'list', { peerId: friend.peerId, recursive: false, limit: 10 })).toContain('Holidays')
  expect(await devices()).toEqual(before.map((device) => expect.objectContaining({ deviceId: device.deviceId, role: device.role })))
  await context.close()
})

async function fileUrl(page: Page, method: string, args: unknown): Promise<URL> {
  const answer = JSON.parse(await callFromPage(page, method, args)) as { message: { value: { value: { url: string } } } }
  return new URL(answer.message.value.value.url)
}

/** With the device's own key, as a page that was tampered with could. @returns the first answer to the call */
function callFromPage(page: Page, method: string, args: unknown): Promise<string> {
  return page.evaluate(async ({ method: called, args: given }) => {
    const stored = await new Promise<{ kind: string; pair?: CryptoKeyPair; seed?: Uint8Array }>((resolve, reject) => {
      const opening = indexedDB.open('harddrive-party')
      opening.addEventListener('error', () => reject(opening.error))
      opening.addEventListener('success', () => {
        const asked = opening.result.transaction('keys').objectStore('keys').get('device')
        asked.addEventListener('success', () => resolve(asked.result as never))
      })
    })
    if (stored.pair === undefined) throw new Error('the key of this device is not where it was expected')
    const bytes = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
    const hex = (data: ArrayBuffer | Uint8Array) => [...new Uint8Array(data)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    const counted = (data: Uint8Array) => [0, 0, data.length >> 8, data.length & 0xff, ...data]
    const text = (words: string) => new TextEncoder().encode(words)
    const deviceId = hex(await crypto.subtle.exportKey('raw', stored.pair.publicKey))
    const { privateKey } = stored.pair
    return new Promise<string>((resolve, reject) => {
      const socket = new WebSocket(`wss://${location.host}/control`)
      socket.addEventListener('error', () => reject(new Error('no socket')))
      socket.addEventListener('message', async ({ data }) => {
        const message = JSON.parse(String(data)) as { kind: string; nonce: string; peerId: string; message?: { id: string; value: unknown } }
        if (message.kind === 'hello') {
          const nonce = hex(crypto.getRandomValues(new Uint8Array(32)))
          const statement = Uint8Array.from([...text('harddrive-party control 1 device\0'), ...bytes(message.peerId), ...bytes(deviceId), ...bytes(message.nonce), ...bytes(nonce), ...counted(text(location.origin)), ...counted(text('x')), ...counted(new Uint8Array())])
          socket.send(JSON.stringify({ kind: 'proof', deviceId, nonce, name: 'x', signature: hex(await crypto.subtle.sign('Ed25519', privateKey, statement)) }))
        } else if (message.kind === 'welcome') {
          socket.send(JSON.stringify({ kind: 'rpc', message: { id: 'mine', type: 'APPLY', path: [called], argumentList: given === undefined ? [] : [{ type: 'RAW', value: given }] } }))
        } else if (message.kind === 'refused' || message.message?.id === 'mine') {
          socket.close()
          resolve(JSON.stringify(message))
        }
      })
    })
  }, { method, args })
}

test('another role reaches a phone at once, and so does the end', async ({ page: desk }) => {
  await desk.goto(helper.pairUrl)
  await expect(desk.getByRole('heading', { name: 'Your code' })).toBeVisible()
  const { page, context, deviceId } = await letIn('admin')
  await page.goto(`${await lanUrl()}/#/settings`)
  await expect(page.getByRole('heading', { name: 'Devices' })).toBeVisible()
  const { href } = await fileUrl(page, 'remoteFileUrl', { peerId: friend.peerId, path: FILE })
  const reader = await context.newPage()
  expect((await reader.goto(href))?.status()).toBe(200)

  await openTab(desk, 'Settings')
  const row = desk.getByRole('list', { name: 'Devices' }).getByRole('listitem').filter({ hasText: 'Everything' }).last()
  await row.getByRole('button', { name: /^Change/ }).click()
  const dialog = desk.getByRole('dialog')
  await dialog.getByRole('textbox', { name: 'Name' }).fill('Kitchen phone')
  await dialog.getByRole('radio', { name: /^Look/ }).check()
  await dialog.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('heading', { name: 'Devices' })).toHaveCount(0)
  await expect(page.getByRole('note').first()).toContainText('only look')
  expect((await devices()).find((device) => device.deviceId === deviceId)).toMatchObject({ name: 'Kitchen phone', role: 'view' })

  await desk.getByRole('listitem', { name: 'Kitchen phone' }).getByRole('button', { name: /Revoke/ }).click()
  await desk.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
  await expect(page.getByRole('heading', { name: 'This browser is no longer paired' })).toBeVisible()
  // An answer without a page is an error to the browser.
  const [gone] = await Promise.all([reader.waitForResponse(href), reader.goto(href).catch(() => null)])
  expect(gone.status()).toBe(404)
  await context.close()
})

test('a code works once, and no stranger gets in by a used one', async () => {
  const link = await invitation('admin')
  const first = await trusting.open()
  const page = await first.newPage()
  await page.goto(link)
  await expect(page.getByRole('heading', { name: 'Your code' })).toBeVisible()
  const before = await devices()
  const thief = await trusting.open()
  const stolen = await thief.newPage()
  await stolen.goto(link)
  await expect(stolen.getByRole('alert')).toContainText('used already or has expired')
  expect((await devices()).map(({ deviceId }) => deviceId)).toEqual(before.map(({ deviceId }) => deviceId))
  await Promise.all([first.close(), thief.close()])
})

test('the helper goes away and comes back, and the phone is in again by itself', async () => {
  const { page, context } = await letIn('control')
  const { port } = new URL(await lanUrl())
  const ui = helper.ui
  await helper.kill()
  await expect(page.getByText('Your helper is not running')).toBeVisible()
  helper = await startHelper(folder, { args: ['--lan'], ui })
  expect(new URL(await lanUrl()).port).toBe(port)
  await expect(page.getByText('Your helper is not running')).toHaveCount(0)
  await expect(page.getByRole('heading', { name: 'Your code' })).toBeVisible()
  await context.close()
})
