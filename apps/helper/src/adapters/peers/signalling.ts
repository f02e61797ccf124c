import { createHmac } from 'node:crypto'
import {
  CodedError, GOSSIP_CAPABILITY, INTRODUCE_CAPABILITY, checkIntroductionProof, decodePeerRecord, introductionProof, recordAge,
} from '@harddrive-party/protocol'
import type { GossipRequest, Hmac, IntroduceRequest, PeerAnswer, PeerId, SignedPeerRecord } from '@harddrive-party/protocol'
import { Gossip } from '../../core/peers/gossip.ts'
import type { GossipEffect, GossipInput } from '../../core/peers/gossip.ts'
import { Introductions, NOT_FOUND } from '../../core/peers/introductions.ts'
import type { IntroductionsEffect, IntroductionsInput } from '../../core/peers/introductions.ts'
import { keyHashText } from '../../core/peers/peer-link-state.ts'
import type { Policy } from '../../network/network-api.ts'
import { type Clock, type Driven, drive, systemClock } from '../system/drive.ts'
import { verifyEd25519 } from '../identity/ed25519.ts'
import type { PeerLinks } from './peer-links.ts'
import { requestGossip, requestIntroduction } from './peer-requests.ts'
import type { PeerConnection } from './transport.ts'

/**
 * Carries records and introductions between connected peers, as `core/peers/gossip.ts` and `core/peers/introductions.ts` decide: checks signatures and proofs, asks
 * and answers. What is learnt goes to the session layer; it dials nobody itself, and sends no packet to any address that it hears of.
 */

/** An introduction is of use while both sides are at it. */
const INTRODUCTION_MS = 5_000

export interface SignallingOptions {
  readonly self: PeerId
  readonly policy: Policy
  readonly links: Pick<PeerLinks, 'connection' | 'learn'>
  /** Our own record as it is now. */
  ownRecord(): SignedPeerRecord | undefined
  /** Lets somebody through our NAT who may come and ask, without dialling it; absent = it has to get through by itself. */
  open?(signed: SignedPeerRecord): void
  log(message: string, details?: Record<string, unknown>): void
  readonly clock?: Clock
  /** Milliseconds since 1970. */
  readonly unixNow?: () => number
}

export interface Signalling {
  /** For the peer service. @throws CodedError what is to be answered instead */
  answer(connection: PeerConnection, request: GossipRequest | IntroduceRequest, options: { signal: AbortSignal }): Promise<PeerAnswer>
  /** For the session layer. */
  onPresence(peerId: PeerId, capabilities: readonly string[] | null): void
  onTrying(keyHash: string, knockSecret: string): void
  setPolicy(policy: Policy): void
  /** Whether we pass on what others ask of each other. */
  setHelpsOthers(helps: boolean): void
  /** Our own record is another one. */
  ownChanged(): void
  /** Idempotent. */
  close(): void
}

export function openSignalling(options: SignallingOptions): Signalling {
  return new OpenSignalling(options)
}

const hmac: Hmac = (key, data) => createHmac('sha256', key).update(data).digest()

class OpenSignalling implements Signalling {
  readonly #options: SignallingOptions
  readonly #clock: Clock
  readonly #unixNow: () => number
  readonly #gossip: Gossip
  readonly #introductions: Introductions
  readonly #gossiping: Driven<GossipInput>
  readonly #introducing: Driven<IntroductionsInput>
  readonly #ended = new AbortController()
  #policy: Policy

  constructor(options: SignallingOptions) {
    this.#options = options
    this.#policy = options.policy
    this.#clock = options.clock ?? systemClock
    this.#unixNow = options.unixNow ?? Date.now
    this.#gossip = new Gossip(options.self, this.#unixNow() - this.#clock.now())
    this.#introductions = new Introductions({ self: options.self, whoKnows: (keyHash) => this.#gossip.whoKnows(keyHash) })
    this.#gossiping = drive(this.#gossip, (effect) => this.#performGossip(effect), this.#clock)
    this.#introducing = drive(this.#introductions, (effect) => this.#performIntroductions(effect), this.#clock)
    this.setPolicy(options.policy)
    this.ownChanged()
  }

