/** `hdp send` and `hdp offers …`: the commands about sending something to a peer, their options and their help. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type RuleChange, answerOffer, cancelOffer, clearOffers, listOffers, sendPaths, setOfferRule } from './commands/offers.ts'
import type { HelperSession } from './helper-session.ts'

type Helper = <A extends readonly unknown[]>(run: (session: HelperSession, ...args: A) => Promise<void>) => (this: Command, ...given: unknown[]) => Promise<void>

/** @param helper makes an action of a function that wants a session */
export function addOfferCommands(command: (name: string, description: string) => Command, helper: Helper): void {
  command('send <peer> <paths...>', 'Offer files and folders to a peer; its person is asked.')
    .option('--note <text>', 'a line to go with it')
    .addHelpText('after', `\nNothing is copied: it is read from where it is once it is accepted, and only by this peer. Several paths land in one folder.
An offer waits for a week, also for a peer that is not connected.
Examples:
  $ hdp send brave-otter ~/Photos/Azores --note "as promised"
  $ hdp send brave-otter plan.pdf budget.ods

--json: {id}`)
    .action(helper((session, peer: string, paths: string[], options: { note?: string }) => sendPaths(session, peer, paths, options)))
  const offers = command('offers', 'List what peers would like to send you, and what you offer them.')
    .addHelpText('after', `\nID is an id or its beginning.
Examples:
  $ hdp offers accept 3fa2 --to Photos/Summer
  $ hdp offers rule brave-otter --auto-accept 2G

--json: [{id, direction, peerId, peerName, name, files, bytes, isDirectory, note, state, received, isDelivered, transferId, reason, at, expiresAt, endedAt}]`)
    .action(helper((session) => listOffers(session)))
  offers.command('accept <id>').description('Fetch what is offered; "hdp queue" shows it.')
    .option('--to <folder>', 'below the download directory; made if it is not there')
    .action(helper((session, id: string, options: { to?: string }) => answerOffer(session, true, id, options)))
  offers.command('decline <id>').description('Do not.')
    .action(helper((session, id: string) => answerOffer(session, false, id, {})))
  offers.command('cancel <id>').description('Withdraw an offer of yours, or stop fetching one of a peer.')
    .action(helper((session, id: string) => cancelOffer(session, id)))
  offers.command('clear').description('Drop those that are over from the list; files stay.')
    .action(helper((session) => clearOffers(session)))
  offers.command('rule <peer>').description('Accept what a peer offers without being asked, or never be asked.')
    .addOption(new Option('--auto-accept <size>', 'offers of up to this much: 500M, 2G, off').argParser(parseSize))
    .addOption(new Option('--mute <on|off>', 'decline everything').choices(['on', 'off']))
    .action(helper((session, peer: string, options: RuleChange) => setOfferRule(session, peer, options)))
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 }

function parseSize(text: string): number | 'off' {
  if (text === 'off') return text
  const [, digits = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?)\s*([kmgt]?)b?$/i.exec(text) ?? []
  const bytes = Math.round(Number(digits) * (UNITS[unit.toLowerCase()] ?? 0))
  if (digits === '' || bytes < 1 || !Number.isSafeInteger(bytes)) throw new InvalidArgumentError('a size is like 500M, 2G or off')
  return bytes
}
