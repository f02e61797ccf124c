import { HANDSHAKE_TIMEOUT_MS, peerIdFromKey } from '@harddrive-party/protocol'
import type { PeerId } from '@harddrive-party/protocol'
import { describe, expect, it, vi } from 'vitest'
import { MAX_CONNECTIONS, PeerLinksMachine } from '../../src/core/peers/peer-links.ts'
import type { LinkPolicy, LinkPolicyPeer, LinksEffect, LinksInput } from '../../src/core/peers/peer-link-messages.ts'
import { FIRST_RETRY_MS, LONGEST_RETRY_MS, keyHashText } from '../../src/core/peers/peer-link-state.ts'
import { MAX_DIALLING } from '../../src/core/peers/diallings.ts'
import { seededRandom } from '../support/world.ts'

// Thousands of schedules: a slow machine may take its time.
vi.setConfig({ testTimeout: 60_000 })

const id = (number: number): PeerId => peerIdFromKey(new Uint8Array(32).fill(number))
const idOf = (number: number): PeerId => peerIdFromKey(Uint8Array.from({ length: 32 }, (_, i) => (i < 4 ? (number >> (8 * i)) & 255 : 9)))
const self = id(5)
const endpoint = { host: '10.0.0.1', port: 1 }
const known = (peerId: PeerId, change: Partial<LinkPolicyPeer> = {}): LinkPolicyPeer => ({
  peerId, blocked: false, wanted: true, addresses: [endpoint], knockSecret: 'aa', ...change,
})
const policy = (peers: readonly LinkPolicyPeer[], change: Partial<LinkPolicy> = {}): LinkPolicy => ({
  codeSecret: 'cc', askBeforeAccepting: true, peers, ...change,
})
const fault = { code: 'unreachable', message: 'nobody there' } as const

function machine(random = (): number => 0): PeerLinksMachine {
  return new PeerLinksMachine({ self, random })
}

/** What was done, status messages left out. */
function deeds(effects: readonly LinksEffect[]): readonly LinksEffect[] {
  return effects.filter(({ type }) => type !== 'status')
}

describe('somebody from the local network', () => {
  it('asks, whatever holders of the code may do; a friend does not', () => {
    for (const askBeforeAccepting of [true, false]) {
      const links = machine()
      links.step(0, { type: 'policy', policy: policy([known(id(2))], { askBeforeAccepting }) })
      links.step(1, { type: 'arrived', link: 1, peerId: id(1), knock: 'lan' })
      expect(deeds(links.step(2, { type: 'hello', link: 1 }))).toEqual([{ type: 'hold', link: 1 }])
      expect(links.status(id(1))?.state).toBe('asks')
      links.step(3, { type: 'arrived', link: 2, peerId: id(2), knock: 'lan' })
      expect(deeds(links.step(4, { type: 'hello', link: 2 }))[0]).toEqual({ type: 'admit', link: 2 })
    }
  })
})

