/** The commands, their options and their help. What they do is elsewhere: each calls one function with a session or the start options. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { parseTopic } from '@harddrive-party/protocol'
import { isBrokerUrl } from '@harddrive-party/protocol/control'
import { parseStunServer } from '../adapters/reach/stun-server.ts'
import { VERSION } from '../version.ts'
import type { HelperSession } from './helper-session.ts'
import type { AutostartWish } from './commands/autostart.ts'
import { showDoctor } from './commands/doctor.ts'
import { type PeerDecision, connectPeer, decideAboutPeer, listPeers, pingPeer } from './commands/peers.ts'
import { rescanShare } from './commands/share-scans.ts'
import { listFiles, listShares, readFile } from './commands/files.ts'
import { addShare, changeAudience, removeShare, showCode, showStatus, stopHelper } from './commands/own.ts'
import { addDeviceCommands } from './devices-program.ts'
import { addLibraryCommands } from './library-program.ts'
import { addOfferCommands } from './offers-program.ts'
import { addSharingCommands } from './sharing-program.ts'
import { addWish, editWish, listWishes, removeWish, showMatches, type WishOptions } from './commands/wishes.ts'
import { SWITCH_NAMES, joinTopic, leaveTopic, listTopics, showSettings } from './commands/topics.ts'
import { type DownloadOptions, changeTransfer, download, listTransfers } from './commands/transfers.ts'
import { addQueue } from './queue-program.ts'
import { verify } from './commands/verify.ts'

/** Options of every command. */
export interface GlobalOptions {
  readonly json?: boolean
  readonly storage?: string
  readonly uiAddress?: URL
}

export interface StartOptions extends GlobalOptions {
  readonly shareDir: readonly string[]
  readonly downloadDir?: string
  readonly mdns: boolean
  readonly stun: boolean
  readonly stunServer: readonly string[]
  readonly portMapping: boolean
  readonly introductions: boolean
  readonly mqtt: boolean
  readonly mqttBroker: readonly string[]
  readonly topic: readonly string[]
  readonly open: boolean
  readonly verbose?: boolean
  readonly loopbackOnly?: boolean
  readonly udpPort?: number
  readonly tcp: boolean
  readonly quic: boolean
  readonly lan?: boolean
  readonly lanPort?: number
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly demo?: boolean
  readonly demoFriend?: string
}

export interface ProgramActions {
  /** Needs no helper. */
  autostart(wish: AutostartWish, options: GlobalOptions): Promise<void>
  start(options: StartOptions): Promise<void>
  /** Opens a session, runs the command, closes the session. */
  withHelper(options: GlobalOptions, run: (session: HelperSession) => Promise<void>): Promise<void>
}

const EXAMPLES = `
Examples:
  $ hdp start --share-dir ~/Music          start, sharing a folder; prints the link to the app
  $ hdp code                               what you send to a friend
  $ hdp connect CODE                       add the friend who sent you a code
  $ hdp ls                                 whom you know
  $ hdp ls brave-otter/Music               look into a friend's folder
  $ hdp ls brave-otter --search "blue"     search everything a friend shares
  $ hdp download brave-otter/Music/Blue --wait
  $ hdp read brave-otter/Films/a.mkv | mpv -
  $ hdp topic join "book club, berlin"     meet everybody who joins the same words
  $ hdp doctor                             how you can be reached, and what would help
  $ hdp doctor brave-otter                 what was tried to reach a friend
  $ hdp lan on                             let phones on your network reach the app
  $ hdp pair --lan --role control          let a phone in, by a QR code
  $ hdp peers --json | jq '.[].name'

PEER is a name (brave-otter or "brave otter"), a fingerprint, or the beginning of either where only one peer fits.

Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 no helper running, 4 no such peer, path or transfer (or several fit),
5 download or read ended incomplete, 130 interrupted.

With --json, standard output carries JSON only, and an error is one line on standard error: {"error":{"code","message"}}.`

