import { LAN_SERVICE } from '@harddrive-party/protocol'
import { type DnsQuestion, type DnsRecord, type LanService, type LanSighting, type LanSubnet, RECORD_TTL_S, SERVICES_NAME } from './lan-records.ts'
import { hostName, instanceName, ownRecords, pointedInstance, readLanResponse, topicRecord, usableRecords } from './lan-records.ts'
import type { Machine } from '../machine.ts'

/**
 * Decides what is said on one interface in one family: announces us, answers, asks who else is there (RFC 6762, RFC 6763). It asks only for multicast
 * answers, since a unicast one reaches just one of the programs that share the port, and it says no more for being asked more often.
 */

/** Announced twice when it changes, so that one lost packet does not matter (RFC 6762, section 8.3). */
const ANNOUNCEMENTS = 2
/** Between two announcements, between two answers, and between two questions for the same (RFC 6762, section 6). */
export const SPACING_MS = 1_000
/** Answers to a question that several may answer are spread over this (RFC 6762, section 6). */
export const ANSWER_DELAY_MS = { least: 20, most: 120 } as const
/** Asked again after these, then for ever after the last: half of the time for which records are good, so that nobody present is forgotten. */
const ASK_AFTER_MS = [20, 1_000, 2_000, 5_000, 15_000, 60_000] as const
/** Whose records are good for longer need not answer: more than is left of them at the next question but one. */
const KNOWN_ENOUGH_S = 90
/** Questions of one packet that are looked at. */
const MAX_QUESTIONS = 64
/** Instances that are told in a question as known already. */
const MAX_KNOWN = 32

export type LanInput =
  /** The interface is up, or what we have to say has changed. */
  | { readonly type: 'service'; readonly service: LanService }
  | { readonly type: 'query'; readonly questions: readonly DnsQuestion[]; readonly known: readonly DnsRecord[] }
  | { readonly type: 'response'; readonly records: readonly DnsRecord[]; readonly source: string }
  | { readonly type: 'topic'; readonly name: string; readonly bytes: Uint8Array }
  | { readonly type: 'goodbye' }
  | { readonly type: 'tick' }

export type LanEffect =
  | { readonly type: 'query'; readonly questions: readonly DnsQuestion[]; readonly known: readonly DnsRecord[] }
  | { readonly type: 'respond'; readonly answers: readonly DnsRecord[]; readonly additionals: readonly DnsRecord[] }
  | { readonly type: 'sighted'; readonly sighting: LanSighting }
  | { readonly type: 'topic'; readonly name: string; readonly bytes: Uint8Array }

export class LanLink implements Machine<LanInput, LanEffect> {
  readonly #subnets: readonly LanSubnet[]
  readonly #random: () => number
  #service: LanService | undefined
  #announcements = 0
  #announceAt: number | undefined
  /** What is to be answered, once `#answerAt` has come. */
  #owed = new Set<'pointer' | 'enumeration' | 'description'>()
  #answerAt: number | undefined
  #saidAt = -Infinity
  #asks = 0
  #askAt: number | undefined
  #followedUpAt = -Infinity
  /** Instances in use and until when their records are good. */
  readonly #known = new Map<string, number>()

  /** @param options.subnets of the interface @param options.random uniform in [0, 1) */
  constructor({ subnets, random }: { subnets: readonly LanSubnet[]; random: () => number }) {
    this.#subnets = subnets
    this.#random = random
  }

