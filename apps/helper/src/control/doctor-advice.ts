/**
 * Says in plain words why others can or cannot be reached, and what would help. Pure: works on what the network process reported. The words are for
 * people; nothing else depends on them.
 */
import { type NatKind, addressScope, parseEndpoint } from '@harddrive-party/protocol'
import type { DoctorReport, PeerInfo, PeerState, ReachAttempt } from '@harddrive-party/protocol/control'

/** What advice about this helper as a whole rests on. */
export type OwnFacts = Omit<DoctorReport, 'peers' | 'advice'> & { readonly network: 'ready' | 'restarting' | 'unavailable' }

/** What advice about one peer rests on. */
export interface PeerFacts {
  readonly state: PeerState
  readonly lastError: PeerInfo['lastError']
  readonly attempts: readonly ReachAttempt[]
}

/** @returns what is wrong with how this helper can be reached, what helps most first; empty when all is well */
export function adviseHelper(own: OwnFacts): string[] {
  if (own.network === 'unavailable') return ['This computer has no working QUIC library, so nobody can be reached. A computer with Linux, macOS or Windows on x64 or arm64 is needed.']
  if (own.network === 'restarting') return ['The network part of the helper is being started again. Look once more in a few seconds.']
  if (isLoopbackOnly(own)) return ['This helper reaches, and is reached by, helpers on this computer only: it was started with --loopback-only.']
  if (own.addresses.length === 0) return ['This computer is on no network. Connect it to Wi-Fi or a cable; the helper goes on by itself.']
  return [...adviseInternet(own), ...adviseRouter(own), ...adviseDiscovery(own)]
}

function adviseInternet(own: OwnFacts): string[] {
  if (own.stun.length === 0) {
    return hasPublicAddress(own) ? [] : ['No server is asked for your public address (--no-stun), so only people on your own network can find you. Start without it to be reached from elsewhere.']
  }
  if (isUdpBlocked(own)) {
    return ['No server on the internet answers: either there is no internet here, or this network blocks UDP. People on your own network can still be reached. If other things work, try another network, for example a phone\'s hotspot, or ask whoever runs this one to allow UDP.']
  }
  return []
}

function adviseRouter(own: OwnFacts): string[] {
  const { mapping } = own
  if (mapping?.state === 'not-believed' && !isOpen(own)) {
    return ['Your router opened a port, but there is a second router in front of it, often the provider\'s. People in friendly networks can still be reached; for the others set one of the two routers to bridge mode, ask the provider for a public address, or use IPv6.']
  }
  if (!isHard(own.nat.v4) || mapping?.state === 'mapped') return []
  const start = own.nat.v4 === 'random'
    ? 'Your router gives every connection another port, at random. You reach people in friendly networks, but not others like you.'
    : 'Your router gives every connection another port. Most people can be reached, some only after a few seconds.'
  return [`${start} ${whatOpensAPort(own)}`]
}

function adviseDiscovery(own: OwnFacts): string[] {
  const { topics, brokers } = own.discovery
  if (topics.length === 0) return []
  if (brokers.length === 0) return [own.discovery.mdns ? 'No meeting server is set, so topics find people on your own network only.' : 'No meeting server is set and the local network is not searched, so topics find nobody.']
  if (brokers.some(({ state }) => state !== 'failed')) return []
  return [`${brokers.length === 1 ? 'The meeting server cannot be reached' : 'None of the meeting servers can be reached'}, so topics find people on your own network only.`]
}

/** @returns what would help to reach this peer, what helps most first; empty while connected */
export function advisePeer(own: OwnFacts, peer: PeerFacts): string[] {
  switch (peer.state) {
    case 'connected': return []
    case 'blocked': return ['You have blocked them. Unblock them to connect.']
    case 'away': return ['You disconnected from them. Choose "Reconnect" to connect again.']
    case 'waiting': return ['They are there, and have to accept you first. Ask them to look at their app.']
    case 'asks': return ['They ask to connect. Accept or decline them.']
    case 'nearby': return ['They are on your network. Choose "Connect"; they are asked whether they accept you.']
    case 'dialling':
    case 'offline': return adviseAbsent(own, peer)
  }
}

