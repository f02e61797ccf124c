// Other people's programs for the same job: which there are, how they are installed, where they are. How each is used is up to the family.
import { access, constants } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { capture, run, say } from '../../lib/run.mjs'

/**
 * `apt`: packages of Debian; `cargo`: a crate with its own lock file; `try`: what the program must be able to do, as arguments; `for`: those that it is
 * there for.
 */
export const PEERS = {
  rsync: { program: 'rsync', apt: ['rsync'] },
  scp: { program: 'scp', apt: ['openssh-client'] },
  sshd: { program: 'sshd', apt: ['openssh-server'], for: ['rsync', 'scp'] },
  syncthing: { program: 'syncthing', apt: ['syncthing'] },
  wormhole: { program: 'wormhole', apt: ['magic-wormhole'] },
  mailbox: { program: 'twist3', apt: ['python3-magic-wormhole-mailbox-server'], try: ['wormhole-mailbox', '--help'], for: ['wormhole'] },
  iperf3: { program: 'iperf3', apt: ['iperf3'] },
  'harddrive-party': { program: 'harddrive-party', cargo: 'harddrive-party' },
  sendme: { program: 'sendme', cargo: 'sendme' },
}

/** Some programs are meant for root, and not on everybody's path. */
const MORE_PLACES = ['/usr/sbin', '/usr/local/sbin', join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'bin')]

/** A build that takes longer is given up: there are programs that need more machine than the rest of this together. */
const BUILD_MINUTES = 40

/** @returns {Promise<string | undefined>} its path, if it is there and can do what it is needed for */
export async function findPeer(name) {
  const peer = PEERS[name]
  const found = await findProgram(peer.program)
  if (found === undefined || peer.try === undefined) return found
  return (await capture(found, peer.try)).code === 0 ? found : undefined
}

async function findProgram(name) {
  for (const place of [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), ...MORE_PLACES]) {
    const candidate = join(place, name)
    const found = await access(candidate, constants.X_OK).then(() => true, () => false)
    if (found) return candidate
  }
  return undefined
}

/** Installs what is missing and can be. @returns {Promise<number>} an exit code: 0 also when some could not be */
export async function installPeers() {
  const missing = []
  for (const [name, peer] of Object.entries(PEERS)) if ((await findPeer(name)) === undefined) missing.push([name, peer])
  const packages = missing.flatMap(([, { apt = [] }]) => apt)
  if (packages.length > 0) {
    if ((await findProgram('apt-get')) === undefined) say(`No apt-get here: ${packages.join(', ')} are to be installed by hand.`)
    else {
      const env = { DEBIAN_FRONTEND: 'noninteractive' }
      await run('apt-get', ['update', '-qq'], { env })
      // One by one: a package that is missing does not keep the others away.
      for (const name of packages) await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], { env })
    }
  }
  for (const [name, { cargo }] of missing) {
    if (cargo === undefined) continue
    if ((await findProgram('cargo')) === undefined) {
      say(`No cargo here: ${name} is left out.`)
      continue
    }
    say(`Building ${name}, which takes its time …`)
    const { code, output } = await capture('nice', ['-n', '19', 'timeout', `${BUILD_MINUTES}m`, 'cargo', 'install', '--locked', cargo])
    if (code !== 0) say(`${name} could not be built:\n${output.trim().split('\n').slice(-5).join('\n')}`)
  }
  for (const name of Object.keys(PEERS)) say(`${name.padEnd(16)} ${(await findPeer(name)) ?? 'not there'}`)
  return 0
}
