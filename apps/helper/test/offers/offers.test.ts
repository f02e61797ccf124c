import type { PeerId } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LIFETIME_MS, MAX_ENDED, MAX_PER_HOUR, MAX_WAITING_PER_PEER, type OfferRecord, PROGRESS_MS, RETRY_MS, hasEnded } from '../../src/core/offers/offer-record.ts'
import { type HeardOffer, Offers, type OffersEffect, type OffersInput, transferOf } from '../../src/core/offers/offers.ts'

const ANNA = 'aa'.repeat(32) as PeerId
const BEN = 'bb'.repeat(32) as PeerId
const idOf = (number: number) => number.toString(16).padStart(32, '0')

function heard(number: number, more: Partial<HeardOffer> = {}): OffersInput {
  return { type: 'heard', offer: { offerId: idOf(number), peerId: ANNA, name: 'Photos', files: 3, bytes: 1_000, isDirectory: true, note: null, ...more } }
}

function sent(number: number): OfferRecord {
  return {
    offerId: idOf(number), direction: 'out', peerId: ANNA, name: 'Photos', files: 3, bytes: 1_000, isDirectory: true, note: null, items: [{ name: 'Photos', file: '/p' }], stagingId: 's', at: 0,
    expiresAt: LIFETIME_MS, endedAt: null, state: 'waiting', received: 0, isDelivered: false, folder: null, reason: null, owes: true,
  }
}

const only = <T extends OffersEffect['type']>(effects: readonly OffersEffect[], type: T) => effects.filter((effect): effect is Extract<OffersEffect, { type: T }> => effect.type === type)
const newsIn = (effects: readonly OffersEffect[]) => only(effects, 'tell').map(({ news }) => news)
const told = (number: number, failure: Extract<OffersInput, { type: 'told' }>['failure'] = null): OffersInput => ({ type: 'told', offerId: idOf(number), failure })
const here: OffersInput = { type: 'peer', peerId: ANNA, takes: true }

describe('an offer of ours', () => {
  test('is told when its peer is there, once, and may be read until it is over', () => {
    const offers = new Offers()
    expect(only(offers.step(0, { type: 'send', record: sent(1) }), 'tell')).toEqual([])
    expect(offers.offered.map(({ offerId }) => offerId)).toEqual([idOf(1)])
    expect(newsIn(offers.step(1, here))).toEqual([null])
    expect(newsIn(offers.step(2, told(1)))).toEqual([])
    expect(offers.record(idOf(1))).toMatchObject({ state: 'waiting', isDelivered: true })
    offers.step(3, { type: 'heard-news', peerId: ANNA, offerId: idOf(1), state: 'accepted', bytes: 5_000 })
    // It says so itself: never more than all of it.
    expect(offers.record(idOf(1))).toMatchObject({ state: 'accepted', received: 1_000 })
    const over = offers.step(4, { type: 'heard-news', peerId: ANNA, offerId: idOf(1), state: 'done' })
    expect(only(over, 'ended').map(({ record }) => record.stagingId)).toEqual(['s'])
    expect(only(over, 'publish')).toHaveLength(1)
    expect(offers.offered).toEqual([])
  })

  test('is told again after the peer was away, and after a while to one that was busy', () => {
    const offers = new Offers()
    offers.step(0, { type: 'send', record: sent(1) })
    offers.step(0, here)
    offers.step(1, told(1, 'connection-lost'))
    offers.step(2, { type: 'peer', peerId: ANNA, takes: false })
    expect(newsIn(offers.step(3, here))).toEqual([null])
    offers.step(4, told(1, 'busy'))
    expect(offers.deadline).toBe(4 + RETRY_MS)
    expect(newsIn(offers.step(4 + RETRY_MS, { type: 'tick' }))).toEqual([null])
  })

  test('is over when the peer wants none, and when nobody answers', () => {
    const offers = new Offers()
    for (const number of [1, 2]) offers.step(0, { type: 'send', record: sent(number) })
    offers.step(0, here)
    offers.step(1, told(1, 'not-allowed'))
    offers.step(1, told(2))
    expect(offers.record(idOf(1))?.state).toBe('declined')
    expect(offers.deadline).toBe(LIFETIME_MS)
    expect(only(offers.step(LIFETIME_MS, { type: 'tick' }), 'ended')).toHaveLength(1)
    expect(offers.record(idOf(2))?.state).toBe('expired')
  })

  test('is withdrawn also from a peer that is away, when it comes back, and over a restart', () => {
    const offers = new Offers()
    offers.step(0, { type: 'send', record: sent(1) })
    offers.step(0, here)
    offers.step(1, told(1))
    offers.step(2, { type: 'peers-gone' })
    const saved = only(offers.step(3, { type: 'cancel', offerId: idOf(1) }), 'save').at(-1)
    const next = new Offers()
    next.step(4, { type: 'restore', record: structuredClone(saved?.record ?? sent(1)) })
    expect(newsIn(next.step(5, here))).toEqual([{ state: 'withdrawn' }])
    next.step(6, told(1))
    expect(newsIn(next.step(7, here))).toEqual([])
  })

  test('is nobody else’s to answer', () => {
    const offers = new Offers()
    offers.step(0, { type: 'send', record: sent(1) })
    offers.step(1, { type: 'heard-news', peerId: BEN, offerId: idOf(1), state: 'done' })
    offers.step(1, { type: 'heard-news', peerId: ANNA, offerId: idOf(1), state: 'withdrawn' })
    expect(offers.record(idOf(1))?.state).toBe('waiting')
  })
})

