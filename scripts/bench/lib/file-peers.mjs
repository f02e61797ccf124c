// How others' programs take one file from one folder to another on this machine, encrypted where they can: each as somebody in a hurry would use it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { capture } from '../../lib/run.mjs'

/**
 * @returns {Promise<{ name: string, seconds(source: string, target: string): Promise<number> }[]>} those that are installed; their servers run until
 * the family is done
 */
export async function openFilePeers(bench) {
  const peers = []
  const [rsync, scp, sshd] = await Promise.all([bench.peer('rsync'), bench.peer('scp'), bench.peer('sshd')])
  if (scp === undefined || sshd === undefined) return peers
  const ssh = await openSsh(bench, sshd)
  peers.push({ name: 'scp', seconds: timed(scp, (source, target) => ['-q', ...ssh.options, '-P', ssh.port, `${ssh.user}@127.0.0.1:${source}`, target]) })
  if (rsync !== undefined) {
    const shell = ['ssh', ...ssh.options, '-p', ssh.port].join(' ')
    peers.push({ name: 'rsync', seconds: timed(rsync, (source, target) => ['--fsync', '-e', shell, `${ssh.user}@127.0.0.1:${source}`, target]) })
  }
  return peers
}

/** An SSH server of our own with keys of its own, on loopback. */
async function openSsh(bench, sshd) {
  const directory = await bench.temporary('ssh')
  const [hostKey, key] = [join(directory, 'host'), join(directory, 'key')]
  for (const file of [hostKey, key]) await checked('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file])
  await writeFile(join(directory, 'authorized'), await readFile(`${key}.pub`))
  const port = String(await freePort())
  await writeFile(join(directory, 'sshd.conf'), [
    `Port ${port}`, 'ListenAddress 127.0.0.1', `HostKey ${hostKey}`, `AuthorizedKeysFile ${join(directory, 'authorized')}`, `PidFile ${join(directory, 'pid')}`,
    'StrictModes no', 'UsePAM no', 'PasswordAuthentication no', 'PermitRootLogin yes', 'Subsystem sftp internal-sftp', '',
  ].join('\n'))
  // Where it is not root it needs no such directory, and may not make it.
  if (process.getuid?.() === 0) await capture('mkdir', ['-p', '-m', '755', '/run/sshd'])
  const child = spawn(sshd, ['-D', '-e', '-f', join(directory, 'sshd.conf')], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk) => (said = `${said}${chunk}`.slice(-4000)))
  bench.onTidy(() => end(child))
  await untilListening(Number(port), child, () => said)
  const options = ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR', '-o', 'BatchMode=yes', '-F', '/dev/null', '-i', key]
  return { port, user: userInfo().username, options }
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

/** Asks until somebody answers: programs that say so themselves are rare. */
async function untilListening(port, child, said) {
  while (child.exitCode === null) {
    const socket = connect({ port, host: '127.0.0.1' })
    const open = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false)
    socket.destroy()
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${child.spawnfile} did not start: ${said()}`)
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill()
  await gone
}
