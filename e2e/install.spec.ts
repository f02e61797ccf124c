import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@playwright/test'
import { browse, download, openTab, pair, toggleFolder, transferRow } from './support/app.ts'
import { type HelperProcess, makeHelperFolder, startHelper } from './support/helper-process.ts'

test('Chromium finds the app installable', async ({ page }) => {
  const folder = await makeHelperFolder('install')
  const helper = await startHelper(folder)
  try {
    await pair(page, helper)
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined))
    const session = await page.context().newCDPSession(page)
    const manifest = await session.send('Page.getAppManifest')
    expect(manifest.errors).toEqual([])
    expect(JSON.parse(manifest.data ?? '{}')).toMatchObject({ display: 'standalone', start_url: expect.any(String), icons: expect.any(Array) })
    const { installabilityErrors } = await session.send('Page.getInstallabilityErrors')
    // Playwright's contexts are incognito profiles, the one thing that Chromium objects to.
    expect(installabilityErrors.filter((error) => error.errorId !== 'in-incognito')).toEqual([])
  } finally {
    await helper.stop()
    await folder.remove()
  }
})

test('alone and curious: the demo command brings a friend whose files can be browsed and downloaded', async ({ page }) => {
  test.setTimeout(120_000)
  const folder = await makeHelperFolder('demo')
  const start = fileURLToPath(new URL('../scripts/start.mjs', import.meta.url))
  const child = spawn(
    process.execPath,
    [start, '--demo', '--json', '--no-open', '--loopback-only', '--storage', folder.storage, '--download-dir', folder.downloads, '--ui-address', 'http://127.0.0.1:0'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  try {
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve)
      void ended.then((code) => reject(new Error(`the demo ended with ${code}`)))
    })
    await pair(page, JSON.parse(line) as HelperProcess)
    const friend = page.getByRole('link', { name: /^Browse / }).first()
    await expect(friend).toBeVisible()
    const name = ((await friend.textContent()) ?? '').replace('Browse', '').trim()
    await browse(page, name)
    const first = page.getByRole('treeitem').first()
    const share = (await first.getAttribute('aria-label')) ?? ''
    await toggleFolder(page, share)
    await expect(page.getByRole('treeitem').nth(1)).toBeVisible()
    await download(page, share)
    await openTab(page, 'Transfers')
    await expect(transferRow(page, share)).toHaveAttribute('data-state', 'done', { timeout: 60_000 })
  } finally {
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    await folder.remove()
  }
})