export function buildProgram(actions: ProgramActions): Command {
  const program = new Command('hdp')
    .description('harddrive-party: share folders directly with friends, without accounts or relays.')
    .version(VERSION, '-V, --version')
    .option('--json', 'print JSON for scripts')
    .addOption(new Option('--storage <dir>', "the helper's storage").env('HDP_STORAGE'))
    .addOption(new Option('--ui-address <url>', "the helper's address, http://127.0.0.1:3030 unless told otherwise; port 0 = any free one").env('HDP_UI_ADDRESS').argParser(parseUiAddress))
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(hdp --help, or hdp help COMMAND, shows how)')
    .addHelpText('after', EXAMPLES)
    .exitOverride()

  const command = (name: string, description: string) => program.command(name).description(description)
  const helper = <A extends readonly unknown[]>(run: (session: HelperSession, ...args: A) => Promise<void>) =>
    async function act(this: Command, ...given: unknown[]) {
      // Commander passes the arguments, then the options, then the command.
      const args = given.slice(0, -1) as unknown as A
      await actions.withHelper(this.optsWithGlobals(), (session) => run(session, ...args))
    }

  addStart(command('start', 'Start the helper and stay in the foreground.'), actions)
  const autostart = command('autostart', 'Start the helper when you log in, or not.')
    .addHelpText('after', '\nA systemd user unit on Linux (or an entry in the desktop\'s autostart folder), a launchd agent on macOS, the startup folder on Windows.\n--storage and --ui-address are kept for it.\n--json: {kind, enabled, file, note}')
  for (const [wish, description] of [['enable', 'Start it at every login.'], ['disable', 'No longer start it.'], ['status', 'Say whether it is started.']] as const) {
    autostart.command(wish).description(description).action(async function act(this: Command) {
      await actions.autostart(wish, this.optsWithGlobals())
    })
  }
  command('stop', 'Stop the running helper, and wait until it is gone.').action(helper((session) => stopHelper(session)))
  command('status', 'Show who and where this helper is, and what it is doing.')
    .addHelpText('after', '\n--json: {ui, code, peerId, name, udp: {v4, v6}, natKind, network, addresses, downloadDirectory, version, pid,\n  counts: {peers, connected, shares, files, bytes, transfers, uploads}}; a link to pair with is what "pair" makes')
    .action(helper((session) => showStatus(session)))

  command('code', 'Show your announce code: whoever has it can connect to you.')
    .option('--renew', 'make a new code; the old one stops working for people you do not know yet')
    .addHelpText('after', '\n--json: {code}')
    .action(helper((session, options: { renew?: boolean }) => showCode(session, { renew: options.renew === true })))
  command('connect <code>', 'Connect to the owner of an announce code.')
    .addHelpText('after', '\n--json: {id, name, state}')
    .action(helper((session, code: string) => connectPeer(session, code)))
  addPeerDecision('disconnect', 'End the connection to a peer, and stay away until "reconnect".')
  addPeerDecision('reconnect', 'Keep trying to be connected to a known peer again.')
  command('peers', 'List the peers you know.')
    .addHelpText('after', '\n--json: [{id, name, state, path}]; state is offline, dialling, waiting, asks, connected, away, blocked\nor nearby: seen on your network and not known, "reconnect" asks for a connection')
    .action(helper((session) => listPeers(session)))
  command('ping <peer>', 'Measure the round trip to a connected peer, and show the path.')
    .addOption(new Option('--count <n>', 'how many times').argParser(parseCount).default(4))
    .addHelpText('after', '\nA path is one of: this computer (loopback), same network (lan), direct over IPv6 (ipv6), direct, mapped (an open port of a router), punched (through NATs).\n--json: {rttMs, path, sent, answered, lossPercent, rtt: {min, average, max}, packets: {sent, lost}}; rttMs is the average')
    .action(helper((session, peer: string, options: { count: number }) => pingPeer(session, peer, options)))
  command('doctor [peer]', 'Say how you can be reached, what was tried to reach others, and what would help.')
    .addHelpText('after', '\nExamples:\n  $ hdp doctor\n  $ hdp doctor brave-otter\n  $ hdp doctor --json | jq .advice\n\n--json: {addresses, nat: {v4, v6}, udp, stun, mapping, discovery: {mdns, topics, brokers},\n  peers: [{peerId, name, state, path, attempts: [{at, candidate, source, method, transport?, outcome, message, ms, packets}], advice}], advice}')
    .action(helper((session, peer: string | undefined) => showDoctor(session, peer)))
  command('topics', 'List the topics you are in, and who is connected.')
    .addHelpText('after', '\n--json: [{topic, members}]; members are whole ids')
    .action(helper((session) => listTopics(session)))
  const topic = command('topic', 'Join or leave a topic: words that people agree on to find one another.')
  topic.command('join <words>').description('Find everybody who joins the same words, and let them find you.')
    .addHelpText('after', '\nCapitals and spaces do not count. Whoever knows the words can join, so choose some that others do not guess.\nExample:\n  $ hdp topic join "book club, berlin, 7 plums"')
    .action(helper((session, words: string) => joinTopic(session, words)))
  topic.command('leave <words>').description('Stop finding people by these words. Whom you met stays known.')
    .action(helper((session, words: string) => leaveTopic(session, words)))
  command('settings [name] [value]', 'Show the settings, or change one.')
    .addHelpText('after', `\nOn or off: ${SWITCH_NAMES.join(', ')}. brokers takes addresses with commas between them, or none; downloads a folder.\nExample:\n  $ hdp settings pass-me-on off`)
    .action(helper((session, name: string | undefined, value: string | undefined) => showSettings(session, name, value)))
  addPeerDecision('forget', 'Remove a known peer; without your current code it has to ask before it comes back.')
  addPeerDecision('block', 'Never let this peer in.')
  addPeerDecision('unblock', 'Undo "block".')
  addPeerDecision('accept', 'Let in a peer that asks (see "peers").')
  addPeerDecision('reject', 'Turn away a peer that asks.')

  const listing = '\n--json: one object per line, {path, size, isDirectory, mtime}; directories carry the sum of their contents'
  addListing(command('ls [peer/path]', 'List what a peer shares; without an argument, your peers.'))
    .addHelpText('after', `${listing}.\npath is relative to the peer; where no peer is named it begins with the peer's name.\nWithout an argument, --search looks at all connected peers.`)
    .action(helper((session, target: string | undefined, options: { search?: string; recursive?: boolean }) => listFiles(session, target, options)))
  addListing(command('shares [path]', 'List what you share yourself.'))
    .addHelpText('after', `${listing}`)
    .action(helper((session, path: string | undefined, options: { search?: string; recursive?: boolean }) => listShares(session, path, options)))
  const share = command('share', 'Add or remove a shared folder.')
  share.command('add <directory>').description('Share a folder.')
    .option('--name <name>', 'show it to others under this name')
    .option('--to <names...>', 'only these peers and groups see it; to others it does not exist', undefined)
    .action(helper((session, directory: string, options: { name?: string; to?: string[] }) => addShare(session, directory, options)))
  share.command('to <directory> <names...>').description('Say who sees a share: peers, groups, "everyone" or "nobody".')
    .addHelpText('after', '\nTo others it does not exist; whoever loses sight of it loses what is being sent, too.\nExample:\n  $ hdp share to Music Family brave-otter')
    .action(helper((session, directory: string, names: string[]) => changeAudience(session, directory, names)))
  share.command('remove <directory>').description('Stop sharing a folder, named by its directory or its display name.')
    .action(helper((session, directory: string) => removeShare(session, directory)))
  share.command('rescan <directory>').description('Look for changes in a shared folder, named by its directory or its display name.')
    .option('--quick', 'only in folders in which something came or went')
    .option('--stop', 'stop a scan that runs')
    .action(helper((session, directory: string, options: { quick?: boolean; stop?: boolean }) => rescanShare(session, directory, { quick: options.quick === true, stop: options.stop === true })))

  addLibraryCommands(command, helper)
  addSharingCommands(command, helper)
  addOfferCommands(command, helper)
  command('download <peer/path>', 'Download a file, or a folder with everything below it.').alias('get')
    .option('--dry-run', 'only say what it would fetch: how much, what is here already, and whether it fits')
    .option('--follow', 'then fetch what is new in the folder, too, from time to time')
    .option('--wait', 'stay until it has ended, showing progress')
    .addHelpText('after', '\nIt goes on without this command, survives restarts, and waits for the peer while that is away.\n--json: {id}; with --wait one object as in "transfers" when it has ended;\nwith --dry-run {isDirectory, files, bytes, here: {files, bytes}, clashes, rejected, target, isRenamed, freeBytes, fits, isComplete, transferId}')
    .action(helper((session, target: string, options: DownloadOptions) => download(session, target, options)))
  command('read <peer/path>', "Write a peer's file, or a range of it, to standard output.")
    .option('--start <byte>', 'first byte', parseByte)
    .option('--end <byte>', 'one past the last byte', parseByte)
    .addHelpText('after', '\nExamples:\n  $ hdp read brave-otter/notes.txt\n  $ hdp read brave-otter/disk.iso --start 0 --end 4096 | xxd')
    .action(helper((session, target: string, options: { start?: number; end?: number }) => readFile(session, target, options)))
  command('verify <peer/path> [local]', 'Compare what is on this machine with its source, byte for byte, without fetching it again.')
    .option('--quick', 'compare sizes and times only')
    .addHelpText('after', `
Without LOCAL, what a download of it put on the disk. Ends with 0 if all is the same, with 1 if something differs.
--json: one object per difference, {kind, path, detail} with kind different, missing, extra or unreadable; the last line is the sum,
{state, local, files, bytes, same, different, missing, extra, unreadable}`)
    .action(helper((session, target: string, local: string | undefined, options: { quick?: boolean }) => verify(session, target, local, { quick: options.quick === true })))
  addQueue(command('queue', 'Show and change the order and the pace of downloads.'), helper)
  command('transfers', 'List downloads.')
    .addHelpText('after', '\n--json: [{id, peer, peerName, path, state, bytes, total, reason?, target}]; peer is the whole id')
    .action(helper((session) => listTransfers(session)))
  for (const change of ['cancel', 'retry'] as const) {
    command(`${change} <transfer>`, change === 'cancel' ? 'Cancel a download.' : 'Try a failed or cancelled download again.')
      .action(helper((session, id: string) => changeTransfer(session, change, id)))
  }

  addWishCommands(command('wish', 'What you want and do not have yet: a path, or whatever a search finds.'), helper)

  addDeviceCommands(command, helper)
  return program

  function addPeerDecision(decision: PeerDecision, description: string): void {
    command(`${decision} <peer>`, description).action(helper((session, peer: string) => decideAboutPeer(session, decision, peer)))
  }
}