describe('dialling a friend', () => {
  it('begins afresh on another network', () => {
    const links = machine(() => 0.999)
    let now = 0
    const fail = (): void => {
      now = links.deadline ?? Number.NaN
      const [effect] = deeds(links.step(now, { type: 'tick' }))
      if (effect?.type !== 'dial') throw new Error('no dial')
      links.step(now, { type: 'dial-failed', dial: effect.dial, fault })
    }
    links.step(0, { type: 'policy', policy: policy([known(id(1))]) })
    for (let i = 0; i < 8; i++) fail()
    expect((links.deadline ?? 0) - now).toBeGreaterThan(LONGEST_RETRY_MS * 0.9)
    links.step(now, { type: 'wake' })
    expect((links.deadline ?? 0) - now).toBeLessThan(FIRST_RETRY_MS)
    fail()
    expect((links.deadline ?? 0) - now).toBeLessThanOrEqual(FIRST_RETRY_MS)
  })

  it('goes on, ever more rarely, and starts afresh after a connection that lasted', () => {
    for (const [random, part] of [[() => 0, 0.5], [() => 0.999_999, 1]] as const) {
      const links = machine(random)
      const effects = links.step(0, { type: 'policy', policy: policy([known(id(1))]) })
      const waits: number[] = []
      let now = 0
      for (let i = 0; i < 9; i++) {
        if (deeds(effects).length === 0) {
          now = links.deadline ?? Number.NaN
          effects.push(...links.step(now, { type: 'tick' }))
        }
        const [effect] = deeds(effects.splice(0))
        if (effect?.type !== 'dial') throw new Error('no dial')
        links.step(now, { type: 'dial-failed', dial: effect.dial, fault })
        waits.push(Math.round((links.deadline ?? Number.NaN) - now))
      }
      const whole = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
      expect(waits).toEqual(whole.map((wait) => wait * part))
      expect([FIRST_RETRY_MS, LONGEST_RETRY_MS]).toEqual([500, 30_000])
      links.step(now, { type: 'arrived', link: 1, peerId: id(1), knock: 'known' })
      links.step(now, { type: 'hello', link: 1 })
      expect(links.deadline).toBeUndefined()
      links.step(now + 5_000, { type: 'closed', link: 1, by: 'timeout', code: 'lost' })
      expect(Math.round((links.deadline ?? 0) - now - 5_000)).toBe(500 * part)
    }
  })

  it('stops when the friend comes, and a dial that succeeds too late says nothing', () => {
    const links = machine()
    links.step(0, { type: 'policy', policy: policy([known(id(1))]) })
    expect(deeds(links.step(0, { type: 'tick' }))).toEqual([])
    links.step(0, { type: 'arrived', link: 1, peerId: id(1), knock: 'known' })
    expect(deeds(links.step(1, { type: 'hello', link: 1 }))).toEqual([
      { type: 'admit', link: 1 }, { type: 'abort-dial', dial: 1 }, { type: 'known', peerId: id(1), link: 1 },
    ])
    expect(deeds(links.step(2, { type: 'dialled', dial: 1, link: 2, peerId: id(1) }))).toEqual([{ type: 'close', link: 2, code: 'duplicate' }])
    expect(links.connection(id(1))).toBe(1)
  })

  it('does not begin with all friends at once', () => {
    const links = machine()
    const effects = links.step(0, { type: 'policy', policy: policy(Array.from({ length: 100 }, (_, i) => known(idOf(i)))) })
    const dials = effects.filter(({ type }) => type === 'dial')
    expect(dials).toHaveLength(MAX_DIALLING)
    // The rest is not waited for by spinning, and follows as the first ones end.
    expect(links.deadline).toBe(HANDSHAKE_TIMEOUT_MS)
    const [first] = dials
    if (first?.type !== 'dial') throw new Error('no dial')
    expect(deeds(links.step(1, { type: 'dial-failed', dial: first.dial, fault }))).toMatchObject([{ type: 'dial' }])
  })

  it('is not tried without an address or a secret, or while it is not wanted', () => {
    const links = machine()
    const peers = [known(id(1), { addresses: [] }), known(id(2), { knockSecret: null }), known(id(3), { wanted: false }), known(id(4), { blocked: true })]
    expect(deeds(links.step(0, { type: 'policy', policy: policy(peers) }))).toEqual([])
    expect(links.deadline).toBeUndefined()
    expect(links.statuses().map(({ status }) => status.state)).toEqual(['offline', 'offline', 'away', 'blocked'])
    expect(deeds(links.step(1, { type: 'reconnect', peerId: id(3) }))).toMatchObject([{ type: 'dial', candidate: { endpoint } }])
  })

  it('is tried at once when the machine wakes up', () => {
    const links = machine()
    links.step(0, { type: 'policy', policy: policy([known(id(1))]) })
    for (let i = 0; i < 8; i++) {
      const now = links.deadline ?? 0
      const effect = links.step(now, { type: 'tick' }).find(({ type }) => type === 'dial') ?? { type: 'dial', dial: 1 }
      if (effect.type === 'dial') links.step(now, { type: 'dial-failed', dial: effect.dial, fault })
    }
    const now = (links.deadline ?? 0) - 10_000
    expect(deeds(links.step(now, { type: 'wake' }))).toMatchObject([{ type: 'dial' }])
  })
})

