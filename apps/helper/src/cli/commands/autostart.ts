/** `hdp autostart`: has the system start the helper at login. Needs no running helper. */
import { openAutostart } from '../../adapters/system/autostart.ts'
import { helperCommand } from '../../adapters/system/helper-command.ts'
import type { Autostart } from '../../control/services.ts'
import type { Output } from '../output.ts'
import type { GlobalOptions } from '../program.ts'

export type AutostartWish = 'enable' | 'disable' | 'status'

const WAYS = { systemd: 'a systemd user unit', desktop: "the desktop's autostart folder", launchd: 'a launchd agent', windows: 'the startup folder' } as const

export async function autostartCommand(wish: AutostartWish, options: GlobalOptions, output: Output, autostart: Autostart = openAutostart({ command: helperCommand(options) })): Promise<void> {
  const info = wish === 'status' ? await autostart.status() : await autostart.set(wish === 'enable')
  if (output.json) return output.line(JSON.stringify(info))
  if (info.kind === null) return output.line('Nothing is known about starting programs at login on this system.')
  await output.line(info.enabled ? `The helper is started when you log in, by ${WAYS[info.kind]}: ${info.file}` : 'The helper is not started when you log in.')
  if (info.note !== null) output.note(info.note)
}
