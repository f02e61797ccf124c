/**
 * Opens a way through the NATs between us and one peer: knocks at its addresses, answers its knocks, searches for ports, and ends when both sides agree on
 * one path or with a reason. It does not decide whether to try at all, nor what goes over the path.
 */
import { type Endpoint, type Hmac, type PunchPacket, PUNCH_NONCE_BYTES, addressScope, encodePunch, formatEndpoint, nobleHmac, punchKeyOf } from '@harddrive-party/protocol'
import type { Machine } from '../machine.ts'
import type { PunchEffect, PunchInput, PunchOptions, PunchPeer } from './punch-messages.ts'
import { type PunchPath, PunchPaths } from './punch-paths.ts'
import { type PunchPlan, planPunching } from './punch-plan.ts'
import { PunchReader } from './punch-reader.ts'
import type { Shot } from './punch-search.ts'
import { mayAnswer } from './punch-targets.ts'

/** The wait between knocks while somebody is expected to answer. */
export const KNOCK_MS = 50
/** As long as a friend who starts at the same moment, far away and on a bad link, may take. */
export const FAST_MS = 3_500
/**
 * The first knocks only have to open our own NAT. Delivered to a router that accepts packets for itself, before the host behind it has sent anything, they
 * would spoil the port there (measured). The side with the larger key waits longer, so that one of two that start together is always early enough.
 */
export const LOW_TTL_MS = { smaller: 300, larger: 600 } as const
/** Past the routers of a home and a carrier, and short of the peer's. */
export const LOW_TTL = 4

/** Towards a peer that was lost a moment ago, between the quick part of one attempt and the next attempt: the network may be back at any time. */
const EAGER_KNOCK_MS = 250
const EAGER_MS = 15_000

/** Keeps our NAT open for a peer that starts later: routers forget unanswered flows after 30 s, some after 20 s. */
export const SPARSE_MS = 10_000
/**
 * Counted from the beginning of a round, with a pause before it. Whoever starts seconds after the other may find its port spoilt by a packet that its router
 * took for itself. The spoilt flow lasts as long as anything goes out on it: knocks, or connections that are tried for 9 s. 30 s without any cure it.
 */
export const SPARSE_FROM_MS = 40_000
/** Where nothing stands in front of the peer, the first knock after its start is heard: worth a few more. */
const SPARSE_OPEN_MS = 1_500
/** Of the sparse knocks, every so many travels all the way: carriers may stand further away than LOW_TTL hops. */
const FAR_EVERY = 12
/** The first of them, by when the other side has had its pause as well, if the pause of one was for the start of the other. */
const FIRST_FAR = 5
export const PATIENCE_MS = 10 * 60_000

/** The longest that one round may take, when something was heard at its end. */
const ROUND_MS = 15_000

/** After something was heard, a path is knocked at quickly for this long. */
const HEARD_MS = 3_000
/** Waiting for a nearer path, once there is one. */
const NEARER_MS = 120
/** How long the decision is repeated before the path counts as dead. */
const CHOOSE_MS = 4_000
/** After the end, knocks are still answered: the other side may not have heard the last word. */
export const LINGER_MS = 5_000
/** Budget used up: look again after this. */
const RETRY_MS = 20
/** The other side may be said to start, or be heard to, this often. */
const MAX_RESTARTS = 8
const RESTART_GAP_MS = 1_000
export const MAX_OWN_SECRETS = 4

type Phase = 'idle' | 'punching' | 'lingering' | 'done'

export class Puncher implements Machine<PunchInput, PunchEffect> {
  readonly #options: PunchOptions
  readonly #hmac: Hmac
  readonly #key: Uint8Array
  readonly #reader: PunchReader
  readonly #paths = new PunchPaths()
  readonly #isDecider: boolean
  #plan: PunchPlan
  #phase: Phase = 'idle'
  #startedAt = 0
  #roundAt = 0
  #restarts = 0
  #searchAt: number | undefined
  #isOpening = false
  #heldShot: Shot | undefined
  #retryAt = 0
  #sockets: readonly number[] = []
  #heardAt: number | undefined
  #decideAt: number | undefined
  #chosen: PunchPath | undefined
  #chosenAt = 0
  #hasWaited = false
  #endsAt = 0
  #packets = 0

  constructor(options: PunchOptions) {
    this.#options = options
    this.#hmac = options.hmac ?? nobleHmac
    const { ours, theirs } = options.keyHashes
    this.#key = punchKeyOf(options.secrets.theirs, ours, theirs, this.#hmac)
    const secrets = options.secrets.ours.slice(0, MAX_OWN_SECRETS)
    this.#reader = new PunchReader(secrets.map((secret) => punchKeyOf(secret, theirs, ours, this.#hmac)), this.#hmac)
    this.#isDecider = isSmaller(ours, theirs)
    this.#plan = planPunching(options, options.theirs, this.#isDecider)
  }

