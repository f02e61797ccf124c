/** How rates and times of the week are written on a command line. Pure text: writes nothing. */
import { type LimitRule, MAX_RATE, MIN_RATE, parseTimeOfDay } from '@harddrive-party/protocol/control'
import { formatBytes } from './text-format.ts'

const FACTORS = { '': 1, k: 1e3, m: 1e6, g: 1e9 } as const
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const

/** `500k`, `2.5M`, `1g` or plain bytes per second, or `none`. @returns undefined for anything else, also out of range */
export function parseRate(text: string): number | null | undefined {
  if (text === 'none') return null
  const match = /^(\d{1,12}(?:\.\d{1,6})?)([kmg]?)(?:b(?:\/s)?)?$/.exec(text.toLowerCase())
  if (match === null) return undefined
  const rate = Math.round(Number(match[1]) * FACTORS[match[2] as keyof typeof FACTORS])
  return rate >= MIN_RATE && rate <= MAX_RATE ? rate : undefined
}

export function formatRate(rate: number | null): string {
  return rate === null ? 'none' : `${formatBytes(rate)}/s`
}

/** `mon-fri`, `sat,sun` or `all`. @returns 0 = Sunday …, in order; undefined for anything else */
export function parseDays(text: string): number[] | undefined {
  if (text.toLowerCase() === 'all') return [0, 1, 2, 3, 4, 5, 6]
  const days = new Set<number>()
  for (const part of text.toLowerCase().split(',')) {
    const [first = '', last = first, ...more] = part.trim().split('-')
    const from = DAYS.indexOf(first as (typeof DAYS)[number])
    const to = DAYS.indexOf(last as (typeof DAYS)[number])
    if (from === -1 || to === -1 || more.length > 0) return undefined
    for (let day = from; ; day = (day + 1) % 7) {
      days.add(day)
      if (day === to) break
    }
  }
  return [...days].sort((a, b) => a - b)
}

export function formatDays(days: readonly number[]): string {
  return days.length === 7 ? 'all' : days.map((day) => DAYS[day]).join(',')
}

/** `22:00-06:30`. */
export function parseHours(text: string): Pick<LimitRule, 'from' | 'to'> | undefined {
  const [from = '', to = '', ...more] = text.split('-')
  return more.length === 0 && parseTimeOfDay(from) !== undefined && parseTimeOfDay(to) !== undefined ? { from, to } : undefined
}