type Act = <A extends readonly unknown[]>(run: (session: HelperSession, ...args: A) => Promise<void>) => (this: Command, ...given: unknown[]) => Promise<void>

function addWishOptions(command: Command): Command {
  return command
    .option('--repeat', 'of a search: go on after it was found')
    .option('--once', 'of a search: stop when it was found (the usual way)')
    .option('--automatic', 'of a search: download what is found')
    .option('--ask', 'of a search: show what is found, and wait for an answer (the usual way)')
    .option('--pause', 'do nothing about it for now')
    .option('--resume', 'undo --pause')
    .addOption(new Option('--priority <priority>', 'before all others, or after them').choices(['high', 'normal', 'low']))
    .option('--into <folder>', 'where it lands, below the download folder; "." is that itself')
}

function addWishCommands(wish: Command, helper: Act): void {
  addWishOptions(wish.command('add [peer/path]')).description('Wish for a file or folder of a peer, or with --search for what a search finds, now or later.')
    .option('--search <text>', 'as in "ls --search": words, *.flac, size:>10MB')
    .option('--peer <peer>', 'with --search: only at this peer')
    .addHelpText('after', '\nExamples:\n  $ hdp wish add --search "blue train *.flac" --automatic\n  $ hdp wish add brave-otter/Films/Later.mkv\n\n--json: {id}')
    .action(helper((session, target: string | undefined, options: WishOptions) => addWish(session, target, options)))
  wish.command('list').description('List your wishes.')
    .addHelpText('after', '\n--json: [{id, kind, peer, path or search, repeat, automatic, paused, priority, folder, addedAt, state, matches, taken, reason?}]')
    .action(helper((session) => listWishes(session)))
  addWishOptions(wish.command('edit <wish>')).description('Change a wish.')
    .option('--search <text>', 'look for something else')
    .addHelpText('after', '\n--json: the wish as in "wish list"')
    .action(helper((session, id: string, options: WishOptions) => editWish(session, id, options)))
  wish.command('remove <wish>').description('Remove a wish, and end its download if it has one.')
    .action(helper((session, id: string) => removeWish(session, id)))
  wish.command('matches <wish>').description('Show what a search has found and you have not answered.')
    .option('--accept', 'download all of it')
    .option('--drop', 'dismiss all of it')
    .addHelpText('after', '\n--json: one object per line, {peer, path, size, isDirectory}; with --accept or --drop {answered}')
    .action(helper((session, id: string, options: { accept?: boolean; drop?: boolean }) => showMatches(session, id, options)))
}

