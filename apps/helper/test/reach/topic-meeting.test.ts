/** When members of a topic announce themselves and whom they meet, in virtual time, over carriers that lose, repeat and invent. */
import { type PeerId, type PeerRecord, type SignedPeerRecord, peerIdFromKey } from '@harddrive-party/protocol'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ANNOUNCEMENT_WINDOW_MS, ANSWER_SPREAD_MS, ASK_EVERY_MS, MAX_TOPIC_MEMBERS, MEMBER_SILENCE_MS, type TopicEffect, TopicMeeting } from '../../src/core/reach/topic-meeting.ts'
import { seededRandom } from '../support/world.ts'

const UNIX = 1_700_000_000_000
const idOf = (number: number): PeerId => peerIdFromKey(Uint8Array.from({ length: 32 }, (_, i) => (i < 2 ? (number >> (8 * i)) & 0xff : 1)))

function signedOf(number: number, sequence = 1): SignedPeerRecord {
  const record: PeerRecord = {
    peerId: idOf(number), sequence, issuedAt: UNIX, expiresAt: UNIX + 1e6, knockSecret: new Uint8Array(16), passOn: true, nat: { v4: 'open', v6: 'open' }, addresses: [],
  }
  return { record, bytes: new Uint8Array() }
}

function meetingOf(number: number, random: () => number = () => 0.5): TopicMeeting {
  return new TopicMeeting({ self: idOf(number), random })
}

const heard = (number: number, kind: 'ask' | 'answer', now: number, at = now) => ({ type: 'heard', kind, signed: signedOf(number), at: UNIX + at, unixMs: UNIX + now }) as const

/** Runs to its deadlines up to a time. */
function runUntil(meeting: TopicMeeting, until: number): { at: number; effect: TopicEffect }[] {
  const seen: { at: number; effect: TopicEffect }[] = []
  for (let at = meeting.deadline; at !== undefined && at <= until; at = meeting.deadline) {
    for (const effect of meeting.step(at, { type: 'tick' })) seen.push({ at, effect })
  }
  return seen
}

describe('a member', () => {
  it('asks when it joins, again while nobody may have heard, and then now and then', () => {
    const meeting = meetingOf(1)
    meeting.step(0, { type: 'ask' })
    const asks = runUntil(meeting, 30 * 60_000).map(({ at, effect }) => {
      expect(effect).toEqual({ type: 'announce', kind: 'ask' })
      return at
    })
    expect(asks[0]).toBeLessThanOrEqual(200)
    expect(asks[1]).toBeLessThan(3_000)
    expect(asks.slice(5).every((at, i) => at - (asks[i + 4] ?? 0) === ASK_EVERY_MS)).toBe(true)
    expect(asks.length).toBeLessThan(12)
  })

  it('does not ask more often for having more to say', () => {
    const meeting = meetingOf(1)
    let asks = 0
    for (let now = 0; now < 10_000; now += 10) {
      meeting.step(now, { type: 'ask' })
      asks += meeting.step(now + 5, { type: 'tick' }).length
    }
    asks += runUntil(meeting, 11_000).length
    expect(asks).toBeLessThanOrEqual(12)
    expect(asks).toBeGreaterThan(0)
  })

  it('answers who asks, and starts at that moment', () => {
    const meeting = meetingOf(1)
    expect(meeting.step(0, heard(2, 'ask', 0))).toEqual([])
    const [answer, meet, ...rest] = runUntil(meeting, 10_000)
    expect(answer).toMatchObject({ effect: { type: 'announce', kind: 'answer' } })
    expect(answer?.at).toBeGreaterThanOrEqual(ANSWER_SPREAD_MS.least)
    expect(answer?.at).toBeLessThanOrEqual(ANSWER_SPREAD_MS.most)
    expect(meet).toEqual({ at: answer?.at, effect: { type: 'meet', signed: signedOf(2), live: true } })
    expect(rest).toEqual([])
  })

  it('gives many who ask at once one answer', () => {
    const meeting = meetingOf(1)
    for (let i = 2; i < 30; i++) meeting.step(i, heard(i, 'ask', i))
    const effects = runUntil(meeting, 10_000).map(({ effect }) => effect)
    expect(effects.filter(({ type }) => type === 'announce')).toHaveLength(1)
    expect(effects.filter(({ type }) => type === 'meet')).toHaveLength(28)
  })

  it('starts on an answer to its own ask, and takes others as a hint', () => {
    const meeting = meetingOf(1)
    meeting.step(0, { type: 'ask' })
    runUntil(meeting, 200)
    expect(meeting.step(300, heard(2, 'answer', 300))).toEqual([{ type: 'meet', signed: signedOf(2), live: true }])
    const quiet = meetingOf(1)
    expect(quiet.step(300, heard(2, 'answer', 300))).toEqual([{ type: 'meet', signed: signedOf(2), live: false }])
  })

  it('passes over itself, replays, and what is too old or from the future', () => {
    const meeting = meetingOf(1)
    expect(meeting.step(0, heard(1, 'answer', 0))).toEqual([])
    expect(meeting.step(100_000, heard(2, 'answer', 100_000))).toHaveLength(1)
    for (const at of [100_000, 99_999]) expect(meeting.step(100_500, heard(2, 'answer', 100_500, at))).toEqual([])
    for (const at of [-1, 1]) expect(meeting.step(100_500, heard(3, 'answer', 100_500, 100_500 + at * (ANNOUNCEMENT_WINDOW_MS + 1)))).toEqual([])
    expect(meeting.members()).toEqual([idOf(2)])
  })

  it('keeps the newest record, whatever comes later', () => {
    const meeting = meetingOf(1)
    meeting.step(0, { type: 'heard', kind: 'answer', signed: signedOf(2, 9), at: UNIX, unixMs: UNIX })
    expect(meeting.step(1, { type: 'heard', kind: 'answer', signed: signedOf(2, 8), at: UNIX + 1, unixMs: UNIX })).toMatchObject([{ signed: { record: { sequence: 9 } } }])
  })

  it('remembers no more than so many, the silent ones last', () => {
    const meeting = meetingOf(0)
    for (let i = 1; i <= 2 * MAX_TOPIC_MEMBERS; i++) meeting.step(i, heard(i, 'ask', i))
    expect(meeting.members()).toHaveLength(MAX_TOPIC_MEMBERS)
    expect(meeting.members()).toContain(idOf(1))
    const later = MEMBER_SILENCE_MS + 1_000
    expect(meeting.step(later, heard(500, 'answer', later))).toHaveLength(1)
    expect(meeting.members()).toHaveLength(MAX_TOPIC_MEMBERS)
    expect(meeting.members()).toContain(idOf(500))
  })

  it('says no more under a flood than a second allows', () => {
    const meeting = meetingOf(0)
    let said = 0
    for (let now = 0; now < 10_000; now += 2) {
      meeting.step(now, heard(1 + (now % 300), 'ask', now))
      said += runUntil(meeting, now).filter(({ effect }) => effect.type === 'announce').length
    }
    expect(said).toBeLessThanOrEqual(11)
    expect(said).toBeGreaterThan(5)
  })
})

