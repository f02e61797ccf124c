import type { ErrorCode, Fault, PeerId, SignedPeerRecord } from '@harddrive-party/protocol'
import { keyHashText } from './peer-link-state.ts'
import type { Machine } from '../machine.ts'
import { TokenBucket } from '../token-bucket.ts'

/**
 * Decides when a connected friend is asked to pass our wish to be reached on to somebody, which such wishes of others we pass on, and which of those
 * that reach us we follow. What passes through a friend is one question and its answer, never data.
 */

/** A dial that needs nobody's help has succeeded by then. */
export const HELP_AFTER_MS = 400
/** After so short an absence no such dial is waited for: one of the two has probably another address now, and friends are where they were. */
export const JUST_LOST_MS = 60_000
/** Who was lost of late. */
const MAX_LOST = 256
/** Friends asked at once: one may be slow, or have lost its way to the other. */
export const MAX_FRIENDS_ASKED = 2
/** From one round of asking for somebody to the next; it doubles with each that came to nothing. */
export const FIRST_ROUND_MS = 4_000
export const LONGEST_ROUND_MS = 120_000
/** People we may be trying to reach at once, and some whom we have just stopped trying. */
const MAX_WANTED = 256
/** A friend may have several of its friends come back at once; more is a flood. */
const FRIEND_BURST = 8
const FRIEND_INTERVAL_MS = 2_000
/** Nobody needs to be introduced to the same person more often. */
const OWNER_BURST = 4
const OWNER_INTERVAL_MS = 4_000
/** People who asked for us lately. */
const MAX_OWNERS = 1_024

export interface IntroductionsOptions {
  readonly self: PeerId
  /** Connected peers whose gossip tells of the owner of a key hash. */
  whoKnows(keyHash: string): readonly PeerId[]
}

export type IntroductionsInput =
  /** We are trying to reach the owner of a key. `knockSecret`: what we would knock with, hex. */
  | { readonly type: 'wanted'; readonly keyHash: string; readonly knockSecret: string }
  /** `introduces`: it has said that it understands introductions. */
  | { readonly type: 'connected'; readonly peerId: PeerId; readonly introduces: boolean }
  | { readonly type: 'disconnected'; readonly peerId: PeerId }
  /** A friend's answer; `record` when the owner is coming to meet us, with its signature checked. */
  | { readonly type: 'answered'; readonly keyHash: string; readonly record?: SignedPeerRecord | undefined }
  | { readonly type: 'tick' }

export type IntroductionsEffect =
  | { readonly type: 'ask'; readonly friend: PeerId; readonly keyHash: string; readonly knockSecret: string }
  | { readonly type: 'learn'; readonly record: SignedPeerRecord }

/** A request of somebody, as far as it matters here. */
export interface Request {
  /** On whose connection it came. */
  readonly from: PeerId
  /** Who signed the record in it. */
  readonly owner: PeerId
  /** The key hash of whom it is for. */
  readonly to: string
}

/** `forward`: to be passed on unchanged. `mine`: it is for us, `judge` it. */
export type Routing = { readonly type: 'forward'; readonly to: PeerId } | { readonly type: 'mine' } | Refusal

/** `dial`: we go to meet it. `open`: we open our NAT to it, and our person is asked once it is here. */
export type Judgement = { readonly type: 'dial' } | { readonly type: 'open' } | Refusal

interface Refusal {
  readonly type: 'refuse'
  readonly fault: Fault<ErrorCode>
}

/** What we know of who wants to reach us. */
export interface Owner {
  readonly known: boolean
  readonly blocked: boolean
  /** We have disconnected from it and stay away. */
  readonly away: boolean
  /** Which of our secrets it knows. */
  readonly proof: 'code' | 'known' | null
}

interface Wanted {
  knockSecret: string
  askAt: number | undefined
  notBefore: number
  rounds: number
}

export class Introductions implements Machine<IntroductionsInput, IntroductionsEffect> {
  readonly #options: IntroductionsOptions
  readonly #ownHash: string
  /** Connected peers: key hash and peer id name the same. */
  readonly #connected = new Map<PeerId, { readonly keyHash: string; readonly introduces: boolean; readonly asks: TokenBucket; readonly asked: TokenBucket }>()
  readonly #wanted = new Map<string, Wanted>()
  readonly #owners = new Map<PeerId, TokenBucket>()
  /** Key hashes, and when the connection ended; oldest first. */
  readonly #lost = new Map<string, number>()
  /** Whether we pass on what others ask. */
  helpsOthers = true

  constructor(options: IntroductionsOptions) {
    this.#options = options
    this.#ownHash = keyHashText(options.self)
  }

