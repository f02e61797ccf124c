/** `hdp doctor`: how this helper can be reached, what was tried to reach others, and what would help. */
import type { DoctorPeer, DoctorReport, ReachAttempt } from '@harddrive-party/protocol/control'
import { adviceWords } from '../advice-words.ts'
import { type HelperSession, peerCalled } from '../helper-session.ts'
import { PATH_KIND_WORDS } from '../path-words.ts'
import { escapeName, formatTable, formatTime, nameSlug } from '../text-format.ts'

/** @param peerText only this peer; else everybody, those who are not connected with what was tried */
export async function showDoctor(session: HelperSession, peerText: string | undefined): Promise<void> {
  const { api, output } = session
  const wanted = peerText === undefined ? undefined : await peerCalled(session, peerText)
  const report = await api.doctor()
  const peers = wanted === undefined ? report.peers : report.peers.filter(({ peerId }) => peerId === wanted.peerId)
  if (output.json) return output.line(JSON.stringify({ ...report, peers }))
  const lines = wanted === undefined ? [...aboutHelper(report), '', ...aboutPeers(peers)] : peers.flatMap(aboutPeer)
  for (const line of lines) await output.line(line)
}

function aboutHelper(report: DoctorReport): string[] {
  const { addresses, nat, udp, stun, mapping, discovery, advice } = report
  const rows: [string, readonly string[]][] = [
    ['Addresses', addresses.length === 0 ? ['none'] : addresses.map(({ address, source }) => `${address}  (${SOURCES[source]})`)],
    ['UDP ports', [[udp.v4 === null ? '' : `IPv4 ${udp.v4}`, udp.v6 === null ? '' : `IPv6 ${udp.v6}`].filter((part) => part !== '').join(', ') || 'none']],
    ['NAT', [`IPv4: ${NATS[nat.v4]}`, `IPv6: ${NATS[nat.v6]}`]],
    ['Seen from', stun.length === 0 ? ['nobody is asked'] : stun.map(({ server, family, outcome, mapped }) => `${server} over IPv${family}: ${mapped ?? STUN_OUTCOMES[outcome]}`)],
    ['Open port', describeMapping(mapping)],
    ['Local', [discovery.mdns ? 'looking for peers on this network' : 'not looking for peers on this network']],
    ['Topics', discovery.topics.length === 0 ? ['none'] : discovery.topics.map(({ topic, members }) => `${escapeName(topic)}  (${members.length} connected)`)],
    ['Brokers', discovery.brokers.length === 0 ? ['none in use'] : discovery.brokers.map(({ url, state, problem }) => `${escapeName(withoutPassword(url))}: ${state}${problem === null ? '' : `, ${escapeName(problem)}`}`)],
  ]
  return [
    ...rows.flatMap(([label, values]) => values.map((value, i) => `${(i === 0 ? `${label}:` : '').padEnd(11)} ${value}`)),
    '',
    ...(advice.length === 0 ? ['This helper can be reached well.'] : advice.map((each) => `! ${adviceWords(each)}`)),
  ]
}

function aboutPeers(peers: readonly DoctorPeer[]): string[] {
  const connected = peers.filter(({ state }) => state === 'connected')
  const others = peers.filter(({ state }) => state !== 'connected' && state !== 'blocked')
  const rows = connected.map((peer) => [displayName(peer), describePath(peer)])
  return [...(rows.length === 0 ? ['Nobody is connected.'] : formatTable([{ title: 'CONNECTED' }, { title: 'PATH' }], rows)), ...others.flatMap((peer) => ['', ...aboutPeer(peer)])]
}

function aboutPeer(peer: DoctorPeer): string[] {
  const rows = peer.attempts.map((attempt) => [
    formatTime(attempt.at), attempt.candidate, `${PATH_KIND_WORDS[attempt.method]}${overTcp(attempt)}`, describeOutcome(attempt), `${Math.round(attempt.ms)} ms`, String(attempt.packets),
  ])
  const columns = [{ title: 'TRIED' }, { title: 'ADDRESS' }, { title: 'WAY' }, { title: 'OUTCOME' }, { title: 'TIME', align: 'right' }, { title: 'PACKETS', align: 'right' }] as const
  return [
    `${displayName(peer)}: ${peer.state}${peer.path === null ? '' : `, ${describePath(peer)}`}`,
    ...(rows.length === 0 ? [] : formatTable(columns, rows).map((line) => `  ${line}`)),
    ...peer.advice.map((each) => `  ! ${adviceWords(each)}`),
  ]
}

function describePath({ path }: DoctorPeer): string {
  if (path === null) return '-'
  return `${PATH_KIND_WORDS[path.kind]}${overTcp(path)}, ${path.address}${path.rttMs === null ? '' : `, ${path.rttMs.toFixed(1)} ms`}`
}

/** QUIC goes without saying. */
function overTcp({ transport }: { readonly transport?: 'quic' | 'tcp' }): string {
  return transport === 'tcp' ? ' (TCP)' : ''
}

function describeOutcome({ outcome, message }: ReachAttempt): string {
  if (message !== '') return escapeName(message)
  if (outcome === 'given-up') return 'another way was faster'
  return outcome === 'running' ? 'being tried' : outcome
}

function describeMapping(mapping: DoctorReport['mapping']): string[] {
  if (mapping === null) return ['not asked for']
  const found = mapping.state === 'mapped' || mapping.state === 'not-believed' ? `${mapping.outside ?? '-'} (${mapping.protocol ?? 'router'})` : ''
  const words = {
    searching: 'asking the router',
    none: 'the router gives none',
    mapped: found,
    'not-believed': `${found}, but it is not reachable from outside: there is a second router`,
  }[mapping.state]
  return [words, ...mapping.pinholes.map((address) => `${address} (let through by the firewall)`)]
}

function displayName({ name }: DoctorPeer): string {
  return escapeName(nameSlug(name))
}

/** Brokers may need a name and a password; neither belongs on a screen. */
function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return url
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
}

const SOURCES: Record<DoctorReport['addresses'][number]['source'], string> = {
  interface: 'this computer', stun: 'seen by a server', mapping: 'opened by the router', peer: 'told by a peer', record: 'from a record', lan: 'heard on this network', worked: 'worked before',
}

const NATS: Record<DoctorReport['nat']['v4'], string> = {
  unknown: 'not known',
  open: 'open, anybody with your code gets through',
  consistent: 'friendly, most connections work',
  counting: 'strict but predictable, connections usually work',
  block: 'strict, connections may take some seconds',
  random: 'very strict, connections to other strict networks do not work',
}

const STUN_OUTCOMES: Record<DoctorReport['stun'][number]['outcome'], string> = {
  asking: 'being asked', mapped: 'answered', 'no-address': 'has no such address', 'no-answer': 'no answer',
}
