import { MAX_GOSSIP_RECORDS, MAX_REQUEST_FRAME_BYTES, encodeRequest } from '@harddrive-party/protocol'
import type { PeerId, SignedPeerRecord } from '@harddrive-party/protocol'
import { describe, expect, it } from 'vitest'
import { GOSSIP_BURST, GOSSIP_DELAY_MS, GOSSIP_INTERVAL_MS, Gossip, MAX_RECORDS_HEARD, MAX_RECORDS_PER_SOURCE } from '../../src/core/peers/gossip.ts'
import type { GossipEffect } from '../../src/core/peers/gossip.ts'
import { keyHashText } from '../../src/core/peers/peer-link-state.ts'
import { UNIX, person, recordOf } from '../support/peer-records.ts'

const [me, ann, bob, cid] = [person(1), person(2), person(3), person(4)]

/** One helper's gossip with a clock; the world's time runs with it. */
class Talk {
  readonly gossip = new Gossip(me.peerId, UNIX)
  now = 0

  constructor(known: readonly PeerId[] = [ann.peerId, bob.peerId, cid.peerId], blocked: readonly PeerId[] = []) {
    this.policy(known, blocked)
  }

  policy(known: readonly PeerId[], blocked: readonly PeerId[] = []): void {
    this.gossip.step(this.now, { type: 'policy', known: new Set(known), blocked: new Set(blocked) })
  }

  connect(...peers: readonly { peerId: PeerId }[]): void {
    for (const { peerId } of peers) this.gossip.step(this.now, { type: 'connected', peerId, listens: true })
  }

  own(signed: SignedPeerRecord): void {
    this.gossip.step(this.now, { type: 'own', own: signed })
  }

  hear(from: { peerId: PeerId }, own: SignedPeerRecord | undefined, others: readonly SignedPeerRecord[] = []): readonly SignedPeerRecord[] {
    const effects = this.gossip.step(this.now, { type: 'heard', from: from.peerId, own, others, unixMs: UNIX + this.now })
    return effects.flatMap((effect) => (effect.type === 'learn' ? [effect.record] : []))
  }

  /** Runs for a while. @returns what was told, in order */
  run(forMs: number): Extract<GossipEffect, { type: 'tell' }>[] {
    const end = this.now + forMs
    const told: Extract<GossipEffect, { type: 'tell' }>[] = []
    for (let at = this.gossip.deadline; at !== undefined && at <= end; at = this.gossip.deadline) {
      this.now = at
      for (const effect of this.gossip.step(at, { type: 'tick' })) if (effect.type === 'tell') told.push(effect)
    }
    this.now = end
    return told
  }
}

