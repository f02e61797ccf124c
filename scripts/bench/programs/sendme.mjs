// sendme: a ticket with addresses only and no relay, so that it needs nobody else.
import { basename, join } from 'node:path'
import { ANNA, BEN, remove } from './place.mjs'

export async function open(place, { sendme }) {
  return {
    offer: async ({ directory, file }, signal) => {
      const source = file === undefined ? directory : join(directory, file)
      // It keeps its store in the folder it is started in.
      const store = await place.folder('sendme-store')
      const target = await place.folder('fetched')
      const sender = place.start(ANNA.ns, sendme, ['send', '--ticket-type', 'addresses', ...alone(ANNA.address), source], { cwd: store, signal })
      const [, ticket] = await sender.says(/sendme receive (\S+)/)
      return {
        arrived: join(target, basename(source)),
        fetch: (signal) => place.start(BEN.ns, sendme, ['receive', ...alone(BEN.address), ticket], { cwd: target }).done(signal),
        close: async () => {
          await sender.stop()
          await Promise.all([remove(store), remove(target)])
        },
      }
    },
    close: async () => {},
  }
}

function alone(address) {
  return ['--relay', 'disabled', '--no-progress', '--magic-ipv4-addr', `${address}:0`]
}