describe('an offer of a peer', () => {
  test('asks once, is answered once, and tells how it goes', () => {
    const offers = new Offers()
    offers.step(0, here)
    expect(only(offers.step(1, heard(1)), 'ask')).toHaveLength(1)
    expect(only(offers.step(2, heard(1)), 'ask')).toHaveLength(0)
    const accepted = offers.step(3, { type: 'answer', offerId: idOf(1), accept: true, folder: 'In' })
    expect(only(accepted, 'fetch').map(({ record }) => record.folder)).toEqual(['In'])
    expect(newsIn(accepted)).toEqual([{ state: 'accepted', bytes: 0 }])
    expect(newsIn(offers.step(4, { type: 'answer', offerId: idOf(1), accept: false, folder: null }))).toEqual([])
    offers.step(5, told(1))
    const transfer = { type: 'transfer', transferId: transferOf(idOf(1)), total: 1_000 } as const
    expect(newsIn(offers.step(6, { ...transfer, state: 'under-way', bytes: 400 }))).toEqual([])
    expect(newsIn(offers.step(5 + PROGRESS_MS, { type: 'tick' }))).toEqual([{ state: 'accepted', bytes: 400 }])
    // Over while that is still being told: told right after.
    expect(newsIn(offers.step(1_100, { ...transfer, state: 'done', bytes: 1_000 }))).toEqual([])
    offers.step(1_101, told(1))
    expect(newsIn(offers.step(1_101 + PROGRESS_MS, { type: 'tick' }))).toEqual([{ state: 'done' }])
  })

  test('is fetched on after a restart', () => {
    const offers = new Offers()
    offers.step(0, heard(1))
    const saved = only(offers.step(1, { type: 'answer', offerId: idOf(1), accept: true, folder: null }), 'save').at(-1)?.record
    const next = new Offers()
    expect(only(next.step(2, { type: 'restore', record: structuredClone(saved ?? sent(1)) }), 'fetch')).toHaveLength(1)
    expect(newsIn(next.step(3, here))).toEqual([{ state: 'accepted', bytes: 0 }])
  })

  test('ends its transfer when it is withdrawn, is more than was offered, or is not there any more', () => {
    const ways: OffersInput[] = [
      { type: 'heard-news', peerId: ANNA, offerId: idOf(1), state: 'withdrawn' },
      { type: 'transfer', transferId: transferOf(idOf(1)), state: 'under-way', bytes: 0, total: 1_001 },
      told(1, 'not-found'),
    ]
    for (const input of ways) {
      const offers = new Offers()
      offers.step(0, here)
      offers.step(1, heard(1))
      offers.step(2, { type: 'answer', offerId: idOf(1), accept: true, folder: null })
      expect(only(offers.step(3, input), 'cancel-transfer')).toEqual([{ type: 'cancel-transfer', transferId: transferOf(idOf(1)) }])
      expect(hasEnded(offers.record(idOf(1))?.state ?? 'waiting')).toBe(true)
    }
  })

  test('is accepted without asking up to the limit of its peer, and only then', () => {
    const offers = new Offers()
    offers.step(0, { type: 'rule', rule: { peerId: ANNA, autoAcceptBytes: 1_000, muted: false } })
    expect(only(offers.step(1, heard(1)), 'fetch')).toHaveLength(1)
    expect(only(offers.step(2, heard(2, { bytes: 1_001 })), 'ask')).toHaveLength(1)
    expect(only(offers.step(3, heard(3, { peerId: BEN })), 'ask')).toHaveLength(1)
    expect(only(offers.step(4, { type: 'rule', rule: { peerId: ANNA, autoAcceptBytes: null, muted: true } }), 'publish')).toHaveLength(1)
    expect(offers.step(5, heard(4))).toEqual([])
    expect(offers.refused(5).muted).toEqual([ANNA])
  })
})

