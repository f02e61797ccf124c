import { MAX_GOSSIP_RECORDS, MAX_REQUEST_FRAME_BYTES, recordAge } from '@harddrive-party/protocol'
import type { PeerId, SignedPeerRecord } from '@harddrive-party/protocol'
import { keyHashText } from './peer-link-state.ts'
import type { Machine } from '../machine.ts'
import { TokenBucket } from '../token-bucket.ts'

/**
 * Decides which signed records we pass on to whom and when, and which of those that we hear are kept. It checks no signature, connects to nobody and
 * trusts nobody: what is heard is a hint.
 *
 * A record travels one step: its owner gives it to those it is connected to, and they tell the others they are connected to. So nothing goes round,
 * and who tells of a peer can also introduce to it.
 */

/** Records kept of what one peer tells about others: more friends than most have connected at once. */
export const MAX_RECORDS_PER_SOURCE = 64
/** And of all peers together. */
export const MAX_RECORDS_HEARD = 1_000
/** What is new is collected for this long before it is told. */
export const GOSSIP_DELAY_MS = 200
/** Messages to one peer: so many at once, then one in so long. */
export const GOSSIP_BURST = 4
export const GOSSIP_INTERVAL_MS = 10_000
/** Messages from one peer that are read: some more than we would send, since peers count differently. */
const HEARD_BURST = 16
const HEARD_INTERVAL_MS = 3_000
/** Room for records in a request frame, the rest of the message aside. */
const MAX_BYTES = MAX_REQUEST_FRAME_BYTES - 256
/** The head of a byte string in CBOR. */
const HEAD_BYTES = 3

export type GossipInput =
  /** Our own record is a new one. */
  | { readonly type: 'own'; readonly own: SignedPeerRecord }
  /** Whom we know and have not blocked. */
  | { readonly type: 'policy'; readonly known: ReadonlySet<PeerId>; readonly blocked: ReadonlySet<PeerId> }
  /** `listens`: it has said that it understands gossip. */
  | { readonly type: 'connected'; readonly peerId: PeerId; readonly listens: boolean }
  | { readonly type: 'disconnected'; readonly peerId: PeerId }
  /** Signatures are good. `own`: of the sender itself. @see Gossip.admits */
  | { readonly type: 'heard'; readonly from: PeerId; readonly own?: SignedPeerRecord | undefined; readonly others: readonly SignedPeerRecord[]; readonly unixMs: number }
  | { readonly type: 'tick' }

export type GossipEffect =
  | { readonly type: 'tell'; readonly to: PeerId; readonly own?: Uint8Array; readonly others: readonly Uint8Array[] }
  /** New about somebody: whether anybody wants it is decided elsewhere. */
  | { readonly type: 'learn'; readonly record: SignedPeerRecord }

/** With the hash by which codes name the owner. */
type Heard = Map<PeerId, { readonly signed: SignedPeerRecord; readonly keyHash: string }>

interface Listener {
  readonly listens: boolean
  /** Sequence of each record that it has been told. */
  readonly told: Map<PeerId, number>
  /** What it tells of others, the oldest first. */
  readonly heard: Heard
  readonly mayTell: TokenBucket
  readonly mayBeHeard: TokenBucket
  dueAt: number | undefined
}

export class Gossip implements Machine<GossipInput, GossipEffect> {
  readonly #self: PeerId
  readonly #listeners = new Map<PeerId, Listener>()
  /** What peers said of themselves, the oldest first: all that is ever passed on. */
  readonly #firsthand = new Map<PeerId, SignedPeerRecord>()
  #own: SignedPeerRecord | undefined
  #known: ReadonlySet<PeerId> = new Set()
  #blocked: ReadonlySet<PeerId> = new Set()
  #heardCount = 0
  /** The wall clock minus `now`, as of the last message: records have times of the world. */
  #unixOffset: number

