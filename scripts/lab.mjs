// npm run lab: real helpers against one another behind real NATs, in namespaces of their own. See lab/README.md. With --json one object on stdout
// and nothing else there.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { ensurePackages, requireNode } from './lib/install.mjs'
import { buildStale } from './lib/build.mjs'
import { whyNoNamespaces, worldCommand } from './lib/namespaces.mjs'
import { ROOT, run, say } from './lib/run.mjs'

requireNode()
const args = process.argv.slice(2)
if (args.includes('--install')) process.exit(await install())
const reason = await whyNoNamespaces()
if (reason !== undefined) {
  say(`lab skipped: ${reason}`)
  if (args.includes('--json')) console.log(JSON.stringify({ skipped: reason, pairs: [] }))
  process.exit(0)
}
await ensurePackages()
const ownHelper = args.some((arg) => arg === '--helper' || arg.startsWith('--helper='))
if (!ownHelper && !(await buildStale())) process.exit(1)

const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
const [file, ...rest] = worldCommand([
  process.execPath, '--import', loader, join(ROOT, 'lab/main.ts'), ...(ownHelper ? [] : ['--helper', join(ROOT, 'apps/helper/bin/hdp.mjs')]), ...args,
])
// The lab ends when its standard input does, so it cannot outlive this process.
const child = spawn(file, rest, { stdio: ['pipe', 'inherit', 'inherit'] })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.stdin.end())
child.on('exit', (code) => (process.exitCode = code ?? 1))

async function install() {
  const packages = ['iproute2', 'nftables', 'conntrack', 'procps', 'gcc', 'libc6-dev', 'mosquitto', 'miniupnpd', 'miniupnpd-nftables', 'coturn', 'avahi-daemon', 'avahi-utils', 'dbus']
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  if ((await run('apt-get', ['update'], { env })) !== 0) return 1
  return run('apt-get', ['install', '-y', '--no-install-recommends', ...packages], { env })
}
