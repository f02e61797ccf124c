/** Commands about people: connect, disconnect, peers, ping and what may be decided about a peer. */
import { setTimeout as wait } from 'node:timers/promises'
import { CodedError } from '@harddrive-party/protocol'
import type { PeerInfo, PingInfo } from '@harddrive-party/protocol/control'
import { type HelperSession, peerCalled } from '../helper-session.ts'
import { PATH_KIND_WORDS } from '../path-words.ts'
import { escapeName, formatBytes, formatTable, nameSlug } from '../text-format.ts'

export async function connectPeer(session: HelperSession, code: string): Promise<void> {
  const { api, output } = session
  const { peerId, state } = await api.connect({ code })
  const peer = (await api.snapshot()).peers.find((known) => known.peerId === peerId)
  const name = peer === undefined ? peerId.slice(0, 16) : displayName(peer)
  if (output.json) return output.line(JSON.stringify({ id: peerId, name: peer?.name ?? null, state }))
  return output.line(state === 'waiting' ? `Reached ${name}; they have to accept you first.` : `Connected to ${name}.`)
}

export async function listPeers({ api, output }: HelperSession): Promise<void> {
  const { peers } = await api.snapshot()
  if (output.json) return output.line(JSON.stringify(peers.map(peerJson)))
  if (peers.length === 0) {
    output.note('Nobody yet. Send a friend your code ("hdp code"), or add theirs with "hdp connect CODE".')
    return
  }
  const rows = peers.map((peer) => [
    displayName(peer),
    peer.fingerprint,
    peer.state,
    peer.path === null ? '-' : describePath(peer),
    peer.sharedBytes === null ? '-' : formatBytes(peer.sharedBytes),
    describeProblem(peer),
  ])
  const columns = [{ title: 'PEER' }, { title: 'FINGERPRINT' }, { title: 'STATE' }, { title: 'PATH' }, { title: 'SHARES', align: 'right' }, { title: '' }] as const
  for (const line of formatTable(columns, rows)) await output.line(line)
}

/** What `--json` shows of a peer: stable. `path` is the connection's transport, kind, address and round-trip time, or null. */
export function peerJson({ peerId, name, state, path }: PeerInfo): object {
  return { id: peerId, name, state, path }
}

/** Between two pings: a burst would measure the queue it makes itself. */
const PING_INTERVAL_MS = 200

export interface PingOptions {
  readonly count: number
  readonly intervalMs?: number
}

/** Fails as the last ping did when none was answered. */
export async function pingPeer(session: HelperSession, text: string, { count, intervalMs = PING_INTERVAL_MS }: PingOptions): Promise<void> {
  const { api, output } = session
  const peer = await peerCalled(session, text)
  const answers: PingInfo[] = []
  let failure: unknown
  for (let sent = 0; sent < count; sent++) {
    if (sent > 0) await wait(intervalMs)
    try {
      const answer = await api.ping({ peerId: peer.peerId })
      answers.push(answer)
      if (!output.json) await output.line(`${displayName(peer)} answered in ${answer.rttMs.toFixed(1)} ms`)
    } catch (error) {
      // Only silence is a loss; anything else, such as a peer that is not connected, ends it.
      if (!(error instanceof CodedError) || error.code !== 'timed-out') throw error
      failure = error
      output.note(`no answer from ${displayName(peer)}`)
    }
  }
  const last = answers.at(-1)
  if (last === undefined) throw failure
  const times = answers.map(({ rttMs }) => rttMs)
  const rtt = { min: Math.min(...times), average: times.reduce((sum, ms) => sum + ms, 0) / times.length, max: Math.max(...times) }
  const lossPercent = (100 * (count - answers.length)) / count
  const packets = packetsOf(answers[0], last)
  if (output.json) return output.line(JSON.stringify({ rttMs: rtt.average, path: last.path, sent: count, answered: answers.length, lossPercent, rtt, packets }))
  await output.line(`${PATH_KIND_WORDS[last.path.kind]} (${last.path.transport}, ${last.path.address})`)
  await output.line(`${answers.length} of ${count} answered, ${Math.round(lossPercent)} % lost; ${rtt.min.toFixed(1)} / ${rtt.average.toFixed(1)} / ${rtt.max.toFixed(1)} ms (shortest, average, longest)`)
  if (packets !== null && packets.sent > 0) await output.line(`${packets.lost} of ${packets.sent} packets were lost on the way and said again`)
}

/** What the connection sent between the first answer and the last. */
function packetsOf(first: PingInfo | undefined, last: PingInfo): PingInfo['packets'] {
  if (first?.packets == null || last.packets === null) return null
  // A connection that was replaced meanwhile counts anew.
  if (last.packets.sent < first.packets.sent) return last.packets
  return { sent: last.packets.sent - first.packets.sent, lost: last.packets.lost - first.packets.lost }
}

const DECISIONS = {
  disconnect: { done: 'Disconnected from', run: (api, peerId) => api.disconnect({ peerId }) },
  reconnect: { done: 'Connecting to', run: (api, peerId) => api.reconnect({ peerId }) },
  forget: { done: 'Forgot', run: (api, peerId) => api.forget({ peerId }) },
  block: { done: 'Blocked', run: (api, peerId) => api.block({ peerId }) },
  unblock: { done: 'Unblocked', run: (api, peerId) => api.unblock({ peerId }) },
  accept: { done: 'Accepted', run: (api, peerId) => api.answerPeer({ peerId, accept: true }) },
  reject: { done: 'Turned away', run: (api, peerId) => api.answerPeer({ peerId, accept: false }) },
} as const satisfies Record<string, { done: string; run: (api: HelperSession['api'], peerId: PeerInfo['peerId']) => Promise<void> }>

export type PeerDecision = keyof typeof DECISIONS

export async function decideAboutPeer(session: HelperSession, decision: PeerDecision, text: string): Promise<void> {
  const peer = await peerCalled(session, text)
  const { done, run } = DECISIONS[decision]
  await run(session.api, peer.peerId)
  if (session.output.json) return session.output.line(JSON.stringify({ id: peer.peerId, name: peer.name }))
  return session.output.line(`${done} ${displayName(peer)}.`)
}

export function displayName({ name }: Pick<PeerInfo, 'name'>): string {
  return escapeName(nameSlug(name))
}

function describeProblem({ state, lastError, name }: PeerInfo): string {
  if (state === 'nearby') return `on your network; "hdp reconnect ${escapeName(nameSlug(name))}" asks for a connection`
  return state === 'connected' || lastError === null ? '' : escapeName(lastError.message)
}

function describePath({ path }: PeerInfo): string {
  if (path === null) return '-'
  const rtt = path.rttMs === null ? '' : `, ${path.rttMs.toFixed(1)} ms`
  return `${path.transport} ${path.kind}${rtt}`
}
