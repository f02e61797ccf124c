/** Decides which limits hold at a time of the week. Knows no clock and no time zone: the local time is given to it. */

/** In bytes per second, null = none. */
export interface Rates {
  readonly up: number | null
  readonly down: number | null
}

export interface ScheduledRates extends Rates {
  /** 0 = Sunday … 6 = Saturday: the days on which it begins. */
  readonly days: readonly number[]
  /** Minutes since midnight. `to` at or before `from` is on the next day; the same = a whole day. */
  readonly from: number
  readonly to: number
}

const DAY_MINUTES = 24 * 60

/** @returns the index of the first rule that holds, undefined = none @param day 0 = Sunday @param minute since midnight */
export function ruleAt(rules: readonly ScheduledRates[], day: number, minute: number): number | undefined {
  const index = rules.findIndex(({ days, from, to }) => {
    const end = to > from ? to : to + DAY_MINUTES
    const begins = (offset: number) => days.includes((day + 7 - offset) % 7)
    return (begins(0) && minute >= from && minute < end) || (begins(1) && minute + DAY_MINUTES < end)
  })
  return index === -1 ? undefined : index
}
