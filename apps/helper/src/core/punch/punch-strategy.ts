/** The table of who does what: from the kinds of the two NATs (IPv4) to a way of punching, or to the reason why there is none. */
import type { Fault, NatKind } from '@harddrive-party/protocol'
import type { NatFacts } from './nat-kind.ts'

/**
 * - `knock`: both ports are known, knocks suffice
 * - `fan`: our ports are not: open many sockets towards the one port of theirs that is
 * - `spray`: theirs are not: try many of their ports from our one socket
 * - `count`: both count: both open many flows towards the port in the middle of what the other opens
 * - `birthday`: both are confined to few ports: both open many flows towards random ones of the other
 * - `hopeless`: none of these has a fair chance with a decent number of packets
 */
export type StrategyName = 'knock' | 'fan' | 'spray' | 'count' | 'birthday' | 'hopeless'

/** What is not known is treated as what is most common, and best. */
type Class = 'easy' | 'counting' | 'block' | 'random'

const CLASSES: Readonly<Record<NatKind, Class>> = { unknown: 'easy', open: 'easy', consistent: 'easy', counting: 'counting', block: 'block', random: 'random' }

/** Rows: our NAT, columns: theirs. Of a pair, one is the mirror of the other. */
const STRATEGIES: Readonly<Record<Class, Readonly<Record<Class, StrategyName>>>> = {
  easy: { easy: 'knock', counting: 'spray', block: 'spray', random: 'spray' },
  counting: { easy: 'fan', counting: 'count', block: 'birthday', random: 'hopeless' },
  block: { easy: 'fan', counting: 'birthday', block: 'birthday', random: 'hopeless' },
  random: { easy: 'fan', counting: 'hopeless', block: 'hopeless', random: 'hopeless' },
}

/** @returns what our side does; the other side's own table gives it the part that fits */
export function punchStrategy(own: NatFacts, theirs: NatFacts): StrategyName {
  return STRATEGIES[classOf(own)][classOf(theirs)]
}

export function isHardNat(kind: NatKind): boolean {
  return CLASSES[kind] !== 'easy'
}

/** A counter whose last port, or a block whose bounds nobody told us, helps no more than none. */
function classOf({ kind, block, lastPort }: NatFacts): Class {
  const known = CLASSES[kind]
  if ((known === 'block' && block === undefined) || (known === 'counting' && lastPort === undefined)) return 'random'
  return known
}

const HELP = 'It helps to enable UPnP or to open a UDP port on one of the two routers, or to use IPv6 on both sides.'

/** For a person: why these two do not meet, and what would help. */
export function hopelessReason(own: NatFacts, theirs: NatFacts): Required<Pick<Fault, 'message' | 'detail'>> {
  const random = whose(own.kind === 'random', theirs.kind === 'random')
  if (random !== null) {
    const message = `${ROUTERS[random]} ${random === 'both' ? 'give' : 'gives'} every connection a random port, so neither side can find the other's without a relay. ${HELP}`
    return { message, detail: { code: 'routers-random', values: { whose: random } } }
  }
  const vague = whose(classOf(own) === 'random', classOf(theirs) === 'random') ?? 'both'
  const message = `${ROUTERS[vague]} ${vague === 'both' ? 'take their ports' : 'takes its ports'} from a range that is not known yet, so the right one cannot be looked for. New codes of both sides may bring it. ${HELP}`
  return { message, detail: { code: 'routers-vague', values: { whose: vague } } }
}

const ROUTERS = { both: 'Both routers', ours: 'Your router', theirs: 'Their router' } as const

function whose(ours: boolean, theirs: boolean): keyof typeof ROUTERS | null {
  if (ours && theirs) return 'both'
  return ours ? 'ours' : theirs ? 'theirs' : null
}