  answer(connection: PeerConnection, request: GossipRequest | IntroduceRequest, options: { signal: AbortSignal }): Promise<PeerAnswer> {
    return request.type === 'gossip' ? this.#hear(connection.peerId, request) : this.#introduce(connection.peerId, request, options)
  }

  onPresence(peerId: PeerId, capabilities: readonly string[] | null): void {
    if (capabilities === null) {
      this.#gossiping.input({ type: 'disconnected', peerId })
      return this.#introducing.input({ type: 'disconnected', peerId })
    }
    this.#gossiping.input({ type: 'connected', peerId, listens: capabilities.includes(GOSSIP_CAPABILITY) })
    this.#introducing.input({ type: 'connected', peerId, introduces: capabilities.includes(INTRODUCE_CAPABILITY) })
  }

  onTrying(keyHash: string, knockSecret: string): void {
    this.#introducing.input({ type: 'wanted', keyHash, knockSecret })
    // A friend may have told of it before anybody here wanted it.
    const heard = this.#gossip.find(keyHash)
    if (heard && recordAge(heard.record, this.#unixNow()) === 'current') this.#options.links.learn(heard, 'gossip')
  }

  setPolicy(policy: Policy): void {
    this.#policy = policy
    const idsOf = (blocked: boolean): Set<PeerId> => new Set(policy.peers.flatMap((peer) => (peer.blocked === blocked ? [peer.peerId] : [])))
    this.#gossiping.input({ type: 'policy', known: idsOf(false), blocked: idsOf(true) })
  }

  setHelpsOthers(helps: boolean): void {
    this.#introductions.helpsOthers = helps
  }

  ownChanged(): void {
    const own = this.#options.ownRecord()
    if (own) this.#gossiping.input({ type: 'own', own })
  }

  close(): void {
    this.#ended.abort()
    this.#gossiping.close()
    this.#introducing.close()
  }

  // --- gossip

  async #hear(from: PeerId, { own, others }: GossipRequest): Promise<PeerAnswer> {
    // Before anything is verified: that is what costs time.
    if (!this.#gossip.admits(this.#clock.now(), from)) throw new CodedError('busy', 'too much gossip')
    const theirs = own === undefined ? undefined : this.#read(own)
    if (own !== undefined && theirs?.record.peerId !== from) throw new CodedError('bad-request', 'the record is not its own, or not good')
    this.#gossiping.input({ type: 'heard', from, own: theirs, others: others.flatMap((bytes) => this.#read(bytes) ?? []), unixMs: this.#unixNow() })
    return { type: 'noted' }
  }

  /** Undefined for what is no record, was signed by somebody else, or is out of its time. */
  #read(bytes: Uint8Array): SignedPeerRecord | undefined {
    const signed = decodePeerRecord(bytes, verifyEd25519)
    return signed.ok && recordAge(signed.value.record, this.#unixNow()) === 'current' ? signed.value : undefined
  }

  #performGossip(effect: GossipEffect): void {
    if (effect.type === 'learn') return this.#options.links.learn(effect.record, 'gossip')
    const { to, own, others } = effect
    const connection = this.#options.links.connection(to)
    if (!connection) return
    requestGossip(connection, { ...(own === undefined ? {} : { own }), others }, { signal: this.#ended.signal }).catch((error: unknown) => {
      // News that did not arrive is no harm: more will come.
      this.#options.log('a peer did not take our gossip', { peerId: to, error: codedOf(error).message })
    })
  }

  // --- introductions

  async #introduce(from: PeerId, request: IntroduceRequest, options: { signal: AbortSignal }): Promise<PeerAnswer> {
    const signed = this.#read(request.record)
    if (!signed) throw new CodedError('bad-request', 'the record in this request is not good')
    const routing = this.#introductions.route(this.#clock.now(), { from, owner: signed.record.peerId, to: Buffer.from(request.to).toString('hex') })
    if (routing.type === 'refuse') throw new CodedError(routing.fault.code, routing.fault.message)
    return { type: 'introduced', record: routing.type === 'mine' ? this.#meet(signed, request) : await this.#forward(routing.to, request, options) }
  }

  /** Whatever goes wrong on the far side is nobody's business on the near one. */
  async #forward(to: PeerId, request: IntroduceRequest, { signal }: { signal: AbortSignal }): Promise<Uint8Array> {
    const connection = this.#options.links.connection(to)
    const { to: keyHash, record, proof } = request
    try {
      if (!connection) throw new CodedError('offline', 'this peer is not connected')
      const answer = await requestIntroduction(connection, { to: keyHash, record, proof }, { signal, noProgressMs: INTRODUCTION_MS })
      if (this.#read(answer)?.record.peerId !== to) throw new CodedError('bad-answer', 'it answers with another record than its own')
      return answer
    } catch (error) {
      this.#options.log('an introduction was not accepted', { peerId: to, error: codedOf(error).message })
      throw new CodedError(NOT_FOUND.fault.code, NOT_FOUND.fault.message, { cause: error })
    }
  }

  /** Somebody asks for us. */
  #meet({ record, bytes }: SignedPeerRecord, { to, proof }: IntroduceRequest): Uint8Array {
    const { codeSecret, knownSecret, askBeforeAccepting, peers } = this.#policy
    const proves = (secret: string): boolean => checkIntroductionProof(proof, Buffer.from(secret, 'hex'), to, bytes, hmac)
    const peer = peers.find(({ peerId }) => peerId === record.peerId)
    const owner = {
      known: peer !== undefined, blocked: peer?.blocked ?? false, away: peer?.wanted === false,
      proof: proves(codeSecret) ? 'code' as const : proves(knownSecret) ? 'known' as const : null,
    }
    const judgement = this.#introductions.judge(this.#clock.now(), record.peerId, owner, askBeforeAccepting)
    const own = this.#options.ownRecord()
    if (judgement.type === 'refuse') throw new CodedError(judgement.fault.code, judgement.fault.message)
    if (!own) throw new CodedError('not-found', 'there is no record to answer with')
    // With a connection that we still believe in we dial nobody, but who asks does not have it any more.
    const isMissed = this.#options.links.connection(record.peerId) !== undefined
    if (judgement.type === 'dial') this.#options.links.learn({ record, bytes }, 'introduction', { live: true })
    if (judgement.type === 'open' || isMissed) this.#options.open?.({ record, bytes })
    return own.bytes
  }

