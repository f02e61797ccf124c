// An SSH server of our own for the benchmarks, with keys of its own and nobody's settings: for what is fetched over SSH.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { capture } from '../../lib/run.mjs'

/**
 * @param {{ sshd: string, directory: string, host: string, port: number, start?: typeof spawn }} where `directory`: empty, for keys and settings
 * @returns {Promise<{ user: string, options: string[], close(): Promise<void> }>} `options` for ssh and scp; the port is theirs to say
 */
export async function openSshServer({ sshd, directory, host, port, start = spawn }) {
  const [hostKey, key] = [join(directory, 'host'), join(directory, 'key')]
  for (const file of [hostKey, key]) {
    const { code, output } = await capture('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file])
    if (code !== 0) throw new Error(`ssh-keygen: ${output.trim()}`)
  }
  await writeFile(join(directory, 'authorized'), await readFile(`${key}.pub`))
  await writeFile(join(directory, 'sshd.conf'), [
    `Port ${port}`, `ListenAddress ${host}`, `HostKey ${hostKey}`, `AuthorizedKeysFile ${join(directory, 'authorized')}`, `PidFile ${join(directory, 'pid')}`,
    'StrictModes no', 'UsePAM no', 'PasswordAuthentication no', 'PermitRootLogin yes', 'UseDNS no', 'Subsystem sftp internal-sftp', '',
  ].join('\n'))
  // Where it is not root it needs no such directory, and may not make it.
  if (process.getuid?.() === 0) await capture('mkdir', ['-p', '-m', '755', '/run/sshd'])
  const child = start(sshd, ['-D', '-e', '-f', join(directory, 'sshd.conf')], { stdio: ['ignore', 'ignore', 'pipe'] })
  await untilItListens(child)
  return {
    user: userInfo().username,
    options: ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR', '-o', 'BatchMode=yes', '-F', '/dev/null', '-i', key],
    close: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill()
      await gone
    },
  }
}

/** It says so itself. */
function untilItListens(child) {
  return new Promise((resolve, reject) => {
    let said = ''
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`sshd ended with ${code}: ${said}`)))
    child.stderr.on('data', (chunk) => {
      said = `${said}${chunk}`.slice(-4000)
      if (said.includes('Server listening on')) resolve()
    })
  })
}