describe('what is told', () => {
  it('is our own record at once, and what others said of themselves, to those who listen', () => {
    const talk = new Talk()
    const own = recordOf(me)
    talk.own(own)
    talk.connect(ann, bob)
    talk.gossip.step(0, { type: 'connected', peerId: cid.peerId, listens: false })
    expect(talk.run(GOSSIP_DELAY_MS)).toEqual([{ type: 'tell', to: ann.peerId, own: own.bytes, others: [] }, { type: 'tell', to: bob.peerId, own: own.bytes, others: [] }])
    const anns = recordOf(ann)
    expect(talk.hear(ann, anns)).toEqual([anns])
    expect(talk.run(60_000)).toEqual([{ type: 'tell', to: bob.peerId, others: [anns.bytes] }])
  })

  it('is said once, and again only when it is newer, or to somebody who has come back', () => {
    const talk = new Talk()
    talk.own(recordOf(me))
    talk.connect(ann, bob)
    talk.hear(ann, recordOf(ann))
    talk.run(60_000)
    talk.hear(ann, recordOf(ann))
    talk.own(recordOf(me))
    expect(talk.run(60_000)).toEqual([])
    const newer = recordOf(ann, { sequence: 2 })
    talk.hear(ann, newer)
    expect(talk.run(60_000)).toEqual([{ type: 'tell', to: bob.peerId, others: [newer.bytes] }])
    talk.gossip.step(talk.now, { type: 'disconnected', peerId: bob.peerId })
    talk.connect(bob)
    expect(talk.run(60_000)).toMatchObject([{ to: bob.peerId, others: [newer.bytes] }])
  })

  it('travels one step: what we were told of others is told to nobody', () => {
    const talk = new Talk()
    talk.connect(ann, bob)
    expect(talk.hear(ann, undefined, [recordOf(cid), recordOf(person(50))])).toHaveLength(2)
    expect(talk.run(600_000)).toEqual([])
  })

  it('never holds somebody who does not want to be passed on, is not known, is blocked, or whose time has passed', () => {
    const talk = new Talk([ann.peerId, bob.peerId])
    talk.connect(ann, bob, cid)
    talk.hear(ann, recordOf(ann, { passOn: false }))
    talk.hear(cid, recordOf(cid))
    expect(talk.run(600_000)).toEqual([])
    talk.policy([ann.peerId, bob.peerId], [cid.peerId])
    expect(talk.hear(cid, recordOf(cid, { sequence: 9 }))).toEqual([])
    talk.hear(bob, recordOf(bob, { sequence: 2, expiresAt: UNIX + talk.now + 10 }))
    talk.now += 11
    expect(talk.run(600_000)).toEqual([])
  })

  it('stops when a person changes their mind, even if they said yes before', () => {
    const talk = new Talk()
    talk.connect(ann)
    talk.hear(ann, recordOf(ann))
    talk.hear(ann, recordOf(ann, { sequence: 2, passOn: false }))
    talk.connect(bob)
    expect(talk.run(600_000)).toEqual([])
    // Our own goes to those we are connected to all the same: it tells them to stop.
    const own = recordOf(me, { passOn: false })
    talk.own(own)
    expect(talk.run(600_000)).toMatchObject([{ to: ann.peerId, own: own.bytes }, { to: bob.peerId, own: own.bytes }])
  })

  it('is learnt again by whom it came too early', () => {
    const talk = new Talk([])
    talk.connect(ann, bob)
    const cids = recordOf(cid)
    talk.hear(ann, undefined, [cids])
    const policy = { type: 'policy', known: new Set([cid.peerId]), blocked: new Set<PeerId>() } as const
    expect(talk.gossip.step(0, policy)).toEqual([{ type: 'learn', record: cids }])
    expect(talk.gossip.step(0, policy)).toEqual([])
  })

  it('is forgotten with the peer', () => {
    const talk = new Talk()
    talk.connect(ann, bob)
    talk.hear(ann, recordOf(ann))
    talk.policy([bob.peerId])
    talk.policy([ann.peerId, bob.peerId])
    expect(talk.run(600_000)).toEqual([])
  })

  it('comes rarely, however often it changes', () => {
    const talk = new Talk()
    talk.connect(ann)
    let told = 0
    for (let i = 0; i < 1_000; i++) {
      talk.own(recordOf(me, { sequence: i + 1 }))
      told += talk.run(100).length
    }
    expect(told).toBeGreaterThanOrEqual(GOSSIP_BURST)
    expect(told).toBeLessThanOrEqual(GOSSIP_BURST + 100_000 / GOSSIP_INTERVAL_MS + 1)
  })

  it('fits its frame, and what does not comes later', () => {
    const people = Array.from({ length: 100 }, (_, i) => person(1_000 + i))
    const talk = new Talk(people.map(({ peerId }) => peerId))
    talk.connect(...people)
    const large = Array.from({ length: 16 }, (_, i) => ({ endpoint: { host: `2001:db8::${i + 1}`, port: 4433 }, source: 'interface' as const }))
    for (const each of people) talk.hear(each, recordOf(each, { addresses: large }))
    talk.own(recordOf(me, { addresses: large }))
    const told = talk.run(600_000).filter(({ to }) => to === people[0]?.peerId)
    for (const { type: _, to: __, ...message } of told) {
      expect(message.others.length).toBeLessThanOrEqual(MAX_GOSSIP_RECORDS)
      expect(encodeRequest({ type: 'gossip', ...message }).length).toBeLessThanOrEqual(MAX_REQUEST_FRAME_BYTES)
    }
    expect(told.flatMap(({ others }) => others)).toHaveLength(99)
    expect(told.length).toBeGreaterThan(3)
  })
})

