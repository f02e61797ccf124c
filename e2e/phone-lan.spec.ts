import { execFile, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { expect, test } from '@playwright/test'
import { HDP, makeHelperFolder } from './support/helper-process.ts'
import { hasCertutil, openTrustedBrowser } from './support/trusted-browser.ts'
import { openTwoHomes, programAt } from './support/two-homes.ts'

const run = promisify(execFile)

/** The phone on the LAN, the helper at home: two machines and one cable. */
test('a phone on the local network gets in, and only over HTTPS', async () => {
  test.skip(!(await hasCertutil()), 'certutil is missing (Debian: libnss3-tools)')
  const homes = await openTwoHomes()
  test.skip(homes === undefined, 'network namespaces cannot be had here (root on Linux can)')
  if (homes === undefined) return
  const { home, phone } = homes
  const folder = await makeHelperFolder('phone-lan')
  const [first = '', ...rest] = home.enter
  const there = (...words: string[]) => run(first, [...rest, process.execPath, HDP, ...words, '--storage', folder.storage, '--json'])
  const helper = spawn(first, [
    ...rest, process.execPath, HDP, 'start', '--json', '--no-open', '--no-mdns', '--no-stun', '--no-port-mapping', '--no-mqtt', '--lan',
    '--storage', folder.storage, '--download-dir', folder.downloads, '--ui-address', 'http://127.0.0.1:3030',
  ], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => helper.once('exit', () => resolve()))
  try {
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: helper.stdout }).once('line', () => resolve())
      helper.once('exit', () => reject(new Error('the helper ended')))
    })
    const url = `https://${home.address}:3443`
    const lan = JSON.parse((await there('lan')).stdout) as { urls: readonly string[] }
    expect(lan.urls[0]).toBe(url)
    const { pairUrl } = JSON.parse((await there('pair', '--lan', '--role', 'view')).stdout) as { pairUrl: string }
    expect(pairUrl.startsWith(`${url}/#/pair/`)).toBe(true)

    const { certificatePem } = JSON.parse(await readFile(join(folder.storage, 'local-authority.json'), 'utf8')) as { certificatePem: string }
    const program = await programAt(phone, process.env.HDP_CHROMIUM ?? 'chromium', folder.root)
    const trusting = await openTrustedBrowser(certificatePem, program)
    const page = await (await trusting.open()).newPage()
    await page.goto(pairUrl)
    await expect(page.getByRole('note').first()).toContainText('This device may only look')
    // Neither the door of the machine itself, nor anything plain.
    for (const closed of [`http://${home.address}:3030/`, `http://${home.address}:3443/`]) await expect(page.goto(closed)).rejects.toThrow(/ERR_(CONNECTION_REFUSED|EMPTY_RESPONSE|CONNECTION_RESET|INVALID_HTTP_RESPONSE)/)
    await trusting.close()
  } finally {
    helper.kill('SIGINT')
    await ended
    await homes.close()
    await folder.remove()
  }
})
