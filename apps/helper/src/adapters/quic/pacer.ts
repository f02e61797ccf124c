/**
 * Decides how many bytes one connection may send now: as much as the path carries, little more, so that neither our packets nor other people's wait
 * long in a queue on the way. Pure: time and figures come in.
 *
 * It goes by the rate at which bytes arrive (draft-cardwell-iccrg-bbr-congestion-control), not by losses, which on a long path may mean nothing. The engine does so too,
 * but it takes whoever is paced by somebody else for somebody with nothing to say, never ends its start, and keeps nearly three times what the path
 * holds under way. So its window is a bound, and the rate is ours.
 */
import { SlidingBest } from '../../core/sliding-best.ts'

/** As read from the engine. */
export interface PathFigures {
  /** Smoothed over a few acknowledgements; whole milliseconds. */
  readonly rtt: number
  /** Bytes per second that arrived lately, over about one round trip. */
  readonly deliveryRate: number
  /** Packets so far. */
  readonly sent: number
  readonly lost: number
}

/** When the shortest round-trip time seen is below this there is no queue worth protecting, and a timer of 1 ms would be the bottleneck. */
const MIN_RTT_MS = 2

/** The rate may double with every round trip at the start: 2 / ln 2. */
const START_GAIN = 2.89

/** The start is over when packets wait on the way and the rate has grown by less than this, so many times in a row, a round trip apart. */
const GROWTH = 1.25
const ROUNDS_WITHOUT_GROWTH = 3

/** So much loss within a round trip is a queue that overflows, not a bad line; of fewer packets it means nothing. */
const OVERFLOW_LOSS = 0.15
const OVERFLOW_PACKETS = 50

/**
 * A line that loses more than this while nothing waits on it is a bad line, however little it carries. Of fewer losses it means nothing, and what was
 * so long ago counts little: a round trip weighs so much less than the next.
 */
const LEAK_LOSS = 0.001
const LEAK_PACKETS = 3
const LEAK_MEMORY = 0.9

/** Now and then more than the path is known to carry, in case it has become wider; then less, so that what piled up is gone. */
const CYCLE = [1.25, 0.75, 1, 1, 1, 1, 1, 1]
const PROBE = 0
const RELIEF = 1
const STEADY = 2
/** So many phases until it is: what others piled up does not go because we make way. */
const RELIEF_PHASES = 3

/** When the rate has grown by so much within a cycle there may be room for more, and the next cycle grows all the way as long as nothing piles up. */
const ROOM = 1.05
const ROOM_GAIN = 1.1
/** Otherwise this, as long as nothing piles up: for what is lost on the way, and for moments in which there was nothing to send. */
const EMPTY_GAIN = 1.03

/** Each phase lasts a round trip, but our figures do not come more often. */
const MIN_PHASE_MS = 40

/** The rate is the best of so many round trips: a whole cycle. It outlasts the engine's own search for the shortest round trip (200 ms of near silence). */
const RATE_ROUNDS = 10
const MIN_RATE_SPAN_MS = 1000

/** Routes change; a round-trip time that has not been seen for so long is not the shortest any more. */
const RTT_SPAN_MS = 30_000

/** A queue on the way counts as empty within this, and as building up beyond that. */
const EMPTY_RTT = 1.1
const QUEUE_RTT = 1.25
const SLACK_MS = 2

/** Single figures jump, as acknowledgements come in bunches and processes wait for their turn: they are smoothed over this part of a round trip. */
const SMOOTHING_ROUND_TRIPS = 0.5
const MIN_SMOOTHING_MS = 60

/** What may be saved up: the engine holds us back for a round trip after a loss, and then not at all for a moment. */
const SAVED_ROUND_TRIPS = 0.25

/** How fast it may be spent: faster than we are, but not all at once, which no queue on the way would take. */
const SPENDING_GAIN = 3

/** A timer may come late by this much without a loss of speed. */
const BURST_MS = 4

/** At least the initial window: the first flight is never held back. */
const MIN_BURST_BYTES = 10 * 1350

