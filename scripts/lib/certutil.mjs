// Finds certutil, with which a browser under test is made to trust a certificate authority, or installs it where that needs nobody's password.
import { capture, run, say } from './run.mjs'

/** Without it the tests that need it are skipped, and say so. */
export async function ensureCertutil() {
  if (await isThere()) return
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return say('certutil (Debian: libnss3-tools) is missing: the tests of phones are skipped.')
  say('Installing certutil from Debian …')
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await capture('apt-get', ['update', '-qq'], { env })
  const code = await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'libnss3-tools'], { env, quiet: true })
  if (code !== 0) say('certutil could not be installed: the tests of phones are skipped.')
}

async function isThere() {
  const { code } = await capture('sh', ['-c', 'command -v certutil'])
  return code === 0
}
