/** The commands about devices and the local network, their options and their help. */
import { type Command, Option } from 'commander'
import { DEVICE_ROLES, type DeviceRole } from '@harddrive-party/protocol/control'
import { type DeviceChanges, makePairingLink, manageDevices, manageLan } from './commands/devices.ts'
import type { HelperSession } from './helper-session.ts'

type AddCommand = (name: string, description: string) => Command
type WithHelper = <A extends readonly unknown[]>(run: (session: HelperSession, ...args: A) => Promise<void>) => (this: Command, ...given: unknown[]) => Promise<void>

const ROLES = '\nROLE is view (looks and reads), control (also downloads and deals with peers) or admin (also changes shares, devices and settings).'

export function addDeviceCommands(command: AddCommand, helper: WithHelper): void {
  command('pair', 'Make a link with a one-time code that pairs another browser.')
    .option('--lan', 'for a phone on your network: shows QR codes (needs "hdp lan on" or "hdp start --lan")')
    .addOption(new Option('--role <role>', 'what it may do').choices(DEVICE_ROLES).default('admin'))
    .addHelpText('after', `${ROLES}\n--json: {pairUrl, expiresAt, role, trust?: {url, fingerprint}}`)
    .action(helper((session, options: { lan?: boolean; role: DeviceRole }) => makePairingLink(session, { lan: options.lan === true, role: options.role })))
  command('devices', 'List the browsers and command lines that may drive this helper, or change one.')
    .option('--revoke <id>', 'no longer let this one in')
    .option('--change <id>', 'give this one another role or name')
    .addOption(new Option('--role <role>', 'with --change').choices(DEVICE_ROLES))
    .option('--name <name>', 'with --change')
    .addHelpText('after', `${ROLES}\n--json: [{id, name, kind, role, pairedAt, lastUsedAt, current}]`)
    .action(helper((session, options: DeviceChanges) => manageDevices(session, options)))
  const lan = command('lan', 'Say whether phones on your network can reach the app, or change it.')
    .addHelpText('after', '\nOver HTTPS only, with a certificate of the helper\'s own authority unless "hdp start" is given another.\n--json: {enabled, urls, problem, authority: {name, fingerprint}}')
    .action(helper((session) => manageLan(session, undefined)))
  lan.command('on').description('Serve the app to the local network, now and after a restart.').action(helper((session) => manageLan(session, true)))
  lan.command('off').description('Serve the app to this machine only.').action(helper((session) => manageLan(session, false)))
}