/** And this in each round trip, which is the engine's least: a rate that was measured too low can rise again. */
const MIN_BYTES_PER_ROUND_TRIP = 4 * 1350

export class Pacer {
  /** Bytes per millisecond, Infinity = unpaced. */
  #rate = Number.POSITIVE_INFINITY
  /** What we have a right to on average, and at this moment. */
  #saved = MIN_BURST_BYTES
  #burst = MIN_BURST_BYTES
  #at = 0
  readonly #rtt = new SlidingBest((a, b) => a < b)
  readonly #arrival = new SlidingBest((a, b) => a > b)
  /** Not smoothed, and therefore not late: at the start the rate may double with every round trip. */
  readonly #peak = new SlidingBest((a, b) => a > b)
  #near = false
  #mode: 'start' | 'drain' | 'cruise' = 'start'
  #updatedAt = 0
  /** What arrives until then was sent when there was little to say: it says nothing about the path. */
  #idleUntil = 0
  #smooth = 0
  #round = { at: 0, rate: 0, flat: 0, sent: 0, lost: 0, overflows: false, waited: false, waitedBefore: true }
  /** Of round trips in which nothing waited on the way. */
  #calm = { sent: 0, lost: 0 }
  #phase = 0
  #phaseAt = 0
  /** What waited on the way when the phase began. */
  #pileMs = 0
  /** The rate when the cycle began, and whether the cycle before had found room. */
  #cycleRate = Number.POSITIVE_INFINITY
  #room = false

  /** @param loopback within one machine nothing is paced: its round-trip time is our own CPU's */
  constructor(loopback: boolean) {
    this.#near = loopback
  }

  /** Bytes per millisecond. */
  get rate(): number {
    return this.#rate
  }

