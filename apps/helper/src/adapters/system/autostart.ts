/** Has the system start the helper at login: writes the one file that does it and tells the system about it. What is in the file is core's. */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdir, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { CodedError } from '@harddrive-party/protocol'
import type { AutostartInfo } from '@harddrive-party/protocol/control'
import type { Autostart } from '../../control/services.ts'
import { type CommandLine, desktopEntry, launchdAgent, problemWithCommand, systemdUnit, windowsScript } from '../../core/autostart-entry.ts'

export interface AutostartOptions {
  readonly command: CommandLine
  /** The rest is for tests. */
  readonly platform?: NodeJS.Platform
  readonly home?: string
  readonly env?: NodeJS.ProcessEnv
  /** Runs a system program. @returns what it printed @throws when it fails or is not there */
  readonly exec?: (program: string, args: readonly string[]) => Promise<string>
}

const NAME = 'harddrive-party'
const LAUNCHD_LABEL = 'party.harddrive.helper'
/** They answer at once, or the session bus is gone. */
const EXEC_TIMEOUT_MS = 10_000

interface Way {
  readonly kind: NonNullable<AutostartInfo['kind']>
  readonly file: string
  readonly content: string
  readonly note: string | null
  /** Beside the file, which is there. */
  enable?(): Promise<unknown>
  /** Before the file goes. */
  disable?(): Promise<unknown>
  isEnabled?(): Promise<boolean>
}

export function openAutostart(options: AutostartOptions): Autostart {
  const { command, platform = process.platform, home = homedir(), env = process.env, exec = run } = options

  async function chooseWay(): Promise<Way | null> {
    if (platform === 'darwin') {
      // Loading it now would start a second helper beside this one; launchd reads the folder at login.
      return { kind: 'launchd', file: join(home, 'Library/LaunchAgents', `${LAUNCHD_LABEL}.plist`), content: launchdAgent(LAUNCHD_LABEL, command), note: null }
    }
    if (platform === 'win32') {
      const roaming = env['APPDATA'] ?? join(home, 'AppData/Roaming')
      return { kind: 'windows', file: join(roaming, 'Microsoft/Windows/Start Menu/Programs/Startup', `${NAME}.vbs`), content: windowsScript(command), note: null }
    }
    if (platform !== 'linux' && platform !== 'freebsd' && platform !== 'openbsd') return null
    const config = env['XDG_CONFIG_HOME'] ?? join(home, '.config')
    if (platform === 'linux' && (await hasSystemd())) {
      const unit = `${NAME}.service`
      return {
        kind: 'systemd', file: join(config, 'systemd/user', unit), content: systemdUnit(command),
        note: 'To have it run without anybody logged in: loginctl enable-linger',
        enable: async () => {
          await exec('systemctl', ['--user', 'daemon-reload'])
          await exec('systemctl', ['--user', 'enable', unit])
        },
        disable: () => exec('systemctl', ['--user', 'disable', unit]),
        isEnabled: async () => (await exec('systemctl', ['--user', 'is-enabled', unit]).catch(() => '')).trim() === 'enabled',
      }
    }
    return { kind: 'desktop', file: join(config, 'autostart', `${NAME}.desktop`), content: desktopEntry(command), note: 'It starts with a desktop session; a machine without one needs a system service.' }
  }

  /** Of this user, reachable: in a container or over a bare su there is none. */
  async function hasSystemd(): Promise<boolean> {
    return exec('systemctl', ['--user', 'show-environment']).then(() => true, () => false)
  }

  async function status(): Promise<AutostartInfo> {
    const way = await chooseWay()
    if (way === null) return { kind: null, enabled: false, file: null, note: null }
    const { kind, file, note, isEnabled } = way
    const enabled = (await isThere(file)) && (isEnabled === undefined || (await isEnabled()))
    return { kind, enabled, file, note: enabled ? note : null }
  }

  return {
    status,
    set: async (enabled) => {
      const way = await chooseWay()
      if (way === null) throw new CodedError('unsupported', `nothing is known about starting programs at login on ${platform}`)
      const problem = problemWithCommand(command)
      if (enabled && problem !== null) throw new CodedError('bad-request', problem)
      try {
        if (enabled) {
          await mkdir(dirname(way.file), { recursive: true })
          await writeFile(way.file, way.content)
          await way.enable?.()
        } else if (await isThere(way.file)) {
          await way.disable?.()
          await rm(way.file, { force: true })
        }
      } catch (cause) {
        throw new CodedError('internal', `the system would not have it: ${cause instanceof Error ? cause.message.trim() : String(cause)}`, { cause })
      }
      return status()
    },
  }
}

async function isThere(file: string): Promise<boolean> {
  return access(file, constants.F_OK).then(() => true, () => false)
}

const execute = promisify(execFile)

async function run(program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await execute(program, [...args], { timeout: EXEC_TIMEOUT_MS })
  return stdout
}
