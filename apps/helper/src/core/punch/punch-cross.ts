/** The searches between two hard NATs, where both open many flows and a flow of one side must meet one of the other. They send nothing themselves. */
import { type PortBlock } from './nat-kind.ts'
import { countedPort } from './port-order.ts'
import type { PortSearch, Shot } from './punch-search.ts'

/**
 * Two that count: each sends from CROSS_SOCKETS sockets to one port. Its own NAT thereby hands out so many ports in a row, and the port it sends to is meant
 * to be in the middle of those of the other side, which does the same. So it does not matter if either counter has gone on a little in between.
 */
export const COUNT_SOCKETS = 128
/** By how many times COUNT_SOCKETS flows the counters may have gone on since they were read: of the side with the smaller key, of the other. */
const DRIFTS = [[0, 0], [1, 0], [0, 1], [1, 1]] as const
const WAVE_MS = 700
const WAVE_AGAIN_MS = 300
const ANSWER_MS = 1_500

/** Two that are confined to few ports, each to its own. */
export const BIRTHDAY_SOCKETS = 64
export const BIRTHDAY_PER_SECOND = 1000
/** Per side and round. Two blocks of 1,024 ports then miss each other in 2 of 100 cases, two of 2,048 in 37. */
export const BIRTHDAY_FLOWS = 2048
/** Flows live 30 s: two rounds of two sides that started at any times then overlap. */
const BIRTHDAY_AGAIN_MS = 45_000
const BIRTHDAY_ROUNDS = 4
const TIMER_MS = 10

export interface CountSearchOptions {
  readonly host: string
  readonly lastPort: number
  readonly step: number
  readonly smallerKey: boolean
}

export class CountSearch implements PortSearch {
  readonly sockets = COUNT_SOCKETS
  roundEndsAt: number | undefined
  readonly #options: CountSearchOptions
  #ids: readonly number[] = []
  /** When the present wave began; each is sent twice. */
  #waveAt = 0
  #wave = 0
  #again = false
  #sent = 0

  constructor(options: CountSearchOptions) {
    this.#options = options
  }

  begin(now: number, ids: readonly number[]): void {
    this.#ids = ids
    this.restart(now)
  }

  restart(now: number): void {
    this.#waveAt = now
    this.#wave = 0
    this.#again = false
    this.#sent = 0
    this.roundEndsAt = now + DRIFTS.length * WAVE_MS + ANSWER_MS
  }

  get deadline(): number | undefined {
    if (this.roundEndsAt === undefined || this.#ids.length === 0 || this.#wave >= DRIFTS.length) return undefined
    return this.#waveAt + (this.#again ? WAVE_AGAIN_MS : 0)
  }

  next(now: number): Shot | undefined {
    const due = this.deadline
    const socket = this.#ids[this.#sent]
    if (due === undefined || now < due || socket === undefined) return undefined
    const { host, lastPort, step, smallerKey } = this.#options
    // Their own earlier waves have moved their counter, as ours have moved ours.
    const drift = DRIFTS[this.#wave]?.[smallerKey ? 1 : 0] ?? 0
    const port = countedPort(lastPort, step, COUNT_SOCKETS * (this.#wave + drift) + COUNT_SOCKETS / 2)
    const shot = { socket, to: { host, port }, low: !this.#again }
    if (++this.#sent === this.#ids.length) this.#endPass()
    return shot
  }

  #endPass(): void {
    this.#sent = 0
    if (this.#again) {
      this.#wave++
      this.#waveAt += WAVE_MS
    }
    this.#again = !this.#again
  }
}

export interface BirthdaySearchOptions {
  readonly host: string
  /** Where their ports are. */
  readonly range: PortBlock
  /** How far apart their ports are: 1 in a block. */
  readonly step: number
  readonly flows: number
  readonly random: () => number
}

export class BirthdaySearch implements PortSearch {
  readonly sockets = BIRTHDAY_SOCKETS
  roundEndsAt: number | undefined
  readonly #options: BirthdaySearchOptions
  #ids: readonly number[] = []
  #startAt = 0
  #sent = 0
  #round = 0

  constructor(options: BirthdaySearchOptions) {
    this.#options = options
  }

  begin(now: number, ids: readonly number[]): void {
    this.#ids = ids
    this.restart(now)
  }

  restart(now: number): void {
    this.#startAt = now
    this.#sent = 0
    this.#round = 0
    this.roundEndsAt = now + (this.#options.flows * 1000) / BIRTHDAY_PER_SECOND + ANSWER_MS
  }

  get deadline(): number | undefined {
    if (this.roundEndsAt === undefined || this.#ids.length === 0 || this.#round >= BIRTHDAY_ROUNDS) return undefined
    return this.#startAt + Math.ceil(this.#elapsed() / TIMER_MS) * TIMER_MS
  }

  next(now: number): Shot | undefined {
    const socket = this.#ids[this.#sent % this.#ids.length]
    if (this.deadline === undefined || socket === undefined || now < this.#startAt + this.#elapsed()) return undefined
    const { host, range, step, random, flows } = this.#options
    const places = Math.floor((range.high - range.low) / step) + 1
    const port = countedPort(range.low, step, Math.floor(random() * places))
    if (++this.#sent === flows) {
      this.#sent = 0
      this.#round++
      this.#startAt += BIRTHDAY_AGAIN_MS
    }
    return { socket, to: { host, port }, low: false }
  }

  #elapsed(): number {
    return (this.#sent * 1000) / BIRTHDAY_PER_SECOND
  }
}

/** For 98 of 100 hits, that is four expected ones, and a little for losses; within bounds. @param ours and theirs: how many ports each */
export function birthdayFlows(ours: number, theirs: number): number {
  return Math.min(BIRTHDAY_FLOWS, Math.max(BIRTHDAY_SOCKETS, Math.ceil(2.2 * Math.sqrt(ours * theirs))))
}
