import type { PeerId, SignedPeerRecord, TopicAnnouncementKind } from '@harddrive-party/protocol'
import type { Machine } from '../machine.ts'

/**
 * Decides, for one topic, when to announce ourselves and whom to meet. Announcements come in opened and are believed to be made by whom they are about;
 * the network between members may lose, repeat and invent them. It seals nothing, dials nobody, and does not know who is connected.
 *
 * Who asks is answered by everybody. The answer is the signal on which both sides start towards each other at the same moment.
 */

/** Members that are remembered: more than a group of friends has, few enough to be dialled. */
export const MAX_TOPIC_MEMBERS = 64
/** A member that has not been heard for so long makes room for another: three asks of its own. */
export const MEMBER_SILENCE_MS = 16 * 60_000
/** An announcement older or newer than this is a replay, or of a clock that no knock of its owner would survive either. */
export const ANNOUNCEMENT_WINDOW_MS = 90_000
/** Within this time the answers of many members are spread, and those who ask at once get one answer. */
export const ANSWER_SPREAD_MS = { least: 20, most: 200 } as const
/** Between two answers, and between two asks. */
export const ANNOUNCEMENT_SPACING_MS = 1_000
/** Between two asks of one member that are heeded: a little less, since they may travel at different speeds. */
const HEED_SPACING_MS = 500
/** An answer this long after we asked is one to us. */
export const ANSWERED_WITHIN_MS = 5_000
/** An ask may be lost, or a member may not be there yet: asked again after these, then every ASK_EVERY_MS, all within a fifth. */
const ASK_AGAIN_MS = [2_000, 8_000, 30_000, 120_000] as const
export const ASK_EVERY_MS = 5 * 60_000
/** Those who lost the same broker at the same moment should not all ask at once when it is back. */
const ASK_SPREAD_MS = 200

export type TopicInput =
  /** We have just joined, a way to the others has opened, or there is something new to say. */
  | { readonly type: 'ask' }
  | {
    readonly type: 'heard'; readonly kind: TopicAnnouncementKind; readonly signed: SignedPeerRecord
    /** When its sender made it, and our own clock now: milliseconds since 1970. */
    readonly at: number; readonly unixMs: number
  }
  | { readonly type: 'tick' }

export type TopicEffect =
  | { readonly type: 'announce'; readonly kind: TopicAnnouncementKind }
  /** `live`: the member starts towards us at this moment. */
  | { readonly type: 'meet'; readonly signed: SignedPeerRecord; readonly live: boolean }

interface Member {
  signed: SignedPeerRecord
  /** Of its latest announcement, by its clock. */
  at: number
  /** By ours. */
  heardAt: number
  heededAt: number
}

export interface TopicMeetingOptions {
  readonly self: PeerId
  /** Uniform in [0, 1). */
  random(): number
}

export class TopicMeeting implements Machine<TopicInput, TopicEffect> {
  readonly #self: PeerId
  readonly #random: () => number
  readonly #members = new Map<PeerId, Member>()
  /** Who asked since our last answer. */
  readonly #asking = new Set<PeerId>()
  #answerAt: number | undefined
  #answeredAt = -Infinity
  #askAt: number | undefined
  #askedAt = -Infinity
  /** Asks sent since there was something new. */
  #asks = 0

  constructor({ self, random }: TopicMeetingOptions) {
    this.#self = self
    this.#random = random
  }

  get deadline(): number | undefined {
    if (this.#askAt === undefined || this.#answerAt === undefined) return this.#askAt ?? this.#answerAt
    return Math.min(this.#askAt, this.#answerAt)
  }

  /** Whom we have heard of late. */
  members(): PeerId[] {
    return [...this.#members.keys()]
  }

  step(now: number, input: TopicInput): TopicEffect[] {
    switch (input.type) {
      case 'ask':
        this.#asks = 0
        this.#askAt = Math.max(now + this.#random() * ASK_SPREAD_MS, this.#askedAt + ANNOUNCEMENT_SPACING_MS)
        return []
      case 'heard': return this.#heard(now, input)
      case 'tick': return [...this.#answer(now), ...this.#ask(now)]
    }
  }

  #ask(now: number): TopicEffect[] {
    if (this.#askAt === undefined || this.#askAt > now) return []
    const wait = ASK_AGAIN_MS[this.#asks] ?? ASK_EVERY_MS
    this.#asks++
    this.#askedAt = now
    this.#askAt = now + wait * (0.8 + 0.4 * this.#random())
    return [{ type: 'announce', kind: 'ask' }]
  }

  #answer(now: number): TopicEffect[] {
    if (this.#answerAt === undefined || this.#answerAt > now) return []
    this.#answerAt = undefined
    this.#answeredAt = now
    const effects: TopicEffect[] = [{ type: 'announce', kind: 'answer' }]
    for (const peerId of this.#asking) {
      const member = this.#members.get(peerId)
      if (member) effects.push({ type: 'meet', signed: member.signed, live: true })
    }
    this.#asking.clear()
    return effects
  }

  #heard(now: number, { kind, signed, at, unixMs }: Extract<TopicInput, { type: 'heard' }>): TopicEffect[] {
    const { peerId } = signed.record
    if (peerId === this.#self || Math.abs(at - unixMs) > ANNOUNCEMENT_WINDOW_MS) return []
    let member = this.#members.get(peerId)
    if (member && at <= member.at) return []
    if (!member) {
      if (!this.#makeRoom(now)) return []
      member = { signed, at, heardAt: now, heededAt: -Infinity }
      this.#members.set(peerId, member)
    }
    member.at = at
    member.heardAt = now
    if (signed.record.sequence > member.signed.record.sequence) member.signed = signed
    if (kind === 'answer') return [{ type: 'meet', signed: member.signed, live: now - this.#askedAt <= ANSWERED_WITHIN_MS }]
    if (now - member.heededAt < HEED_SPACING_MS) return []
    member.heededAt = now
    this.#asking.add(peerId)
    const { least, most } = ANSWER_SPREAD_MS
    this.#answerAt ??= Math.max(now + least + this.#random() * (most - least), this.#answeredAt + ANNOUNCEMENT_SPACING_MS)
    return []
  }

  #makeRoom(now: number): boolean {
    if (this.#members.size < MAX_TOPIC_MEMBERS) return true
    for (const [peerId, { heardAt }] of this.#members) {
      if (now - heardAt <= MEMBER_SILENCE_MS) continue
      this.#members.delete(peerId)
      this.#asking.delete(peerId)
      return true
    }
    return false
  }
}
