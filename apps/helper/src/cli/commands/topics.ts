/** Commands about meeting: topics, and the settings that decide who finds whom. */
import type { PeerInfo, Settings } from '@harddrive-party/protocol/control'
import { CommandError, EXIT } from '../exit-codes.ts'
import type { HelperSession } from '../helper-session.ts'
import { escapeName, formatTable, nameSlug } from '../text-format.ts'

export async function listTopics({ api, output }: HelperSession): Promise<void> {
  const { topics, peers } = await api.snapshot()
  if (output.json) return output.line(JSON.stringify(topics))
  if (topics.length === 0) {
    output.note('You are in no topic. "hdp topic join WORDS" finds everybody who joins the same words.')
    return
  }
  const rows = topics.map(({ topic, members }) => [escapeName(topic), String(members.length), members.map((peerId) => nameOf(peers, peerId)).join(', ')])
  for (const line of formatTable([{ title: 'TOPIC' }, { title: 'CONNECTED', align: 'right' }, { title: '' }], rows)) await output.line(line)
}

function nameOf(peers: readonly PeerInfo[], peerId: string): string {
  const peer = peers.find((known) => known.peerId === peerId)
  return peer === undefined ? peerId.slice(0, 16) : escapeName(nameSlug(peer.name))
}

export async function joinTopic({ api, output }: HelperSession, text: string): Promise<void> {
  const { topic } = await api.joinTopic({ topic: text })
  if (output.json) return output.line(JSON.stringify({ topic }))
  await output.line(`You are in "${escapeName(topic)}". Whoever joins the same words is connected to you; "hdp topics" shows who.`)
}

export async function leaveTopic({ api, output }: HelperSession, text: string): Promise<void> {
  await api.leaveTopic({ topic: text })
  if (output.json) return output.line(JSON.stringify({ topic: text }))
  await output.line(`You have left "${escapeName(text)}". Whom you met there stays known.`)
}

/** Name on the command line, and what it is called in the settings. */
const SWITCHES = {
  'ask-before-accepting': 'askBeforeAccepting',
  'local-discovery': 'localDiscovery',
  'port-mapping': 'portMapping',
  'pass-me-on': 'passMeOn',
  introductions: 'introductions',
} as const satisfies Record<string, keyof Settings>

export const SWITCH_NAMES = Object.keys(SWITCHES)

/** Shows all settings, or switches one `on` or `off`. `brokers` takes addresses with commas between them, or `none`. */
export async function showSettings({ api, output }: HelperSession, name: string | undefined, value: string | undefined): Promise<void> {
  const settings = name === undefined ? (await api.snapshot()).settings : await api.updateSettings(changeOf(name, value))
  if (output.json) return output.line(JSON.stringify(settings))
  const rows = [
    ...Object.entries(SWITCHES).map(([label, key]) => [label, settings[key] ? 'on' : 'off']),
    ['brokers', settings.mqttBrokers.map(escapeName).join(',') || 'none'],
    ['downloads', escapeName(settings.downloadDirectory)],
  ]
  for (const line of formatTable([{ title: 'SETTING' }, { title: 'VALUE' }], rows)) await output.line(line)
}

function changeOf(name: string, value: string | undefined): Partial<Omit<Settings, 'topics'>> {
  if (value === undefined) throw new CommandError(EXIT.usage, 'usage', `say what ${escapeName(name)} should be, for example "hdp settings ${escapeName(name)} off"`)
  if (name === 'brokers') return { mqttBrokers: value === 'none' ? [] : value.split(',').map((part) => part.trim()) }
  if (name === 'downloads') return { downloadDirectory: value }
  if (!(name in SWITCHES)) throw new CommandError(EXIT.usage, 'usage', `there is no setting ${escapeName(name)}; there are ${[...SWITCH_NAMES, 'brokers', 'downloads'].join(', ')}`)
  if (value !== 'on' && value !== 'off') throw new CommandError(EXIT.usage, 'usage', `${name} is either on or off`)
  return { [SWITCHES[name as keyof typeof SWITCHES]]: value === 'on' }
}
