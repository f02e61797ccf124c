import { peerIdFromKey, type Endpoint, type ReachCandidate } from '@harddrive-party/protocol'
import { beforeEach, describe, expect, it } from 'vitest'
import { chooseConnection, chooseReserve, raisesDoubt } from '../../src/core/peers/connection-set.ts'
import { sortForMeans } from '../../src/core/peers/dial-candidates.ts'
import { DialPlan, TCP_DELAY_MS } from '../../src/core/peers/dial-plan.ts'
import type { LinksEffect, LinksInput } from '../../src/core/peers/peer-link-messages.ts'
import { PeerLinksMachine } from '../../src/core/peers/peer-links.ts'

/** When TCP is dialled, and which of two transports is used. */

const self = peerIdFromKey(new Uint8Array(32).fill(1))
const peer = peerIdFromKey(new Uint8Array(32).fill(2))
const at = (host: string, port = 4433): ReachCandidate => ({ endpoint: { host, port }, source: 'worked' })
const quic = (link: number, order = link) => ({ link, role: 'dialler', order, doubted: false }) as const
const tcp = (link: number, order = link) => ({ ...quic(link, order), transport: 'tcp' }) as const

const plan = (parts: Partial<ConstructorParameters<typeof DialPlan>[0]>) => new DialPlan({ dial: [], late: [], punch: [], ...parts })
const dials = (effects: LinksEffect[]) => effects.filter((effect) => effect.type === 'dial')

describe('of connections over both', () => {
  it('the one over TCP is used, and the best over QUIC kept', () => {
    expect(chooseConnection(self, peer, [tcp(1), quic(2)])?.link).toBe(1)
    expect(chooseReserve(self, peer, [tcp(1), quic(2), quic(3)])?.link).toBe(3)
    expect(chooseReserve(self, peer, [tcp(1)])).toBeUndefined()
    expect(chooseConnection(self, peer, [{ ...tcp(1), doubted: true }, quic(2)])?.link).toBe(2)
  })

  it('one over QUIC puts an old one over TCP in doubt, for who has one dials none; never the other way round', () => {
    const arriving = { role: 'listener' } as const
    expect(raisesDoubt(self, peer, tcp(1), arriving, 10_000)).toBe(true)
    expect(raisesDoubt(self, peer, tcp(1), arriving, 100)).toBe(false)
    expect(raisesDoubt(self, peer, quic(1), { ...arriving, transport: 'tcp' }, 10_000)).toBe(false)
    expect(raisesDoubt(self, peer, tcp(1), { role: 'dialler' }, 10_000)).toBe(false)
  })
})

describe('candidates', () => {
  const sorted = { dial: [at('10.0.0.2'), { ...at('192.0.2.1'), source: 'mapping' as const }], late: [at('192.0.2.9')], punch: [at('192.0.2.9')] }

  it('behind a NAT are tried over TCP where a person gave them, since its router may have opened the port', () => {
    const given = { ...at('192.0.2.9'), source: 'peer' as const }
    expect(sortForMeans({ ...sorted, late: [given, at('192.0.2.8')] }, { quic: false, tcp: true }, null)).toMatchObject({ late: [], tcp: sorted.dial, lateTcp: [given] })
  })

  it('are dialled over TCP where no NAT is in between, at the port that was told', () => {
    expect(sortForMeans(sorted, { quic: true, tcp: true }, null)).toEqual({ ...sorted, tcp: sorted.dial, lateTcp: [] })
    expect(sortForMeans(sorted, { quic: true, tcp: true }, 99).tcp?.map(({ endpoint }) => endpoint.port)).toEqual([99, 4433])
    expect(sortForMeans(sorted, { quic: true, tcp: false }, null)).toEqual(sorted)
    expect(sortForMeans(sorted, { quic: false, tcp: true }, null)).toEqual({ dial: [], late: [], punch: [], tcp: sorted.dial, lateTcp: [] })
  })
})

