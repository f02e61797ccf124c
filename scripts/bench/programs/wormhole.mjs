// magic-wormhole with a mailbox server of our own; the data goes straight from one machine to the other. It packs folders into one archive first.
import { basename, join } from 'node:path'
import { ANNA, BEN, remove } from './place.mjs'

const MAILBOX_PORT = 4000
/** Where no relay is: the direct way is the only one. */
const NO_RELAY = `tcp:${ANNA.address}:4001`

export async function open(place, { wormhole, mailbox }) {
  const server = place.start(ANNA.ns, mailbox, ['wormhole-mailbox', '--port', `tcp:${MAILBOX_PORT}:interface=${ANNA.address}`, '--channel-db', join(await place.folder('mailbox'), 'channels.sqlite')])
  await server.says(/starting on 4000|Starting reactor|listening/i)
  const common = ['--relay-url', `ws://${ANNA.address}:${MAILBOX_PORT}/v1`, '--transit-helper', NO_RELAY]
  return {
    offer: async ({ directory, file }, signal) => {
      const source = file === undefined ? directory : join(directory, file)
      const target = await place.folder('fetched')
      const sender = place.start(ANNA.ns, wormhole, [...common, 'send', '--hide-progress', source], { signal })
      const [, code] = await sender.says(/Wormhole code is: (\S+)/)
      return {
        arrived: join(target, basename(source)),
        fetch: (signal) => place.start(BEN.ns, wormhole, [...common, 'receive', '--hide-progress', '--accept-file', code], { cwd: target }).done(signal),
        close: async () => {
          await sender.stop()
          await remove(target)
        },
      }
    },
    close: server.stop,
  }
}
