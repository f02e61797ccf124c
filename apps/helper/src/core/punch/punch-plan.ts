/** Turns what both sides know of their NATs and addresses into targets to knock at and a search to run, or into the reason why nothing can be done. */
import { type Endpoint, type Fault, type ReachCandidate, addressFamily } from '@harddrive-party/protocol'
import type { NatFacts } from './nat-kind.ts'
import { ALL_PORTS, combedPorts, shuffledPorts } from './port-order.ts'
import { BirthdaySearch, BIRTHDAY_FLOWS, CountSearch, birthdayFlows } from './punch-cross.ts'
import type { PunchFailure, PunchOptions, PunchPeer, PunchSide } from './punch-messages.ts'
import { COUNTING_FAN_SOCKETS, FAN_SOCKETS, FanSearch, MAX_BLOCK_FAN_SOCKETS, type PortSearch, SpraySearch } from './punch-search.ts'
import { type StrategyName, hopelessReason, isHardNat, punchStrategy } from './punch-strategy.ts'
import { punchTargets, rankOf } from './punch-targets.ts'

export interface PunchPlan {
  readonly targets: readonly Endpoint[]
  readonly search: PortSearch | null
  /** Head start of the knocks over the search, where they probably suffice. */
  readonly searchDelayMs: number
  /** Their side has no NAT that early knocks could confuse. */
  readonly isOpen: boolean
  /** Our side can be reached by whoever knows its address: worth waiting for the peer's knocks even if there is nobody to knock at. */
  readonly isReachable: boolean
  /** What to say when nothing comes of it. */
  readonly fault: Fault<PunchFailure>
}

/** One of the two sides can be reached directly, as far as it knows. */
const OPEN_HEAD_START_MS = 400

export const NO_ANSWER = 'Nothing came back. The other helper may not be running, may not have your code, or one of the two networks blocks UDP.'
const SAME_ADDRESS = 'Nothing came back. You and this peer are seen from the same internet address: you are in one house, or customers of one provider whose router does not send packets back inside. It helps to be in the same local network, to use IPv6 on both sides, or a port that the provider opens.'
const SEARCH_FAILED = 'The right port was not found among those that the router may have chosen. Trying again may help; so does enabling UPnP on either router, or IPv6.'

export function planPunching({ own, loopback = false, random }: PunchOptions, theirs: PunchPeer, smallerKey: boolean): PunchPlan {
  const targets = punchTargets(theirs.candidates, own.interfaces, loopback)
  const facts = { own: factsOf(own), theirs: withLastPort(factsOf(theirs), targets) }
  const isReachable = facts.own.kind === 'open' || (own.candidates ?? []).some(isMapping)
  const isMapped = (own.candidates ?? []).some(isMapping) || targets.some(isMapping)
  const dest = targets.find(({ endpoint, source }) => source !== 'mapping' && isPublicV4(endpoint))?.endpoint
  const strategy = dest === undefined ? 'knock' : punchStrategy(facts.own, facts.theirs)
  const search = dest === undefined ? null : searchOf(strategy, facts, dest, random, smallerKey)
  // Where neither port can be known, knocking at ports that servers saw is in vain. Others may be mappings.
  const knocked = strategy === 'hopeless' ? targets.filter(({ endpoint, source }) => !isPublicV4(endpoint) || source === 'mapping' || source === 'peer' || source === 'worked') : targets
  const fault: Fault<PunchFailure> = strategy === 'hopeless' && !isMapped
    ? { code: 'hopeless', ...hopelessReason(facts.own, facts.theirs) }
    : targets.length === 0
      ? { code: 'no-candidates', message: 'No address of this peer is known that can be reached from here.', detail: { code: 'no-address-known', values: {} } }
      : search !== null
        ? { code: 'search-failed', message: `${NO_ANSWER} ${SEARCH_FAILED}`, detail: { code: 'port-not-found', values: {} } }
        : isShared(own, dest)
          ? { code: 'no-answer', message: SAME_ADDRESS, detail: { code: 'same-network', values: {} } }
          : { code: 'no-answer', message: NO_ANSWER }
  const hasHeadStart = isMapped || facts.own.kind === 'open' || facts.theirs.kind === 'open'
  return { targets: knocked.map(({ endpoint }) => endpoint), search, searchDelayMs: hasHeadStart ? OPEN_HEAD_START_MS : 0, isOpen: facts.theirs.kind === 'open', isReachable, fault }
}

/** IPv4 only: nobody translates ports in IPv6. */
function factsOf({ nat, block, step, lastPort }: PunchSide): NatFacts {
  return { kind: nat.v4, ...(block && { block }), ...(step !== undefined && { step }), ...(lastPort !== undefined && { lastPort }) }
}

/** A code may tell no last port, but the port that a server saw is one that was handed out lately. */
function withLastPort(facts: NatFacts, targets: readonly ReachCandidate[]): NatFacts {
  const seen = targets.find(({ endpoint, source }) => source !== 'mapping' && isPublicV4(endpoint))
  return facts.lastPort === undefined && seen !== undefined && isHardNat(facts.kind) ? { ...facts, lastPort: seen.endpoint.port } : facts
}

function searchOf(strategy: StrategyName, { own, theirs }: { own: NatFacts; theirs: NatFacts }, dest: Endpoint, random: () => number, smallerKey: boolean): PortSearch | null {
  const { host } = dest
  const { block = ALL_PORTS, lastPort = ALL_PORTS.low, step = 1 } = theirs
  switch (strategy) {
    case 'fan': return new FanSearch(dest, fanSockets(own))
    case 'spray':
      if (theirs.kind === 'counting') return new SpraySearch(host, () => combedPorts(lastPort, step, COUNTING_FAN_SOCKETS))
      return new SpraySearch(host, () => shuffledPorts(theirs.kind === 'block' ? block : ALL_PORTS, random))
    case 'count': return new CountSearch({ host, lastPort, step, smallerKey })
    case 'birthday': {
      const flows = flowsOf(own, theirs)
      if (theirs.kind === 'block') return new BirthdaySearch({ host, range: block, step: 1, flows, random })
      return new BirthdaySearch({ host, range: { low: lastPort + step, high: lastPort + step * flows }, step, flows, random })
    }
    default: return null
  }
}

function fanSockets({ kind, block }: NatFacts): number {
  if (kind === 'counting') return COUNTING_FAN_SOCKETS
  if (kind !== 'block' || block === undefined) return FAN_SOCKETS
  return Math.min(MAX_BLOCK_FAN_SOCKETS, Math.max(8, Math.floor((block.high - block.low + 1) / 8)))
}

/** The same at both sides. Against a counter, each flow of the other hits with one in as many as its block has ports. */
function flowsOf(own: NatFacts, theirs: NatFacts): number {
  const sizes = [own, theirs].flatMap(({ block }) => (block === undefined ? [] : [block.high - block.low + 1]))
  const [first = 1, second] = sizes
  return second === undefined ? Math.min(BIRTHDAY_FLOWS, 5 * first) : birthdayFlows(first, second)
}

/** Whether their address is what servers see of us as well. */
function isShared({ candidates = [] }: PunchOptions['own'], dest: Endpoint | undefined): boolean {
  return dest !== undefined && candidates.some(({ endpoint, source }) => source !== 'interface' && endpoint.host === dest.host)
}

function isMapping({ endpoint, source }: ReachCandidate): boolean {
  return source === 'mapping' && isPublicV4(endpoint)
}

function isPublicV4(endpoint: Endpoint): boolean {
  return addressFamily(endpoint.host) === 4 && rankOf(endpoint) === 2
}
