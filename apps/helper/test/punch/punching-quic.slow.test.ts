import { randomBytes } from 'node:crypto'
import { type Endpoint, type NatKind, type PeerId, type ReachCandidate, formatEndpoint, keyHashOf } from '@harddrive-party/protocol'
import { afterEach, describe, expect, it } from 'vitest'
import { certificateFromSeed } from '../../src/adapters/identity/certificate.ts'
import { openPeerLinks, type PeerLinks } from '../../src/adapters/peers/peer-links.ts'
import { openPunching, type PunchedPath, type Punching, type PunchingOptions, type PunchOutcome } from '../../src/adapters/reach/punching.ts'
import { openQuicTransport, type QuicTransport } from '../../src/adapters/quic/quic-transport.ts'
import type { PeerConnection } from '../../src/adapters/peers/transport.ts'
import type { NatFacts, OwnPlace } from '../../src/core/peers/dial-candidates.ts'
import type { PunchEffect, PunchInput, PunchOptions } from '../../src/core/punch/punch-messages.ts'
import { Puncher } from '../../src/core/punch/puncher.ts'
import type { Policy } from '../../src/network/network-api.ts'
import { NatRelay, type RelayKind } from '../support/nat-relay.ts'
import { answerPings } from '../support/peer-node.ts'
import { Arrivals, askEcho, closed, echoStreams } from '../support/transport-contract.ts'

/** Punching on real sockets and QUIC, through NATs of this process. Which packets are sent when is tested in core, without any. */

const PLACE: OwnPlace = { interfaces: [], endpoints: [], loopbackOnly: true }
const BLOCK = { low: 41_200, high: 41_327 }

/** A signal of its own for everybody: listeners are counted. */
const never = (): AbortSignal => new AbortController().signal

interface Side {
  readonly name: string
  readonly peerId: PeerId
  readonly secrets: { readonly code: Buffer; readonly known: Buffer }
  readonly transport: QuicTransport
  readonly arrivals: Arrivals
  readonly nat: NatFacts
  readonly inside: Endpoint
  /** Its public endpoint, as a server sees it. */
  outside: Endpoint
  punching: Punching
  links: PeerLinks | null
  wanted: PeerId[]
  readonly knocks: string[]
  onKnock: (() => void) | null
}

/** What a helper sends comes from ports of this process: whose they are is known by who opened them. */
class Town {
  readonly relay = new NatRelay()
  readonly sides: Side[] = []
  readonly #ports = new Map<number, string>()

  async open(name: string, kind: RelayKind, host: string, options: Pick<PunchingOptions, 'makePuncher'> = {}): Promise<Side> {
    const seed = randomBytes(32)
    const secrets = { code: randomBytes(16), known: randomBytes(16) }
    const arrivals = new Arrivals()
    const holder: { side?: Side } = {}
    const transport = await openQuicTransport({
      seed, udpPort: 0, loopbackOnly: true, knockSecrets: secrets, log: () => {},
      onConnection: (connection, knock) => {
        const links = holder.side?.links
        if (links) links.onConnection(connection, knock)
        else arrivals.onConnection(connection, knock)
      },
      onDatagram: (datagram, bytes, from, socket) => {
        if (datagram === 'own') holder.side?.punching.take(bytes, from, socket)
      },
    })
    const { v4: port } = transport.ports
    if (port === null) throw new Error('no port')
    const inside = { host: '127.0.0.1', port }
    // The sockets of the two helpers are told apart by who owns the port; extra ones belong to the side that is hard.
    this.#ports.set(port, name)
    // Its first socket is not to be found, or chance would decide which of its sockets wins.
    this.relay.addSite(name, { kind, host, ...(kind === 'block' ? { range: BLOCK, hides: (from) => from.port === port } : {}) }, (from) => (this.#ports.get(from.port) ?? this.#hard()) === name)
    const natKind: NatKind = kind === 'consistent' ? 'consistent' : 'block'
    const nat: NatFacts = { nat: { v4: natKind, v6: 'unknown' }, ...(kind === 'block' ? { block: BLOCK } : {}) }
    const peerId = certificateFromSeed(seed).peerId
    const side: Side = {
      name, peerId, secrets, transport, arrivals, nat, inside, outside: await this.relay.outsideOf(name, inside), links: null, wanted: [], knocks: [], onKnock: null,
      punching: openPunching({
        transport, self: peerId, place: () => PLACE, secrets: () => [secrets.code, secrets.known], wanted: () => side.wanted, patienceMs: 0,
        own: () => ({ ...nat, candidates: [], stun: [], mapping: null, interfaces: [] }),
        onPath: (keyHash) => side.links?.onPunching('punched', keyHash), onOver: (keyHash) => side.links?.onPunching('punching-over', keyHash),
        onKnock: (keyHash) => {
          side.knocks.push(keyHash)
          side.links?.onPunching('knocked', keyHash)
          side.onKnock?.()
        },
        log: () => {}, ...options,
      }),
    }
    holder.side = side
    this.sides.push(side)
    return side
  }

  /** The session layer on top. */
  openLinks(side: Side): PeerLinks {
    const policy: Policy = { codeSecret: hex(side.secrets.code), knownSecret: hex(side.secrets.known), askBeforeAccepting: false, peers: [] }
    return (side.links = openPeerLinks({
      transport: side.transport, punching: side.punching, place: () => PLACE, self: side.peerId, agent: 'test/1', policy,
      addresses: () => [formatEndpoint(side.outside)], random: () => 0, emit: () => {}, serve: (_, stream) => void answerPings(stream), log: () => {},
    }))
  }

  async close(): Promise<void> {
    for (const side of this.sides) {
      side.links?.close()
      side.punching.close()
      await side.transport.close()
    }
    await this.relay.close()
  }

  #hard(): string | undefined {
    return this.sides.find(({ nat }) => nat.nat.v4 === 'block')?.name
  }
}

/** The real puncher, in the belief that the relays are on the internet: on loopback it searches for no ports. */
class AbroadPuncher {
  readonly #puncher: Puncher

