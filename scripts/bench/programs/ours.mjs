// harddrive-party as it is here: two helpers that have met; sharing is one call, downloading another.
import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { readKnownFlags, startHelper } from '../../../lab/helpers.ts'
import { openHost } from '../../../lab/hosts.ts'
import { ROOT } from '../../lib/run.mjs'
import { ANNA, BEN, until } from './place.mjs'

const PROGRAM = [process.execPath, join(ROOT, 'apps/helper/bin/hdp.mjs')]
/** TCP joins within this, or not at all. */
const JOINED_MS = 10_000

export async function open(place) {
  const knownFlags = await readKnownFlags(PROGRAM)
  const hosts = await Promise.all([openHost(ANNA.ns), openHost(BEN.ns)])
  const [anna, ben] = await Promise.all(hosts.map(async (host) => {
    const directory = await place.folder('helper')
    const shareDirectory = join(directory, 'nothing')
    await mkdir(shareDirectory)
    return startHelper(host, { program: PROGRAM, knownFlags, directory, shareDirectory, stunServers: [] })
  }))
  const { code } = await asked(anna, 'announceCode')
  await asked(ben, 'connect', { code })
  await until(async () => (await ben.snapshot()).peers.some(({ path }) => path?.transport === 'tcp'), AbortSignal.timeout(JOINED_MS))
  return {
    offer: async ({ directory, file }) => {
      const { shareId } = await asked(anna, 'addShare', { directory })
      await until(async () => (await anna.snapshot()).shares.some((share) => share.shareId === shareId && share.state === 'ready'), undefined, 5)
      const path = file === undefined ? basename(directory) : `${basename(directory)}/${file}`
      return {
        arrived: join(ben.downloads, basename(path)),
        fetch: async (signal) => {
          const { transferId } = await asked(ben, 'download', { peerId: anna.peerId, path })
          try {
            await until(async () => {
              const transfer = (await ben.snapshot()).transfers.find((each) => each.transferId === transferId)
              if (transfer?.state === 'failed') throw new Error(`the transfer failed: ${JSON.stringify(transfer.reason)}`)
              return transfer?.state === 'done'
            }, signal, 10)
          } finally {
            if (signal.aborted) await ben.call('cancel', { transferId })
          }
        },
        close: () => asked(anna, 'removeShare', { shareId }),
      }
    },
    close: async () => {
      await Promise.all([anna.stop(), ben.stop()])
      await Promise.all(hosts.map((host) => host.close()))
    },
  }
}

async function asked(helper, method, body) {
  const { ok, value, error } = await helper.call(method, body, 120_000)
  if (!ok) throw new Error(`${method}: ${error?.message}`)
  return value
}