describe('policies and wishes that cross', () => {
  it('a policy made before a disconnect does not undo it', () => {
    const links = machine()
    const before = policy([known(id(1))])
    links.step(0, { type: 'policy', policy: before })
    links.step(1, { type: 'disconnect', peerId: id(1) })
    expect(links.step(2, { type: 'policy', policy: before })).toEqual([])
    expect(links.status(id(1))?.state).toBe('away')
    links.step(3, { type: 'policy', policy: policy([known(id(1), { wanted: false })]) })
    links.step(4, { type: 'policy', policy: before })
    expect(links.status(id(1))?.state).not.toBe('away')
  })

  it('a policy made before a stranger was let in does not throw it out', () => {
    const links = machine()
    links.step(0, { type: 'policy', policy: policy([], { askBeforeAccepting: false }) })
    links.step(1, { type: 'arrived', link: 1, peerId: id(1), knock: 'code' })
    links.step(2, { type: 'hello', link: 1 })
    expect(deeds(links.step(3, { type: 'policy', policy: policy([], { askBeforeAccepting: true }) }))).toEqual([])
    links.step(4, { type: 'policy', policy: policy([known(id(1))]) })
    expect(deeds(links.step(5, { type: 'policy', policy: policy([]) }))).toEqual([{ type: 'close', link: 1, code: 'refused' }])
  })

  it('a stranger with the secret of a friend is asked about, whatever holders of the code may do', () => {
    const links = machine()
    links.step(0, { type: 'policy', policy: policy([], { askBeforeAccepting: false }) })
    links.step(1, { type: 'arrived', link: 1, peerId: id(1), knock: 'known' })
    expect(deeds(links.step(2, { type: 'hello', link: 1 }))).toEqual([{ type: 'hold', link: 1 }])
    expect(links.status(id(1))?.state).toBe('asks')
  })

  it('somebody who asks is let in when asking is switched off', () => {
    const links = machine()
    links.step(0, { type: 'policy', policy: policy([]) })
    links.step(1, { type: 'arrived', link: 1, peerId: id(1), knock: 'code' })
    links.step(2, { type: 'hello', link: 1 })
    expect(deeds(links.step(3, { type: 'policy', policy: policy([], { askBeforeAccepting: false }) }))).toMatchObject([{ type: 'admit' }, { type: 'known' }])
  })

  it('a wish is answered by the connection that the other side makes', () => {
    const links = machine()
    expect(deeds(links.step(0, { type: 'connect', connect: 7, keyHash: keyHashText(id(1)), knockSecret: 'aa', addresses: [endpoint] }))).toMatchObject([{ type: 'dial' }])
    links.step(1, { type: 'arrived', link: 1, peerId: id(1), knock: 'known' })
    expect(deeds(links.step(2, { type: 'hello', link: 1 }))).toMatchObject([
      { type: 'admit' }, { type: 'abort-dial' }, { type: 'known' }, { type: 'connect-succeeded', connect: 7, peerId: id(1), state: 'connected' },
    ])
  })

  it('an incoming connection that comes to nothing does not leave a wish or a friend behind', () => {
    const links = machine()
    links.step(0, { type: 'connect', connect: 7, keyHash: keyHashText(id(1)), knockSecret: 'aa', addresses: [endpoint] })
    links.step(1, { type: 'dialled', dial: 1, link: 1, peerId: id(1) })
    links.step(2, { type: 'arrived', link: 2, peerId: id(1), knock: 'known' })
    expect(deeds(links.step(3, { type: 'closed', link: 1, by: 'timeout', code: 'lost' }))).toEqual([])
    expect(deeds(links.step(2 + HANDSHAKE_TIMEOUT_MS, { type: 'tick' }))).toEqual([
      { type: 'close', link: 2, code: 'protocol' }, { type: 'connect-failed', connect: 7, fault: { code: 'connection-lost', message: 'the connection was lost' } },
    ])
  })
})

describe('bounds', () => {
  it('connections in all', () => {
    const links = machine()
    links.step(0, { type: 'policy', policy: policy(Array.from({ length: 300 }, (_, i) => known(idOf(i), { addresses: [] }))) })
    const closes: number[] = []
    for (let i = 0; i < 300; i++) {
      for (const input of [{ type: 'arrived', link: i, peerId: idOf(i), knock: 'known' }, { type: 'hello', link: i }] as const) {
        for (const effect of links.step(1, input)) if (effect.type === 'close') closes.push(effect.link)
      }
    }
    expect(closes).toEqual(Array.from({ length: 300 - MAX_CONNECTIONS }, (_, i) => MAX_CONNECTIONS + i))
  })

  it('silent connections of one peer', () => {
    const links = machine()
    const effects = Array.from({ length: 6 }, (_, link) => deeds(links.step(link, { type: 'arrived', link, peerId: id(1), knock: 'code' }))).flat()
    expect(effects).toEqual([0, 1, 2].map((link) => ({ type: 'close', link, code: 'duplicate' })))
  })
})

