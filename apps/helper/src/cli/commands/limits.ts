/** Commands about limits: how much others get and are given, at which times, and who comes first. */
import { CodedError } from '@harddrive-party/protocol'
import type { LimitRule, LimitSettings, LimitsInfo, PeerInfo, PeerLimits } from '@harddrive-party/protocol/control'
import { CommandError, EXIT } from '../exit-codes.ts'
import { type HelperSession, peerCalled } from '../helper-session.ts'
import { formatDays, formatRate, parseDays, parseHours, parseRate } from '../rate-text.ts'
import { escapeName, formatBytes, formatTable, nameSlug } from '../text-format.ts'

/** As options carry them, which cannot be null. */
export type RateOption = number | 'none'

export interface LimitOptions {
  readonly up?: RateOption
  readonly down?: RateOption
  readonly peerUp?: RateOption
  readonly peerDown?: RateOption
  readonly localFree?: boolean
  readonly slots?: number
  readonly filesPerPeer?: number
  readonly queuePerPeer?: number
}

/** Sets what is given, and shows all. */
export async function showLimits(session: HelperSession, { up, down, peerUp, peerDown, localFree, ...rest }: LimitOptions): Promise<void> {
  const rates = Object.fromEntries(Object.entries({ up, down, peerUp, peerDown }).flatMap(([name, rate]) => (rate === undefined ? [] : [[name, toRate(rate)]])))
  const change: Partial<LimitSettings> = { ...rest, ...rates, ...(localFree === undefined ? {} : { localIsFree: localFree }) }
  const info = Object.keys(change).length === 0 ? (await session.api.snapshot()).limits : await session.api.setLimits(change)
  await print(session, info)
}

export interface RuleOptions {
  readonly days: readonly number[]
  readonly hours: Pick<LimitRule, 'from' | 'to'>
  readonly up: RateOption
  readonly down: RateOption
}

export async function addRule(session: HelperSession, { days, hours, up, down }: RuleOptions): Promise<void> {
  const { settings } = (await session.api.snapshot()).limits
  await print(session, await session.api.setLimits({ rules: [...settings.rules, { days: [...days], ...hours, up: toRate(up), down: toRate(down) }] }))
}

/** @param number from 1, as the list shows them */
export async function removeRule(session: HelperSession, number: number): Promise<void> {
  const { rules } = (await session.api.snapshot()).limits.settings
  if (number < 1 || number > rules.length) throw new CommandError(EXIT.notFound, 'not-found', `there is no rule ${number}; "hdp limits" lists them`)
  await print(session, await session.api.setLimits({ rules: rules.toSpliced(number - 1, 1) }))
}

export interface PeerLimitOptions {
  readonly up?: RateOption | 'default'
  readonly down?: RateOption | 'default'
  readonly priority?: PeerLimits['priority']
}

export async function setPeerLimits(session: HelperSession, text: string, options: PeerLimitOptions): Promise<void> {
  const { peerId } = await peerCalled(session, text)
  const change = Object.fromEntries(Object.entries(options).map(([name, value]) => [name, value === 'default' ? null : value])) as Partial<PeerLimits>
  if (Object.keys(change).length === 0) throw new CommandError(EXIT.usage, 'usage', 'say what to change: --up, --down or --priority')
  await print(session, await session.api.setPeerLimits({ peerId, ...change }))
}

/** Who is sent what, and who waits. */
export async function listUploads({ api, output }: HelperSession): Promise<void> {
  const { uploadPeers } = await api.snapshot()
  if (output.json) return output.line(JSON.stringify(uploadPeers))
  if (uploadPeers.length === 0) {
    output.note('Nobody is fetching anything from you.')
    return
  }
  const rows = uploadPeers.map(({ peerName, bytesPerSecond, sending, waiting, place, limit, isLimited }) => [
    escapeName(nameSlug(peerName)), `${formatBytes(bytesPerSecond)}/s`, String(sending), String(waiting), place === null ? '-' : String(place),
    `${formatRate(limit)}${isLimited ? ' (held up)' : ''}`,
  ])
  const columns = [{ title: 'PEER' }, { title: 'RATE', align: 'right' }, { title: 'SENDING', align: 'right' }, { title: 'WAITING', align: 'right' }, { title: 'PLACE', align: 'right' }, { title: 'LIMIT' }] as const
  for (const line of formatTable(columns, rows)) await output.line(line)
}

async function print({ api, output }: HelperSession, { settings, peers, now }: LimitsInfo): Promise<void> {
  if (output.json) return output.line(JSON.stringify({ ...settings, peers, now }))
  const rows = [
    ['up', formatRate(settings.up), 'for all peers together'], ['down', formatRate(settings.down), ''],
    ['peer-up', formatRate(settings.peerUp), 'for each peer'], ['peer-down', formatRate(settings.peerDown), ''],
    ['local-free', settings.localIsFree ? 'on' : 'off', 'peers on the same network do not count'],
    ['slots', String(settings.slots), 'parts of files sent at once'],
    ['files-per-peer', String(settings.filesPerPeer), 'files sent to one peer at once'],
    ['queue-per-peer', String(settings.queuePerPeer), 'parts that one peer may have asked for'],
  ]
  for (const line of formatTable([{ title: 'LIMIT' }, { title: 'VALUE' }, { title: '' }], rows)) await output.line(line)
  if (settings.rules.length > 0) {
    await output.line('')
    const list = settings.rules.map(({ days, from, to, up, down }, i) => [String(i + 1), formatDays(days), `${from}-${to}`, formatRate(up), formatRate(down), now.rule === i ? 'now' : ''])
    const columns = [{ title: 'RULE' }, { title: 'DAYS' }, { title: 'HOURS' }, { title: 'UP', align: 'right' }, { title: 'DOWN', align: 'right' }, { title: '' }] as const
    for (const line of formatTable(columns, list)) await output.line(line)
  }
  if (peers.length === 0) return
  await output.line('')
  const known = new Map((await api.snapshot()).peers.map((peer: PeerInfo) => [peer.peerId, peer.name]))
  const list = peers.map(({ peerId, up, down, priority }) => [escapeName(nameSlug(known.get(peerId) ?? peerId.slice(0, 16))), ownRate(up), ownRate(down), priority])
  for (const line of formatTable([{ title: 'PEER' }, { title: 'UP' }, { title: 'DOWN' }, { title: 'PRIORITY' }], list)) await output.line(line)
}

function ownRate(rate: number | null | 'none'): string {
  return rate === null ? 'as all' : rate === 'none' ? 'none' : formatRate(rate)
}

/** @throws CodedError `bad-request`, for the parsers of options */
export function rateOption(text: string): RateOption {
  return text === 'none' ? text : given(parseRate(text) ?? undefined, 'a rate is like 500k, 2M or none, and at least 10k')
}

/** For one peer, `none` means no limit of its own, and `default` that of everybody. */
export function peerRateOption(text: string): RateOption | 'default' {
  return text === 'default' ? text : rateOption(text)
}

export function daysOption(text: string): number[] {
  return given(parseDays(text), 'days are like mon-fri, sat,sun or all')
}

export function hoursOption(text: string): Pick<LimitRule, 'from' | 'to'> {
  return given(parseHours(text), 'hours are like 22:00-06:30')
}

function toRate(rate: RateOption): number | null {
  return rate === 'none' ? null : rate
}

function given<T>(value: T | undefined, otherwise: string): T {
  if (value === undefined) throw new CodedError('bad-request', otherwise)
  return value
}
