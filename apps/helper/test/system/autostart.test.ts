import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openAutostart } from '../../src/adapters/system/autostart.ts'
import { helperCommand } from '../../src/adapters/system/helper-command.ts'
import { desktopEntry, launchdAgent, problemWithCommand, systemdUnit, windowsScript } from '../../src/core/autostart-entry.ts'

const COMMAND = ['/usr/bin/node', '/home/ada/my "hard" drive/hdp.mjs', 'start', '--no-open']
let home: string

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hdp-autostart-'))
})
afterEach(() => rm(home, { recursive: true, force: true }))

/** A systemd of this user that remembers what is enabled. */
function fakeSystemd() {
  const calls: string[] = []
  let enabled = false
  return {
    calls,
    exec: async (program: string, args: readonly string[]) => {
      calls.push([program, ...args].join(' '))
      if (args[1] === 'enable') enabled = true
      if (args[1] === 'disable') enabled = false
      if (args[1] === 'is-enabled' && !enabled) throw new Error('disabled')
      return args[1] === 'is-enabled' ? 'enabled\n' : ''
    },
  }
}

const nothingRuns = async () => {
  throw new Error('Failed to connect to bus: No such file or directory')
}

describe('on Linux', () => {
  it('enables a systemd user unit, and takes it away again', async () => {
    const systemd = fakeSystemd()
    const autostart = openAutostart({ command: COMMAND, platform: 'linux', home, env: {}, exec: systemd.exec })
    expect(await autostart.status()).toEqual({ kind: 'systemd', enabled: false, file: join(home, '.config/systemd/user/harddrive-party.service'), note: null })
    const on = await autostart.set(true)
    expect(on).toMatchObject({ kind: 'systemd', enabled: true })
    expect(await readFile(on.file ?? '', 'utf8')).toBe(systemdUnit(COMMAND))
    expect(systemd.calls).toContain('systemctl --user daemon-reload')
    expect(await autostart.set(true)).toEqual(on)
    expect((await autostart.set(false)).enabled).toBe(false)
    expect(await readFile(on.file ?? '', 'utf8').catch(() => 'gone')).toBe('gone')
    expect((await autostart.set(false)).enabled).toBe(false)
  })

  it('is not enabled where the unit was disabled by hand', async () => {
    const systemd = fakeSystemd()
    const autostart = openAutostart({ command: COMMAND, platform: 'linux', home, env: {}, exec: systemd.exec })
    await autostart.set(true)
    await systemd.exec('systemctl', ['--user', 'disable', 'harddrive-party.service'])
    expect((await autostart.status()).enabled).toBe(false)
  })

  it('uses the desktop where there is no systemd of this user, in the folder that the desktop reads', async () => {
    const autostart = openAutostart({ command: COMMAND, platform: 'linux', home, env: { XDG_CONFIG_HOME: join(home, 'elsewhere') }, exec: nothingRuns })
    const on = await autostart.set(true)
    expect(on).toMatchObject({ kind: 'desktop', enabled: true, file: join(home, 'elsewhere/autostart/harddrive-party.desktop') })
    expect(await readFile(on.file ?? '', 'utf8')).toBe(desktopEntry(COMMAND))
    expect((await autostart.set(false)).enabled).toBe(false)
  })

  it('says in the words of the system why it would not', async () => {
    const { exec } = fakeSystemd()
    const refusing = (program: string, args: readonly string[]) => (args[1] === 'enable' ? Promise.reject(new Error('Unit is masked')) : exec(program, args))
    const autostart = openAutostart({ command: COMMAND, platform: 'linux', home, env: {}, exec: refusing })
    await expect(autostart.set(true)).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('Unit is masked') as string })
  })
})

