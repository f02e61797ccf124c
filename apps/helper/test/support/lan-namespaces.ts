/** A local network of its own for tests: hosts in network namespaces on one bridge, with no way out. Needs root, `ip`, and a kernel that lets us. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface LanHosts {
  /** What to put before a command to run it on a host. */
  prefix(host: number): readonly string[]
  /** Gives a host another IPv4 address, 192.168.77.x, in place of the one it has. */
  readdress(host: number, last: number): Promise<void>
  close(): Promise<void>
}

/** @returns why this machine cannot, or null */
export async function whyNoNamespaces(): Promise<string | null> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'namespaces need Linux and root'
  const name = `hdp-try-${process.pid}`
  try {
    await run('ip', ['netns', 'add', name])
    await run('ip', ['netns', 'del', name])
    return null
  } catch (error) {
    return `namespaces cannot be made here: ${error instanceof Error ? error.message : String(error)}`
  }
}

async function ip(...args: string[]): Promise<void> {
  await run('ip', args)
}

/** Hosts 1 to `count` with the addresses 192.168.77.1 and so on. */
export async function openLanHosts(count: number): Promise<LanHosts> {
  const id = `hdp${process.pid}`
  const bridge = `${id}-lan`
  const hosts = Array.from({ length: count }, (_, i) => `${id}-h${i + 1}`)
  await ip('netns', 'add', bridge)
  await ip('-n', bridge, 'link', 'add', 'br0', 'type', 'bridge')
  await ip('-n', bridge, 'link', 'set', 'br0', 'up')
  for (const [i, host] of hosts.entries()) {
    await ip('netns', 'add', host)
    await ip('-n', bridge, 'link', 'add', `port${i + 1}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host)
    await ip('-n', bridge, 'link', 'set', `port${i + 1}`, 'master', 'br0', 'up')
    await ip('-n', host, 'addr', 'add', `192.168.77.${i + 1}/24`, 'dev', 'eth0')
    await ip('-n', host, 'link', 'set', 'lo', 'up')
    await ip('-n', host, 'link', 'set', 'eth0', 'up')
  }
  return {
    prefix: (host) => ['ip', 'netns', 'exec', hosts[host - 1] ?? ''],
    readdress: async (host, last) => {
      const name = hosts[host - 1] ?? ''
      await ip('-n', name, '-4', 'addr', 'flush', 'dev', 'eth0')
      await ip('-n', name, 'addr', 'add', `192.168.77.${last}/24`, 'dev', 'eth0')
    },
    close: async () => {
      for (const name of [...hosts, bridge]) await ip('netns', 'del', name)
    },
  }
}
