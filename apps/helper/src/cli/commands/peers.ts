/** Commands about people: connect, disconnect, peers, ping and what may be decided about a peer. */
import type { PeerInfo } from '@harddrive-party/protocol/control'
import { type HelperSession, peerCalled } from '../helper-session.ts'
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
    peer.state === 'connected' || peer.lastError === null ? '' : escapeName(peer.lastError.message),
  ])
  const columns = [{ title: 'PEER' }, { title: 'FINGERPRINT' }, { title: 'STATE' }, { title: 'PATH' }, { title: 'SHARES', align: 'right' }, { title: '' }] as const
  for (const line of formatTable(columns, rows)) await output.line(line)
}

/** What `--json` shows of a peer: stable. `path` is the connection's transport, kind, address and round-trip time, or null. */
export function peerJson({ peerId, name, state, path }: PeerInfo): object {
  return { id: peerId, name, state, path }
}

export async function pingPeer(session: HelperSession, text: string): Promise<void> {
  const { api, output } = session
  const peer = await peerCalled(session, text)
  const { rttMs, path } = await api.ping({ peerId: peer.peerId })
  if (output.json) return output.line(JSON.stringify({ rttMs, path }))
  return output.line(`${displayName(peer)} answered in ${rttMs.toFixed(1)} ms, over ${path.transport} (${path.kind}, ${path.address})`)
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

function describePath({ path }: PeerInfo): string {
  if (path === null) return '-'
  const rtt = path.rttMs === null ? '' : `, ${path.rttMs.toFixed(1)} ms`
  return `${path.transport} ${path.kind}${rtt}`
}