  get deadline(): number | undefined {
    if (this.#phase === 'lingering') return this.#endsAt
    if (this.#phase !== 'punching') return undefined
    if (this.#chosen !== undefined) return Math.min(this.#chosen.nextKnockAt, this.#chosenAt + CHOOSE_MS)
    let next = Math.min(this.#endsAt, this.#decideAt ?? Infinity, this.#searchDeadline() ?? Infinity)
    if (!this.#hasWaited) next = Math.min(next, this.#roundEndsAt())
    for (const path of this.#paths.all()) next = Math.min(next, path.nextKnockAt)
    return next
  }

  step(now: number, input: PunchInput): PunchEffect[] {
    const effects: PunchEffect[] = []
    switch (input.type) {
      case 'start':
        if (this.#phase === 'idle') this.#start(now, effects)
        break
      case 'live-signal':
        if (this.#phase === 'punching') this.#onSignal(now, input.theirs)
        break
      case 'sockets-opened':
        this.#onSockets(now, input.ids, effects)
        break
      case 'packet':
        if (this.#phase === 'punching' || this.#phase === 'lingering') this.#onPacket(now, input.socket, input.from, input.bytes, effects)
        break
      case 'abort':
        this.#close(effects)
        break
      case 'tick':
    }
    if (this.#phase === 'punching') this.#proceed(now, effects)
    else if (this.#phase === 'lingering' && now >= this.#endsAt) this.#phase = 'done'
    return effects
  }

  #start(now: number, effects: PunchEffect[]): void {
    this.#phase = 'punching'
    this.#startedAt = now
    this.#endsAt = Infinity
    if (this.#plan.targets.length === 0 && this.#plan.search === null && !this.#plan.isReachable) return this.#fail(effects)
    this.#beginRound(now)
  }

  #beginRound(now: number): void {
    this.#roundAt = now
    this.#hasWaited = false
    this.#paths.setTargets(now, this.#plan.targets)
    for (const path of this.#paths.all()) {
      path.nextKnockAt = now
      path.sparse = 0
    }
    this.#searchAt = this.#plan.search === null ? undefined : now + this.#plan.searchDelayMs
    this.#heldShot = undefined
    this.#endsAt = Math.max(now + ROUND_MS, this.#startedAt + this.#patienceMs)
  }

  get #patienceMs(): number {
    return this.#options.patienceMs ?? PATIENCE_MS
  }

  /** @param isNews there is somewhere else to knock at now: that does not wait for a pause */
  #mayRestart(now: number, isNews: boolean): boolean {
    if (this.#restarts >= MAX_RESTARTS || (!isNews && now - this.#roundAt < RESTART_GAP_MS)) return false
    this.#restarts++
    return true
  }

  #onSignal(now: number, theirs: PunchPeer | undefined): void {
    if (this.#chosen !== undefined) return
    const fresh = theirs === undefined ? undefined : planPunching(this.#options, theirs, this.#isDecider)
    const isUseful = fresh !== undefined && (fresh.targets.length > 0 || fresh.search !== null)
    if (!this.#mayRestart(now, isUseful && hasOthers(fresh.targets, this.#plan.targets))) return
    if (isUseful) this.#plan = fresh
    this.#beginRound(now)
    // Sockets that are open serve again; a fresh search knows nothing of them yet.
    if (this.#sockets.length > 0 && this.#plan.search !== null) this.#plan.search.begin(now, this.#sockets)
    else if (this.#plan.search?.roundEndsAt !== undefined) this.#plan.search.restart(now)
  }

  #onSockets(now: number, ids: readonly number[], effects: PunchEffect[]): void {
    this.#isOpening = false
    if (this.#phase !== 'punching' || this.#sockets.length > 0 || this.#chosen !== undefined) {
      if (ids.length > 0) effects.push({ type: 'close-sockets', ids })
      return
    }
    this.#sockets = [...ids]
    this.#plan.search?.begin(now, ids)
  }

  #onPacket(now: number, socket: number, from: Endpoint, bytes: Uint8Array, effects: PunchEffect[]): void {
    if (!mayAnswer(from, this.#options.loopback ?? false)) return
    const packet = this.#reader.read(bytes, this.#options.unixOffsetMs + now)
    if (packet === undefined) return
    if (packet.type === 'knock') this.#onKnock(now, socket, from, packet, effects)
    else if (this.#phase === 'punching') this.#onAnswer(now, socket, from, packet, effects)
  }

  #onKnock(now: number, socket: number, from: Endpoint, packet: PunchPacket, effects: PunchEffect[]): void {
    const path = this.#paths.heard(now, socket, from)
    if (path === undefined) return
    const isDecision = packet.chosen && !this.#isDecider
    // Only one path is ever agreed on: a second decision is a copy or a fault of the other side.
    if (isDecision && this.#chosen !== undefined && this.#chosen !== path) return
    // A copy of the decision, sent from elsewhere, may be faster than the decision: only where the peer has answered us is it believed. It is repeated.
    if (isDecision && path.rttMs === undefined) return this.#onHeard(now, path)
    if (!this.#send(now, path, { type: 'answer', nonce: packet.nonce, chosen: packet.chosen }, effects)) return
    if (this.#phase !== 'punching') return
    this.#onHeard(now, path)
    if (isDecision) this.#agree(now, path, effects)
  }

  #onAnswer(now: number, socket: number, from: Endpoint, { nonce }: PunchPacket, effects: PunchEffect[]): void {
    const knock = this.#paths.answered(nonce, socket, from)
    if (knock === undefined) return
    const path = this.#paths.heard(now, socket, from)
    if (path === undefined) return
    const rtt = now - knock.at
    path.rttMs = Math.min(rtt, path.rttMs ?? rtt)
    this.#onHeard(now, path)
    if (!this.#isDecider) return
    if (knock.chosen && path === this.#chosen) this.#agree(now, path, effects)
    else if (this.#chosen === undefined) this.#decideAt ??= this.#paths.hasNearer(path.rank) ? now + NEARER_MS : now
  }

  #onHeard(now: number, path: PunchPath): void {
    // Somebody is there: what was done sparsely is done quickly again, everywhere.
    if (this.#heardAt === undefined || now - this.#heardAt > HEARD_MS) {
      for (const other of this.#paths.all()) other.nextKnockAt = Math.min(other.nextKnockAt, now)
    }
    this.#heardAt = now
    if (path.rttMs === undefined) path.nextKnockAt = Math.min(path.nextKnockAt, now)
  }

  #proceed(now: number, effects: PunchEffect[]): void {
    if (this.#chosen === undefined && this.#decideAt !== undefined && now >= this.#decideAt) this.#choose(now)
    if (this.#chosen !== undefined) {
      if (now >= this.#chosenAt + CHOOSE_MS) return this.#fail(effects, { code: 'lost', message: 'A way was found, but it broke at once.' })
      return this.#knockIfDue(now, this.#chosen, effects)
    }
    if (now >= this.#endsAt) return this.#fail(effects)
    if (!this.#hasWaited && now >= this.#roundEndsAt()) {
      this.#hasWaited = true
      if (this.#patienceMs === 0 && this.#heardAt === undefined) return this.#fail(effects)
      effects.push({ type: 'waiting', ...this.#plan.fault })
    }
    for (const path of this.#paths.all()) this.#knockIfDue(now, path, effects)
    this.#runSearch(now, effects)
  }

  #choose(now: number): void {
    this.#chosen = this.#paths.best()
    this.#chosenAt = now
    this.#decideAt = undefined
    if (this.#chosen !== undefined) this.#chosen.nextKnockAt = now
  }

  #knockIfDue(now: number, path: PunchPath, effects: PunchEffect[]): void {
    if (now < path.nextKnockAt) return
    const isChosen = path === this.#chosen
    const isFast = isChosen || now - this.#roundAt < FAST_MS || (path.heardAt ?? this.#heardAt ?? -Infinity) > now - HEARD_MS
    if (!isFast && !path.isTarget) {
      path.nextKnockAt = Infinity
      return
    }
    if (!isFast && this.#options.eager === true && now - this.#roundAt < EAGER_MS) {
      path.nextKnockAt = now + EAGER_KNOCK_MS
      return void this.#knock(now, path.socket, path.endpoint, false, false, effects)
    }
    if (!isFast && path.sparse === 0 && this.#isTranslated(path) && now < this.#roundAt + SPARSE_FROM_MS) {
      path.nextKnockAt = this.#roundAt + SPARSE_FROM_MS
      return
    }
    path.nextKnockAt = now + (isFast ? KNOCK_MS : this.#plan.isOpen ? SPARSE_OPEN_MS : SPARSE_MS)
    if (!isFast) path.sparse++
    this.#knock(now, path.socket, path.endpoint, this.#isLow(now, path, isFast), isChosen, effects)
  }

  #isLow(now: number, path: PunchPath, isFast: boolean): boolean {
    if (this.#heardAt !== undefined && now - this.#heardAt < HEARD_MS) return false
    if (!this.#isTranslated(path)) return false
    if (isFast) return now - this.#roundAt < (this.#isDecider ? LOW_TTL_MS.smaller : LOW_TTL_MS.larger)
    return path.sparse % FAR_EVERY !== FIRST_FAR
  }

  /** In IPv6, and where nothing translates, packets reach the host itself, and on a LAN there is no router in between. */
  #isTranslated({ rank }: PunchPath): boolean {
    return rank === 2 && !this.#plan.isOpen
  }

  #runSearch(now: number, effects: PunchEffect[]): void {
    const { search } = this.#plan
    if (search === null || this.#searchAt === undefined || now < this.#searchAt || this.#isFound(now)) return
    if (search.roundEndsAt === undefined) {
      if (search.sockets === 0) search.begin(now, [])
      else if (!this.#isOpening) {
        this.#isOpening = true
        effects.push({ type: 'open-sockets', count: search.sockets, family: 4 })
      }
    }
    if (now < this.#retryAt) return
    for (let shot = this.#heldShot ?? search.next(now); shot !== undefined; shot = search.next(now)) {
      this.#heldShot = undefined
      if (this.#knock(now, shot.socket, shot.to, shot.low && this.#heardAt === undefined, false, effects)) continue
      this.#heldShot = shot
      this.#retryAt = now + RETRY_MS
      return
    }
  }

  /** While something is heard, the search rests: the first hit is enough. */
  #isFound(now: number): boolean {
    return now < this.#restsUntil()
  }

  #restsUntil(): number {
    return this.#heardAt === undefined ? -Infinity : this.#heardAt + HEARD_MS
  }

  #searchDeadline(): number | undefined {
    const { search } = this.#plan
    if (search === null || this.#searchAt === undefined) return undefined
    if (search.roundEndsAt === undefined) return this.#isOpening ? undefined : Math.max(this.#searchAt, this.#restsUntil())
    const due = this.#heldShot === undefined ? search.deadline : this.#retryAt
    if (due === undefined) return undefined
    return Math.max(due, this.#searchAt, this.#restsUntil(), this.#retryAt)
  }

  #roundEndsAt(): number {
    const { search } = this.#plan
    return Math.max(this.#roundAt + FAST_MS, search === null ? 0 : (search.roundEndsAt ?? this.#roundAt + FAST_MS + this.#plan.searchDelayMs))
  }

  #knock(now: number, socket: number, to: Endpoint, low: boolean, chosen: boolean, effects: PunchEffect[]): boolean {
    const nonce = this.#options.randomBytes(PUNCH_NONCE_BYTES)
    if (!this.#send(now, { socket, endpoint: to }, { type: 'knock', nonce, chosen }, effects, low)) return false
    this.#paths.knocked(nonce, { socket, to, at: now, chosen })
    return true
  }

  #send(now: number, { socket, endpoint }: Pick<PunchPath, 'socket' | 'endpoint'>, packet: PunchPacket, effects: PunchEffect[], low = false): boolean {
    const { budget, unixOffsetMs, lowTtl = LOW_TTL } = this.#options
    const isNewFlow = addressScope(endpoint.host) !== 'loopback' && this.#paths.isNewFlow(socket, endpoint)
    if (!budget.spend(now, endpoint.host, isNewFlow)) return false
    this.#packets++
    const bytes = encodePunch(packet, this.#key, unixOffsetMs + now, this.#hmac)
    effects.push({ type: 'send', socket, to: endpoint, bytes, ...(low && { ttl: lowTtl }) })
    return true
  }

  #agree(now: number, path: PunchPath, effects: PunchEffect[]): void {
    this.#chosen = path
    effects.push({ type: 'path', socket: path.socket, endpoint: path.endpoint, rttMs: path.rttMs ?? 0, decider: this.#isDecider, packets: this.#packets })
    this.#closeSockets(effects, path.socket)
    this.#phase = 'lingering'
    this.#endsAt = now + LINGER_MS
  }

  #fail(effects: PunchEffect[], fault: PunchPlan['fault'] = this.#plan.fault): void {
    this.#close(effects)
    effects.push({ type: 'failed', ...fault, packets: this.#packets })
  }

  #close(effects: PunchEffect[]): void {
    if (this.#phase !== 'lingering') this.#closeSockets(effects, 0)
    this.#phase = 'done'
  }

  #closeSockets(effects: PunchEffect[], kept: number): void {
    const ids = this.#sockets.filter((id) => id !== kept)
    this.#sockets = []
    if (ids.length > 0) effects.push({ type: 'close-sockets', ids })
  }
}

function hasOthers(these: readonly Endpoint[], those: readonly Endpoint[]): boolean {
  const known = new Set(those.map(formatEndpoint))
  return these.some((endpoint) => !known.has(formatEndpoint(endpoint)))
}

function isSmaller(a: Uint8Array, b: Uint8Array): boolean {
  for (const [i, byte] of a.entries()) {
    const other = b[i] ?? 0
    if (byte !== other) return byte < other
  }
  return false
}
