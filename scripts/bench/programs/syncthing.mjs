// syncthing: two that know each other already and nobody else. A folder is hashed whole before the other side hears of it.
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { basename, join } from 'node:path'
import { capture } from '../../lib/run.mjs'
import { ANNA, BEN, remove, until } from './place.mjs'

const PORT = 22_000

export async function open(place, { syncthing }) {
  const [anna, ben] = await Promise.all([ANNA, BEN].map((machine) => begin(place, syncthing, machine)))
  // Only one of them dials, and not before the other would let it in: after a refusal it takes its time.
  await know(anna, ben, [])
  await know(ben, anna, [`tcp://${ANNA.address}:${PORT}`])
  await until(async () => Object.values((await ben.call('GET', '/rest/system/connections')).connections).some(({ connected }) => connected))
  let folders = 0
  return {
    // It knows folders, not files: what is wanted is in a folder of its own here.
    offer: async ({ directory, file }, signal) => {
      const id = `folder-${++folders}`
      const target = join(await place.folder('fetched'), basename(directory))
      const forget = async () => {
        await Promise.all([anna, ben].map((machine) => machine.call('DELETE', `/rest/config/folders/${id}`).catch(() => {})))
        await Promise.all([remove(target), remove(join(directory, '.stfolder'))])
      }
      signal.addEventListener('abort', () => void forget())
      await share(anna, ben, id, directory, 'sendonly')
      await until(async () => {
        const { state, globalFiles, error } = await anna.call('GET', `/rest/db/status?folder=${id}`).catch(() => ({}))
        if (error) throw new Error(error)
        return state === 'idle' && globalFiles > 0
      }, signal)
      return {
        arrived: file === undefined ? target : join(target, file),
        fetch: async (signal) => {
          await share(ben, anna, id, target, 'receiveonly')
          await until(async () => {
            const { state, globalFiles, needTotalItems } = await ben.call('GET', `/rest/db/status?folder=${id}`).catch(() => ({}))
            return state === 'idle' && globalFiles > 0 && needTotalItems === 0
          }, signal)
        },
        close: forget,
      }
    },
    close: async () => {
      await Promise.all([anna.stop(), ben.stop()])
    },
  }
}

async function begin(place, program, { ns, address }) {
  const home = await place.folder('syncthing')
  const { code, output } = await capture(program, ['generate', '--home', home, '--no-default-folder'], { env: { HOME: home } })
  if (code !== 0) throw new Error(`syncthing: ${output}`)
  const file = join(home, 'config.xml')
  const settings = {
    listenAddress: `tcp://${address}:${PORT}`, globalAnnounceEnabled: false, localAnnounceEnabled: false, relaysEnabled: false, natEnabled: false, urAccepted: -1, crashReportingEnabled: false,
    autoUpgradeIntervalH: 0, startBrowser: false, reconnectionIntervalS: 1, announceLANAddresses: false, stunKeepaliveStartS: 0,
  }
  let config = await readFile(file, 'utf8')
  for (const [name, value] of Object.entries(settings)) config = config.replace(new RegExp(`<${name}>[^<]*</${name}>`), `<${name}>${value}</${name}>`)
  await writeFile(file, config)
  const key = config.match(/<apikey>([^<]+)</)?.[1]
  const socketPath = join('/run/lab', `${ns}-syncthing`)
  const running = place.start(ns, program, ['serve', '--home', home, '--no-browser', '--no-restart', '--no-upgrade', '--gui-address', `unix://${socketPath}`], { env: { HOME: home } })
  const call = (method, path, body) => ask({ socketPath, path, method, headers: { 'X-API-Key': key } }, body)
  await Promise.race([until(() => call('GET', '/rest/system/ping').then(() => true, () => false)), running.done()])
  const { myID: id } = await call('GET', '/rest/system/status')
  return { id, call, stop: running.stop }
}

function share(machine, other, id, path, type) {
  return machine.call('PUT', `/rest/config/folders/${id}`, { id, path, type, devices: [{ deviceID: machine.id }, { deviceID: other.id }], fsWatcherEnabled: false, rescanIntervalS: 3600 })
}

function know(machine, other, addresses) {
  return machine.call('PUT', `/rest/config/devices/${other.id}`, { deviceID: other.id, addresses })
}

function ask(where, body) {
  return new Promise((resolve, reject) => {
    const sent = request(where, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk) => (text += chunk)).on('error', reject).on('end', () => {
        if (answer.statusCode !== 200) reject(new Error(`${where.method} ${where.path}: ${answer.statusCode} ${text.trim()}`))
        else resolve(text === '' ? undefined : JSON.parse(text))
      })
    })
    sent.on('error', reject)
    sent.end(body === undefined ? undefined : JSON.stringify(body))
  })
}
