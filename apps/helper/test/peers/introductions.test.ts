import { describe, expect, it } from 'vitest'
import { FIRST_ROUND_MS, HELP_AFTER_MS, Introductions, JUST_LOST_MS, LONGEST_ROUND_MS, MAX_FRIENDS_ASKED } from '../../src/core/peers/introductions.ts'
import type { Owner } from '../../src/core/peers/introductions.ts'
import { keyHashText } from '../../src/core/peers/peer-link-state.ts'
import { person, recordOf } from '../support/peer-records.ts'

const [me, ann, bob, cid, dan] = [person(1), person(2), person(3), person(4), person(5)]
const hash = (of: { peerId: typeof ann.peerId }): string => keyHashText(of.peerId)
const refused = (code: string) => ({ type: 'refuse', fault: { code } })

function machine(friends: readonly (typeof ann)[] = []): Introductions {
  const introductions = new Introductions({ self: me.peerId, whoKnows: () => friends.map(({ peerId }) => peerId) })
  for (const { peerId } of friends) introductions.step(0, { type: 'connected', peerId, introduces: true })
  return introductions
}

describe('asking friends', () => {
  it('begins when a dial takes long, asks two, and ever more rarely', () => {
    const introductions = machine([ann, bob, cid])
    let now = 0
    const rounds: number[] = []
    for (let i = 0; i < 8; i++) {
      introductions.step(now, { type: 'wanted', keyHash: hash(dan), knockSecret: 'aa' })
      const at = introductions.deadline ?? Number.NaN
      rounds.push(at - now)
      now = at
      const effects = introductions.step(now, { type: 'tick' })
      expect(effects).toHaveLength(MAX_FRIENDS_ASKED)
      expect(effects[0]).toEqual({ type: 'ask', friend: ann.peerId, keyHash: hash(dan), knockSecret: 'aa' })
      expect(introductions.deadline).toBeUndefined()
    }
    expect(rounds).toEqual([HELP_AFTER_MS, ...[1, 2, 4, 8, 16, 30, 30].map((times) => Math.min(LONGEST_ROUND_MS, FIRST_ROUND_MS * times))])
  })

  it('is not needed when the dial succeeds, and starts afresh after a connection', () => {
    const introductions = machine([ann])
    introductions.step(0, { type: 'wanted', keyHash: hash(dan), knockSecret: 'aa' })
    introductions.step(HELP_AFTER_MS, { type: 'tick' })
    introductions.step(500, { type: 'wanted', keyHash: hash(dan), knockSecret: 'aa' })
    introductions.step(600, { type: 'connected', peerId: dan.peerId, introduces: true })
    expect(introductions.deadline).toBeUndefined()
    introductions.step(700, { type: 'disconnected', peerId: dan.peerId })
    introductions.step(700 + JUST_LOST_MS, { type: 'wanted', keyHash: hash(dan), knockSecret: 'aa' })
    expect(introductions.deadline).toBe(700 + JUST_LOST_MS + HELP_AFTER_MS)
  })

  it('begins at once for somebody who was here a moment ago', () => {
    const introductions = machine([ann])
    introductions.step(0, { type: 'connected', peerId: dan.peerId, introduces: true })
    introductions.step(700, { type: 'disconnected', peerId: dan.peerId })
    introductions.step(1_000, { type: 'wanted', keyHash: hash(dan), knockSecret: 'aa' })
    expect(introductions.deadline).toBe(1_000)
    expect(introductions.step(1_000, { type: 'tick' })).toMatchObject([{ type: 'ask', friend: ann.peerId }])
    // Only the first time: from then on as always.
    introductions.step(1_100, { type: 'wanted', keyHash: hash(dan), knockSecret: 'aa' })
    expect(introductions.deadline).toBe(1_000 + FIRST_ROUND_MS)
  })

  it('asks nobody who does not understand it', () => {
    const introductions = new Introductions({ self: me.peerId, whoKnows: () => [ann.peerId, bob.peerId] })
    introductions.step(0, { type: 'connected', peerId: ann.peerId, introduces: false })
    introductions.step(0, { type: 'wanted', keyHash: hash(dan), knockSecret: 'aa' })
    expect(introductions.step(HELP_AFTER_MS, { type: 'tick' })).toEqual([])
  })

  it('believes an answer only about whom it asked for, while it wants to know', () => {
    const introductions = machine([ann])
    const answer = (keyHash: string, of: typeof ann) => introductions.step(1, { type: 'answered', keyHash, record: recordOf(of) })
    expect(answer(hash(dan), dan)).toEqual([])
    introductions.step(0, { type: 'wanted', keyHash: hash(dan), knockSecret: 'aa' })
    expect(answer(hash(dan), cid)).toEqual([])
    expect(answer(hash(cid), cid)).toEqual([])
    expect(answer(hash(dan), dan)).toEqual([{ type: 'learn', record: recordOf(dan) }])
    expect(introductions.step(1, { type: 'answered', keyHash: hash(dan) })).toEqual([])
  })
})