  get deadline(): number | undefined {
    const times = [this.#announceAt, this.#answerAt, this.#askAt].filter((at) => at !== undefined)
    return times.length === 0 ? undefined : Math.min(...times)
  }

  step(now: number, input: LanInput): LanEffect[] {
    switch (input.type) {
      case 'service':
        this.#service = input.service
        this.#announcements = 0
        this.#announceAt = now
        this.#asks = 0
        this.#askAt = now + (ASK_AFTER_MS[0] ?? 0) * (1 + this.#random())
        return []
      case 'query': return this.#queried(now, input.questions.slice(0, MAX_QUESTIONS), usableRecords(input.known))
      case 'response': return this.#heard(now, usableRecords(input.records), input.source)
      case 'topic': return [{ type: 'respond', answers: [topicRecord(input.name, input.bytes)], additionals: [] }]
      case 'goodbye': return this.#leave()
      case 'tick': return [...this.#announce(now), ...this.#answer(now), ...this.#ask(now)]
    }
  }

  #announce(now: number): LanEffect[] {
    if (this.#announceAt === undefined || this.#announceAt > now || !this.#service) return []
    this.#announcements++
    this.#announceAt = this.#announcements < ANNOUNCEMENTS ? now + SPACING_MS : undefined
    const { pointer, description } = ownRecords(this.#service)
    this.#saidAt = now
    return [{ type: 'respond', answers: [pointer, ...description], additionals: [] }]
  }

  #ask(now: number): LanEffect[] {
    if (this.#askAt === undefined || this.#askAt > now) return []
    this.#asks++
    const wait = ASK_AFTER_MS[this.#asks] ?? ASK_AFTER_MS.at(-1) ?? 0
    this.#askAt = now + wait * (0.9 + 0.1 * this.#random())
    return [{ type: 'query', questions: [{ name: LAN_SERVICE, type: 'PTR' }], known: this.#knownAnswers(now) }]
  }

  /** Those who have answered of late need not (RFC 6762, section 7.1); the others get a second chance before they are forgotten. */
  #knownAnswers(now: number): DnsRecord[] {
    const answers: DnsRecord[] = []
    for (const [data, until] of this.#known) {
      const ttl = Math.floor((until - now) / 1000)
      if (ttl <= 0) this.#known.delete(data)
      else if (ttl > KNOWN_ENOUGH_S && answers.length < MAX_KNOWN) answers.push({ name: LAN_SERVICE, type: 'PTR', class: 'IN', ttl, data })
    }
    return answers
  }

  #queried(now: number, questions: readonly DnsQuestion[], known: readonly DnsRecord[]): LanEffect[] {
    if (!this.#service) return []
    const instance = instanceName(this.#service)
    const host = hostName(this.#service)
    for (const { name: asked, type } of questions) {
      const name = asked.toLowerCase()
      const isPointer = type === 'PTR' || type === 'ANY'
      if (isPointer && name === LAN_SERVICE && !knows(known, LAN_SERVICE, instance)) this.#owe(now, 'pointer')
      else if (isPointer && name === SERVICES_NAME && !knows(known, SERVICES_NAME, LAN_SERVICE)) this.#owe(now, 'enumeration')
      else if ((name === instance && ['SRV', 'TXT', 'ANY'].includes(type)) || (name === host && ['A', 'AAAA', 'ANY'].includes(type))) this.#owe(now, 'description')
    }
    return []
  }

  #owe(now: number, what: 'pointer' | 'enumeration' | 'description'): void {
    this.#owed.add(what)
    const { least, most } = ANSWER_DELAY_MS
    this.#answerAt ??= Math.max(now + least + this.#random() * (most - least), this.#saidAt + SPACING_MS)
  }

  #answer(now: number): LanEffect[] {
    if (this.#answerAt === undefined || this.#answerAt > now || !this.#service) return []
    const { pointer, enumeration, description } = ownRecords(this.#service)
    const owed = this.#owed
    this.#owed = new Set()
    this.#answerAt = undefined
    this.#saidAt = now
    const answers = [
      ...(owed.has('pointer') ? [pointer] : []), ...(owed.has('enumeration') ? [enumeration] : []), ...(owed.has('description') ? description : []),
    ]
    return [{ type: 'respond', answers, additionals: owed.has('pointer') && !owed.has('description') ? description : [] }]
  }

  #heard(now: number, records: readonly DnsRecord[], source: string): LanEffect[] {
    const { sightings, undescribed, topics } = readLanResponse(records, source, this.#subnets)
    const effects: LanEffect[] = topics.map((topic) => ({ type: 'topic', ...topic }))
    for (const record of records) this.#remember(now, record)
    for (const sighting of sightings) {
      if (sighting.peerId !== this.#service?.peerId) effects.push({ type: 'sighted', sighting })
    }
    const unknown = undescribed.filter((instance) => instance !== (this.#service && instanceName(this.#service)))
    if (unknown.length > 0 && now - this.#followedUpAt >= SPACING_MS) {
      this.#followedUpAt = now
      const questions = unknown.flatMap((name) => [{ name, type: 'SRV' }, { name, type: 'TXT' }])
      effects.push({ type: 'query', questions, known: [] })
    }
    return effects
  }

  #remember(now: number, record: DnsRecord): void {
    const instance = pointedInstance(record)
    if (instance === undefined) return
    if (record.ttl === 0) this.#known.delete(instance)
    else if (this.#known.has(instance) || this.#known.size < MAX_KNOWN) this.#known.set(instance, now + 1000 * Math.min(record.ttl, RECORD_TTL_S))
  }

  #leave(): LanEffect[] {
    const service = this.#service
    this.#service = undefined
    this.#announceAt = this.#askAt = this.#answerAt = undefined
    if (!service) return []
    const { pointer, description } = ownRecords(service, 0)
    return [{ type: 'respond', answers: [pointer, ...description], additionals: [] }]
  }
}

/** Whether who asks has this record already, for at least half of its time (RFC 6762, section 7.1). */
function knows(known: readonly DnsRecord[], name: string, data: string): boolean {
  return known.some((record) => record.type === 'PTR' && record.name.toLowerCase() === name && typeof record.data === 'string'
    && record.data.toLowerCase() === data && record.ttl >= RECORD_TTL_S / 2)
}
