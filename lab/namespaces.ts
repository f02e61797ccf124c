/** The private world the lab lives in: network namespaces that nothing outside can see, and commands run inside of them. Knows nothing of NATs. */
import { type ChildProcess, type SpawnOptions, execFile, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'

/** Visible in the lab's own mount namespace only; the kernel clears it away with the last process. */
const NAMES = '/run/netns'
export const SCRATCH = '/run/lab'

/** To be called once, by a process that has mount, pid and network namespaces of its own: `npm run lab` starts it so. */
export async function enterPrivateWorld(): Promise<void> {
  await command('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run'])
  await mkdir(NAMES, { recursive: true })
  await mkdir(SCRATCH, { recursive: true })
  await command('ip', ['link', 'set', 'lo', 'up'])
}

export function namespacePath(name: string): string {
  return `${NAMES}/${name}`
}

/** Makes a namespace with loopback up and no address of its own making. */
export async function addNamespace(name: string): Promise<void> {
  await command('ip', ['netns', 'add', name])
  await inside(name, 'sysctl', [
    '-qw', 'net.ipv6.conf.default.accept_dad=0', 'net.ipv6.conf.default.accept_ra=0', 'net.ipv6.conf.all.forwarding=0', 'net.ipv4.conf.all.rp_filter=0',
    'net.ipv4.conf.default.rp_filter=0',
  ])
  await ip(name, ['link set lo up'])
}

/** Idempotent. Whoever runs inside must have ended: a namespace lives as long as its last process. */
export async function removeNamespace(name: string): Promise<void> {
  await command('ip', ['netns', 'delete', name]).catch(() => {})
}

/** A cable between two namespaces. */
export async function addCable(a: { readonly ns: string; readonly device: string }, b: { readonly ns: string; readonly device: string }): Promise<void> {
  await command('ip', ['link', 'add', a.device, 'netns', a.ns, 'type', 'veth', 'peer', 'name', b.device, 'netns', b.ns])
}

/** Runs several `ip` commands in one process. @throws with what ip said */
export async function ip(ns: string, lines: readonly string[]): Promise<void> {
  await command('ip', ['-n', ns, '-batch', '-'], lines.join('\n'))
}

/** Replaces the rules it names. @throws with what nft said */
export async function nft(ns: string, rules: string): Promise<void> {
  await inside(ns, 'nft', ['-f', '-'], rules)
}

/** Runs a command in a namespace to its end. @returns what it wrote on standard output @throws with what it said on standard error */
export async function inside(ns: string, file: string, args: readonly string[], input = ''): Promise<string> {
  return command('nsenter', [`--net=${namespacePath(ns)}`, file, ...args], input)
}

/** Starts a process in a namespace; its pid is the command's own. */
export function spawnInside(ns: string, file: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  return spawn('nsenter', [`--net=${namespacePath(ns)}`, file, ...args], options)
}

/** Whether a program is installed. */
export async function installed(program: string): Promise<boolean> {
  return command('sh', ['-c', 'command -v "$0"', program]).then(() => true, () => false)
}

export function command(file: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(file, [...args], { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${file} ${args.join(' ')}: ${stderr.trim() || error.message}${input === '' ? '' : `\nfor:\n${input}`}`))
    })
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}