  constructor(options: PunchOptions) {
    const candidates = options.theirs.candidates.map((candidate) => ({ ...candidate, endpoint: abroad(candidate.endpoint) }))
    this.#puncher = new Puncher({ ...options, theirs: { ...options.theirs, candidates } })
  }

  get deadline(): number | undefined {
    return this.#puncher.deadline
  }

  step(now: number, input: PunchInput | { readonly type: 'tick' }): PunchEffect[] {
    return this.#puncher.step(now, input.type === 'packet' ? { ...input, from: abroad(input.from) } : input).map((effect) => {
      if (effect.type === 'send') return { ...effect, to: home(effect.to) }
      return effect.type === 'path' ? { ...effect, endpoint: home(effect.endpoint) } : effect
    })
  }
}

const abroad = ({ host, port }: Endpoint): Endpoint => ({ host: host.replace('127.0.9.', '46.21.22.'), port })
const home = ({ host, port }: Endpoint): Endpoint => ({ host: host.replace('46.21.22.', '127.0.9.'), port })
const makePuncher = (options: PunchOptions): AbroadPuncher => new AbroadPuncher(options)

class FakePuncher {
  readonly inputs: PunchInput[] = []
  readonly deadline = undefined
  readonly #script: (input: PunchInput) => PunchEffect[]

  constructor(script: (input: PunchInput) => PunchEffect[]) {
    this.#script = script
  }