function addStart(start: Command, actions: ProgramActions): void {
  start
    .addOption(new Option('--share-dir <dir>', 'share this folder; may be repeated').argParser(collect).default([], 'those shared before'))
    .option('--download-dir <dir>', 'where downloads go (default: Downloads/harddrive-party)')
    .option('--no-open', 'do not open the app in a browser')
    .option('--no-mdns', 'do not look for peers on the local network, and do not be seen there')
    .option('--no-port-mapping', 'do not ask the router for an open port')
    .option('--no-introductions', 'do not help peers that you are connected to find each other')
    .addOption(new Option('--topic <words>', 'join this topic; may be repeated').argParser(collectTopic).default([], 'those joined before'))
    .addOption(new Option('--mqtt-broker <url>', 'announce topics over this broker (mqtt, mqtts, ws or wss); may be repeated').argParser(collectBroker).default([], 'a few well-known ones'))
    .option('--no-mqtt', 'use no broker: topics are announced on the local network only')
    .addOption(new Option('--stun-server <host:port>', 'ask this server for our public address; may be repeated').argParser(collectStunServer).default([], 'a few well-known ones'))
    .option('--no-stun', 'ask no server for our public address')
    .option('--loopback-only', 'reach and be reached on this machine only')
    .option('--udp-port <port>', 'UDP port for peers (default: the one of last time, at first any)', parsePort)
    .option('--no-tcp', 'use QUIC alone, and open no TCP port')
    .addOption(new Option('--no-quic', 'use TCP alone').hideHelp())
    .option('--lan', 'also serve the app to phones on your network, over HTTPS')
    .option('--lan-port <port>', 'where, the first time (default: 3443)', parsePort)
    .option('--tls-cert <file>', 'with a certificate of your own, in PEM; read again when it changes')
    .option('--tls-key <file>', 'and its key')
    .option('--verbose', 'log what happens, as JSON lines on standard error')
    .option('--demo', 'also start a second helper with a small library, already connected, to try things alone')
    .addOption(new Option('--demo-friend <dir>').hideHelp())
    .addHelpText('after', `
--json prints one line when ready: {ui, pairUrl, code, peerId, name, udp: {v4, v6}}, and stays in the foreground.

Examples:
  $ hdp start --share-dir ~/Music --share-dir ~/Films
  $ hdp start --demo
  $ hdp start --json --no-open --ui-address http://127.0.0.1:0 --storage /tmp/second`)
    .action(async function act(this: Command) {
      await actions.start(this.optsWithGlobals())
    })
}