function adviseAbsent(own: OwnFacts, { state, lastError, attempts }: PeerFacts): string[] {
  if (own.network !== 'ready') return adviseHelper(own)
  const ended = attempts.filter(({ outcome }) => outcome !== 'running' && outcome !== 'given-up' && outcome !== 'connected')
  const happened = (code: string) => lastError?.code === code || ended.some(({ outcome }) => outcome === code)
  if (happened('wrong-identity')) return ['Somebody else answers at the address that is known of them. Ask them for a fresh code.']
  if (happened('blocked') || happened('refused')) return ['They are there, but turned you away: their code was renewed, or they removed you. Ask them for a fresh code.']
  if (happened('busy')) return ['They are there, but have too many connections now. It is tried again by itself.']
  if (state === 'dialling' && ended.length === 0 && lastError === null) return []
  if (attempts.length === 0) {
    return lastError?.code === 'unreachable' || lastError?.code === 'timed-out' ? ['No address is known at which they could be reached. Ask them for a fresh code.'] : ['They have not been tried yet. Choose "Reconnect".']
  }
  return adviseSilence(own, ended.length > 0 ? ended : attempts)
}

/** Nobody answered anywhere: why that can be, from what we know of our own side and of the addresses that were tried. */
function adviseSilence(own: OwnFacts, attempts: readonly ReachAttempt[]): string[] {
  const advice: string[] = []
  const hosts = attempts.flatMap(({ candidate }) => hostOf(candidate))
  if (hosts.length > 0 && isUdpBlocked(own) && hosts.some((host) => addressScope(host) === 'public')) return adviseHelper(own)
  const punched = attempts.some(({ method }) => method === 'punched')
  // Known without an answer: the two routers do not fit.
  const why = attempts.find(({ method, outcome, message }) => method === 'punched' && outcome === 'unreachable' && message !== '')
  if (why !== undefined) return [sentence(why.message), whatOpensAPort(own)]
  advice.push('They may be offline: ask whether their helper runs, and for a fresh code, since addresses change.')
  if (isLoopbackOnly(own)) return [...advice, ...adviseHelper(own)]
  if (hosts.length > 0 && hosts.every((host) => addressScope(host) !== 'public')) {
    return [...advice, 'Only addresses of their own network are known. From elsewhere they can be reached only once their helper knows its public address; until then, join the same network.']
  }
  if (hosts.length > 0 && hosts.every((host) => host.includes(':')) && !hasAddress(own, 6)) {
    advice.push('They can be reached over IPv6 only, which this network does not have. Another network, or IPv6 switched on in your router, would help.')
  }
  if (isOpen(own) || hasPublicAddress(own)) return advice
  if (!punched) advice.push('Give them your code too: when both sides try at the same time, most routers let the connection through.')
  advice.push(isHard(own.nat.v4) ? `Your router makes it hard. ${whatOpensAPort(own)}` : `If it never works, it helps when one of you opens a port. ${whatOpensAPort(own)}`)
  return advice
}

function whatOpensAPort(own: OwnFacts): string {
  const port = own.udp.v4 ?? own.udp.v6
  const ways = [
    own.mapping === null ? 'switch on "Open a port in my router" in Settings' : own.mapping.state === 'mapped' ? '' : 'switch on UPnP, NAT-PMP or PCP in your router',
    port === null ? '' : `forward UDP port ${port} in your router to this computer`,
    hasAddress(own, 6) ? '' : 'use a network with IPv6',
  ].filter((way) => way !== '')
  return `What helps: ${ways.join(', or ')}.`
}

/** Addresses that somebody far away could use as they are. */
function hasPublicAddress(own: OwnFacts): boolean {
  return own.addresses.some(({ address, source }) => (source === 'interface' || source === 'mapping') && hostOf(address).some((host) => addressScope(host) === 'public'))
}

function hasAddress(own: OwnFacts, family: 4 | 6): boolean {
  return own.addresses.some((address) => address.family === family && hostOf(address.address).some((host) => addressScope(host) === 'public'))
}

function isOpen(own: OwnFacts): boolean {
  return own.nat.v4 === 'open' || own.mapping?.state === 'mapped'
}

function isUdpBlocked({ stun }: OwnFacts): boolean {
  return stun.length > 0 && stun.every(({ outcome }) => outcome === 'no-answer' || outcome === 'no-address')
}

function isLoopbackOnly({ addresses }: OwnFacts): boolean {
  return addresses.length > 0 && addresses.every(({ address }) => hostOf(address).some((host) => addressScope(host) === 'loopback'))
}

function hostOf(address: string): string[] {
  const parsed = parseEndpoint(address)
  return parsed.ok ? [parsed.value.host] : []
}

function sentence(text: string): string {
  const start = text.charAt(0).toUpperCase() + text.slice(1)
  return start.endsWith('.') ? start : `${start}.`
}

/** Another public port for every destination. */
function isHard(kind: NatKind): boolean {
  return kind === 'counting' || kind === 'block' || kind === 'random'
}