  step(_now: number, input: PunchInput): PunchEffect[] {
    this.inputs.push(input)
    return this.#script(input)
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const keyHash = (side: Side): string => hex(keyHashOf(side.peerId))
const codeOf = (side: Side) => ({ keyHash: keyHash(side), knockSecret: hex(side.secrets.code), addresses: [side.outside], natKind: 'consistent' }) as const

function punch(from: Side, to: Side, signal: AbortSignal = never()): Promise<PunchOutcome> {
  const candidates: ReachCandidate[] = [{ endpoint: to.outside, source: 'peer' }]
  return from.punching.punch({ keyHash: keyHash(to), candidates, nat: to.nat, eager: false, knockSecret: to.secrets.code }, { signal })
}

async function bothPunch(a: Side, b: Side): Promise<[PunchedPath, PunchedPath]> {
  const outcomes = await Promise.all([punch(a, b), punch(b, a)])
  return outcomes.map((outcome) => {
    if (outcome.type === 'failed') throw new Error(outcome.fault.message)
    return outcome.path
  }) as [PunchedPath, PunchedPath]
}

/** The side that decides dials over the path. */
async function connectOver(a: Side, b: Side, paths: readonly [PunchedPath, PunchedPath]): Promise<[PeerConnection, PeerConnection]> {
  const [from, to, path] = paths[0].decider ? [a, b, paths[0]] : [b, a, paths[1]]
  const dialled = await from.transport.dial(
    { endpoint: path.endpoint, socket: path.socket, knockSecret: to.secrets.code, expect: { peerId: to.peerId } }, { signal: never() },
  )
  const arrived = (await to.arrivals.next()).connection
  for (const { release } of paths) release()
  return from === a ? [dialled, arrived] : [arrived, dialled]
}

describe('punching on real sockets', () => {
  let town = new Town()
  afterEach(async () => {
    await town.close()
    town = new Town()
  })

  it('opens a way between two NATs with one port per socket, and QUIC goes over it', async () => {
    const anna = await town.open('anna', 'consistent', '127.0.0.1')
    const ben = await town.open('ben', 'consistent', '127.0.0.1')
    const paths = await bothPunch(anna, ben)
    expect(paths.filter(({ decider }) => decider)).toHaveLength(1)
    expect(paths.map(({ endpoint, socket }) => ({ endpoint, socket }))).toEqual([{ endpoint: ben.outside, socket: 0 }, { endpoint: anna.outside, socket: 0 }])
    const [ours, theirs] = await connectOver(anna, ben, paths)
    echoStreams(theirs)
    const bytes = randomBytes(300_000)
    expect((await askEcho(ours, bytes)).equals(bytes)).toBe(true)
    expect(ours.remote).toEqual(ben.outside)
  })

  // Other systems have one address on loopback only.
  it.skipIf(process.platform !== 'linux')('searches with many sockets where the port differs by destination; the one that wins carries the connection and is closed with it', async () => {
    const hard = await town.open('hard', 'block', '127.0.9.1', { makePuncher })
    const easy = await town.open('easy', 'consistent', '127.0.9.2', { makePuncher })
    const paths = await bothPunch(hard, easy)
    expect(paths[0].socket).toBeGreaterThan(0)
    expect(hard.transport.stats().extraSockets).toBe(1)
    const [ours, theirs] = await connectOver(hard, easy, paths)
    expect(hard.transport.stats().extraSockets).toBe(1)
    echoStreams(ours)
    const bytes = randomBytes(2_000_000)
    expect((await askEcho(theirs, bytes)).equals(bytes)).toBe(true)
    const end = closed(ours)
    theirs.close('goodbye')
    await end
    // It lingers for a moment in case that its last word was lost.
    await new Promise<void>((resolve) => {
      const look = setInterval(() => {
        if (hard.transport.stats().extraSockets > 0) return
        clearInterval(look)
        resolve()
      }, 20)
    })
  })

  it('is one of the ways in which the session layer connects, and is told of', async () => {
    const anna = await town.open('anna', 'consistent', '127.0.0.1')
    const ben = await town.open('ben', 'consistent', '127.0.0.1')
    const [annas, bens] = [town.openLinks(anna), town.openLinks(ben)]
    const outcomes = await Promise.all([annas.connect(codeOf(ben)), bens.connect(codeOf(anna))])
    expect(outcomes).toEqual([{ peerId: ben.peerId, state: 'connected' }, { peerId: anna.peerId, state: 'connected' }])
    expect((await annas.ping(ben.peerId, { signal: never() })).path.address).toBe(formatEndpoint(ben.outside))
    const tried = [...annas.attempts(), ...bens.attempts()]
    expect(tried.map(({ peerId }) => peerId).toSorted()).toEqual([anna.peerId, ben.peerId].toSorted())
    expect(tried.flatMap(({ attempts }) => attempts).some(({ outcome }) => outcome === 'connected')).toBe(true)
  })

  it('says why it found no way, and leaves no socket open', async () => {
    const hard = await town.open('hard', 'block', '127.0.0.1')
    const easy = await town.open('easy', 'consistent', '127.0.0.1')
    const outcome = await punch(hard, easy)
    expect(outcome).toMatchObject({ type: 'failed', patient: false, fault: { code: 'timed-out' } })
    expect(hard.transport.stats().extraSockets).toBe(0)
    expect(hard.punching.stats().running).toBe(0)
  })

  it('ends when it is called off', async () => {
    const hard = await town.open('hard', 'block', '127.0.0.1')
    const easy = await town.open('easy', 'consistent', '127.0.0.1')
    const controller = new AbortController()
    const outcome = punch(hard, easy, controller.signal)
    controller.abort()
    expect(await outcome).toMatchObject({ type: 'failed', fault: { code: 'aborted' } })
    expect(hard.punching.stats().running).toBe(0)
    // What was being opened at that moment is closed as well.
    await hard.transport.openSockets('v4', 1)
    expect(hard.transport.stats().extraSockets).toBe(1)
  })

  it('hears the knocks of whom we want, and of nobody else', async () => {
    const anna = await town.open('anna', 'consistent', '127.0.0.1')
    const ben = await town.open('ben', 'consistent', '127.0.0.1')
    const knock = (): Promise<PunchOutcome> => ben.punching.punch(
      { keyHash: keyHash(anna), candidates: [{ endpoint: anna.inside, source: 'peer' }], nat: null, eager: false, knockSecret: anna.secrets.code }, { signal: never() },
    )
    anna.wanted = [ben.peerId]
    const heard = new Promise<void>((resolve) => {
      anna.onKnock = resolve
    })
    void knock()
    await heard
    expect(new Set(anna.knocks)).toEqual(new Set([keyHash(ben)]))
    ben.punching.stop(keyHash(anna))
    anna.wanted = []
    anna.knocks.length = 0
    await knock()
    expect(anna.knocks).toEqual([])
    expect(anna.punching.stats().sent).toBe(0)
  })

  it('sends nothing to where no packet may go, whatever a puncher wants', async () => {
    const forbidden = ['8.8.8.8', '224.0.0.251', '255.255.255.255', '0.0.0.0', '240.0.0.1', 'ff02::1', '::', '::ffff:127.0.0.1', '192.168.1.255']
    const fake = new FakePuncher((input) => (input.type === 'start' ? forbidden.map((host) => ({ type: 'send', socket: 0, to: { host, port: 9 }, bytes: new Uint8Array(36) })) : []))
    const sent: Endpoint[] = []
    const punching = openPunching({
      transport: { sendDatagram: (_, to) => void sent.push(to), openSockets: async () => [], closeSockets: () => {} },
      self: certificateFromSeed(randomBytes(32)).peerId,
      place: () => ({
        interfaces: [{ host: '192.168.1.7', family: 4, name: 'eth0', prefixBits: 24, virtual: false, temporary: false, preferred: true }], endpoints: [], loopbackOnly: false,
      }),
      secrets: () => [], wanted: () => [], own: () => ({ nat: { v4: 'unknown', v6: 'unknown' }, candidates: [], stun: [], mapping: null, interfaces: [] }),
      onPath: () => {}, onOver: () => {}, onKnock: () => {}, log: () => {}, makePuncher: () => fake,
    })
    void punching.punch({ keyHash: '00'.repeat(16), candidates: [], nat: null, eager: false, knockSecret: new Uint8Array(16) }, { signal: never() })
    expect(sent.map(({ host }) => host)).toEqual(['8.8.8.8'])
    expect(punching.stats()).toMatchObject({ sent: 1, forbidden: forbidden.length - 1 })
    punching.close()
  })
})

const target = () => ({ keyHash: 'ab'.repeat(16), candidates: [{ endpoint: { host: '8.8.8.8', port: 1 }, source: 'peer' }], nat: null, eager: false, knockSecret: new Uint8Array(16) }) as const
const wide = { type: 'open-sockets', count: 1, family: 4 } as const
const path = { type: 'path', socket: 7, endpoint: { host: '8.8.8.8', port: 2 }, rttMs: 5, decider: true, packets: 3 } as const

function openFake(stun: 'no-answer' | 'no-address' | 'mapped' = 'mapped') {
  const punchers: { readonly fake: FakePuncher; answer: PunchEffect[] }[] = []
  const closedSockets: number[] = []
  const events: string[] = []
  const punching = openPunching({
    transport: { sendDatagram: () => {}, openSockets: async (_family, count) => (count > 0 ? [7] : []), closeSockets: (ids) => void closedSockets.push(...ids) },
    self: certificateFromSeed(randomBytes(32)).peerId, place: () => ({ interfaces: [], endpoints: [], loopbackOnly: false }), secrets: () => [], wanted: () => [],
    own: () => ({
      nat: { v4: 'unknown', v6: 'unknown' }, candidates: [], mapping: null, interfaces: [],
      stun: [{ server: 'a:1', family: 4, outcome: stun }, { server: 'b:1', family: 6, outcome: 'no-address' }],
    }),
    onPath: (owner) => void events.push(`path ${owner.slice(0, 2)}`), onOver: (owner) => void events.push(`over ${owner.slice(0, 2)}`), onKnock: () => {}, log: () => {},
    makePuncher: () => {
      const made: { fake: FakePuncher; answer: PunchEffect[] } = { fake: new FakePuncher(() => made.answer.splice(0)), answer: [{ type: 'waiting', code: 'no-answer', message: 'nobody' }] }
      punchers.push(made)
      return made.fake
    },
  })
  const say = (number: number, effect: PunchEffect): void => {
    punchers[number]?.answer.push(effect)
    // Any input makes it step.
    punching.hurry(target().keyHash, [], null)
  }
  return { punching, punchers, closedSockets, events, say }
}

/** What is opened at once is there after the present turn. */
const opened = async (ask: () => void): Promise<void> => {
  ask()
  await new Promise<void>((resolve) => setImmediate(resolve))
}

describe('sparse punching', () => {
  it('goes on after the first part, is joined, and gives its path to whoever comes for it', async () => {
    const { punching, punchers, closedSockets, events, say } = openFake()
    const waiting = { type: 'failed', fault: { code: 'timed-out', message: 'nobody' }, patient: true, packets: 0 }
    expect(await punching.punch(target(), { signal: never() })).toEqual(waiting)
    expect(await punching.punch(target(), { signal: never() })).toEqual(waiting)
    expect(punchers).toHaveLength(1)
    await opened(() => say(0, wide))
    say(0, path)
    expect(events).toEqual(['path ab'])
    const outcome = await punching.punch(target(), { signal: never() })
    expect(outcome).toMatchObject({ type: 'path', path: { socket: 7, decider: true } })
    punching.close()
    expect(closedSockets).toEqual([])
    if (outcome.type === 'path') outcome.path.release()
    expect(closedSockets).toEqual([7])
  })

  it('closes the socket of a path that nobody came for', async () => {
    const { punching, closedSockets, say } = openFake()
    await punching.punch(target(), { signal: never() })
    await opened(() => say(0, wide))
    say(0, path)
    punching.stop(target().keyHash)
    expect(closedSockets).toEqual([7])
    punching.close()
  })

  it('becomes quick again when there is news, and starts anew for a peer that was here a moment ago', async () => {
    const { punching, punchers } = openFake()
    await punching.punch(target(), { signal: never() })
    const elsewhere = { ...target(), candidates: [{ endpoint: { host: '8.8.4.4', port: 1 }, source: 'peer' }] } as const
    const controller = new AbortController()
    void punching.punch(elsewhere, { signal: controller.signal })
    expect(punchers[0]?.fake.inputs.at(-1)).toMatchObject({ type: 'live-signal', theirs: { candidates: elsewhere.candidates } })
    controller.abort()
    await punching.punch(target(), { signal: never() })
    await punching.punch({ ...target(), eager: true }, { signal: never() })
    expect(punchers).toHaveLength(3)
    punching.close()
  })

  it('tells when it has ended, and when our own network lets nothing out', async () => {
    const { punching, events, say } = openFake('no-answer')
    const outcome = await punching.punch(target(), { signal: never() })
    expect(outcome).toMatchObject({ fault: { code: 'unreachable', message: expect.stringContaining('UDP') } })
    say(0, { type: 'failed', code: 'no-answer', message: 'nobody', packets: 9 })
    expect(events).toEqual(['over ab'])
    expect(punching.stats().running).toBe(0)
    punching.close()
  })

  it.each(['open', 'consistent', 'random', 'unknown'] as const)('blames our own network before anything else, whatever the peer is behind: %s', async (kind) => {
    for (const [stun, words] of [['no-answer', 'no STUN server answers'], ['no-address', 'no name of a STUN server']] as const) {
      const { punching, punchers } = openFake(stun)
      const theirs = { ...target(), nat: { nat: { v4: kind, v6: 'unknown' } } } as const
      expect(await punching.punch(theirs, { signal: never() })).toMatchObject({ patient: true, fault: { code: 'unreachable', message: expect.stringContaining(words) } })
      // Joined, it has nothing else to say.
      expect(await punching.punch(theirs, { signal: never() })).toMatchObject({ fault: { message: expect.stringContaining('let no UDP out') } })
      expect(punchers).toHaveLength(1)
      punching.close()
    }
  })
})