function addListing(command: Command): Command {
  return command
    .option('--search <term>', 'only names that contain this, without regard to case')
    .addOption(new Option('--recursive [bool]', 'everything below (default: false, with --search true)').argParser(parseBoolean))
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value]
}

function collectStunServer(value: string, before: readonly string[]): string[] {
  const parsed = parseStunServer(value)
  if (!parsed.ok) throw new InvalidArgumentError(parsed.error.message)
  return [...before, value]
}

function collectTopic(value: string, before: readonly string[]): string[] {
  const parsed = parseTopic(value)
  if (!parsed.ok) throw new InvalidArgumentError(parsed.error.message)
  return [...before, parsed.value]
}

function collectBroker(value: string, before: readonly string[]): string[] {
  if (!isBrokerUrl(value)) throw new InvalidArgumentError('give an address like mqtts://broker.example:8883')
  return [...before, value]
}

function parseCount(text: string): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) < 1 || Number(text) > 1000) throw new InvalidArgumentError('give a number from 1 to 1000')
  return Number(text)
}

function parseByte(text: string): number {
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(Number(text))) throw new InvalidArgumentError('give a number of bytes')
  return Number(text)
}

function parsePort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError('give a port from 0 to 65535')
  return Number(text)
}

function parseBoolean(text: string): boolean {
  if (/^(true|yes|1)$/i.test(text)) return true
  if (/^(false|no|0)$/i.test(text)) return false
  throw new InvalidArgumentError('give true or false')
}

/** The app and the control door are for this machine: only loopback addresses are taken. */
function parseUiAddress(text: string): URL {
  let url: URL
  try {
    url = new URL(text.includes('://') ? text : `http://${text}`)
  } catch {
    throw new InvalidArgumentError('give an address like http://127.0.0.1:3030')
  }
  if (url.protocol !== 'http:' || url.pathname !== '/' || url.username !== '' || url.search !== '' || url.hash !== '') throw new InvalidArgumentError('give an address like http://127.0.0.1:3030')
  if (!/^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(url.hostname)) throw new InvalidArgumentError('the app is served to this machine only: use 127.0.0.1, localhost or [::1]')
  return url
}
