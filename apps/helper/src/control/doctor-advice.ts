/**
 * Finds why others can or cannot be reached, and what would help. Pure: works on what the network process reported. The words for it are made where
 * they are read.
 */
import { type NatKind, addressScope, parseEndpoint } from '@harddrive-party/protocol'
import type { Advice, DoctorReport, PeerInfo, PeerState, PortWay, ReachAttempt } from '@harddrive-party/protocol/control'

/** What advice about this helper as a whole rests on. */
export type OwnFacts = Omit<DoctorReport, 'peers' | 'advice'> & { readonly network: 'ready' | 'restarting' | 'unavailable' }

/** What advice about one peer rests on. */
export interface PeerFacts {
  readonly state: PeerState
  readonly lastError: PeerInfo['lastError']
  readonly attempts: readonly ReachAttempt[]
}

/** @returns what is wrong with how this helper can be reached, what helps most first; empty when all is well */
export function adviseHelper(own: OwnFacts): Advice[] {
  if (own.network === 'unavailable') return [say('no-engine')]
  if (own.network === 'restarting') return [say('network-restarting')]
  if (isLoopbackOnly(own)) return [say('loopback-only')]
  if (own.addresses.length === 0) return [say('no-network')]
  return [...adviseInternet(own), ...adviseRouter(own), ...adviseDiscovery(own)]
}

function adviseInternet(own: OwnFacts): Advice[] {
  if (own.stun.length === 0) {
    return hasPublicAddress(own) ? [] : [say('no-stun')]
  }
  return isUdpBlocked(own) ? [say('udp-blocked')] : []
}

function adviseRouter(own: OwnFacts): Advice[] {
  const { mapping } = own
  if (mapping?.state === 'not-believed' && !isOpen(own)) return [say('second-router')]
  if (!isHard(own.nat.v4) || mapping?.state === 'mapped') return []
  return [say(own.nat.v4 === 'random' ? 'router-random' : 'router-strict'), ...whatOpensAPort(own)]
}

function adviseDiscovery(own: OwnFacts): Advice[] {
  const { topics, brokers } = own.discovery
  if (topics.length === 0) return []
  if (brokers.length === 0) return [say(own.discovery.mdns ? 'topics-local' : 'topics-nobody')]
  if (brokers.some(({ state }) => state !== 'failed')) return []
  return [{ code: 'brokers-down', values: { count: brokers.length } }]
}

/** @returns what would help to reach this peer, what helps most first; empty while connected */
export function advisePeer(own: OwnFacts, peer: PeerFacts): Advice[] {
  switch (peer.state) {
    case 'connected': return []
    case 'blocked': return [say('you-blocked')]
    case 'away': return [say('you-left')]
    case 'waiting': return [say('they-decide')]
    case 'asks': return [say('they-ask')]
    case 'nearby': return [say('they-are-near')]
    case 'dialling':
    case 'offline': return adviseAbsent(own, peer)
  }
}

function adviseAbsent(own: OwnFacts, { state, lastError, attempts }: PeerFacts): Advice[] {
  if (own.network !== 'ready') return adviseHelper(own)
  const ended = attempts.filter(({ outcome }) => outcome !== 'running' && outcome !== 'given-up' && outcome !== 'connected')
  const happened = (code: string) => lastError?.code === code || ended.some(({ outcome }) => outcome === code)
  if (happened('wrong-identity')) return [say('wrong-identity')]
  if (happened('blocked') || happened('refused')) return [say('turned-away')]
  if (happened('busy')) return [say('they-are-busy')]
  if (state === 'dialling' && ended.length === 0 && lastError === null) return []
  if (attempts.length === 0) {
    return [say(lastError?.code === 'unreachable' || lastError?.code === 'timed-out' ? 'no-address' : 'not-tried')]
  }
  return adviseSilence(own, ended.length > 0 ? ended : attempts)
}

/** Nobody answered anywhere: why that can be, from what we know of our own side and of the addresses that were tried. */
function adviseSilence(own: OwnFacts, attempts: readonly ReachAttempt[]): Advice[] {
  const advice: Advice[] = []
  const hosts = attempts.flatMap(({ candidate }) => hostOf(candidate))
  if (hosts.length > 0 && isUdpBlocked(own) && hosts.some((host) => addressScope(host) === 'public')) return adviseHelper(own)
  const punched = attempts.some(({ method }) => method === 'punched')
  // Known without an answer: the two routers do not fit.
  const why = attempts.map(({ detail }) => detail).find((detail) => detail?.code === 'routers-random' || detail?.code === 'routers-vague')
  if (why?.code === 'routers-random' || why?.code === 'routers-vague') return [why, ...whatOpensAPort(own)]
  advice.push(say('maybe-offline'))
  if (isLoopbackOnly(own)) return [...advice, ...adviseHelper(own)]
  if (hosts.length > 0 && hosts.every((host) => addressScope(host) !== 'public')) {
    return [...advice, say('local-addresses-only')]
  }
  if (hosts.length > 0 && hosts.every((host) => host.includes(':')) && !hasAddress(own, 6)) {
    advice.push(say('ipv6-only'))
  }
  if (attempts.some(({ detail }) => detail?.code === 'same-network')) advice.push(say('same-network'))
  if (isOpen(own) || hasPublicAddress(own)) return advice
  if (!punched) advice.push(say('give-your-code'))
  const ways = whatOpensAPort(own)
  if (isHard(own.nat.v4)) advice.push(say('router-hard'))
  else if (ways.length > 0) advice.push(say('if-never'))
  return [...advice, ...ways]
}

/** Nothing, where there is nothing left to try. */
function whatOpensAPort(own: OwnFacts): Advice[] {
  const port = own.udp.v4 ?? own.udp.v6
  const ways: PortWay[] = []
  if (own.mapping === null) ways.push('setting')
  else if (own.mapping.state !== 'mapped') ways.push('router')
  if (port !== null) ways.push('forward')
  if (!hasAddress(own, 6)) ways.push('ipv6')
  return ways.length === 0 ? [] : [{ code: 'open-port', values: { ways, port } }]
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

type Plain = { [A in Advice as Record<never, never> extends A['values'] ? A['code'] : never]: A }

function say<C extends keyof Plain>(code: C): Advice {
  return { code, values: {} } as Advice
}

/** Another public port for every destination. */
function isHard(kind: NatKind): boolean {
  return kind === 'counting' || kind === 'block' || kind === 'random'
}
