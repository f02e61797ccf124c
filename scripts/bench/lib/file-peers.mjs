// How others' programs take one file from one folder to another on this machine, encrypted where they can: each as somebody in a hurry would use it.
import { open } from 'node:fs/promises'
import { createServer } from 'node:net'
import { capture } from '../../lib/run.mjs'
import { openSshServer } from './ssh-server.mjs'

/**
 * @returns {Promise<{ name: string, seconds(source: string, target: string): Promise<number> }[]>} those that are installed; their servers run until
 * the family is done
 */
export async function openFilePeers(bench) {
  const peers = []
  const [rsync, scp, sshd] = await Promise.all([bench.peer('rsync'), bench.peer('scp'), bench.peer('sshd')])
  if (sshd === undefined) return peers
  const port = await freePort()
  const ssh = await openSshServer({ sshd, directory: await bench.temporary('ssh'), host: '127.0.0.1', port })
  bench.onTidy(ssh.close)
  if (scp !== undefined) peers.push({ name: 'scp', seconds: timed(scp, (source, target) => ['-q', ...ssh.options, '-P', String(port), `${ssh.user}@127.0.0.1:${source}`, target]) })
  if (rsync !== undefined) {
    const shell = ['ssh', ...ssh.options, '-p', port].join(' ')
    peers.push({ name: 'rsync', seconds: timed(rsync, (source, target) => ['--fsync', '-e', shell, `${ssh.user}@127.0.0.1:${source}`, target]) })
  }
  return peers
}

/** Seconds from the start of a command to its result being safe on the disk, as it is for us. */
function timed(program, argumentsFor) {
  return async (source, target) => {
    const started = performance.now()
    await checked(program, argumentsFor(source, target))
    const handle = await open(target, 'r+')
    await handle.sync()
    await handle.close()
    return (performance.now() - started) / 1000
  }
}

async function checked(program, args) {
  const { code, output } = await capture(program, args)
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${output.trim()}`)
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