describe('a plan with TCP', () => {
  it('gives QUIC a head start, and ends it when TCP answers', () => {
    const both = plan({ dial: [at('10.0.0.2')], tcp: [at('10.0.0.2')] })
    expect(both.step(0, { type: 'start' })).toEqual([{ type: 'attempt', attempt: 0, candidate: at('10.0.0.2') }])
    expect(both.step(TCP_DELAY_MS - 1, { type: 'tick' })).toEqual([])
    expect(both.step(TCP_DELAY_MS, { type: 'tick' })).toEqual([{ type: 'attempt', attempt: 2, candidate: at('10.0.0.2'), transport: 'tcp' }])
    expect(both.step(500, { type: 'attempt-succeeded', attempt: 2 })).toEqual([{ type: 'abort-attempt', attempt: 0 }, { type: 'succeeded', attempt: 2 }])
  })

  it('waits for TCP though QUIC has failed, and tells what QUIC met', () => {
    const both = plan({ dial: [at('10.0.0.2')], tcp: [at('10.0.0.2')] })
    both.step(0, { type: 'start' })
    expect(both.step(10, { type: 'attempt-failed', attempt: 0, fault: { code: 'timed-out', message: 'x' } })).toEqual([])
    both.step(TCP_DELAY_MS, { type: 'tick' })
    expect(both.step(500, { type: 'attempt-failed', attempt: 2, fault: { code: 'unreachable', message: 'y' } }))
      .toEqual([{ type: 'failed', fault: { code: 'timed-out', message: 'no answer from its address' }, patient: false }])
  })

  it('believes what somebody says over TCP', () => {
    const both = plan({ dial: [at('10.0.0.2')], tcp: [at('10.0.0.2')] })
    both.step(0, { type: 'start' })
    both.step(TCP_DELAY_MS, { type: 'tick' })
    both.step(500, { type: 'attempt-failed', attempt: 2, fault: { code: 'wrong-identity', message: 'somebody else' } })
    expect(both.step(600, { type: 'attempt-failed', attempt: 0, fault: { code: 'timed-out', message: 'x' } })).toMatchObject([{ fault: { code: 'wrong-identity' } }])
  })

  it('starts at once where there is nothing else, one address after the other', () => {
    const alone = plan({ tcp: [at('10.0.0.2'), at('10.0.0.3')] })
    expect(alone.step(0, { type: 'start' })).toMatchObject([{ attempt: 1, transport: 'tcp' }])
    expect(alone.step(5, { type: 'attempt-failed', attempt: 1, fault: { code: 'unreachable', message: 'x' } })).toMatchObject([{ attempt: 2, transport: 'tcp' }])
    expect(alone.step(9, { type: 'attempt-failed', attempt: 2, fault: { code: 'unreachable', message: 'x' } })).toMatchObject([{ type: 'failed', fault: { code: 'unreachable' } }])
  })
})

