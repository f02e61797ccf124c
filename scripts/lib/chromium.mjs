// Finds a Chromium or Chrome for the browser tests, or installs one in the way the platform allows.
import { access, constants, readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { capture, run, say } from './run.mjs'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome', 'chrome.exe']

const PLACES = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  'C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe',
]

/** @returns {Promise<string | undefined>} path of an executable browser; undefined when there is none and none could be installed */
export async function ensureChromium() {
  const found = (await findChromium()) ?? (await playwrightsOwn())
  if (found !== undefined) return found
  if (await isDebianRoot()) {
    say('Installing Chromium from Debian …')
    const env = { DEBIAN_FRONTEND: 'noninteractive' }
    await capture('apt-get', ['update', '-qq'], { env })
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], { env, quiet: true })
  } else {
    say('Installing Chromium with Playwright …')
    await run('npx', ['playwright', 'install', 'chromium'], { quiet: true })
  }
  const installed = (await findChromium()) ?? (await playwrightsOwn())
  if (installed === undefined) {
    say('No Chromium found and none could be installed. Install Chromium or Chrome, or run "npx playwright install chromium", or set HDP_CHROMIUM to its path.')
  }
  return installed
}

async function findChromium() {
  const given = process.env.HDP_CHROMIUM
  if (given !== undefined) return (await isExecutable(given)) ? given : undefined
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean)
  for (const path of [...folders.flatMap((folder) => NAMES.map((name) => join(folder, name))), ...PLACES]) {
    if (await isExecutable(path)) return path
  }
  return undefined
}

async function playwrightsOwn() {
  try {
    const { chromium } = await import('@playwright/test')
    return (await isExecutable(chromium.executablePath())) ? chromium.executablePath() : undefined
  } catch {
    return undefined
  }
}

async function isDebianRoot() {
  if (process.getuid?.() !== 0) return false
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '')
  // Ubuntu's package is a wrapper around a snap, which does not start in containers.
  return /^ID=debian$/m.test(release)
}

async function isExecutable(path) {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}