describe('what is heard', () => {
  it('of oneself, of the teller, of the blocked, unwillingly or out of time counts for nothing', () => {
    const talk = new Talk([ann.peerId], [bob.peerId])
    talk.connect(ann)
    const nothing = [
      recordOf(me, { sequence: 99 }), recordOf(ann), recordOf(bob), recordOf(cid, { passOn: false }), recordOf(cid, { issuedAt: UNIX - 10, expiresAt: UNIX }),
      recordOf(cid, { issuedAt: UNIX + 3_000_000, expiresAt: UNIX + 4_000_000 }),
    ]
    expect(talk.hear(ann, undefined, nothing)).toEqual([])
    expect(talk.hear(ann, recordOf(cid))).toEqual([])
    expect(talk.hear(bob, recordOf(bob))).toEqual([])
    expect(talk.gossip.heardCount).toBe(0)
  })

  it('again, or older, is no news', () => {
    const talk = new Talk()
    talk.connect(ann)
    const second = recordOf(cid, { sequence: 2 })
    expect(talk.hear(ann, undefined, [second])).toEqual([second])
    expect(talk.hear(ann, undefined, [second, recordOf(cid), recordOf(cid, { sequence: 2 })])).toEqual([])
    expect(talk.gossip.find(keyHashText(cid.peerId))).toEqual(second)
  })

  it('in floods is bounded for each teller and in all, and gone with the teller', () => {
    const people = Array.from({ length: 200 }, (_, i) => recordOf(person(10_000 + i)))
    const friends = Array.from({ length: 30 }, (_, i) => person(100 + i))
    const talk = new Talk(friends.map(({ peerId }) => peerId))
    talk.connect(...friends)
    const [first] = friends
    if (!first) throw new Error('nobody')
    talk.hear(first, undefined, people)
    expect(talk.gossip.heardCount).toBe(MAX_RECORDS_PER_SOURCE)
    for (const friend of friends) talk.hear(friend, undefined, people)
    expect(talk.gossip.heardCount).toBe(MAX_RECORDS_HEARD)
    for (const { peerId } of friends) talk.gossip.step(talk.now, { type: 'disconnected', peerId })
    expect(talk.gossip.heardCount).toBe(0)
  })

  it('is heard only so often', () => {
    const talk = new Talk()
    expect(talk.gossip.admits(0, ann.peerId)).toBe(false)
    talk.connect(ann, bob)
    const admitted = Array.from({ length: 1_000 }, (_, i) => talk.gossip.admits(i, ann.peerId)).filter(Boolean).length
    expect(admitted).toBeLessThan(20)
    expect(admitted).toBeGreaterThan(GOSSIP_BURST)
    expect(talk.gossip.admits(1_000, bob.peerId)).toBe(true)
  })

  it('says who may introduce: connected friends, the latest first', () => {
    const talk = new Talk()
    talk.connect(ann, bob)
    const hash = keyHashText(cid.peerId)
    expect(talk.gossip.whoKnows(hash)).toEqual([])
    talk.hear(ann, undefined, [recordOf(cid)])
    talk.hear(bob, undefined, [recordOf(cid)])
    expect(new Set(talk.gossip.whoKnows(hash))).toEqual(new Set([ann.peerId, bob.peerId]))
    talk.gossip.step(1, { type: 'disconnected', peerId: bob.peerId })
    expect(talk.gossip.whoKnows(hash)).toEqual([ann.peerId])
    talk.policy([ann.peerId], [cid.peerId])
    expect(talk.gossip.whoKnows(hash)).toEqual([])
  })
})
