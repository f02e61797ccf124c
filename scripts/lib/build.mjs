// Builds what is stale. A part is stale when the files it is made of are not those it was last built from.
import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT, capture, say } from './run.mjs'

const PARTS = [
  {
    name: 'helper',
    sources: ['packages/protocol/src', 'apps/helper/src', 'apps/helper/package.json', 'scripts/build-helper.mjs', 'package-lock.json'],
    dist: 'apps/helper/dist',
    command: ['node', ['scripts/build-helper.mjs']],
  },
  {
    name: 'app',
    sources: ['packages/protocol/src', 'apps/pwa/src', 'apps/pwa/public', 'apps/pwa/index.html', 'apps/pwa/vite.config.ts', 'apps/pwa/package.json', 'package-lock.json'],
    dist: 'apps/pwa/dist',
    command: ['npm', ['run', '--silent', 'build', '--workspace', '@harddrive-party/pwa']],
  },
]

/** @returns {Promise<boolean>} whether everything is built now */
export async function buildStale({ force = false } = {}) {
  const outcomes = await Promise.all(PARTS.map((part) => buildPart(part, force)))
  return outcomes.every(Boolean)
}

async function buildPart(part, force) {
  const stamp = join(ROOT, part.dist, '.built-from')
  const sources = await fingerprint(part.sources)
  const built = await readFile(stamp, 'utf8').catch(() => '')
  if (!force && built === sources) return true
  say(`Building the ${part.name} …`)
  const [command, args] = part.command
  const { code, output } = await capture(command, args)
  if (code !== 0) {
    say(`The ${part.name} could not be built:\n${output}`)
    return false
  }
  await mkdir(join(ROOT, part.dist), { recursive: true })
  await writeFile(stamp, sources)
  return true
}

/** Names, sizes and times: quick, and a checkout or an edit changes at least one of them. */
async function fingerprint(paths) {
  const hash = createHash('sha256')
  for (const path of paths) await add(hash, join(ROOT, path), path)
  return hash.digest('hex')
}

async function add(hash, path, name) {
  const info = await stat(path).catch(() => undefined)
  if (info === undefined) return
  if (!info.isDirectory()) {
    hash.update(`${name}\0${info.size}\0${info.mtimeMs}\n`)
    return
  }
  for (const child of (await readdir(path)).sort()) await add(hash, join(path, child), `${name}/${child}`)
}
