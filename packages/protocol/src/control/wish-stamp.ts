import { type Result, refuse, succeed } from '../result.ts'

/**
 * The hybrid logical clock that orders changes of wishes: the time where there is one to trust, a counter where there is not, and who wrote it where both
 * are the same. Texts of it compare as the changes follow each other. Reads no clock.
 */

/** 12 hexadecimal digits of milliseconds since 1970, 4 of a counter, 16 of the writer, joined by `-`. */
export type Stamp = string

/** The counter has four digits; past the last one the millisecond moves on instead. */
const MAX_COUNTER = 0xffff
/** In the year 5138: no clock is right about that, and far below what twelve digits hold, so that there is always a next millisecond. */
const MAX_TIME_MS = 100_000_000_000_000
const STAMP = /^[0-9a-f]{12}-[0-9a-f]{4}-[0-9a-f]{16}$/

/** A clock may be wrong by so much before what it wrote is not believed: machines that keep time at all are nearer than this. */
export const MAX_CLOCK_DRIFT_MS = 5 * 60_000

export function parseStamp(text: string): Result<Stamp> {
  return STAMP.test(text) ? succeed(text) : refuse('bad-stamp', 'is no stamp of a change')
}

/** @param stamp parsed @returns milliseconds since 1970 */
export function stampTime(stamp: Stamp): number {
  return Number.parseInt(stamp.slice(0, 12), 16)
}

/** One writer's clock. Every run of a program and every open page is a writer of its own, so no two ever write the same stamp. */
export class WishClock {
  readonly #writer: string
  #time = 0
  #counter = 0

  /** @param writer 16 hexadecimal digits, random */
  constructor(writer: string) {
    if (!/^[0-9a-f]{16}$/.test(writer)) throw new TypeError('a writer has 16 hexadecimal digits')
    this.#writer = writer
  }

  /** The latest time that was written or seen: never behind anything it has to follow. */
  get time(): number {
    return this.#time
  }

  /** For a change made now: later than everything written or seen before, whatever the clock on the wall says. @param wall milliseconds since 1970 */
  tick(wall: number): Stamp {
    const now = Number.isFinite(wall) ? Math.min(Math.max(0, Math.floor(wall)), MAX_TIME_MS) : 0
    if (now > this.#time) {
      this.#time = now
      this.#counter = 0
    } else if (this.#counter < MAX_COUNTER) this.#counter++
    else {
      this.#time++
      this.#counter = 0
    }
    return `${this.#time.toString(16).padStart(12, '0')}-${this.#counter.toString(16).padStart(4, '0')}-${this.#writer}`
  }

  /** A change of somebody else was taken in: whatever is written from here on is later. @param stamp parsed, and not too far ahead */
  see(stamp: Stamp): void {
    const time = stampTime(stamp)
    const counter = Number.parseInt(stamp.slice(13, 17), 16)
    if (time < this.#time || (time === this.#time && counter <= this.#counter)) return
    this.#time = time
    this.#counter = counter
  }

  /** The last time that is believed of others. A clock of our own that was set back does not make us doubt what we have seen already. */
  horizon(wall: number): number {
    return Math.max(Number.isFinite(wall) ? wall : 0, this.#time) + MAX_CLOCK_DRIFT_MS
  }
}
