import { type ErrorCode, MAX_OFFER_ENTRIES, type OfferNewsState, type PeerId } from '@harddrive-party/protocol'
import type { Machine } from '../machine.ts'
import { FORGOTTEN_MS, HourlyCount, LIFETIME_MS, MAX_ENDED, MAX_WAITING, MAX_WAITING_PER_PEER, PROGRESS_MS, RETRY_MS, type OfferRecord, hasEnded } from './offer-record.ts'

/**
 * Decides what becomes of what is offered to peers and by them: who is told what and when, whom nobody is asked about, when an offer is over. Reads no
 * files, fetches nothing, sends nothing. Times are milliseconds since 1970: offers outlive restarts.
 */

export interface OfferRuleRecord {
  readonly peerId: PeerId
  readonly autoAcceptBytes: number | null
  readonly muted: boolean
}

/** An offer as a peer makes it. */
export type HeardOffer = Pick<OfferRecord, 'offerId' | 'peerId' | 'name' | 'files' | 'bytes' | 'isDirectory' | 'note'>

export interface OfferNews {
  readonly state: OfferNewsState
  readonly bytes?: number
}

export type OffersInput =
  | { readonly type: 'restore'; readonly record: OfferRecord }
  | { readonly type: 'send'; readonly record: OfferRecord }
  /** It is connected and takes offers, or not. */
  | { readonly type: 'peer'; readonly peerId: PeerId; readonly takes: boolean }
  | { readonly type: 'peers-gone' }
  | { readonly type: 'heard'; readonly offer: HeardOffer }
  | ({ readonly type: 'heard-news'; readonly peerId: PeerId; readonly offerId: string } & OfferNews)
  /** What `tell` wanted is done, or has failed. */
  | { readonly type: 'told'; readonly offerId: string; readonly failure: ErrorCode | null }
  | { readonly type: 'answer'; readonly offerId: string; readonly accept: boolean; readonly folder: string | null }
  | { readonly type: 'cancel'; readonly offerId: string }
  | { readonly type: 'transfer'; readonly transferId: string; readonly state: 'under-way' | 'done' | 'failed' | 'cancelled' | 'removed'; readonly bytes: number; readonly total: number | null }
  /** The transfer could not even be begun. */
  | { readonly type: 'not-fetched'; readonly offerId: string; readonly reason: NonNullable<OfferRecord['reason']> }
  | { readonly type: 'rule'; readonly rule: OfferRuleRecord }
  | { readonly type: 'forget-peer'; readonly peerId: PeerId }
  | { readonly type: 'clear' }
  | { readonly type: 'tick' }

export type OffersEffect =
  /** `news` null = the offer itself. One at a time for each offer; answered with `told`. */
  | { readonly type: 'tell'; readonly record: OfferRecord; readonly news: OfferNews | null }
  | { readonly type: 'save'; readonly record: OfferRecord }
  | { readonly type: 'forget'; readonly record: OfferRecord }
  | { readonly type: 'fetch'; readonly record: OfferRecord }
  | { readonly type: 'cancel-transfer'; readonly transferId: string }
  /** Our offers that may be read, or whom nobody is asked about, are others than before. */
  | { readonly type: 'publish' }
  /** What was kept for it is not needed any more. */
  | { readonly type: 'ended'; readonly record: OfferRecord }
  /** A person is to be asked. */
  | { readonly type: 'ask'; readonly record: OfferRecord }
  | { readonly type: 'changed' }

interface Open {
  readonly record: OfferRecord
  /** What the peer has yet to hear: the offer itself, or how it stands. */
  owes: boolean
  /** Being told just now. */
  telling: boolean
  /** Owed anew while it was being told. */
  again: boolean
  notBefore: number
}

export class Offers implements Machine<OffersInput, OffersEffect> {
  readonly #open = new Map<string, Open>()
  readonly #rules = new Map<PeerId, OfferRuleRecord>()
  readonly #takers = new Set<PeerId>()
  readonly #heard = new Map<PeerId, HourlyCount>()
  #effects: OffersEffect[] = []
  #refused = ''

