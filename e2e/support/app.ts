import { type Locator, type Page, expect } from '@playwright/test'
import { callApi } from './api.ts'
import type { HelperProcess } from './helper-process.ts'

/** What a person does in the app, in their words. Everything is found by role and name, as a screen reader would. */

export async function pair(page: Page, helper: HelperProcess): Promise<void> {
  await page.goto(helper.pairUrl)
  await expect(page.getByRole('heading', { name: 'Your code' })).toBeVisible()
}

/** A link is good for one browser: for each further one there is a new link. */
export async function pairAnother(page: Page, helper: HelperProcess): Promise<void> {
  const { url } = await callApi<{ url: string }>(helper, 'createPairingLink', {})
  await pair(page, { ...helper, pairUrl: url })
}

export async function openTab(page: Page, name: 'Peers' | 'Search' | 'Wishes' | 'Transfers' | 'Shares' | 'Settings'): Promise<void> {
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name }).click()
}

/** My announce code as the page shows it. */
export async function shownCode(page: Page): Promise<string> {
  const code = page.getByRole('region', { name: 'Your code' }).getByText(/hdp1[a-z0-9]+/)
  await expect(code).toBeVisible()
  return ((await code.textContent()) ?? '').trim()
}

export async function addPeer(page: Page, code: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Code or link' }).fill(code)
  await page.getByRole('button', { name: 'Connect' }).click()
}

export function peerCard(page: Page, name: string): Locator {
  return page.getByRole('listitem', { name })
}

export async function browse(page: Page, name: string): Promise<void> {
  await openTab(page, 'Peers')
  await page.getByRole('link', { name: `Browse ${name}` }).click()
}

export async function toggleFolder(page: Page, name: string): Promise<void> {
  await page.getByRole('treeitem', { name, exact: true }).click()
}

export async function download(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name: `Download ${name}`, exact: true }).click()
}

export function transferRow(page: Page, name: string): Locator {
  return page.getByRole('listitem', { name, exact: true })
}
