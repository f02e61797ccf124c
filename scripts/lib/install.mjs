// Brings the checkout's own dependencies up to date: packages, and the QUIC binding of this platform.
import { createRequire } from 'node:module'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT, capture, run, say } from './run.mjs'

const MINIMUM = [20, 19]

/** Ends the process with one clear line on a Node that is too old; everything after may use what 20.19 has. */
export function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > MINIMUM[0] || (major === MINIMUM[0] && minor >= MINIMUM[1])) return
  say(`harddrive-party needs Node ${MINIMUM.join('.')} or newer; this is ${process.versions.node}.`)
  process.exit(1)
}

/** Installs packages when they are missing or older than the lock file. @param production only what a built checkout runs with */
export async function ensurePackages({ production = false } = {}) {
  const omit = production ? ['--omit=dev'] : []
  const wanted = await modified('package-lock.json')
  const installed = await modified(join('node_modules', '.package-lock.json'))
  if (installed < wanted) {
    say('Installing packages …')
    // Not `npm ci`: npm 11 refuses a lock file that lacks a platform's optional package, even one that is not for this platform.
    const code = await run('npm', ['install', '--no-save', '--no-fund', '--no-audit', '--loglevel=error', ...omit])
    if (code !== 0) {
      say('npm could not install the packages; its messages are above.')
      process.exit(1)
    }
  }
  await ensureQuicBinding(omit)
}

/**
 * The lock file can only list platform packages that were reachable where it was written, and npm never adds one that is not in it.
 * So the binding of another platform is installed here, beside the lock. Without it the program still starts.
 */
async function ensureQuicBinding(omit) {
  const name = quicPackage()
  if (name === undefined) return say('There is no QUIC binding for this platform; the helper will start without one.')
  const require = createRequire(join(ROOT, 'apps/helper/package.json'))
  try {
    require.resolve(name)
  } catch {
    const helper = JSON.parse(await readFile(join(ROOT, 'apps/helper/package.json'), 'utf8'))
    const version = helper.optionalDependencies['@infisical/quic-linux-x64']
    const { code, output } = await capture('npm', ['install', '--no-save', '--no-fund', '--no-audit', ...omit, `${name}@${version}`])
    if (code !== 0) say(`The QUIC binding ${name} could not be installed; the helper will start without one.\n${output.trim()}`)
  }
}

function quicPackage() {
  const { platform, arch } = process
  if (platform === 'darwin') return '@infisical/quic-darwin-universal'
  if (platform === 'win32' && arch === 'x64') return '@infisical/quic-win32-x64'
  if (platform === 'linux' && (arch === 'x64' || arch === 'arm64')) return `@infisical/quic-linux-${arch}`
  return undefined
}

async function modified(path) {
  try {
    return (await stat(join(ROOT, path))).mtimeMs
  } catch {
    return 0
  }
}