  #performIntroductions(effect: IntroductionsEffect): void {
    if (effect.type === 'learn') return this.#options.links.learn(effect.record, 'introduction', { live: true })
    void this.#ask(effect)
  }

  async #ask({ friend, keyHash, knockSecret }: Extract<IntroductionsEffect, { type: 'ask' }>): Promise<void> {
    const connection = this.#options.links.connection(friend)
    const own = this.#options.ownRecord()
    if (!connection || !own) return
    const to = Buffer.from(keyHash, 'hex')
    const proof = introductionProof(Buffer.from(knockSecret, 'hex'), to, own.bytes, hmac)
    try {
      const answer = await requestIntroduction(connection, { to, record: own.bytes, proof }, { signal: this.#ended.signal, noProgressMs: INTRODUCTION_MS })
      const record = this.#read(answer)
      if (record && keyHashText(record.record.peerId) !== keyHash) throw new CodedError('bad-answer', 'the record of somebody else')
      this.#introducing.input({ type: 'answered', keyHash, record })
    } catch (error) {
      this.#options.log('a friend could not introduce us', { friend, error: codedOf(error).message })
    }
  }
}

/** Bugs crash loudly; what peers and streams do is a coded error. */
function codedOf(error: unknown): CodedError {
  if (error instanceof CodedError) return error
  throw error
}
