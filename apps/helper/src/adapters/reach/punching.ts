/**
 * Runs the punchers on our sockets, one for each peer that is being punched to, and knows who knocks when none runs. Which packet is sent when is
 * decided in core; here it is made sure that none goes where none may go.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { type Endpoint, type ErrorCode, type Fault, type Hmac, type PeerId, type ReachCandidate, formatEndpoint, keyHashOf, punchTypeOf } from '@harddrive-party/protocol'
import { type NatFacts, type OwnPlace, mayAnswer, mayPunch } from '../../core/peers/dial-candidates.ts'
import type { Machine } from '../../core/machine.ts'
import type { OwnReach } from '../../core/reach/own-reach.ts'
import { PacketBudget } from '../../core/packet-budget.ts'
import type { PunchEffect, PunchFailure, PunchInput, PunchOptions } from '../../core/punch/punch-messages.ts'
import { Puncher } from '../../core/punch/puncher.ts'
import { type Clock, type Driven, drive, systemClock } from '../system/drive.ts'
import { KnockBook } from './knock-book.ts'
import { PunchSockets } from './punch-sockets.ts'
import type { QuicTransport } from '../quic/quic-transport.ts'

export interface Punching {
  /**
   * Opens a way to a peer. Joins sparse punching towards it that goes on.
   * @param options.signal ends it without an outcome that matters
   */
  punch(target: PunchTarget, options: { signal: AbortSignal }): Promise<PunchOutcome>
  /** Its owner starts at this moment: sparse punching becomes quick again. Does nothing where none goes on. */
  hurry(keyHash: string, candidates: readonly ReachCandidate[], nat: NatFacts | null): void
  /** Ends whatever goes on towards this peer. */
  stop(keyHash: string): void
  /** Our network is another one: what was found out on the old one is void. */
  restart(): void
  /** A datagram of ours of a kind that the transport does not know. */
  take(bytes: Uint8Array, from: Endpoint, socket: number): void
  stats(): PunchingStats
  /** Idempotent. */
  close(): void
}

export interface PunchTarget {
  /** 16 bytes, hex. */
  readonly keyHash: string
  readonly candidates: readonly ReachCandidate[]
  /** Null = not known. */
  readonly nat: NatFacts | null
  /** It was here a moment ago: quick punching again, instead of joining the sparse one, unless that would be a search over many ports. */
  readonly eager: boolean
  /** 16 bytes: what the peer demands. */
  readonly knockSecret: Uint8Array
}

export type PunchOutcome =
  | { readonly type: 'path'; readonly path: PunchedPath }
  /** `patient`: sparse punching goes on, and `onPath` or `onOver` will tell what it came to. */
  | { readonly type: 'failed'; readonly fault: Fault<ErrorCode>; readonly patient: boolean; readonly packets: number }

export interface PunchedPath {
  readonly endpoint: Endpoint
  readonly socket: number
  /** Null = not measured. */
  readonly rttMs: number | null
  /** It is for us to dial; the other side waits for it, at least at first. */
  readonly decider: boolean
  readonly packets: number
  /** To be called once, when it has been dialled, come in use, or been given up: the socket then lasts as long as its connections. */
  release(): void
}

export interface PunchingStats {
  readonly running: number
  readonly sent: number
  /** Packets that a puncher wanted to send to where none may go. */
  readonly forbidden: number
}

export interface PunchingOptions {
  readonly transport: Pick<QuicTransport, 'sendDatagram' | 'openSockets' | 'closeSockets'>
  readonly self: PeerId
  /** How we are reached now. */
  own(): OwnReach
  place(): OwnPlace
  /** Our knock secrets that others may hold, 16 bytes each. */
  secrets(): readonly Uint8Array[]
  /** Whose knocks we want to hear when no puncher runs. */
  wanted(): readonly PeerId[]
  /** Sparse punching has found a way: `punch` will give it. */
  onPath(keyHash: string): void
  /** Sparse punching has ended. */
  onOver(keyHash: string): void
  /** Somebody wanted knocks, and nobody punches towards it. */
  onKnock(keyHash: string): void
  log(message: string, details?: Record<string, unknown>): void
  readonly clock?: Clock
  readonly makePuncher?: (options: PunchOptions) => Machine<PunchInput, PunchEffect>
  readonly lowTtl?: number
  readonly patienceMs?: number
}

