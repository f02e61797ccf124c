import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'
import { type TransferFacts, callApi, transfersOf } from './support/api.ts'
import { browse, pair, toggleFolder } from './support/app.ts'
import { type Double, startDouble } from './support/double.ts'
import { type HelperProcess, makeHelperFolder, startHelper } from './support/helper-process.ts'

/** A peer that was let in and lies in every way it can: see doubles/hostile-peer.ts. It harms nothing, and each lie ends in a clear reason. */

let ben: HelperProcess
let hostile: Double
let remove: () => Promise<void>
let networkPid: number

interface Diagnostics {
  readonly control: { readonly pid: number; readonly rssBytes: number }
  readonly network: { readonly pid: number; readonly rssBytes: number } | null
}

test.beforeAll(async () => {
  const folder = await makeHelperFolder('hostile-peer')
  remove = folder.remove
  await writeFile(join(folder.root, 'canary.txt'), 'untouched')
  hostile = await startDouble('hostile-peer')
  ben = await startHelper(folder)
  await callApi(ben, 'connect', { code: hostile.code })
  networkPid = (await callApi<Diagnostics>(ben, 'diagnostics')).network?.pid ?? 0
})

test.afterAll(async () => {
  await ben.stop()
  await hostile.stop()
  await remove()
})

async function fetchFolder(path: string, options?: { timeout?: number }): Promise<TransferFacts> {
  const { transferId } = await callApi<{ transferId: string }>(ben, 'download', { peerId: hostile.peerId, path })
  let transfer: TransferFacts | undefined
  await expect
    .poll(async () => {
      transfer = (await transfersOf(ben)).find((candidate) => candidate.transferId === transferId)
      return transfer?.state
    }, { timeout: options?.timeout ?? 30_000, message: `${path} comes to an end` })
    .toMatch(/^(done|failed)$/)
  return transfer as TransferFacts
}

/** Every file below a folder, our own bookkeeping left out. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((file) => !file.startsWith('.harddrive-party'))
    .toSorted()
}

test('bad paths: only what was asked for, and only with good names, is written', async () => {
  const before = (await filesBelow(ben.folder.root)).filter((file) => !file.startsWith('storage/'))
  const transfer = await fetchFolder('Paths')
  expect(transfer.state).toBe('done')
  expect(await filesBelow(ben.folder.downloads)).toEqual(['Paths/good.txt'])
  const after = (await filesBelow(ben.folder.root)).filter((file) => !file.startsWith('storage/'))
  expect(after.filter((file) => !before.includes(file))).toEqual(['downloads/Paths/good.txt'])
  expect(await readFile(join(ben.folder.root, 'canary.txt'), 'utf8')).toBe('untouched')
})

test('a listing with an entry that nobody asked for is refused as a whole', async () => {
  expect((await fetchFolder('Astray')).reason?.code).toBe('bad-answer')
  expect((await filesBelow(ben.folder.downloads)).filter((file) => file.includes('not-asked-for'))).toEqual([])
})

test('more bytes, fewer bytes, another size: the file fails with a reason, and nothing is put in place', async () => {
  const transfer = await fetchFolder('Bytes')
  expect(transfer.state).toBe('failed')
  expect(transfer.files.failed).toBe(3)
  expect((await filesBelow(ben.folder.downloads)).filter((file) => file.startsWith('Bytes/'))).toEqual([])
  const { files } = await callApi<{ files: { path: string; reason: { message: string } | null }[] }>(ben, 'transferFiles', { transferId: transfer.transferId, limit: 10 })
  for (const file of files) expect(file.reason?.message, file.path).toMatch(/\w{4,}/)
})

test('a wrong hash: the file fails and says so', async () => {
  const transfer = await fetchFolder('Hash/wrong.bin')
  expect(transfer.state).toBe('failed')
  expect(transfer.reason?.code).toBe('hash-mismatch')
  expect((await filesBelow(ben.folder.downloads)).filter((file) => file.includes('wrong'))).toEqual([])
})

test('a listing that goes in circles ends with a reason', async () => {
  expect((await fetchFolder('Circle')).reason?.code).toBe('bad-answer')
})

test('noise instead of frames ends with a reason', async () => {
  expect((await fetchFolder('Garbage')).reason?.code).toMatch(/^(bad-answer|too-large)$/)
})

test('an endless listing ends with a reason, in bounded memory', async () => {
  test.setTimeout(240_000)
  const transfer = await fetchFolder('Endless', { timeout: 200_000 })
  expect(transfer.state).toBe('failed')
  expect(transfer.reason?.code).toBe('bad-answer')
  const { control, network } = await callApi<Diagnostics>(ben, 'diagnostics')
  expect(control.rssBytes).toBeLessThan(800_000_000)
  expect(network?.rssBytes ?? 0).toBeLessThan(400_000_000)
})

test('a peer that never answers holds up nothing else, and browsing it says what is wrong', async ({ page }) => {
  await pair(page, ben)
  const { peers } = await callApi<{ peers: { peerId: string; name: string }[] }>(ben, 'snapshot')
  await browse(page, peers.find((peer) => peer.peerId === hostile.peerId)?.name ?? '')
  await toggleFolder(page, 'Silent')
  expect((await fetchFolder('Fine')).state).toBe('done')
  expect(await readFile(join(ben.folder.downloads, 'Fine/honest.txt'), 'utf8')).toBe('an honest file\n')
  await expect(page.getByRole('tree')).toContainText(/did not answer|timed out|no answer|too long/i, { timeout: 40_000 })
})

test('after all that the helper is the same process, and still serves', async () => {
  expect((await callApi<Diagnostics>(ben, 'diagnostics')).network?.pid).toBe(networkPid)
  expect(ben.log()).not.toMatch(/uncaught|unhandled/i)
})
