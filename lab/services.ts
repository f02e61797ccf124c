/** Programs of the platform that run inside of the lab: a broker, a router's port mapper, coturn, avahi. Started plain, with configurations of their own. */
import type { ChildProcess } from 'node:child_process'
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BROKER_ADDRESS, SERVER, STUN_ADDRESSES } from './places.ts'
import { SCRATCH, inside, installed, spawnInside } from './namespaces.ts'

export interface Service {
  /** Idempotent; resolves when it is gone. */
  stop(): Promise<void>
}

/** What `--install` asks apt for; everything is optional but the first four. */
export const PACKAGES = ['iproute2', 'nftables', 'conntrack', 'procps', 'gcc', 'libc6-dev', 'mosquitto', 'miniupnpd', 'miniupnpd-nftables', 'coturn', 'avahi-daemon', 'avahi-utils', 'dbus']

const READY_TIMEOUT_MS = 5_000
export const BROKER_PORT = 1883
export const BROKER_URL = `mqtt://${BROKER_ADDRESS}:${BROKER_PORT}`

/** mosquitto without accounts, on the server host. */
export async function startBroker(): Promise<Service> {
  const file = join(SCRATCH, 'mosquitto.conf')
  await writeFile(file, `listener ${BROKER_PORT} ${BROKER_ADDRESS}\nallow_anonymous true\nuser root\npersistence false\n`)
  return serve(SERVER, 'mosquitto', ['-c', file], () => listens(SERVER, 'tcp', BROKER_PORT))
}

/** coturn as a STUN server only, on the ports of our own one. */
export async function startCoturn(): Promise<Service> {
  const args = ['-n', '-S', '--no-cli', '--no-tls', '--no-dtls', '--log-file', 'stdout', '--pidfile', join(SCRATCH, 'coturn.pid'), '--listening-port', '3478', '--alt-listening-port', '3479']
  return serve(SERVER, 'turnserver', [...args, ...STUN_ADDRESSES.flatMap((address) => ['-L', address])], () => listens(SERVER, 'udp', 3478))
}

/** UPnP IGD, NAT-PMP and PCP on a site's router, into the chains its rules have for that. */
export async function startPortMapper({ router, ipv6 }: { readonly router: string; readonly ipv6: boolean }): Promise<Service> {
  const file = join(SCRATCH, `${router}.conf`)
  await writeFile(file, [
    'ext_ifname=wan', 'listening_ip=lan', 'http_port=5000', 'enable_upnp=yes', 'enable_natpmp=yes', 'secure_mode=yes', 'min_lifetime=120', 'max_lifetime=86400',
    `ipv6_disable=${ipv6 ? 'no' : 'yes'}`, 'uuid=7b1e9a54-5f0b-4f6a-9c3e-0c1b7e7a41d2', 'allow 1024-65535 192.168.1.0/24 1024-65535', 'deny 0-65535 0.0.0.0/0 0-65535',
    'upnp_table_name=filter', 'upnp_nat_table_name=filter', 'upnp_forward_chain=miniupnpd', 'upnp_nat_chain=prerouting_miniupnpd', 'upnp_nat_postrouting_chain=postrouting_miniupnpd', '',
  ].join('\n'))
  return serve(router, 'miniupnpd', ['-d', '-f', file, '-P', join(SCRATCH, `${router}.pid`)], () => listens(router, 'udp', 5351))
}

/** avahi with a message bus of its own. @param ns a host */
export async function startAvahi(ns: string): Promise<Service & { readonly bus: string }> {
  const bus = join(SCRATCH, `${ns}-bus`)
  const file = join(SCRATCH, `${ns}-avahi.conf`)
  const busFile = join(SCRATCH, `${ns}-bus.conf`)
  await writeFile(busFile, `<busconfig><type>system</type><listen>unix:path=${bus}</listen><auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow send_type="signal"/><allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/></policy></busconfig>\n`)
  await writeFile(file, `[server]\nhost-name=${ns}\nuse-ipv6=no\nallow-interfaces=eth0\n[wide-area]\nenable-wide-area=no\n`)
  const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${bus}` }
  await mkdir('/run/avahi-daemon', { recursive: true })
  const dbus = await serve(ns, 'dbus-daemon', ['--nofork', '--nopidfile', `--config-file=${busFile}`], () => exists(bus))
  const avahi = await serve(ns, 'avahi-daemon', ['-f', file, '--no-drop-root', '--no-chroot', '--no-rlimits'], () => listens(ns, 'udp', 5353), env)
  return {
    bus: env.DBUS_SYSTEM_BUS_ADDRESS,
    stop: async () => {
      await avahi.stop()
      await dbus.stop()
    },
  }
}

async function serve(ns: string, program: string, args: readonly string[], isReady: () => Promise<boolean>, env?: NodeJS.ProcessEnv): Promise<Service> {
  if (!(await installed(program))) throw new Error(`${program} is not installed`)
  let said = ''
  const child: ChildProcess = spawnInside(ns, program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(env === undefined ? {} : { env }) })
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_000)))
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await gone
  }
  const deadline = Date.now() + READY_TIMEOUT_MS
  while (!(await isReady())) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop()
      throw new Error(`${program} does not start: ${said}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return { stop }
}

async function listens(ns: string, protocol: 'tcp' | 'udp', port: number): Promise<boolean> {
  const listing = await inside(ns, 'ss', protocol === 'tcp' ? ['-Htln'] : ['-Huln'])
  return new RegExp(`:${port}\\s`).test(listing)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false)
}