/** Peers punched to at once: most of them sparsely, which costs a packet in ten seconds for each address. Sparse ones give way to new ones. */
const MAX_RUNS = 128
/** The quick part takes no longer; a person waits for what it says. */
const QUICK_MS = 12_000
/** A path that nobody has come for by then is given up: its NATs have begun to forget it. */
const UNCLAIMED_MS = 10_000
/** After a path was found, its puncher goes on answering for this long at most. */
const FINISH_MS = 5_000

const hmac: Hmac = (key, data) => createHmac('sha256', key).update(data).digest()

export function openPunching(options: PunchingOptions): Punching {
  return new OpenPunching(options)
}

interface Run {
  readonly keyHash: string
  readonly driven: Driven<PunchInput>
  /** What was aimed at, to see whether there is news. */
  aim: string
  /** Extra sockets that are ours to give back. */
  readonly sockets: Set<number>
  phase: 'quick' | 'sparse' | 'found'
  lastFault: Fault<ErrorCode>
  packets: number
  waiter: ((outcome: PunchOutcome) => void) | null
  unclaimed: PunchedPath | null
  ended: boolean
  cancelTimer: () => void
}

class OpenPunching implements Punching {
  readonly #options: PunchingOptions
  readonly #clock: Clock
  readonly #selfHash: Uint8Array
  readonly #runs = new Map<string, Run>()
  readonly #budget = new PacketBudget()
  readonly #knocks: KnockBook
  readonly #sockets: PunchSockets
  #closed = false
  #sent = 0
  #forbidden = 0

  constructor(options: PunchingOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#selfHash = keyHashOf(options.self)
    this.#sockets = new PunchSockets(options.transport)
    this.#knocks = new KnockBook({ ...options, punched: () => this.#runs.keys(), selfHash: this.#selfHash, hmac })
  }

