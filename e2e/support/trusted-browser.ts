import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Browser, type BrowserContext, chromium } from '@playwright/test'

const run = promisify(execFile)

/** A phone's browser that trusts one authority, in a certificate store of its own: nothing on this machine is changed. */
export interface TrustedBrowser {
  /** Another phone: nothing is shared but the trust. */
  open(): Promise<BrowserContext>
  close(): Promise<void>
}

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, locale: 'en-GB' } as const

/** Whether certutil, of libnss3-tools, is there. */
export async function hasCertutil(): Promise<boolean> {
  return run('certutil', ['-H']).then(() => true, (error: { code?: unknown }) => error.code !== 'ENOENT')
}

/** @param authority in PEM; null = a browser that trusts nobody in particular @param program another browser than the usual one */
export async function openTrustedBrowser(authority: string | null, program = process.env.HDP_CHROMIUM): Promise<TrustedBrowser> {
  const home = await mkdtemp(join(tmpdir(), 'hdp-phone-'))
  const database = join(home, '.pki', 'nssdb')
  await mkdir(database, { recursive: true })
  await run('certutil', ['-d', `sql:${database}`, '-N', '--empty-password'])
  if (authority !== null) {
    const file = join(home, 'authority.pem')
    await writeFile(file, authority)
    await run('certutil', ['-d', `sql:${database}`, '-A', '-t', 'C,,', '-n', 'local authority', '-i', file])
  }
  const browser: Browser = await chromium.launch({
    ...(program === undefined ? {} : { executablePath: program }),
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    env: { ...process.env, HOME: home } as Record<string, string>,
  })
  return {
    open: () => browser.newContext(PHONE),
    close: async () => {
      await browser.close()
      await rm(home, { recursive: true, force: true })
    },
  }
}
