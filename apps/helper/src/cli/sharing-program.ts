/** The commands about limits, groups and audiences, their options and their help. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { MAX_FILES_PER_PEER, MAX_QUEUE_PER_PEER, MAX_UPLOAD_SLOTS } from '@harddrive-party/protocol/control'
import { addGroup, changeMembers, listGroups, removeGroup } from './commands/access.ts'
import {
  type LimitOptions, type PeerLimitOptions, type RuleOptions, addRule, daysOption, hoursOption, listUploads, peerRateOption, rateOption, removeRule, setPeerLimits, showLimits,
} from './commands/limits.ts'
import type { HelperSession } from './helper-session.ts'

type Helper = <A extends readonly unknown[]>(run: (session: HelperSession, ...args: A) => Promise<void>) => (this: Command, ...given: unknown[]) => Promise<void>

/** @param helper makes an action of a function that wants a session */
export function addSharingCommands(command: (name: string, description: string) => Command, helper: Helper): void {
  // Its subcommands have options, so it has none: commander would take theirs for its own.
  const limits = command('limits', 'Show how much others get from you and you take.')
    .addHelpText('after', `\nRates are bytes per second. Changes hold at once, also for what runs.
Examples:
  $ hdp limits set --up 500k --down none
  $ hdp limits rule --days mon-fri --hours 08:00-18:00 --up 100k --down 1M
  $ hdp limits peer brave-otter --up 50k --priority low

--json: {up, down, peerUp, peerDown, localIsFree, rules: [{days, from, to, up, down}], slots, filesPerPeer, queuePerPeer,\n  peers: [{peerId, up, down, priority}], now: {up, down, rule}}; null = no limit`)
    .action(helper((session) => showLimits(session, {})))
  limits.command('set').description('Change limits; what is left out stays.')
    .addOption(new Option('--up <rate>', 'send no more than this in all: 500k, 2M, none').argParser(checked(rateOption)))
    .addOption(new Option('--down <rate>', 'fetch no more than this in all').argParser(checked(rateOption)))
    .addOption(new Option('--peer-up <rate>', 'send each peer no more than this').argParser(checked(rateOption)))
    .addOption(new Option('--peer-down <rate>', 'fetch from each peer no more than this').argParser(checked(rateOption)))
    .addOption(new Option('--local-free <on|off>', 'peers on the same network do not count').argParser(parseSwitch))
    .addOption(new Option('--slots <n>', `parts of files sent at once, 1 to ${MAX_UPLOAD_SLOTS}`).argParser(wholeNumber(MAX_UPLOAD_SLOTS)))
    .addOption(new Option('--files-per-peer <n>', `files sent to one peer at once, 1 to ${MAX_FILES_PER_PEER}`).argParser(wholeNumber(MAX_FILES_PER_PEER)))
    .addOption(new Option('--queue-per-peer <n>', `parts that one peer may have asked for, 1 to ${MAX_QUEUE_PER_PEER}`).argParser(wholeNumber(MAX_QUEUE_PER_PEER)))
    .action(helper((session, options: LimitOptions) => showLimits(session, options)))
  limits.command('rule').description('Add other limits for some hours of the week; the first rule that holds counts.')
    .addOption(new Option('--days <days>', 'mon-fri, sat,sun or all: when it begins').argParser(checked(daysOption)).default([0, 1, 2, 3, 4, 5, 6], 'all'))
    .addOption(new Option('--hours <from-to>', 'local time, 22:00-06:00 ends on the next day').argParser(checked(hoursOption)).makeOptionMandatory())
    .addOption(new Option('--up <rate>', 'in all').argParser(checked(rateOption)).default('none'))
    .addOption(new Option('--down <rate>', 'in all').argParser(checked(rateOption)).default('none'))
    .action(helper((session, options: RuleOptions) => addRule(session, options)))
  limits.command('unrule <number>').description('Remove a rule, by its number in the list.')
    .action(helper((session, number: string) => removeRule(session, Number(number))))
  limits.command('peer <peer>').description('Set limits and priority of one peer, wherever it is.')
    .addOption(new Option('--up <rate>', '50k, none = only the limit for all, default = as everybody').argParser(checked(peerRateOption)))
    .addOption(new Option('--down <rate>', 'the same for fetching').argParser(checked(peerRateOption)))
    .addOption(new Option('--priority <which>', 'high gets four turns for one of normal').choices(['high', 'normal', 'low']))
    .action(helper((session, peer: string, options: PeerLimitOptions) => setPeerLimits(session, peer, options)))
  command('uploads', 'List who is fetching from you, who waits, and what holds them up.')
    .addHelpText('after', '\n--json: [{peerId, peerName, bytesPerSecond, sending, waiting, place, limit, isLimited}]')
    .action(helper((session) => listUploads(session)))

  command('groups', 'List your groups of peers.')
    .addHelpText('after', '\n--json: [{id, name, members}]; members are whole ids')
    .action(helper((session) => listGroups(session)))
  const group = command('group', 'Make groups of peers, for deciding who sees which share.')
  group.command('add <name> [peers...]').description('Make a group.')
    .action(helper((session, name: string, peers: string[]) => addGroup(session, name, peers)))
  group.command('remove <name>').description('Remove a group; what only it could see, nobody sees then.')
    .action(helper((session, name: string) => removeGroup(session, name)))
  for (const change of ['join', 'leave'] as const) {
    group.command(`${change} <name> <peers...>`).description(change === 'join' ? 'Put peers into a group.' : 'Take peers out of a group.')
      .action(helper((session, name: string, peers: string[]) => changeMembers(session, change, name, peers)))
  }
}

/** What the parser throws becomes an error of the command line. */
function checked<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text)
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error))
    }
  }
}

function parseSwitch(text: string): boolean {
  if (text !== 'on' && text !== 'off') throw new InvalidArgumentError('say on or off')
  return text === 'on'
}

function wholeNumber(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < 1 || value > most) throw new InvalidArgumentError(`must be a whole number from 1 to ${most}`)
    return value
  }
}
