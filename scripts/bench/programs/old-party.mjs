// The harddrive-party that came before, in Rust. Of a folder of more than a thousand files it makes a list and hangs, so there is nothing to measure; one
// file comes, but for some pairs of keys. It starts only where two STUN servers answer, by names of its own: old-internet.mjs plays those.
import { basename, join } from 'node:path'
import { readdir, stat, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { command } from '../../../lab/namespaces.ts'
import { ROOT } from '../../lib/run.mjs'
import { ANNA, BEN, SERVERS, remove, until } from './place.mjs'

const TRY_MS = 4000
const MAX_TRIES = 6
/** Looking at ten thousand files takes a tenth of that. */
const LOOK_MS = 500
const UI = ['--ui-address', 'http://127.0.0.1:3030']

export async function open(place, paths) {
  const program = paths['harddrive-party']
  const internet = await openInternet(place)
  return {
    offer: async ({ directory, file }) => {
      const folders = { anna: await place.folder('old'), ben: await place.folder('old') }
      const running = []
      const begin = async (ns, folder, more) => {
        const party = place.start(ns, program, [...UI, 'start', '--no-mdns', '--storage', join(folder, 'storage'), '--download-dir', join(folder, 'downloads'), ...more])
        running.push(party)
        const [, name] = await party.says(/^(.+) listening for peers/m)
        const [, address] = await party.says(/Announce address (\S+)/)
        return { name, address }
      }
      const shares = ['--share-dir', directory]
      let { name, address } = await begin(ANNA.ns, folders.anna, shares)
      const path = file === undefined ? basename(directory) : `${basename(directory)}/${file}`
      const arrived = join(folders.ben, 'downloads', path)
      const listed = () => place.start(BEN.ns, program, [...UI, 'ls', name]).done().then(() => true, () => false)
      return {
        arrived,
        meet: async () => {
          await begin(BEN.ns, folders.ben, [])
          for (let tries = 1; ; tries++) {
            // It may miss the news that it waits for, and then waits for ever.
            const connecting = place.start(BEN.ns, program, [...UI, 'connect', address])
            const met = await until(listed, AbortSignal.timeout(TRY_MS), 100).then(() => true, () => false)
            await connecting.stop()
            if (met) return
            if (tries === MAX_TRIES) throw new Error(`they did not meet in ${tries} tries`)
            // Some pairs of keys do not get together, however often they try: others do.
            await Promise.all(running.splice(0).map((each) => each.stop()))
            await Promise.all(Object.values(folders).map((folder) => remove(join(folder, 'storage'))))
            ;({ name, address } = await begin(ANNA.ns, folders.anna, shares))
            await begin(BEN.ns, folders.ben, [])
          }
        },
        fetch: async (signal) => {
          const wanted = await sizeOf(file === undefined ? directory : join(directory, file))
          const download = place.start(BEN.ns, program, [...UI, 'download', `${name}/${path}`])
          running.push(download)
          // Here too: what is on the disk is more to be relied on.
          await Promise.race([download.says(/Completed/), until(async () => (await sizeOf(arrived)) >= wanted, signal, LOOK_MS)])
        },
        close: async () => {
          await Promise.all(running.map((each) => each.stop()))
          await Promise.all(Object.values(folders).map(remove))
        },
      }
    },
    close: internet.stop,
  }
}

async function sizeOf(path) {
  const facts = await stat(path).catch(() => undefined)
  if (facts?.isDirectory() !== true) return facts?.size ?? 0
  const sizes = await Promise.all((await readdir(path)).map((name) => sizeOf(join(path, name))))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** Every name resolves to one of two addresses, and both answer STUN. */
async function openInternet(place) {
  const file = join(await place.folder('resolver'), 'resolv.conf')
  await writeFile(file, `nameserver ${SERVERS[0]}\n`)
  // Seen in this world's own mount namespace only.
  await command('mount', ['--bind', file, '/etc/resolv.conf'])
  const internet = place.start(ANNA.ns, process.execPath, [...process.execArgv, fileURLToPath(new URL('old-internet.mjs', import.meta.url)), ...SERVERS], { cwd: ROOT })
  await internet.says(/ready/)
  return internet
}
