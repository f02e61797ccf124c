/** Topics over carriers that anybody can read and write, in virtual time: who meets, what a watcher sees, what harm a hostile carrier does. */
import { type PeerRecord, type SignedPeerRecord, TOPIC_ANNOUNCEMENT_BYTES, type TopicKeys, decodePeerRecord, deriveTopicKeys, encodePeerRecord, peerIdFromKey, publicKeyOf } from '@harddrive-party/protocol'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/adapters/system/drive.ts'
import { ed25519Signer, verifyEd25519 } from '../../src/adapters/identity/ed25519.ts'
import type { TopicCarrier, TopicCarrierEvents } from '../../src/adapters/reach/topic-carrier.ts'
import { MAX_TOPICS, type Topics, openTopics } from '../../src/adapters/reach/topics.ts'

const NOON = Date.UTC(2026, 0, 15, 12)

class VirtualClock implements Clock {
  #now = 0
  #timers: { at: number; wake: () => void }[] = []

  now(): number {
    return this.#now
  }

  wakeAfter(delayMs: number, wake: () => void): () => void {
    const timer = { at: this.#now + delayMs, wake }
    this.#timers.push(timer)
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer))
  }

  run(forMs: number): void {
    const until = this.#now + forMs
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((other) => other !== next)
      this.#now = Math.max(this.#now, next.at)
      next.wake()
    }
    this.#now = until
  }
}

/** What goes over it is there for all to see; everybody under a name hears it 40 ms later, the sender too. */
class OpenCarrier {
  readonly said: { name: string; bytes: Uint8Array }[] = []
  readonly #clock: VirtualClock
  readonly #ends = new Set<{ events: TopicCarrierEvents; names: readonly string[] }>()

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  readonly open = (events: TopicCarrierEvents): TopicCarrier => {
    const end = { events, names: [] as readonly string[] }
    this.#ends.add(end)
    return {
      setNames: (names) => {
        end.names = names
        this.#clock.wakeAfter(20, () => events.onOpen())
      },
      publish: (name, bytes) => {
        this.said.push({ name, bytes })
        this.deliver(name, bytes)
      },
      close: () => void this.#ends.delete(end),
    }
  }