describe('beside a connection over QUIC', () => {
  const remote: Endpoint = { host: '127.0.0.1', port: 4433 }
  let machine: PeerLinksMachine
  let means = { quic: true, tcp: true }
  let now = 0
  const step = (input: LinksInput): LinksEffect[] => machine.step(now, input)
  /** Lets the machine wait until it wants to act. */
  const wait = (): LinksEffect[] => {
    now = machine.deadline ?? now
    return step({ type: 'tick' })
  }
  const told = { knockSecret: 'ab', tcpPort: null }

  beforeEach(() => {
    now = 0
    means = { quic: true, tcp: true }
    machine = new PeerLinksMachine({ self, random: () => 0, means: () => means })
    step({ type: 'policy', policy: { codeSecret: 'aa', askBeforeAccepting: false, peers: [{ peerId: peer, blocked: false, wanted: true, addresses: [remote], knockSecret: 'ab' }] } })
  })
  /** @returns what followed from its becoming ready */
  const dialled = (dial: number, link: number, transport: 'quic' | 'tcp', tcpPort: number | null = null): LinksEffect[] => {
    step({ type: 'dialled', dial, link, peerId: peer, transport, ...(transport === 'quic' ? { remote } : {}) })
    step({ type: 'told', link, told: { ...told, tcpPort } })
    return step({ type: 'greeted', link })
  }
  const overQuic = (tcpPort: number | null = null): LinksEffect[] => {
    const [first] = dials(wait())
    return dialled(first!.dial, 1, 'quic', tcpPort)
  }

  it('TCP is dialled at once by who dialled, takes over, and gives back', () => {
    const [over] = dials(overQuic())
    expect(over).toMatchObject({ transport: 'tcp', candidate: { endpoint: remote }, expect: { peerId: peer } })
    expect(machine.connection(peer)).toBe(1)
    const effects = dialled(over!.dial, 2, 'tcp')
    expect(machine.connection(peer)).toBe(2)
    expect(effects.filter(({ type }) => type === 'status')).toMatchObject([{ status: { state: 'connected', link: 2 } }])
    // QUIC is not closed as one that lost.
    now = 60_000
    expect(step({ type: 'tick' }).filter(({ type }) => type === 'close')).toEqual([])
    const lost = step({ type: 'closed', link: 2, by: 'transport', code: 'lost' })
    expect(lost.filter(({ type }) => type === 'status')).toMatchObject([{ status: { state: 'connected', link: 1 } }])
    expect(machine.connection(peer)).toBe(1)
    expect(dials(wait())).toMatchObject([{ transport: 'tcp' }])
  })

  it('who was dialled waits for the other side first', () => {
    step({ type: 'arrived', link: 1, peerId: peer, knock: 'known', remote })
    step({ type: 'told', link: 1, told })
    expect(dials(step({ type: 'hello', link: 1 }))).toEqual([])
    expect(dials(wait())).toMatchObject([{ transport: 'tcp' }])
    expect(now).toBe(2_000)
  })

  it('is tried ever more seldom while it fails, and afresh when the network changes', () => {
    let [over] = dials(overQuic())
    const waits: number[] = []
    for (let i = 0; i < 6; i++) {
      const failedAt = now
      step({ type: 'dial-failed', dial: over!.dial, fault: { code: 'unreachable', message: 'x' } })
      ;[over] = dials(wait())
      waits.push(now - failedAt)
    }
    expect(waits).toEqual([5_000, 20_000, 80_000, 320_000, 600_000, 600_000])
    step({ type: 'dial-failed', dial: over!.dial, fault: { code: 'unreachable', message: 'x' } })
    expect(dials(step({ type: 'wake' }))).toHaveLength(1)
    expect(machine.status(peer)).toMatchObject({ state: 'connected', lastError: null })
  })

  it('a way that does not last is not taken again and again', () => {
    let [over] = dials(overQuic())
    const waits: number[] = []
    for (let link = 2; link < 6; link++) {
      dialled(over!.dial, link, 'tcp')
      now += 1_000
      step({ type: 'closed', link, by: 'transport', code: 'lost' })
      const lostAt = now
      ;[over] = dials(wait())
      waits.push(now - lostAt)
    }
    expect(waits).toEqual([5_000, 20_000, 80_000, 320_000])
  })

  it('goes to the port that was told', () => {
    expect(dials(overQuic(99))).toMatchObject([{ candidate: { endpoint: { port: 99 } } }])
  })

  it('is not looked for when the other side has no TCP', () => {
    expect(dials(overQuic(0))).toEqual([])
    expect(machine.deadline).toBeUndefined()
  })

  it('is not looked for without TCP of our own', () => {
    means = { quic: true, tcp: false }
    expect(dials(overQuic())).toEqual([])
    expect(machine.deadline).toBeUndefined()
  })
})
