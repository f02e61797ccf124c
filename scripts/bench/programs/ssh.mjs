// scp and rsync, both over SSH: nothing to prepare, as whoever uses them has an account on the other machine.
import { basename, join } from 'node:path'
import { spawnInside } from '../../../lab/namespaces.ts'
import { openSshServer } from '../lib/ssh-server.mjs'
import { ANNA, BEN, remove } from './place.mjs'

export const openScp = opener(2222, ({ scp }, { user, options }, source, target) => [scp, ['-q', '-r', ...options, '-P', '2222', `${user}@${ANNA.address}:${source}`, target]])
export const openRsync = opener(2223, ({ rsync }, { user, options }, source, target) => [rsync, ['-a', '--fsync', '-e', ['ssh', ...options, '-p', '2223'].join(' '), `${user}@${ANNA.address}:${source}`, target]])

function opener(port, command) {
  return async (place, paths) => {
    const server = await openSshServer({ sshd: paths.sshd, directory: await place.folder('ssh'), host: ANNA.address, port, start: startAtAnna })
    return {
      offer: async ({ directory, file }) => {
        const source = file === undefined ? directory : join(directory, file)
        const target = await place.folder('fetched')
        return {
          arrived: join(target, basename(source)),
          fetch: (signal) => place.start(BEN.ns, ...command(paths, server, source, `${target}/`)).done(signal),
          close: () => remove(target),
        }
      },
      close: server.close,
    }
  }
}

function startAtAnna(file, args, options) {
  return spawnInside(ANNA.ns, file, args, options)
}