/** Everybody hears everything that is not lost, a little later; what is repeated comes again. */
function world(count: number, { loss, delay, random }: { loss: number; delay: number; random: () => number }, until: number) {
  const members = Array.from({ length: count }, (_, i) => meetingOf(i + 1, random))
  const joinsAt = members.map((_, i) => i * 300)
  const queue: { at: number; to: number; from: number; kind: 'ask' | 'answer'; sentAt: number }[] = []
  const met = members.map(() => new Map<PeerId, number>())
  const lastSent = members.map(() => -1)
  let said = 0
  const perform = (index: number, now: number, effects: TopicEffect[]): void => {
    for (const effect of effects) {
      if (effect.type === 'meet') {
        if (!met[index]?.has(effect.signed.record.peerId)) met[index]?.set(effect.signed.record.peerId, now)
        continue
      }
      said++
      const sentAt = Math.max(now, (lastSent[index] ?? -1) + 1)
      lastSent[index] = sentAt
      for (const to of members.keys()) {
        for (let copies = random() < 0.2 ? 2 : 1; copies > 0; copies--) {
          if (random() >= loss) queue.push({ at: now + delay * (0.5 + random()), to, from: index + 1, kind: effect.kind, sentAt })
        }
      }
    }
  }
  for (let now = 0; now <= until; now += 5) {
    for (const [i, member] of members.entries()) {
      if (joinsAt[i] !== undefined && joinsAt[i] <= now) {
        joinsAt[i] = Infinity
        perform(i, now, member.step(now, { type: 'ask' }))
      }
      if (member.deadline !== undefined && member.deadline <= now) perform(i, now, member.step(now, { type: 'tick' }))
    }
    for (const message of queue.filter(({ at }) => at <= now)) {
      queue.splice(queue.indexOf(message), 1)
      if ((joinsAt[message.to] ?? 0) !== Infinity) continue
      perform(message.to, now, members[message.to]?.step(now, heard(message.from, message.kind, now, message.sentAt)) ?? [])
    }
  }
  return { met, said }
}

describe('members together', () => {
  it('know each other half a second after the last has joined', () => {
    const { met } = world(2, { loss: 0, delay: 60, random: () => 0.5 }, 5_000)
    for (const times of met) for (const at of times.values()) expect(at).toBeLessThan(300 + 600)
    expect(met.map((times) => times.size)).toEqual([1, 1])
  })

  it('all know all in the end, whatever is lost and repeated', () => {
    fc.assert(fc.property(fc.integer({ min: 2, max: 6 }), fc.integer(), (count, seed) => {
      const { met, said } = world(count, { loss: 0.2, delay: 100, random: seededRandom(seed) }, 200_000)
      for (const times of met) expect(times.size).toBe(count - 1)
      expect(said).toBeLessThan(count * (8 + 8 * count))
    }), { numRuns: 4 })
  })
})