describe('somebody who floods us with offers', () => {
  test('fills neither the screen nor the list', () => {
    const offers = new Offers()
    let asked = 0
    for (let number = 1; number <= 200; number++) asked += only(offers.step(number, heard(number)), 'ask').length
    expect(asked).toBe(MAX_WAITING_PER_PEER)
    expect(offers.refused(200).full).toEqual([ANNA])
    expect(only(offers.step(201, heard(999, { peerId: BEN })), 'ask')).toHaveLength(1)
  })

  test('gets no more attention by withdrawing at once', () => {
    const offers = new Offers()
    let asked = 0
    for (let number = 1; number <= 200; number++) {
      asked += only(offers.step(number, heard(number)), 'ask').length
      offers.step(number, { type: 'heard-news', peerId: ANNA, offerId: idOf(number), state: 'withdrawn' })
    }
    expect(asked).toBe(MAX_PER_HOUR)
    // An hour later it is heard again, and says so by itself.
    const deadline = offers.deadline ?? 0
    expect(only(offers.step(deadline, { type: 'tick' }), 'publish')).toHaveLength(1)
    expect(only(offers.step(deadline, heard(500)), 'ask')).toHaveLength(1)
  })
})

test('whatever happens in whatever order, bounds hold, nothing is told twice at once, and ends are ends', () => {
  const number = fc.integer({ min: 1, max: 6 })
  const peerId = fc.constantFrom(ANNA, BEN)
  const input: fc.Arbitrary<OffersInput> = fc.oneof(
    fc.record({ type: fc.constant('send' as const), record: number.map((one) => sent(one + 100)) }),
    fc.tuple(number, peerId, fc.integer({ min: 0, max: 2_000 })).map(([one, peer, bytes]) => heard(one, { peerId: peer, bytes })),
    fc.record({ type: fc.constant('peer' as const), peerId, takes: fc.boolean() }),
    fc.constant<OffersInput>({ type: 'peers-gone' }),
    fc.record({
      type: fc.constant('heard-news' as const), peerId, offerId: fc.oneof(number, number.map((one) => one + 100)).map(idOf),
      state: fc.constantFrom('accepted' as const, 'declined' as const, 'failed' as const, 'done' as const, 'cancelled' as const, 'withdrawn' as const), bytes: fc.nat(3_000),
    }),
    fc.record({ type: fc.constant('answer' as const), offerId: number.map(idOf), accept: fc.boolean(), folder: fc.constant(null) }),
    fc.record({ type: fc.constant('cancel' as const), offerId: fc.oneof(number, number.map((one) => one + 100)).map(idOf) }),
    fc.record({
      type: fc.constant('transfer' as const), transferId: number.map((one) => transferOf(idOf(one))), state: fc.constantFrom('under-way' as const, 'done' as const, 'failed' as const, 'removed' as const),
      bytes: fc.nat(2_000), total: fc.option(fc.nat(2_000)),
    }),
    fc.record({ type: fc.constant('rule' as const), rule: fc.record({ peerId, autoAcceptBytes: fc.option(fc.nat(2_000)), muted: fc.boolean() }) }),
    fc.record({ type: fc.constant('forget-peer' as const), peerId }),
    fc.constant<OffersInput>({ type: 'clear' }),
    fc.constant<OffersInput>({ type: 'tick' }),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(input, fc.integer({ min: 0, max: 3_600_000 }), fc.option(fc.constantFrom('busy' as const, 'offline' as const, 'not-found' as const))), { maxLength: 60 }), (steps) => {
      const offers = new Offers()
      const telling = new Set<string>()
      const ended = new Map<string, string>()
      let now = 0
      const take = (effects: readonly OffersEffect[]) => {
        for (const { record } of only(effects, 'forget')) {
          telling.delete(record.offerId)
          ended.delete(record.offerId)
        }
        for (const { record } of only(effects, 'tell')) {
          expect(telling.has(record.offerId)).toBe(false)
          telling.add(record.offerId)
        }
      }
      for (const [next, wait, failure] of steps) {
        now += wait
        // The same id is never given twice.
        if (next.type === 'send' && offers.record(next.record.offerId) !== undefined) continue
        take(offers.step(now, next))
        const [first] = telling
        if (first !== undefined && wait % 2 === 0) {
          telling.delete(first)
          take(offers.step(now, { type: 'told', offerId: first, failure }))
        }
        for (const { offerId, state } of offers.records) {
          if (ended.has(offerId)) expect(state).toBe(ended.get(offerId))
          if (hasEnded(state)) ended.set(offerId, state)
        }
        const waiting = offers.records.filter(({ direction, state, peerId: of }) => direction === 'in' && state === 'waiting' && of === ANNA)
        expect(waiting.length).toBeLessThanOrEqual(MAX_WAITING_PER_PEER)
        expect(offers.records.filter(({ state }) => hasEnded(state)).length).toBeLessThanOrEqual(MAX_ENDED)
        expect(offers.deadline ?? Infinity).toBeGreaterThan(now - 1)
      }
    }),
    { numRuns: 60 },
  )
})
