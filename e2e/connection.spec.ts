import { type BrowserContext, type Page, expect, test } from '@playwright/test'
import { callApi } from './support/api.ts'
import { addPeer, openTab, pair, peerCard } from './support/app.ts'
import { type HelperFolder, type HelperProcess, hdp, makeHelperFolder, startHelper } from './support/helper-process.ts'

/** When somebody cannot be reached, the app and the command line say what was tried and what would help, in words that a person understands. */

const cleanUp: (() => Promise<unknown>)[] = []

test.afterEach(async () => {
  for (const action of cleanUp.toReversed()) await action()
  cleanUp.length = 0
})

interface Report {
  readonly addresses: readonly { readonly address: string }[]
  readonly stun: readonly unknown[]
  readonly mapping: unknown
  readonly discovery: { readonly mdns: boolean; readonly topics: readonly unknown[]; readonly brokers: readonly unknown[] }
  readonly peers: readonly { readonly peerId: string | null; readonly state: string; readonly attempts: readonly { readonly candidate: string; readonly outcome: string }[]; readonly advice: readonly { readonly code: string }[] }[]
}

async function open(name: string): Promise<{ helper: HelperProcess; folder: HelperFolder }> {
  const folder = await makeHelperFolder(name)
  cleanUp.push(folder.remove)
  const helper = await startHelper(folder)
  cleanUp.push(() => helper.stop())
  return { helper, folder }
}

async function openApp(context: BrowserContext, helper: HelperProcess): Promise<{ page: Page; foreign: string[] }> {
  cleanUp.push(() => context.close())
  const page = await context.newPage()
  const foreign: string[] = []
  page.on('request', (request) => {
    if (new URL(request.url()).hostname !== '127.0.0.1') foreign.push(request.url())
  })
  await pair(page, helper)
  return { page, foreign }
}

/** Every address that a helper listens on for peers. */
const portOf = (helper: HelperProcess) => String(helper.udp.v4 ?? helper.udp.v6)

test('the page says what was tried, and what helps', async ({ browser }) => {
  test.setTimeout(120_000)
  const { helper: anna } = await open('anna')
  const { helper: ben, folder } = await open('ben')
  const { page, foreign } = await openApp(await browser.newContext(), ben)

  await test.step('from Settings: how Ben can be reached', async () => {
    await openTab(page, 'Settings')
    await page.getByRole('link', { name: 'Check my connection' }).click()
    await expect(page.getByRole('heading', { name: 'Connection', exact: true })).toBeVisible()
    const network = page.getByRole('region', { name: 'Your network' })
    await expect(network).toContainText(`127.0.0.1:${ben.udp.v4}`)
    await expect(network).toContainText('this computer')
    await expect(page.getByText('reaches, and is reached by, helpers on this computer only')).toBeVisible()
    await expect(page.getByRole('region', { name: 'Meeting' })).toContainText('Not looking for peers near you')
  })

  await test.step('a code that has been renewed meets silence', async () => {
    const old = anna.code
    await callApi(anna, 'renewCode')
    await openTab(page, 'Peers')
    await addPeer(page, old)
    await expect(page.getByRole('link', { name: 'What was tried, and what helps' })).toBeVisible({ timeout: 30_000 })
    await page.getByRole('link', { name: 'What was tried, and what helps' }).click()
    const owner = page.getByRole('listitem', { name: 'owner of a code you entered' })
    await expect(owner).toContainText('ask whether their helper runs, and for a fresh code')
    await owner.getByText(/ways? tried/).click()
    await expect(owner).toContainText(`127.0.0.1:${anna.udp.v4}`)
    await expect(owner).toContainText('on this computer')
    await expect(owner).toContainText(/no answer/i)
  })

  await test.step('a friend who is gone: his card leads to what was tried', async () => {
    const { code } = await callApi<{ code: string }>(anna, 'announceCode')
    await openTab(page, 'Peers')
    await addPeer(page, code)
    await expect(peerCard(page, anna.name)).toContainText('Connected')
    const ping = await hdp(folder, 'ping', anna.name, '--count', '2', '--json')
    expect(JSON.parse(ping.stdout)).toMatchObject({ path: { kind: 'loopback' }, sent: 2, answered: 2, lossPercent: 0 })
    await anna.kill()
    const reason = peerCard(page, anna.name).getByRole('link', { name: `What helps? ${anna.name}` })
    await expect(reason).toBeVisible({ timeout: 45_000 })
    await reason.click()
    const card = page.getByRole('listitem', { name: anna.name })
    await expect(card).toContainText(portOf(anna), { timeout: 45_000 })
    await expect(card).toContainText('They may be offline', { timeout: 45_000 })
  })

  await test.step('the command line says the same, and nobody else was asked', async () => {
    const { code, stdout } = await hdp(folder, 'doctor', '--json')
    expect(code).toBe(0)
    const report = JSON.parse(stdout) as Report
    expect(report).toMatchObject({ stun: [], mapping: null, discovery: { mdns: false, topics: [], brokers: [] } })
    for (const { address } of report.addresses) expect(address).toMatch(/^(127\.0\.0\.1|\[::1\]):\d+$/)
    const friend = report.peers.find(({ peerId }) => peerId === anna.peerId)
    expect(friend?.attempts.length).toBeGreaterThan(0)
    for (const peer of report.peers) for (const { candidate } of peer.attempts) expect(candidate).toMatch(/^(127\.0\.0\.1|\[::1\]):\d+$/)
    const spoken = await hdp(folder, 'doctor', anna.name)
    expect(spoken.stdout).toContain('They may be offline')
    expect(foreign).toEqual([])
  })
})