  /** To be called every few milliseconds while sending. */
  update(now: number, figures: PathFigures): void {
    const { rtt: rttMs } = figures
    this.#rtt.add(now, rttMs, RTT_SPAN_MS)
    const shortest = this.#rtt.best ?? rttMs
    // Later its own traffic may fill the queues: it is near all the same.
    this.#near ||= shortest < MIN_RTT_MS
    if (this.#near) return
    this.#learn(now, figures, shortest)
    this.#judge(now, figures)
    const empty = rttMs <= shortest * EMPTY_RTT + SLACK_MS
    this.#round.waited ||= !empty
    const queue = rttMs > shortest * QUEUE_RTT + SLACK_MS || this.#round.overflows
    if (this.#mode === 'start' && queue && (this.#round.flat >= ROUNDS_WITHOUT_GROWTH || this.#round.overflows)) this.#enter('drain', now, rttMs - shortest)
    if (this.#mode === 'drain' && (empty || now - this.#phaseAt > this.#makingWay(2 * rttMs, 1 - 1 / START_GAIN))) this.#enter('cruise', now, 0)
    if (this.#mode === 'cruise') this.#turn(now, Math.max(shortest, MIN_PHASE_MS), empty, rttMs - shortest)
    const arriving = Math.max(this.#arrival.best ?? 0, this.#mode === 'start' && this.#leaks ? (this.#peak.best ?? 0) : 0)
    const cruising = this.#phase >= STEADY && empty ? (this.#room ? ROOM_GAIN : EMPTY_GAIN) : (CYCLE[this.#phase] ?? 1)
    const gain = this.#mode === 'start' ? START_GAIN : this.#mode === 'drain' ? 1 / START_GAIN : cruising
    this.#settle(now)
    this.#rate = Math.max(gain * arriving, MIN_BYTES_PER_ROUND_TRIP / rttMs)
  }

  /** There is nothing more to send for now. */
  idle(now: number): void {
    this.#idleUntil = now + (this.#rtt.best ?? 0)
  }

  /** @returns how many bytes may be sent now; one packet more than the rest is fine */
  available(now: number): number {
    if (this.#rate === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY
    this.#settle(now)
    return Math.min(this.#saved, this.#burst)
  }

  sent(bytes: number): void {
    this.#saved -= bytes
    this.#burst -= bytes
  }

  #settle(now: number): void {
    if (this.#rate !== Number.POSITIVE_INFINITY) {
      const earned = (now - this.#at) * this.#rate
      const roundTrip = this.#rtt.best ?? 0
      this.#saved = Math.min(this.#saved + earned, Math.max(MIN_BURST_BYTES, this.#rate * Math.max(BURST_MS, SAVED_ROUND_TRIPS * roundTrip)))
      this.#burst = Math.min(this.#burst + SPENDING_GAIN * earned, Math.max(MIN_BURST_BYTES, this.#rate * BURST_MS))
    }
    this.#at = now
  }

  #learn(now: number, { deliveryRate }: PathFigures, shortest: number): void {
    const rate = deliveryRate / 1000
    const elapsed = now - this.#updatedAt
    this.#updatedAt = now
    if (now < this.#idleUntil) {
      this.#arrival.stretch(elapsed)
      if (rate <= this.#smooth) return
    }
    this.#peak.add(now, rate, MIN_RATE_SPAN_MS)
    this.#smooth += (rate - this.#smooth) * Math.min(1, elapsed / Math.max(MIN_SMOOTHING_MS, SMOOTHING_ROUND_TRIPS * shortest))
    if (this.#smooth > 0) this.#arrival.add(now, this.#smooth, Math.max(RATE_ROUNDS * shortest, MIN_RATE_SPAN_MS))
  }

  /** Once a round trip: whether the rate still grows, and whether a queue overflows. */
  #judge(now: number, { rtt, sent, lost }: PathFigures): void {
    const round = this.#round
    if (now - round.at < rtt) return
    if (!round.waited && !round.waitedBefore) {
      this.#calm = { sent: this.#calm.sent * LEAK_MEMORY + sent - round.sent, lost: this.#calm.lost * LEAK_MEMORY + lost - round.lost }
    }
    const rate = this.#arrival.best ?? 0
    const grown = rate >= round.rate * GROWTH
    const overflows = sent - round.sent > OVERFLOW_PACKETS && lost - round.lost > OVERFLOW_LOSS * (sent - round.sent)
    const flat = grown || now < this.#idleUntil ? 0 : round.flat + 1
    this.#round = { at: now, rate: grown ? rate : round.rate, flat, sent, lost, overflows, waited: false, waitedBefore: round.waited }
  }

  #enter(mode: 'drain' | 'cruise', now: number, pileMs: number): void {
    this.#mode = mode
    this.#pileMs = pileMs
    this.#phaseAt = now
    this.#phase = STEADY
  }

  #turn(now: number, phaseMs: number, empty: boolean, pileMs: number): void {
    const elapsed = now - this.#phaseAt
    const over = this.#phase === RELIEF ? empty || elapsed >= this.#makingWay(RELIEF_PHASES * phaseMs, 1 - CYCLE[RELIEF]!) : elapsed >= phaseMs
    if (!over) return
    this.#pileMs = pileMs
    this.#phase = (this.#phase + 1) % CYCLE.length
    this.#phaseAt = now
    if (this.#phase !== PROBE) return
    const rate = this.#arrival.best ?? 0
    this.#room = rate > this.#cycleRate * ROOM
    this.#cycleRate = rate
  }

  /** A line that loses without being full. Losses beside others are none of these: where they fill the queue it is never empty for two round trips. */
  get #leaks(): boolean {
    const { sent, lost } = this.#calm
    return lost >= LEAK_PACKETS && lost > LEAK_LOSS * sent
  }

  /**
   * How long less is sent than arrives. On a bad line no longer than what waits there takes, by what was seen when it began: our figures come late, and
   * with less under way than the path holds the engine would keep it at that, from one loss to the next, for a second.
   * @param spared the part of the rate that is not used
   */
  #makingWay(mostMs: number, spared: number): number {
    return this.#leaks ? Math.min(mostMs, this.#pileMs / spared) : mostMs
  }
}