it.each([
  ['darwin', 'launchd', 'Library/LaunchAgents/party.harddrive.helper.plist', launchdAgent('party.harddrive.helper', COMMAND)],
  ['win32', 'windows', 'AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Startup/harddrive-party.vbs', windowsScript(COMMAND)],
] as const)('on %s writes what %s reads', async (platform, kind, file, content) => {
  const autostart = openAutostart({ command: COMMAND, platform, home, env: {}, exec: nothingRuns })
  expect(await autostart.set(true)).toEqual({ kind, enabled: true, file: join(home, file), note: null })
  expect(await readFile(join(home, file), 'utf8')).toBe(content)
  expect((await autostart.set(false)).enabled).toBe(false)
})

it('says so where nothing is known', async () => {
  const autostart = openAutostart({ command: COMMAND, platform: 'aix', home, exec: nothingRuns })
  expect((await autostart.status()).kind).toBeNull()
  await expect(autostart.set(true)).rejects.toMatchObject({ code: 'unsupported' })
})

it('refuses a path that would end a line of the file', async () => {
  expect(problemWithCommand(['/a\n[Service]\nExecStart=/bin/evil'])).not.toBeNull()
  const autostart = openAutostart({ command: ['/a\nb'], platform: 'linux', home, env: {}, exec: nothingRuns })
  await expect(autostart.set(true)).rejects.toMatchObject({ code: 'bad-request' })
})

/** systemd.syntax: what is between double quotes, with escapes resolved. */
const readSystemd = (unit: string) => [.../^ExecStart=(.*)$/m.exec(unit)![1]!.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text!.replaceAll(/\\(.)/g, '$1').replaceAll('%%', '%').replaceAll('$$', '$'))
const readDesktop = (entry: string) => {
  const line = /^Exec=(.*)$/m.exec(entry)![1]!.replaceAll('%%', '%').replaceAll('\\\\', '\\')
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text!.replaceAll(/\\(.)/g, '$1'))
}
const readPlist = (plist: string) => [...plist.slice(plist.indexOf('<array>'), plist.indexOf('</array>')).matchAll(/<string>(.*)<\/string>/g)].map(([, text]) => text!.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&apos;', "'").replaceAll('&amp;', '&'))
/** CommandLineToArgvW. */
const readWindows = (script: string) => {
  const line = /Run "((?:[^"]|"")*)", 0/.exec(script)![1]!.replaceAll('""', '"')
  const parts: string[] = []
  for (let at = 0; at < line.length; at++) {
    if (line[at] !== '"') continue
    let text = ''
    for (at++; ; at++) {
      const slashes = /^\\*/.exec(line.slice(at))![0].length
      if (line[at + slashes] === '"') {
        text += '\\'.repeat(Math.floor(slashes / 2))
        at += slashes
        if (slashes % 2 === 0) break
        text += '"'
      } else {
        text += '\\'.repeat(slashes) + (line[at + slashes] ?? '')
        at += slashes
      }
    }
    parts.push(text)
  }
  return parts
}

describe('quoting', () => {
  const part = fc.string({ unit: fc.constantFrom('a', ' ', '"', '\\', '%', '$', '`', "'", '&', '<', 'ü'), maxLength: 12 })
  const commands = fc.array(part, { minLength: 1, maxLength: 4 })

  it.each([
    ['systemd', systemdUnit, readSystemd], ['the desktop', desktopEntry, readDesktop], ['launchd', (command: readonly string[]) => launchdAgent('x', command), readPlist], ['Windows', windowsScript, readWindows],
  ] as const)('%s reads back the very command', (_name, write, read) => {
    fc.assert(fc.property(commands, (command) => {
      expect(read(write(command))).toEqual(command)
    }))
  })
})

it('starts the same storage at the same address, without a browser', () => {
  const program = import.meta.filename
  expect(helperCommand({ storage: '/data/hdp', uiAddress: new URL('http://127.0.0.1:4000') }, program))
    .toEqual([process.execPath, program, 'start', '--no-open', '--storage', '/data/hdp', '--ui-address', 'http://127.0.0.1:4000'])
})