  get deadline(): number | undefined {
    let first = Infinity
    for (const { askAt } of this.#wanted.values()) first = Math.min(first, askAt ?? Infinity)
    return first === Infinity ? undefined : first
  }

  step(now: number, input: IntroductionsInput): IntroductionsEffect[] {
    switch (input.type) {
      case 'wanted':
        this.#want(now, input.keyHash, input.knockSecret)
        return []
      case 'connected': {
        const keyHash = keyHashText(input.peerId)
        this.#wanted.delete(keyHash)
        this.#lost.delete(keyHash)
        if (!this.#connected.has(input.peerId)) {
          const bucket = (): TokenBucket => new TokenBucket(FRIEND_BURST, FRIEND_INTERVAL_MS)
          this.#connected.set(input.peerId, { keyHash, introduces: input.introduces, asks: bucket(), asked: bucket() })
        }
        return []
      }
      case 'disconnected':
        this.#lose(now, input.peerId)
        return []
      case 'answered': {
        // Only what we still want, and only about whom we asked for.
        const { record, keyHash } = input
        if (!record || !this.#wanted.has(keyHash) || keyHashText(record.record.peerId) !== keyHash) return []
        return [{ type: 'learn', record }]
      }
      case 'tick': return this.#ask(now)
    }
  }

  /** Where a request belongs. Asking uses up some of the asker's allowance. */
  route(now: number, { from, owner, to }: Request): Routing {
    const asker = this.#connected.get(from)
    if (!asker) return refusal('not-allowed', 'hello comes first')
    if (!asker.asks.take(now)) return refusal('busy', 'too many introductions')
    if (to === this.#ownHash) return owner === from ? refusal('bad-request', 'we are connected already') : { type: 'mine' }
    // One step only: nobody is introduced by somebody else than itself.
    if (owner !== from) return refusal('not-allowed', 'only its owner may pass a record on for an introduction')
    if (!this.helpsOthers) return NOT_FOUND
    const target = [...this.#connected].find(([, { keyHash }]) => keyHash === to)
    if (!target?.[1].introduces || target[0] === from) return NOT_FOUND
    return target[1].asked.take(now) ? { type: 'forward', to: target[0] } : refusal('busy', 'too many introductions')
  }

  /** Whether we go to meet somebody who has a friend of ours ask for us. */
  judge(now: number, owner: PeerId, { known, blocked, away, proof }: Owner, askBeforeAccepting: boolean): Judgement {
    // Somebody blocked, somebody whom we left and a stranger all hear the same, which says nothing about us.
    if (blocked || away || proof === null) return NOT_FOUND
    // What our friends pass on about us carries our secret for friends: alone it introduces nobody.
    if (!known && proof !== 'code') return NOT_FOUND
    if (!this.#allowance(owner).take(now)) return refusal('busy', 'too many introductions')
    return { type: known || !askBeforeAccepting ? 'dial' : 'open' }
  }

  #allowance(owner: PeerId): TokenBucket {
    const bucket = this.#owners.get(owner) ?? new TokenBucket(OWNER_BURST, OWNER_INTERVAL_MS)
    this.#owners.delete(owner)
    this.#owners.set(owner, bucket)
    const [oldest] = this.#owners.keys()
    if (this.#owners.size > MAX_OWNERS && oldest !== undefined) this.#owners.delete(oldest)
    return bucket
  }

  #lose(now: number, peerId: PeerId): void {
    const keyHash = this.#connected.get(peerId)?.keyHash
    if (keyHash === undefined) return
    this.#connected.delete(peerId)
    this.#lost.delete(keyHash)
    this.#lost.set(keyHash, now)
    const [oldest] = this.#lost.keys()
    if (this.#lost.size > MAX_LOST && oldest !== undefined) this.#lost.delete(oldest)
  }

  #want(now: number, keyHash: string, knockSecret: string): void {
    const before = this.#wanted.get(keyHash)
    const isJustLost = now - (this.#lost.get(keyHash) ?? -Infinity) < JUST_LOST_MS
    const wanted = before ?? { knockSecret, askAt: undefined, notBefore: now, rounds: 0 }
    wanted.knockSecret = knockSecret
    wanted.askAt ??= Math.max(now + (isJustLost ? 0 : HELP_AFTER_MS), wanted.notBefore)
    this.#wanted.delete(keyHash)
    this.#wanted.set(keyHash, wanted)
    const [oldest] = this.#wanted.keys()
    if (this.#wanted.size > MAX_WANTED && oldest !== undefined) this.#wanted.delete(oldest)
  }

  #ask(now: number): IntroductionsEffect[] {
    const effects: IntroductionsEffect[] = []
    for (const [keyHash, wanted] of this.#wanted) {
      if (wanted.askAt === undefined || wanted.askAt > now) continue
      wanted.askAt = undefined
      const friends = this.#options.whoKnows(keyHash).filter((friend) => this.#connected.get(friend)?.introduces).slice(0, MAX_FRIENDS_ASKED)
      if (friends.length === 0) continue
      wanted.notBefore = now + Math.min(LONGEST_ROUND_MS, FIRST_ROUND_MS * 2 ** wanted.rounds)
      wanted.rounds++
      for (const friend of friends) effects.push({ type: 'ask', friend, keyHash, knockSecret: wanted.knockSecret })
    }
    return effects
  }
}

function refusal(code: ErrorCode, message: string): Refusal {
  return { type: 'refuse', fault: { code, message } }
}

/** Also what a friend says of somebody who does not want us: it is not to be known who is connected to whom. */
export const NOT_FOUND: Refusal = refusal('not-found', 'not connected to that peer')