  /** @param unixOffset the wall clock minus the clock of `step`, milliseconds */
  constructor(self: PeerId, unixOffset = 0) {
    this.#self = self
    this.#unixOffset = unixOffset
  }

  get deadline(): number | undefined {
    let first = Infinity
    for (const { dueAt } of this.#listeners.values()) first = Math.min(first, dueAt ?? Infinity)
    return first === Infinity ? undefined : first
  }

  /** How many records of others are kept, first-hand ones aside. */
  get heardCount(): number {
    return this.#heardCount
  }

  step(now: number, input: GossipInput): GossipEffect[] {
    switch (input.type) {
      case 'own':
        this.#own = input.own
        for (const peerId of this.#listeners.keys()) this.#remind(now, peerId)
        return []
      case 'policy': {
        const newcomers = [...input.known].filter((peerId) => !this.#known.has(peerId))
        this.#known = input.known
        this.#blocked = input.blocked
        for (const peerId of this.#firsthand.keys()) if (!input.known.has(peerId)) this.#firsthand.delete(peerId)
        for (const { heard } of this.#listeners.values()) for (const peerId of heard.keys()) if (input.blocked.has(peerId)) this.#drop(heard, peerId)
        // Somebody may have become known after having told us of itself, or after others have.
        for (const peerId of this.#listeners.keys()) this.#remind(now, peerId)
        return newcomers.flatMap((peerId) => this.#allOf(peerId).map((record): GossipEffect => ({ type: 'learn', record })))
      }
      case 'connected': return this.#connected(now, input.peerId, input.listens)
      case 'disconnected': {
        // Who has gone can introduce to nobody, and its hints would only grow old.
        this.#heardCount -= this.#listeners.get(input.peerId)?.heard.size ?? 0
        this.#listeners.delete(input.peerId)
        return []
      }
      case 'heard': return this.#hear(now, input)
      case 'tick': return this.#tell(now)
    }
  }

  /** Whether a message of this peer is to be read at all; asking uses up some of its allowance. */
  admits(now: number, from: PeerId): boolean {
    return this.#listeners.get(from)?.mayBeHeard.take(now) ?? false
  }

  /** The newest that anybody connected tells of the owner of a key. @param keyHash hex */
  find(keyHash: string): SignedPeerRecord | undefined {
    let newest: SignedPeerRecord | undefined
    for (const { heard } of this.#listeners.values()) {
      for (const { signed, keyHash: other } of heard.values()) {
        if (other === keyHash && signed.record.sequence > (newest?.record.sequence ?? -1)) newest = signed
      }
    }
    return newest
  }

  /** Connected peers who tell of the owner of a key, who last did so first. @param keyHash hex */
  whoKnows(keyHash: string): PeerId[] {
    const friends = [...this.#listeners].filter(([, { heard }]) => [...heard.values()].some((other) => other.keyHash === keyHash))
    return friends.map(([peerId]) => peerId).toReversed()
  }

  #connected(now: number, peerId: PeerId, listens: boolean): GossipEffect[] {
    if (this.#listeners.has(peerId)) return []
    const listener: Listener = {
      listens, told: new Map(), heard: new Map(), dueAt: undefined,
      mayTell: new TokenBucket(GOSSIP_BURST, GOSSIP_INTERVAL_MS), mayBeHeard: new TokenBucket(HEARD_BURST, HEARD_INTERVAL_MS),
    }
    this.#listeners.set(peerId, listener)
    this.#remind(now, peerId)
    return []
  }

  #hear(now: number, { from, own, others, unixMs }: Extract<GossipInput, { type: 'heard' }>): GossipEffect[] {
    const listener = this.#listeners.get(from)
    if (!listener || this.#blocked.has(from)) return []
    this.#unixOffset = unixMs - now
    const effects: GossipEffect[] = []
    if (own && own.record.peerId === from && this.#hearFirsthand(now, own, unixMs)) effects.push({ type: 'learn', record: own })
    for (const signed of others) if (this.#hearOf(listener, from, signed, unixMs)) effects.push({ type: 'learn', record: signed })
    return effects
  }

  #hearFirsthand(now: number, signed: SignedPeerRecord, unixMs: number): boolean {
    const { peerId, sequence } = signed.record
    if (recordAge(signed.record, unixMs) !== 'current' || sequence <= (this.#firsthand.get(peerId)?.record.sequence ?? -1)) return false
    this.#firsthand.delete(peerId)
    this.#firsthand.set(peerId, signed)
    const [oldest] = this.#firsthand.keys()
    if (this.#firsthand.size > MAX_RECORDS_HEARD && oldest !== undefined) this.#firsthand.delete(oldest)
    for (const other of this.#listeners.keys()) if (other !== peerId) this.#remind(now, other)
    return true
  }

  /** What is told of somebody else counts only if its owner lets it be told. */
  #hearOf({ heard }: Listener, from: PeerId, signed: SignedPeerRecord, unixMs: number): boolean {
    const { peerId, sequence, passOn } = signed.record
    if (!passOn || peerId === this.#self || peerId === from || this.#blocked.has(peerId) || recordAge(signed.record, unixMs) !== 'current') return false
    const before = heard.get(peerId)
    if (before && sequence <= before.signed.record.sequence) return false
    if (before) this.#drop(heard, peerId)
    const [oldest] = heard.keys()
    if (heard.size >= MAX_RECORDS_PER_SOURCE && oldest !== undefined) this.#drop(heard, oldest)
    if (this.#heardCount >= MAX_RECORDS_HEARD) return false
    heard.set(peerId, { signed, keyHash: keyHashText(peerId) })
    this.#heardCount++
    return true
  }

  #allOf(peerId: PeerId): SignedPeerRecord[] {
    return [...this.#listeners.values()].flatMap(({ heard }) => heard.get(peerId)?.signed ?? [])
  }

  #drop(heard: Heard, peerId: PeerId): void {
    if (heard.delete(peerId)) this.#heardCount--
  }

  /** Something may be new for this peer. */
  #remind(now: number, peerId: PeerId): void {
    const listener = this.#listeners.get(peerId)
    if (listener?.listens) listener.dueAt ??= Math.max(now + GOSSIP_DELAY_MS, listener.mayTell.nextAt(now))
  }

  #tell(now: number): GossipEffect[] {
    const effects: GossipEffect[] = []
    for (const [peerId, listener] of this.#listeners) {
      if (listener.dueAt === undefined || listener.dueAt > now) continue
      listener.dueAt = undefined
      const effect = this.#messageFor(now, peerId, listener)
      if (!effect) continue
      listener.mayTell.take(now)
      effects.push(effect)
    }
    return effects
  }

  #messageFor(now: number, to: PeerId, { told }: Listener): GossipEffect | undefined {
    const isNews = ({ record }: SignedPeerRecord): boolean => record.sequence > (told.get(record.peerId) ?? -1)
    const own = this.#own && isNews(this.#own) ? this.#own : undefined
    const others: Uint8Array[] = []
    let room = MAX_BYTES - (own?.bytes.length ?? 0)
    for (const signed of [...this.#firsthand.values()].toReversed()) {
      const { record, bytes } = signed
      if (record.peerId === to || !isNews(signed) || !this.#mayTellOf(now, signed)) continue
      room -= bytes.length + HEAD_BYTES
      if (room < 0 || others.length === MAX_GOSSIP_RECORDS) {
        this.#remind(now, to)
        break
      }
      told.set(record.peerId, record.sequence)
      others.push(bytes)
    }
    if (own) told.set(this.#self, own.record.sequence)
    return own || others.length > 0 ? { type: 'tell', to, ...(own ? { own: own.bytes } : {}), others } : undefined
  }

  #mayTellOf(now: number, { record }: SignedPeerRecord): boolean {
    return record.passOn && this.#known.has(record.peerId) && recordAge(record, now + this.#unixOffset) === 'current'
  }
}
