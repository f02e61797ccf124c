/** Puts together what the network process reports and what we know of peers, and adds advice. Asks nobody. */
import { type Endpoint, type PeerId, addressFamily, formatEndpoint, keyHashOf } from '@harddrive-party/protocol'
import type { DoctorPeer, DoctorReport, PeerInfo, StatusInfo } from '@harddrive-party/protocol/control'
import { peerName } from '@harddrive-party/protocol/peer-name'
import type { ReachReport } from '../network/network-api.ts'
import { type OwnFacts, adviseHelper, advisePeer } from './doctor-advice.ts'

/** How the owner of a code is called who has not answered yet. */
const UNKNOWN_OWNER = 'owner of a code you entered'

export function reportHealth(reach: ReachReport, { status, peers }: { readonly status: StatusInfo; readonly peers: readonly PeerInfo[] }): DoctorReport {
  const { candidates, nat, stun, mapping } = reach.own
  const { discovery } = reach
  const facts = {
    addresses: candidates.map(({ endpoint, source }) => ({ address: formatEndpoint(endpoint), family: addressFamily(endpoint.host), source })),
    nat,
    udp: status.udp,
    stun: stun.map(({ server, family, outcome, mapped }) => ({ server, family, outcome, mapped: formatNullable(mapped ?? null) })),
    mapping: mapping === null ? null : {
      state: mapping.state, protocol: mapping.protocol, outside: formatNullable(mapping.outside), pinholes: mapping.pinholes.map(formatEndpoint),
    },
    discovery,
  }
  const own: OwnFacts = { ...facts, network: status.network }
  return { ...facts, peers: [...knownPeers(own, reach, peers), ...strangers(own, reach, peers)], advice: adviseHelper(own) }
}

function knownPeers(own: OwnFacts, reach: ReachReport, peers: readonly PeerInfo[]): DoctorPeer[] {
  const known = new Map(reach.peers.map((peer) => [peer.keyHash, peer.attempts]))
  return peers.map((peer) => {
    const { peerId, name, state, path, lastError } = peer
    const attempts = known.get(keyHashText(peerId)) ?? []
    return { peerId, name, state, path, attempts, advice: advisePeer(own, { state, lastError, attempts }) }
  })
}

/** Those who were tried and are not known: they turned us away, or only their code is known. */
function strangers(own: OwnFacts, reach: ReachReport, peers: readonly PeerInfo[]): DoctorPeer[] {
  const known = new Set(peers.map(({ peerId }) => keyHashText(peerId)))
  return reach.peers.flatMap(({ peerId, keyHash, attempts }) => {
    if (known.has(keyHash)) return []
    const state = attempts.some(({ outcome }) => outcome === 'running') ? 'dialling' : 'offline'
    const name = peerId === null ? UNKNOWN_OWNER : peerName(peerId)
    return [{ peerId, name, state, path: null, attempts, advice: advisePeer(own, { state, lastError: null, attempts }) }]
  })
}

function formatNullable(endpoint: Endpoint | null): string | null {
  return endpoint === null ? null : formatEndpoint(endpoint)
}

function keyHashText(peerId: PeerId): string {
  return Buffer.from(keyHashOf(peerId)).toString('hex')
}
