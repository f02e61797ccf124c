/** `hdp queue …`: the commands about the order and the pace of downloads, their options and their help. */
import { Argument, type Command } from 'commander'
import { PLACES, type Place, type QueueChange, changeQueue, fetchAgain, followSource, listQueue, moveInQueue } from './commands/queue.ts'
import type { HelperSession } from './helper-session.ts'

/** Runs with a session, after the arguments of the command line. */
type WithSession = <A extends readonly unknown[]>(run: (session: HelperSession, ...args: A) => Promise<void>) => (this: Command, ...given: unknown[]) => Promise<void>

const CHANGES: readonly (readonly [QueueChange, string])[] = [
  ['pause', 'Pause downloads until "resume"; what is there of them stays.'],
  ['resume', 'Go on with what was paused.'],
  ['cancel', 'Cancel downloads, or a part of one, and remove what is unfinished.'],
  ['retry', 'Try now what failed or waits, or fetch a part that was cancelled after all.'],
]

const TARGETS = `
TARGET is "all", a peer, a transfer (its id or the beginning, or PEER/PATH), or a file or folder in one: PEER/PATH, or its id and a PATH below it.

Examples:
  $ hdp queue pause all
  $ hdp queue pause brave-otter
  $ hdp queue cancel brave-otter/Music/Blue/scans
  $ hdp queue resume 1b9d6bcd "CD 2"`

export function addQueue(queue: Command, helper: WithSession): void {
  queue.addHelpText('after', `\nOf one peer's downloads the first in line gets most turns; peers do not wait for each other.\n${TARGETS}`)
  queue.command('list', { isDefault: true }).description('Show what is under way or waits, in order, and why it waits.')
    .option('--files <transfer>', 'the files of one download instead')
    .addHelpText('after', '\n--json: {paused, pausedPeers, transfers: [{id, position, peer, peerName, path, state, wait: {cause, place?, until?}, reason, bytes, total, files, bytesPerSecond, held, follow}]};\nwith --files one object per line, {path, source, size, bytes, state, reason, wait}')
    .action(helper((session, options: { files?: string }) => listQueue(session, options)))
  for (const [change, description] of CHANGES) {
    queue.command(`${change} <target> [path]`).description(description).addHelpText('after', `${TARGETS}\n\n--json: {all}, {peerId} or {transferId, path?}`)
      .action(helper((session, target: string, path: string | undefined) => changeQueue(session, change, target, path)))
  }
  queue.command('move <transfer>').addArgument(new Argument('[to]').choices(PLACES)).description('Change the place of a download in line.')
    .option('--before <transfer>', 'to just before this one')
    .addHelpText('after', '\nExamples:\n  $ hdp queue move 1b9d6bcd top\n  $ hdp queue move 1b9d6bcd --before brave-otter/Music\n\n--json: {id, position}')
    .action(helper((session, transfer: string, to: Place | undefined, options: { before?: string }) => moveInQueue(session, transfer, to, options.before)))
  queue.command('follow <transfer>').description('Fetch what is new in a folder at its source from now on.')
    .option('--off', 'not any more')
    .addHelpText('after', '\nThe source is looked at when its peer comes, and every ten minutes. What you moved away does not come back.\n--json: {id, follow}')
    .action(helper((session, transfer: string, options: { off?: boolean }) => followSource(session, transfer, options.off !== true)))
  queue.command('again <transfer>').description('Look at the source of a finished download again, and fetch what is missing, new or changed.')
    .addHelpText('after', '\n--json: {id}')
    .action(helper((session, transfer: string) => fetchAgain(session, transfer)))
}