  get records(): OfferRecord[] {
    return [...this.#open.values()].map(({ record }) => record)
  }

  get rules(): OfferRuleRecord[] {
    return [...this.#rules.values()]
  }

  record(offerId: string): OfferRecord | undefined {
    return this.#open.get(offerId)?.record
  }

  /** Our offers that the peer may read. */
  get offered(): OfferRecord[] {
    return this.records.filter(({ direction, state }) => direction === 'out' && !hasEnded(state))
  }

  /** Whose offers nobody is asked about now: `muted` by a person, or too many. */
  refused(now: number): { readonly muted: PeerId[]; readonly full: PeerId[] } {
    const muted = this.rules.filter((rule) => rule.muted).map(({ peerId }) => peerId)
    const waiting = this.records.filter(({ direction, state }) => direction === 'in' && state === 'waiting')
    const peers = new Set([...this.#heard.keys(), ...waiting.map(({ peerId }) => peerId)])
    return { muted, full: [...peers].filter((peerId) => this.#isFull(now, peerId)) }
  }

  get deadline(): number | undefined {
    let at = Infinity
    for (const { record, owes, telling, notBefore } of this.#open.values()) {
      at = Math.min(at, hasEnded(record.state) ? (record.endedAt ?? 0) + FORGOTTEN_MS : record.expiresAt)
      if (owes && !telling && this.#takers.has(record.peerId)) at = Math.min(at, notBefore)
    }
    for (const [, count] of this.#heard) at = Math.min(at, count.nextAt ?? Infinity)
    return at === Infinity ? undefined : at
  }

  step(now: number, input: OffersInput): OffersEffect[] {
    this.#effects = []
    this.#apply(now, input)
    this.#expire(now)
    for (const open of this.#open.values()) this.#tell(now, open)
    const refused = JSON.stringify(this.refused(now))
    if (refused !== this.#refused) {
      this.#refused = refused
      this.#effects.push({ type: 'publish' })
    }
    return this.#effects
  }

  #apply(now: number, input: OffersInput): void {
    switch (input.type) {
      case 'restore':
        return this.#restore(input.record)
      case 'send':
        this.#open.set(input.record.offerId, opened(input.record, true))
        this.#changed(input.record)
        this.#effects.push({ type: 'publish' })
        return
      case 'peer':
        if (!input.takes) return void this.#takers.delete(input.peerId)
        this.#takers.add(input.peerId)
        for (const open of this.#open.values()) if (open.record.peerId === input.peerId) open.notBefore = 0
        return
      case 'peers-gone':
        return this.#takers.clear()
      case 'heard':
        return this.#hear(now, input.offer)
      case 'heard-news':
        return this.#hearNews(now, input)
      case 'told':
        return this.#told(now, input)
      case 'answer': {
        const open = this.#open.get(input.offerId)
        if (open?.record.direction !== 'in' || open.record.state !== 'waiting') return
        if (input.accept) return this.#accept(now, open, input.folder)
        this.#become(now, open, 'declined', true)
        return
      }
      case 'cancel': {
        const open = this.#open.get(input.offerId)
        if (open === undefined || hasEnded(open.record.state)) return
        if (open.record.direction === 'out') return this.#become(now, open, 'withdrawn', true)
        return this.#become(now, open, open.record.state === 'waiting' ? 'declined' : 'cancelled', true)
      }
      case 'transfer':
        return this.#transfer(now, input)
      case 'not-fetched': {
        const open = this.#open.get(input.offerId)
        if (open?.record.state !== 'accepted') return
        open.record.reason = input.reason
        return this.#become(now, open, 'cancelled', true)
      }
      case 'rule':
        if (input.rule.muted || input.rule.autoAcceptBytes !== null) this.#rules.set(input.rule.peerId, input.rule)
        else this.#rules.delete(input.rule.peerId)
        this.#effects.push({ type: 'changed' })
        return
      case 'forget-peer':
        return this.#forgetPeer(now, input.peerId)
      case 'clear':
        for (const open of this.#open.values()) if (hasEnded(open.record.state)) this.#forget(open)
        return
      case 'tick':
    }
  }

  #restore(record: OfferRecord): void {
    const owes = record.owes || (record.direction === 'out' && record.state === 'waiting' && !record.isDelivered)
    this.#open.set(record.offerId, opened(record, owes))
    // It may have ended before the transfer was begun.
    if (record.direction === 'in' && record.state === 'accepted') this.#effects.push({ type: 'fetch', record })
    if (record.direction === 'out' && !hasEnded(record.state)) this.#effects.push({ type: 'publish' })
  }

  #hear(now: number, offer: HeardOffer): void {
    const known = this.#open.get(offer.offerId)
    if (known !== undefined) {
      // Told again because our answer did not arrive.
      if (known.record.direction === 'in' && known.record.peerId === offer.peerId && known.record.state !== 'waiting') known.owes = true
      return
    }
    const rule = this.#rules.get(offer.peerId)
    if (rule?.muted === true || this.#isFull(now, offer.peerId) || offer.files > MAX_OFFER_ENTRIES) return
    const count = this.#heard.get(offer.peerId) ?? new HourlyCount()
    this.#heard.set(offer.peerId, count)
    count.add(now)
    const record: OfferRecord = {
      ...offer, direction: 'in', state: 'waiting', received: 0, isDelivered: true, folder: null, reason: null, items: [], stagingId: null, owes: false,
      at: now, expiresAt: now + LIFETIME_MS, endedAt: null,
    }
    const open = opened(record, false)
    this.#open.set(record.offerId, open)
    if (rule?.autoAcceptBytes != null && offer.bytes <= rule.autoAcceptBytes) return this.#accept(now, open, null)
    this.#changed(record)
    this.#effects.push({ type: 'ask', record })
  }

  #isFull(now: number, peerId: PeerId): boolean {
    if (this.#heard.get(peerId)?.isFull(now) === true) return true
    let all = 0
    let ofPeer = 0
    for (const { record } of this.#open.values()) {
      if (record.direction !== 'in' || record.state !== 'waiting') continue
      all++
      if (record.peerId === peerId) ofPeer++
    }
    return ofPeer >= MAX_WAITING_PER_PEER || all >= MAX_WAITING
  }

  #hearNews(now: number, { peerId, offerId, state, bytes = 0 }: Extract<OffersInput, { type: 'heard-news' }>): void {
    const open = this.#open.get(offerId)
    if (open === undefined || open.record.peerId !== peerId || hasEnded(open.record.state)) return
    const { record } = open
    if (record.direction === 'in') {
      if (state === 'withdrawn') this.#become(now, open, 'withdrawn', false)
      return
    }
    if (state === 'withdrawn') return
    record.isDelivered = true
    open.owes = false
    // It says so itself: never more than there is.
    if (state === 'accepted' || state === 'failed') record.received = Math.min(bytes, record.bytes)
    if (state === 'done') record.received = record.bytes
    if (state === 'accepted') record.expiresAt = now + LIFETIME_MS
    if (state === record.state) return this.#changed(record)
    this.#become(now, open, state, false)
  }

  #told(now: number, { offerId, failure }: Extract<OffersInput, { type: 'told' }>): void {
    const open = this.#open.get(offerId)
    if (open === undefined) return
    open.telling = false
    const { record } = open
    if (failure === null) {
      open.owes = open.again
      open.again = false
      record.owes = open.owes
      record.isDelivered = true
      // What comes in is told from time to time.
      open.notBefore = now + PROGRESS_MS
      return this.#changed(record)
    }
    if (record.direction === 'out' && record.state === 'waiting' && failure === 'not-allowed') return this.#become(now, open, 'declined', false)
    if (failure === 'not-found' && record.direction === 'in') {
      open.owes = false
      if (!hasEnded(record.state)) this.#become(now, open, 'withdrawn', false)
      return
    }
    open.again = false
    open.notBefore = now + RETRY_MS
  }

  #accept(now: number, open: Open, folder: string | null): void {
    open.record.folder = folder
    this.#become(now, open, 'accepted', true)
    this.#effects.push({ type: 'fetch', record: open.record })
  }

  #transfer(now: number, { transferId, state, bytes, total }: Extract<OffersInput, { type: 'transfer' }>): void {
    const open = this.#open.get(offerOf(transferId) ?? '')
    if (open?.record.direction !== 'in' || hasEnded(open.record.state) || open.record.state === 'waiting') return
    const { record } = open
    if (total !== null && total > record.bytes) {
      // Nobody agreed to that.
      record.reason = { code: 'too-large', message: 'there is more of it than was offered' }
      return this.#become(now, open, 'cancelled', true)
    }
    const isNew = record.received !== bytes
    record.received = bytes
    if (state === 'done') return this.#become(now, open, 'done', true)
    if (state === 'cancelled' || state === 'removed') return this.#become(now, open, 'cancelled', true)
    const next = state === 'failed' ? 'failed' : 'accepted'
    if (next !== record.state) return this.#become(now, open, next, true)
    if (!isNew) return
    record.expiresAt = now + LIFETIME_MS
    this.#owe(open)
    this.#effects.push({ type: 'changed' })
  }

  #become(now: number, open: Open, state: OfferRecord['state'], owes: boolean): void {
    const { record } = open
    const wasUnderWay = record.direction === 'in' && (record.state === 'accepted' || record.state === 'failed')
    record.state = state
    // Whoever was never told of it need not hear that it is over.
    if (owes && (record.direction === 'in' || record.isDelivered || open.telling)) {
      this.#owe(open)
      open.notBefore = 0
    } else open.owes = false
    record.owes = open.owes || open.again
    if (hasEnded(state)) {
      record.endedAt = now
      if (wasUnderWay && state !== 'done') this.#effects.push({ type: 'cancel-transfer', transferId: transferOf(record.offerId) })
      this.#effects.push({ type: 'ended', record })
      if (record.direction === 'out') this.#effects.push({ type: 'publish' })
      this.#dropOldest()
    }
    this.#changed(record)
  }

  #owe(open: Open): void {
    if (open.telling) open.again = true
    open.owes = true
  }

  #tell(now: number, open: Open): void {
    const { record } = open
    if (!open.owes || open.telling || open.notBefore > now || !this.#takers.has(record.peerId)) return
    const news = newsOf(record)
    if (news === undefined) {
      open.owes = false
      return
    }
    open.telling = true
    this.#effects.push({ type: 'tell', record, news })
  }

  #expire(now: number): void {
    for (const open of this.#open.values()) {
      const { state, expiresAt, endedAt } = open.record
      if (hasEnded(state)) {
        if ((endedAt ?? 0) + FORGOTTEN_MS <= now) this.#forget(open)
      } else if (expiresAt <= now) this.#become(now, open, 'expired', false)
    }
    for (const [peerId, count] of this.#heard) if (count.isEmpty(now)) this.#heard.delete(peerId)
  }

  #forgetPeer(now: number, peerId: PeerId): void {
    if (this.#rules.delete(peerId)) this.#effects.push({ type: 'changed' })
    for (const open of this.#open.values()) {
      if (open.record.peerId !== peerId) continue
      if (!hasEnded(open.record.state)) this.#become(now, open, open.record.direction === 'out' ? 'withdrawn' : 'cancelled', false)
      this.#forget(open)
    }
  }

  /** The list must not grow for ever. */
  #dropOldest(): void {
    const ended = [...this.#open.values()].filter(({ record }) => hasEnded(record.state)).sort((a, b) => (b.record.endedAt ?? 0) - (a.record.endedAt ?? 0))
    for (const open of ended.slice(MAX_ENDED)) this.#forget(open)
  }

  #forget(open: Open): void {
    this.#open.delete(open.record.offerId)
    this.#effects.push({ type: 'forget', record: open.record }, { type: 'changed' })
  }

  #changed(record: OfferRecord): void {
    this.#effects.push({ type: 'save', record }, { type: 'changed' })
  }
}

function opened(record: OfferRecord, owes: boolean): Open {
  return { record, owes, telling: false, again: false, notBefore: 0 }
}

/** What the peer is to hear; undefined = nothing. */
function newsOf({ direction, state, received }: OfferRecord): OfferNews | null | undefined {
  if (direction === 'out') return state === 'waiting' ? null : state === 'withdrawn' ? { state } : undefined
  if (state === 'accepted' || state === 'failed') return { state, bytes: received }
  return state === 'declined' || state === 'done' || state === 'cancelled' ? { state } : undefined
}

const TRANSFER_PREFIX = 'offer-'

/** The same at every start, so that nothing is fetched twice. */
export function transferOf(offerId: string): string {
  return TRANSFER_PREFIX + offerId
}

export function offerOf(transferId: string): string | undefined {
  return transferId.startsWith(TRANSFER_PREFIX) ? transferId.slice(TRANSFER_PREFIX.length) : undefined
}
