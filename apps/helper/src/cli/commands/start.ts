/** `hdp start`: runs the helper in this process until it is told to stop, and says where it is. */
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { CodedError } from '@harddrive-party/protocol'
import { defaultDownloadDirectory, defaultStorage } from '../../adapters/system/app-paths.ts'
import { writeDemoLibrary } from '../../adapters/system/demo-library.ts'
import { DEFAULT_STUN_SERVERS } from '../../adapters/reach/stun-server.ts'
import { type HelperOptions, type RunningHelper, runHelper } from '../../main.ts'
import { type DemoFriend, openDemoFriend } from '../demo-friend.ts'
import type { Output } from '../output.ts'
import type { StartOptions } from '../program.ts'
import { escapeName, formatBytes, nameSlug } from '../text-format.ts'

const DEFAULT_UI_ADDRESS = 'http://127.0.0.1:3030'

/** Resolves when the helper has stopped. */
export async function startCommand(options: StartOptions, output: Output): Promise<void> {
  const demoShares = options.demoFriend === undefined ? [] : await writeDemoLibrary(join(options.demoFriend, 'library'))
  const helper = await runHelper({
    storage: resolve(options.storage ?? defaultStorage()),
    uiAddress: options.uiAddress ?? new URL(DEFAULT_UI_ADDRESS),
    shareDirectories: [...options.shareDir.map((directory) => resolve(directory)), ...demoShares],
    defaultDownloadDirectory: defaultDownloadDirectory(),
    ...(options.downloadDir === undefined ? {} : { downloadDirectory: resolve(options.downloadDir) }),
    stunServers: stunServersOf(options),
    loopbackOnly: options.loopbackOnly === true,
    topics: options.topic,
    meeting: meetingOf(options),
    ...(options.udpPort === undefined ? {} : { udpPort: options.udpPort }),
    tcp: options.tcp,
    quic: options.quic,
    verbose: options.verbose === true,
    ...(options.lan === undefined ? {} : { lan: options.lan }),
    ...(options.lanPort === undefined ? {} : { lanPort: options.lanPort }),
    ...certificateOf(options),
  })
  stopOnSignals(helper)
  if (options.demoFriend !== undefined) stopWithParent(helper)
  try {
    const { ui, pairUrl, code, peerId, name, udp } = helper
    if (output.json) await output.line(JSON.stringify({ ui, pairUrl, code, peerId, name, udp }))
    else for (const line of await welcome(helper)) await output.line(line)
    if (options.open && !output.json && wantsBrowser()) void openBrowser(pairUrl, output)
    if (options.demo === true) await runDemo(helper, output)
    await helper.stopped
  } finally {
    await helper.stop()
    if (options.demoFriend !== undefined) await rm(options.demoFriend, { recursive: true, force: true })
  }
}

/** @throws CodedError `bad-request` */
function certificateOf({ tlsCert, tlsKey }: StartOptions): Pick<HelperOptions, 'certificate'> {
  if (tlsCert === undefined && tlsKey === undefined) return {}
  if (tlsCert === undefined || tlsKey === undefined) throw new CodedError('bad-request', 'a certificate needs its key: give both --tls-cert and --tls-key')
  return { certificate: { certificate: resolve(tlsCert), key: resolve(tlsKey) } }
}

function stunServersOf({ stun, stunServer, loopbackOnly }: StartOptions): readonly string[] {
  if (!stun || loopbackOnly === true) return []
  return stunServer.length > 0 ? stunServer : DEFAULT_STUN_SERVERS
}

/** Of what is not said, the settings decide; on loopback only, nobody else is looked for unless it is said. */
function meetingOf({ mdns, portMapping, introductions, mqtt, mqttBroker, loopbackOnly }: StartOptions): NonNullable<HelperOptions['meeting']> {
  const isAlone = loopbackOnly === true
  return {
    ...(!mdns || isAlone ? { localDiscovery: false } : {}),
    ...(!portMapping || isAlone ? { portMapping: false } : {}),
    ...(introductions ? {} : { introductions: false }),
    ...(!mqtt ? { mqttBrokers: [] } : mqttBroker.length > 0 || isAlone ? { mqttBrokers: mqttBroker } : {}),
  }
}

/** The first signal asks nicely; whoever sends a second one means it. */
function stopOnSignals(helper: RunningHelper): void {
  let asked = false
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (asked) process.exit(1)
      asked = true
      void helper.stop()
    })
  }
}

function stopWithParent(helper: RunningHelper): void {
  if (process.connected) process.once('disconnect', () => void helper.stop())
  else void helper.stop()
}

async function welcome(helper: RunningHelper): Promise<string[]> {
  const { shares, status } = await helper.control.snapshot()
  const lan = await helper.control.lan()
  const shared = shares.map((share) => `${escapeName(share.name)} (${share.state === 'ready' ? formatBytes(share.bytes) : share.state})`)
  return [
    '',
    `  harddrive-party is running. You are ${nameSlug(helper.name)}.`,
    '',
    `  The app:       ${helper.pairUrl}`,
    '                 (this link lets one browser in; "hdp pair" makes another)',
    `  Your code:     ${helper.code ?? 'none: there is no QUIC on this platform'}`,
    '                 (send it to a friend, who adds it in the app or with "hdp connect")',
    `  You share:     ${shared.length === 0 ? 'nothing yet; "hdp share add DIRECTORY" or the app changes that' : shared.join(', ')}`,
    `  Downloads:     ${escapeName(status.downloadDirectory)}`,
    '',
    ...(lan.enabled ? [`  Phones:        ${lan.problem === null ? `${lan.urls[0] ?? ''}  ("hdp pair --lan" lets one in)` : `cannot get in: ${escapeName(lan.problem.message)}`}`, ''] : []),
    '  Ctrl-C stops it.',
    '',
  ]
}

/** A person at a terminal, not a script, a build or a session without a screen. */
function wantsBrowser(): boolean {
  const { env } = process
  if (!process.stdout.isTTY || (env['CI'] ?? '') !== '') return false
  return process.platform !== 'linux' || (env['DISPLAY'] ?? '') !== '' || (env['WAYLAND_DISPLAY'] ?? '') !== ''
}

async function openBrowser(url: string, output: Output): Promise<void> {
  try {
    const { default: open } = await import('open')
    const browser = await open(url)
    browser.on('error', () => output.note('  No browser could be opened; open the link above yourself.'))
  } catch {
    output.note('  No browser could be opened; open the link above yourself.')
  }
}

async function runDemo(helper: RunningHelper, output: Output): Promise<void> {
  output.note('  Making a friend with a small library …')
  let friend: DemoFriend
  try {
    friend = await openDemoFriend()
  } catch (error) {
    output.note(`  The demo friend could not be started: ${error instanceof Error ? error.message : String(error)}`)
    return
  }
  // Its identity ends with it, so it should not stay in the list of people we know.
  const { peerId } = await helper.control.connect({ code: friend.code }).catch(async (error: unknown) => {
    await friend.close()
    throw error
  })
  helper.onStop(async () => {
    await helper.control.forget({ peerId }).catch(ignoreCoded)
    await friend.close()
  })
  output.note(`  ${nameSlug(friend.name)} is here: look into its folders in the app, or with "hdp ls ${nameSlug(friend.name)}".\n`)
}

function ignoreCoded(error: unknown): void {
  if (!(error instanceof CodedError)) throw error
}