/** Whatever is put in, in whatever order: what can be said of the machine without knowing its rules. */
describe('any inputs', () => {
  it('leave every wish answered once, no connection forgotten, and no spinning', () => {
    for (let seed = 1; seed <= 150; seed++) {
      const random = seededRandom(seed)
      const links = machine(random)
      const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
      const peers = [1, 2, 3, 9].map(id)
      const open = new Set<number>()
      const dials = new Set<number>()
      const outcomes = new Map<number, number>()
      const told = new Map<PeerId, string>()
      let now = 0
      let lastLink = 0
      let lastConnect = 0

      const put = (input: LinksInput): void => {
        const effects = links.step(now, input)
        for (const effect of effects) {
          if (effect.type === 'dial') dials.add(effect.dial)
          if (effect.type === 'close' && !open.delete(effect.link)) expect.fail(`seed ${seed}: closes what is not open`)
          if ('link' in effect && effect.type !== 'close' && !open.has(effect.link)) expect.fail(`seed ${seed}: ${effect.type} on what is not open`)
          if (effect.type === 'connect-failed' || effect.type === 'connect-succeeded') outcomes.set(effect.connect, (outcomes.get(effect.connect) ?? 0) + 1)
          if (effect.type === 'status') told.set(effect.peerId, JSON.stringify(effect.status))
        }
        const untold = links.statuses().find(({ peerId, status }) => told.get(peerId) !== JSON.stringify(status))
        if (untold) expect.fail(`seed ${seed}: ${JSON.stringify(untold)} was not told`)
        for (let i = 0; links.deadline !== undefined && links.deadline <= now; i++) {
          if (i > 40) expect.fail(`seed ${seed}: spins`)
          put({ type: 'tick' })
        }
      }
      const randomPolicy = (): LinkPolicy => policy(
        peers.filter(() => random() < 0.6).map((peerId) => known(peerId, { blocked: random() < 0.15, wanted: random() < 0.8 })),
        { codeSecret: pick(['c1', 'c2']), askBeforeAccepting: random() < 0.5 },
      )
      const anyLink = (): number => pick([...open, 0])
      const inputs: readonly (() => LinksInput)[] = [
        () => ({ type: 'policy', policy: randomPolicy() }),
        () => ({ type: 'connect', connect: ++lastConnect, keyHash: keyHashText(pick([...peers, self])), knockSecret: 'aa', addresses: [endpoint, { host: '10.0.0.2', port: 2 }] }),
        () => ({ type: pick(['disconnect', 'reconnect'] as const), peerId: pick(peers) }),
        () => ({ type: 'answer', peerId: pick(peers), accept: random() < 0.5 }),
        () => ({ type: 'wake' }),
        () => {
          open.add(++lastLink)
          return { type: 'arrived', link: lastLink, peerId: pick([...peers, self]), knock: pick(['code', 'known']) }
        },
        () => {
          open.add(++lastLink)
          return { type: 'dialled', dial: pick([...dials, 0]), link: lastLink, peerId: pick(peers) }
        },
        () => ({ type: 'dial-failed', dial: pick([...dials, 0]), fault }),
        () => ({ type: pick(['hello', 'greeted', 'waits', 'hello', 'greeted'] as const), link: anyLink() }),
        () => ({ type: 'hello-failed', link: anyLink(), fault, told: random() < 0.5 }),
        () => ({ type: 'probed', link: anyLink(), alive: random() < 0.5 }),
        () => {
          const link = anyLink()
          open.delete(link)
          return { type: 'closed', link, by: 'peer', code: pick(['lost', 'goodbye', 'refused', 'blocked', 'duplicate', 'protocol']) }
        },
        () => ({ type: 'tick' }),
      ]
      for (let i = 0; i < 150; i++) {
        now += random() < 0.5 ? random() * 10 : random() * 6_000
        put(pick(inputs)())
      }
      // At last nobody is there any more: every wish has got its answer, every connection its end.
      for (const link of open) put({ type: 'closed', link, by: 'timeout', code: 'lost' })
      open.clear()
      put({ type: 'policy', policy: policy([]) })
      for (const peerId of peers) put({ type: 'disconnect', peerId })
      for (let i = 0; i < 200 && links.deadline !== undefined; i++) {
        now = links.deadline
        put({ type: 'tick' })
      }
      expect([links.statuses(), links.deadline], `seed ${seed}: the end`).toEqual([[], undefined])
      const answers = Array.from({ length: lastConnect }, (_, i) => outcomes.get(i + 1))
      expect(answers, `seed ${seed}: wishes`).toEqual(answers.map(() => 1))
    }
  })
})
