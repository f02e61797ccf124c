/** The searches for a port between a hard NAT and an easy one: when which socket sends to which port. They send nothing and hear nothing themselves. */
import type { Endpoint } from '@harddrive-party/protocol'

/** One packet of a search. */
export interface Shot {
  readonly socket: number
  readonly to: Endpoint
  /** It need only get out of our own NATs. */
  readonly low: boolean
}

export interface PortSearch {
  /** Extra sockets wanted; 0 = the main one does. */
  readonly sockets: number
  /** @param ids the extra sockets, perhaps fewer than wanted */
  begin(now: number, ids: readonly number[]): void
  /** The other side starts now: so do we, once more. */
  restart(now: number): void
  /** The next packet that is due, to be sent or put off; undefined = none now. */
  next(now: number): Shot | undefined
  readonly deadline: number | undefined
  /** From when on a first round without a hit counts as failed; undefined = not begun. */
  readonly roundEndsAt: number | undefined
}

/** Slow enough for any uplink and for routers, fast enough for a median of half a second. */
export const SPRAY_PER_SECOND = 400
/** Beyond this, routers with 1,024 flows cut the household off from new connections. Finds one of 512 among 64,512 ports in 999 of 1,000 cases. */
export const SPRAY_PROBES = 1000
/** After so many there is a pause: a machine that is busy may take two seconds to open its fan, and every probe before that is lost. */
export const SPRAY_FIRST_PROBES = 600
export const SPRAY_PAUSE_MS = 2_000
/** Later rounds, for a peer that starts later: what has been tried is forgotten by then. */
export const SPRAY_AGAIN_PROBES = 250
export const SPRAY_AGAIN_MS = 30_000
export const SPRAY_ROUNDS = 8

/** Sockets of the fan: each costs a port of our router for as long as it is held. With half as many, one search in fifty finds none. */
export const FAN_SOCKETS = 512
/** While nobody seems to be there, a router that gives a household 1,024 ports in all is spared the others. */
export const FAN_SOCKETS_WAITING = 256
export const COUNTING_FAN_SOCKETS = 128
/** A customer's block must leave room for the household. */
export const MAX_BLOCK_FAN_SOCKETS = 64

/** The whole fan is sent again at these times, because routers forget unanswered flows after 30 s, some sooner, and because packets get lost. */
const FAN_TIMES_MS = [0, 2_600, 7_600, 12_600]
/** So often with all sockets. */
const FAN_TIMES_WHOLE = 2
const FAN_AGAIN_MS = 20_000
/** As long as the other side goes on with its rounds. */
const FAN_LASTS_MS = SPRAY_AGAIN_MS * SPRAY_ROUNDS
/** A spray of the other side that starts a second later, pause and all, with an answer from far away. */
const FAN_ROUND_MS = 7_500
const ANSWER_MS = 1_500

/** Coarser than the packets, so that a timer fires only so often. */
const TIMER_MS = 10

/** From the one socket to many ports of one address. */
export class SpraySearch implements PortSearch {
  readonly sockets = 0
  roundEndsAt: number | undefined
  readonly #host: string
  readonly #order: () => Generator<number, void, undefined>
  #ports: Generator<number, void, undefined>
  #round = 0
  #startAt = 0
  #sent = 0
  #quota = 0

  /** @param order ports in the order in which they are to be tried, from the beginning each time it is called */
  constructor(host: string, order: () => Generator<number, void, undefined>) {
    this.#host = host
    this.#order = order
    this.#ports = order()
  }

  begin(now: number): void {
    this.restart(now)
  }

  restart(now: number): void {
    this.#round = 0
    this.#startAt = now
    this.#sent = 0
    this.#quota = SPRAY_PROBES
    this.#ports = this.#order()
    this.roundEndsAt = now + (SPRAY_PROBES * 1000) / SPRAY_PER_SECOND + SPRAY_PAUSE_MS + ANSWER_MS
  }

  get deadline(): number | undefined {
    if (this.#quota === 0) return undefined
    return this.#startAt + Math.ceil(this.#elapsed() / TIMER_MS) * TIMER_MS
  }

  next(now: number): Shot | undefined {
    if (this.#quota === 0 || now < this.#startAt + this.#elapsed()) return undefined
    const port = this.#nextPort()
    if (port === undefined) return undefined
    if (++this.#sent === this.#quota) this.#nextRound()
    return { socket: 0, to: { host: this.#host, port }, low: false }
  }

  #elapsed(): number {
    return (this.#sent * 1000) / SPRAY_PER_SECOND + (this.#sent >= SPRAY_FIRST_PROBES ? SPRAY_PAUSE_MS : 0)
  }

  #nextPort(): number | undefined {
    const next = this.#ports.next()
    if (next.done !== true) return next.value
    this.#ports = this.#order()
    const first = this.#ports.next()
    return first.done === true ? undefined : first.value
  }

  #nextRound(): void {
    this.#round++
    this.#sent = 0
    this.#startAt += SPRAY_AGAIN_MS
    this.#quota = this.#round < SPRAY_ROUNDS ? SPRAY_AGAIN_PROBES : 0
  }
}

/** From many sockets to one port: each is given another port by our NAT, where the other side may find us. */
export class FanSearch implements PortSearch {
  readonly sockets: number
  roundEndsAt: number | undefined
  readonly #to: Endpoint
  #ids: readonly number[] = []
  #startAt = 0
  /** How often the fan has been sent, and how many of its sockets this time. */
  #times = 0
  #sent = 0

  constructor(to: Endpoint, sockets: number) {
    this.#to = to
    this.sockets = sockets
  }

  begin(now: number, ids: readonly number[]): void {
    this.#ids = ids
    this.restart(now)
  }

  restart(now: number): void {
    this.#startAt = now
    this.#times = 0
    this.#sent = 0
    this.roundEndsAt = now + FAN_ROUND_MS
  }

  get deadline(): number | undefined {
    const at = FAN_TIMES_MS[this.#times] ?? (FAN_TIMES_MS.at(-1) ?? 0) + (this.#times + 1 - FAN_TIMES_MS.length) * FAN_AGAIN_MS
    return this.roundEndsAt === undefined || this.#ids.length === 0 || at > FAN_LASTS_MS ? undefined : this.#startAt + at
  }

  next(now: number): Shot | undefined {
    const due = this.deadline
    const socket = this.#ids[this.#sent]
    if (due === undefined || now < due || socket === undefined) return undefined
    // Delivered to the router of the other side before that side has sent, it could spoil the very ports that are to meet.
    const low = this.#times === 0
    if (++this.#sent >= (this.#times < FAN_TIMES_WHOLE ? this.#ids.length : Math.min(this.#ids.length, FAN_SOCKETS_WAITING))) {
      this.#sent = 0
      this.#times++
    }
    return { socket, to: this.#to, low }
  }
}