  punch(target: PunchTarget, { signal }: { signal: AbortSignal }): Promise<PunchOutcome> {
    return new Promise((resolve) => {
      const { keyHash } = target
      const aborted = failed('aborted', 'called off')
      if (this.#closed || signal.aborted) return resolve(aborted)
      const run = this.#join(target, resolve)
      if (run === null) return
      signal.addEventListener('abort', () => {
        if (run.waiter !== resolve) return
        run.waiter = null
        if (this.#runs.get(keyHash) === run) this.#end(run)
        resolve(aborted)
      }, { once: true })
    })
  }

  /** @returns null when there is an outcome already */
  #join(target: PunchTarget, waiter: (outcome: PunchOutcome) => void): Run | null {
    const { keyHash } = target
    const going = this.#runs.get(keyHash)
    if (going?.unclaimed) {
      waiter({ type: 'path', path: going.unclaimed })
      going.unclaimed = null
      return null
    }
    if (going?.phase === 'sparse' && !(target.eager && isEasy(target.nat) && isEasy(this.#options.own()))) {
      if (going.aim === aimOf(target)) {
        waiter({ type: 'failed', fault: going.lastFault, patient: true, packets: 0 })
        return null
      }
      going.waiter = waiter
      this.#quicken(going, target)
      return going
    }
    if (going) this.#end(going)
    if (!this.#makeRoom()) {
      waiter(failed('busy', 'too many peers are being punched to at once'))
      return null
    }
    return this.#start(target, waiter)
  }

  #start(target: PunchTarget, waiter: (outcome: PunchOutcome) => void): Run {
    const { keyHash, candidates, nat, knockSecret, eager } = target
    const { own, secrets, lowTtl, patienceMs, place, makePuncher = (facts) => new Puncher(facts) } = this.#options
    const clock = this.#clock
    const puncher = makePuncher({
      own: own(), theirs: { ...(nat ?? UNKNOWN_NAT), candidates }, keyHashes: { ours: this.#selfHash, theirs: Buffer.from(keyHash, 'hex') },
      secrets: { ours: secrets(), theirs: knockSecret }, budget: this.#budget, random: Math.random, randomBytes, hmac,
      // Looked at for each packet: somebody may set the clock, or the machine may sleep.
      get unixOffsetMs() {
        return Date.now() - clock.now()
      },
      loopback: place().loopbackOnly, eager,
      ...(lowTtl === undefined ? {} : { lowTtl }), ...(patienceMs === undefined ? {} : { patienceMs }),
    })
    const run: Run = {
      keyHash, aim: aimOf(target), sockets: new Set(), phase: 'quick', lastFault: { code: 'timed-out', message: 'no answer' }, packets: 0, waiter,
      unclaimed: null, ended: false, cancelTimer: () => {}, driven: drive(puncher, (effect) => this.#perform(run, effect), this.#clock),
    }
    this.#runs.set(keyHash, run)
    this.#limitQuick(run)
    run.driven.input({ type: 'start' })
    const knock = this.#knocks.recall(keyHash)
    if (knock && !run.ended) run.driven.input({ type: 'packet', ...knock })
    return run
  }

  #quicken(run: Run, { candidates, nat }: Pick<PunchTarget, 'candidates' | 'nat'>): void {
    run.phase = 'quick'
    run.aim = aimOf({ candidates, nat })
    this.#limitQuick(run)
    run.driven.input({ type: 'live-signal', theirs: { ...(nat ?? UNKNOWN_NAT), candidates } })
  }

  #limitQuick(run: Run): void {
    this.#after(run, QUICK_MS, () => this.#waits(run, { code: 'timed-out', message: 'no answer through the NATs between us' }))
  }

  hurry(keyHash: string, candidates: readonly ReachCandidate[], nat: NatFacts | null): void {
    const run = this.#runs.get(keyHash)
    if (run && run.phase !== 'found') this.#quicken(run, { candidates: candidates.filter((candidate) => mayPunch(candidate, this.#options.place())), nat })
  }

  stop(keyHash: string): void {
    const run = this.#runs.get(keyHash)
    if (run) this.#end(run)
  }

  restart(): void {
    for (const run of this.#runs.values()) if (run.phase === 'sparse') this.#end(run)
  }

  take(bytes: Uint8Array, from: Endpoint, socket: number): void {
    if (this.#closed || this.#knocks.isFlooded(this.#clock.now())) return
    // The transport's buffer is its own.
    const packet = { socket, from, bytes: Uint8Array.from(bytes) }
    const keyHash = this.#knocks.whose(packet, Date.now())
    if (keyHash === undefined) return
    const run = this.#runs.get(keyHash)
    if (run) return run.driven.input({ type: 'packet', ...packet })
    if (punchTypeOf(packet.bytes) !== 'knock') return
    this.#knocks.keep(keyHash, packet)
    this.#options.onKnock(keyHash)
  }

  stats(): PunchingStats {
    return { running: this.#runs.size, sent: this.#sent, forbidden: this.#forbidden }
  }

  close(): void {
    this.#closed = true
    for (const run of this.#runs.values()) this.#end(run)
  }

  #perform(run: Run, effect: PunchEffect): void {
    switch (effect.type) {
      case 'send': return this.#send(run, effect)
      case 'open-sockets': return void this.#openSockets(run, effect.family, effect.count)
      case 'close-sockets': return this.#closeSockets(run, effect.ids)
      case 'waiting': return this.#waits(run, faultOf(effect))
      case 'path': return this.#found(run, effect)
      case 'failed': return this.#failed(run, effect)
    }
  }

  #send(run: Run, { socket, to, bytes, ttl }: Extract<PunchEffect, { type: 'send' }>): void {
    if (!mayAnswer(to, this.#options.place())) {
      this.#forbidden++
      return
    }
    this.#sent++
    run.packets++
    this.#options.transport.sendDatagram(bytes, to, { socket, ttl })
  }

  async #openSockets(run: Run, family: 4 | 6, count: number): Promise<void> {
    const ids = await this.#sockets.borrow(family === 4 ? 'v4' : 'v6', count).catch((error: unknown) => {
      this.#options.log('no sockets for punching', { error: String(error) })
      return []
    })
    if (run.ended) return this.#sockets.giveBack(ids)
    for (const id of ids) run.sockets.add(id)
    run.driven.input({ type: 'sockets-opened', ids })
  }

  #closeSockets(run: Run, ids: readonly number[]): void {
    this.#sockets.giveBack(ids.filter((id) => run.sockets.delete(id)))
  }

  /** The quick part has ended in vain. */
  #waits(run: Run, fault: Fault<ErrorCode>): void {
    run.phase = 'sparse'
    run.lastFault = explain(this.#options.own(), fault)
    run.cancelTimer()
    this.#settle(run, { type: 'failed', fault: run.lastFault, patient: true, packets: run.packets })
  }

  #found(run: Run, { socket, endpoint, rttMs, decider, packets }: Extract<PunchEffect, { type: 'path' }>): void {
    run.phase = 'found'
    run.sockets.delete(socket)
    this.#options.log('punched', { endpoint: formatEndpoint(endpoint), rttMs, packets })
    const path = { socket, endpoint, rttMs, decider, packets, release: () => this.#sockets.giveBack([socket]) }
    if (this.#settle(run, { type: 'path', path })) return this.#after(run, FINISH_MS, () => this.#end(run))
    run.unclaimed = path
    this.#after(run, UNCLAIMED_MS, () => {
      this.#end(run)
      this.#options.onOver(run.keyHash)
    })
    this.#options.onPath(run.keyHash)
  }