  deliver(name: string, bytes: Uint8Array): void {
    for (const end of this.#ends) if (end.names.includes(name)) this.#clock.wakeAfter(40, () => end.events.onMessage(name, bytes))
  }

  /** At once. */
  inject(name: string, bytes: Uint8Array): void {
    for (const end of this.#ends) if (end.names.includes(name)) end.events.onMessage(name, bytes)
  }

  names(): string[] {
    return [...new Set([...this.#ends].flatMap(({ names }) => names))]
  }
}

interface Member {
  readonly topics: Topics
  readonly signed: SignedPeerRecord
  readonly met: { readonly peerId: string; readonly live: boolean; readonly at: number }[]
  verified(): number
}

/** Cheap, and different for each topic. */
const derive = (topic: string): Promise<TopicKeys> => deriveTopicKeys(topic, async (password) => Uint8Array.from({ length: 32 }, (_, i) => (password[i % password.length] ?? 0) + i))

/** Keys are derived in promises, which virtual time does not know of. */
const derived = () => new Promise((resolve) => setImmediate(resolve))

class TopicWorld {
  readonly clock = new VirtualClock()
  readonly carrier = new OpenCarrier(this.clock)
  unixOffset = NOON

  member(number: number): Member {
    const seed = new Uint8Array(32).fill(number)
    const record: PeerRecord = {
      peerId: peerIdFromKey(publicKeyOf(seed)), sequence: 1, issuedAt: NOON, expiresAt: NOON + 5 * 24 * 3_600_000, knockSecret: new Uint8Array(16).fill(number), passOn: true,
      nat: { v4: 'open', v6: 'open' }, addresses: [{ endpoint: { host: `198.51.100.${number}`, port: 4433 }, source: 'stun' }],
    }
    const decoded = decodePeerRecord(encodePeerRecord(record, ed25519Signer(seed)))
    if (!decoded.ok) throw new Error(decoded.error.message)
    const met: Member['met'] = []
    let verified = 0
    const topics = openTopics({
      self: record.peerId, clock: this.clock, unixMs: () => this.unixOffset + this.clock.now(), random: () => 0.5, derive, log: () => {},
      ownRecord: () => decoded.value,
      sign: ed25519Signer(seed),
      verify: (...args) => {
        verified++
        return verifyEd25519(...args)
      },
      onMet: (signed, live) => void met.push({ peerId: signed.record.peerId, live, at: this.clock.now() }),
    })
    topics.add(this.carrier.open)
    return { topics, signed: decoded.value, met, verified: () => verified }
  }
}

describe('members of a topic', () => {
  it('meet within half a second, at the same moment', async () => {
    const world = new TopicWorld()
    const [anna, ben] = [world.member(1), world.member(2)]
    anna.topics.set(['Brave Otters'])
    await derived()
    world.clock.run(60_000)
    ben.topics.set([' brave otters'])
    await derived()
    world.clock.run(500)
    const [first] = anna.met
    const [second] = ben.met
    expect(first).toMatchObject({ peerId: ben.signed.record.peerId, live: true })
    expect(second).toMatchObject({ peerId: anna.signed.record.peerId, live: true })
    expect(Math.abs((first?.at ?? 0) - (second?.at ?? Infinity))).toBeLessThan(100)
    expect(anna.topics.members()).toEqual([{ topic: 'Brave Otters', members: [ben.signed.record.peerId] }])
  })

  it('do not meet those of another one', async () => {
    const world = new TopicWorld()
    const [anna, ben] = [world.member(1), world.member(2)]
    anna.topics.set(['otters'])
    ben.topics.set(['badgers'])
    await derived()
    world.clock.run(60_000)
    expect([...anna.met, ...ben.met]).toEqual([])
  })

  it('are not heard after they have left, nor listened to', async () => {
    const world = new TopicWorld()
    const [anna, ben] = [world.member(1), world.member(2)]
    anna.topics.set(['otters', 'badgers'])
    await derived()
    world.clock.run(1_000)
    anna.topics.set(['badgers'])
    world.clock.run(1_000)
    expect(world.carrier.names()).toHaveLength(1)
    ben.topics.set(['otters'])
    await derived()
    world.clock.run(60_000)
    expect([...anna.met, ...ben.met]).toEqual([])
  })

  it('follow the name of the day', async () => {
    const world = new TopicWorld()
    const [anna, ben] = [world.member(1), world.member(2)]
    anna.topics.set(['otters'])
    await derived()
    world.clock.run(1_000)
    const [today] = world.carrier.names()
    world.clock.run(24 * 3_600_000)
    expect(world.carrier.names()).not.toContain(today)
    ben.topics.set(['otters'])
    await derived()
    world.clock.run(1_000)
    expect(anna.met).toHaveLength(1)
    expect(ben.met).toHaveLength(1)
  })

  it('say the new when there is something new', async () => {
    const world = new TopicWorld()
    const anna = world.member(1)
    anna.topics.set(['otters'])
    await derived()
    world.clock.run(290_000)
    const before = world.carrier.said.length
    anna.topics.announce()
    world.clock.run(300)
    expect(world.carrier.said).toHaveLength(before + 1)
  })

  it('are in no more than so many', async () => {
    const world = new TopicWorld()
    const anna = world.member(1)
    anna.topics.set([...Array.from({ length: 100 }, (_, i) => `topic ${i}`), '', 'x'.repeat(1_000)])
    await derived()
    world.clock.run(1_000)
    expect(anna.topics.members()).toHaveLength(MAX_TOPICS)
    expect(world.carrier.names()).toHaveLength(MAX_TOPICS)
  })

  it('are gone when they are closed', async () => {
    const world = new TopicWorld()
    const anna = world.member(1)
    anna.topics.set(['otters'])
    anna.topics.close()
    await derived()
    world.clock.run(60_000)
    expect(world.carrier.said).toEqual([])
    anna.topics.set(['otters'])
    await derived()
    world.clock.run(60_000)
    expect(world.carrier.said).toEqual([])
  })
})

describe('a carrier', () => {
  it('shows who watches it random names and packets of one size', async () => {
    const world = new TopicWorld()
    const members = [world.member(1), world.member(2)]
    for (const { topics } of members) topics.set(['otters'])
    await derived()
    world.clock.run(60_000)
    expect(world.carrier.said.length).toBeGreaterThan(4)
    const seen = new Set<string>()
    for (const { name, bytes } of world.carrier.said) {
      expect(name).toMatch(/^[0-9a-f]{32}$/)
      expect(bytes).toHaveLength(TOPIC_ANNOUNCEMENT_BYTES)
      const hex = Buffer.from(bytes).toString('hex')
      for (const { signed } of members) expect(hex).not.toContain(signed.record.peerId)
      // The nonce is another one each time, so that nothing repeats.
      seen.add(hex.slice(0, 48))
    }
    expect(seen.size).toBe(world.carrier.said.length)
  })

  it('gains nothing by saying the same again, soon or late', async () => {
    const world = new TopicWorld()
    const [anna, ben] = [world.member(1), world.member(2)]
    for (const { topics } of [anna, ben]) topics.set(['otters'])
    await derived()
    world.clock.run(60_000)
    const before = { said: world.carrier.said.length, met: anna.met.length + ben.met.length }
    const old = [...world.carrier.said]
    for (const { name, bytes } of [...old, ...old]) world.carrier.deliver(name, bytes)
    world.clock.run(5_000)
    expect(world.carrier.said.length).toBe(before.said)
    world.clock.run(120_000)
    const later = { said: world.carrier.said.length, met: anna.met.length + ben.met.length }
    for (const { name, bytes } of old) world.carrier.deliver(name, bytes)
    world.clock.run(1_000)
    expect(world.carrier.said.length).toBe(later.said)
    expect(anna.met.length + ben.met.length).toBe(later.met)
  })

  it('costs little when it floods us with garbage, and does not keep another one from working', async () => {
    const world = new TopicWorld()
    const [anna, ben] = [world.member(1), world.member(2)]
    const quiet = new OpenCarrier(world.clock)
    for (const { topics } of [anna, ben]) topics.add(quiet.open)
    anna.topics.set(['otters'])
    await derived()
    world.clock.run(1_000)
    const [name = ''] = world.carrier.names()
    const garbage = new Uint8Array(TOPIC_ANNOUNCEMENT_BYTES).fill(1)
    for (let i = 0; i < 20_000; i++) world.carrier.inject(name, i % 2 === 0 ? garbage : new Uint8Array(i % 2_000))
    ben.topics.set(['otters'])
    await derived()
    world.clock.run(1_000)
    expect(anna.verified()).toBeLessThan(20)
    expect(anna.met.map(({ peerId }) => peerId)).toContain(ben.signed.record.peerId)
  })

  it('makes us check no more signatures than so many a second, even from a member', async () => {
    const world = new TopicWorld()
    const [anna, ben] = [world.member(1), world.member(2)]
    anna.topics.set(['otters'])
    ben.topics.set(['otters'])
    await derived()
    world.clock.run(1_000)
    const real = world.carrier.said.at(-1)
    if (real === undefined) throw new Error('nothing was said')
    const before = anna.verified()
    for (let i = 0; i < 2_000; i++) world.carrier.inject(real.name, real.bytes)
    world.clock.run(1_000)
    expect(anna.verified() - before).toBeLessThan(2 * 120)
  })
})