const ask = (change: object = {}) => ({ from: ann.peerId, owner: ann.peerId, to: hash(bob), ...change })

describe('passing on', () => {
  it('is for connected peers, of themselves, to connected peers', () => {
    const introductions = machine([ann, bob])
    expect(introductions.route(0, ask())).toEqual({ type: 'forward', to: bob.peerId })
    expect(introductions.route(0, ask({ to: hash(cid) }))).toMatchObject(refused('not-found'))
    expect(introductions.route(0, ask({ to: hash(ann) }))).toMatchObject(refused('not-found'))
    expect(introductions.route(0, ask({ owner: cid.peerId }))).toMatchObject(refused('not-allowed'))
    expect(introductions.route(0, ask({ from: cid.peerId, owner: cid.peerId }))).toMatchObject(refused('not-allowed'))
    expect(introductions.route(0, { from: ann.peerId, owner: cid.peerId, to: hash(me) })).toEqual({ type: 'mine' })
    expect(introductions.route(0, { from: ann.peerId, owner: ann.peerId, to: hash(me) })).toMatchObject(refused('bad-request'))
  })

  it('can be switched off, which looks like not being connected', () => {
    const introductions = machine([ann, bob])
    const unknown = introductions.route(0, ask({ to: hash(cid) }))
    introductions.helpsOthers = false
    expect(introductions.route(0, ask())).toEqual(unknown)
    expect(introductions.route(0, { from: ann.peerId, owner: cid.peerId, to: hash(me) })).toEqual({ type: 'mine' })
  })

  it('is bounded for who asks and for who is asked', () => {
    const introductions = machine([ann, bob, cid])
    const count = (from: typeof ann) => Array.from({ length: 100 }, () => introductions.route(0, { from: from.peerId, owner: from.peerId, to: hash(bob) })).filter(({ type }) => type === 'forward').length
    const first = count(ann)
    expect(first).toBeGreaterThan(1)
    expect(first).toBeLessThan(20)
    expect(count(cid)).toBe(0)
    expect(introductions.route(60_000, ask())).toEqual({ type: 'forward', to: bob.peerId })
  })
})

describe('being asked for', () => {
  const owner: Owner = { known: true, blocked: false, away: false, proof: 'known' }
  const judge = (change: Partial<Owner>, ask = true) => machine().judge(0, cid.peerId, { ...owner, ...change }, ask)

  it('a friend is met, and a stranger with our code as our person decided', () => {
    expect(judge({})).toEqual({ type: 'dial' })
    expect(judge({ proof: 'code' })).toEqual({ type: 'dial' })
    expect(judge({ known: false, proof: 'code' }, false)).toEqual({ type: 'dial' })
    expect(judge({ known: false, proof: 'code' }, true)).toEqual({ type: 'open' })
  })

  it.each<[string, Partial<Owner>]>([
    ['somebody blocked', { blocked: true }], ['somebody whom we left', { away: true }], ['nobody we know', { known: false, proof: null }],
    ['a friend with a wrong secret', { proof: null }], ['a stranger with what friends pass on', { known: false, proof: 'known' }],
  ])('%s hears the same as about somebody who is not there', (_, change) => {
    expect(judge(change)).toEqual(machine([ann]).route(0, { from: ann.peerId, owner: ann.peerId, to: hash(cid) }))
  })

  it('is followed only so often', () => {
    const introductions = machine()
    const met = Array.from({ length: 100 }, (_, i) => introductions.judge(i, cid.peerId, owner, true)).filter(({ type }) => type === 'dial').length
    expect(met).toBeLessThan(10)
    expect(introductions.judge(100, dan.peerId, owner, true)).toEqual({ type: 'dial' })
  })
})