  #failed(run: Run, effect: Extract<PunchEffect, { type: 'failed' }>): void {
    const outcome = { type: 'failed', fault: explain(this.#options.own(), faultOf(effect)), patient: false, packets: run.packets } as const
    // What comes after an agreed path concerns the connection on it, which finds out by itself.
    const wasFound = run.phase === 'found'
    this.#end(run)
    if (!this.#settle(run, outcome) && !wasFound) this.#options.onOver(run.keyHash)
  }

  #settle(run: Run, outcome: PunchOutcome): boolean {
    const { waiter } = run
    run.waiter = null
    waiter?.(outcome)
    return waiter !== null
  }

  #after(run: Run, ms: number, then: () => void): void {
    run.cancelTimer()
    run.cancelTimer = this.#clock.wakeAfter(ms, then)
  }

  #makeRoom(): boolean {
    if (this.#runs.size < MAX_RUNS) return true
    const sparse = [...this.#runs.values()].find(({ phase }) => phase === 'sparse')
    if (!sparse) return false
    this.#end(sparse)
    this.#options.onOver(sparse.keyHash)
    return true
  }

  #end(run: Run): void {
    if (run.ended) return
    run.ended = true
    run.cancelTimer()
    run.driven.close()
    if (this.#runs.get(run.keyHash) === run) this.#runs.delete(run.keyHash)
    run.unclaimed?.release()
    this.#sockets.giveBack(run.sockets)
    run.sockets.clear()
  }
}

/** Whether knocking at known ports is all there is to it. */
function isEasy(side: Pick<NatFacts, 'nat'> | null): boolean {
  return side === null || ['open', 'consistent', 'unknown'].includes(side.nat.v4)
}

const UNKNOWN_NAT: NatFacts = { nat: { v4: 'unknown', v6: 'unknown' } }

const CODES: Record<PunchFailure, ErrorCode> = {
  hopeless: 'unreachable', 'no-candidates': 'unreachable', 'no-answer': 'timed-out', 'search-failed': 'timed-out', lost: 'connection-lost',
}

function faultOf({ code, message, detail }: Fault<PunchFailure>): Fault<ErrorCode> {
  return { code: CODES[code], message, ...(detail && { detail }) }
}

function failed(code: ErrorCode, message: string): PunchOutcome {
  return { type: 'failed', fault: { code, message }, patient: false, packets: 0 }
}

/** Where nobody answers, it may be our own network that lets nothing out. */
function explain({ stun }: OwnReach, fault: Fault<ErrorCode>): Fault<ErrorCode> {
  if (stun.length === 0 || stun.some(({ outcome }) => outcome === 'mapped')) return fault
  // Names are looked up by UDP as well: where none is found, no server could be asked.
  const isNameless = stun.every(({ outcome }) => outcome === 'no-address')
  const silence = isNameless
    ? 'no name of a STUN server can be looked up either: this network seems to have no internet, or to let no UDP out'
    : 'no STUN server answers either: this network seems to let no UDP out'
  const message = `no answer, and ${silence}; another network, or one where UDP is allowed, would help`
  return { code: 'unreachable', message, detail: { code: isNameless ? 'no-internet' : 'no-udp-out', values: {} } }
}

/** News of what is aimed at: an equal text means that quick punching would only be repeated. */
function aimOf({ candidates, nat }: Pick<PunchTarget, 'candidates' | 'nat'>): string {
  return JSON.stringify([candidates.map(({ endpoint }) => formatEndpoint(endpoint)).sort(), nat?.nat ?? null, nat?.block ?? null])
}
