import { locale, t } from './i18n.ts'

/** Turns numbers into the words people read: sizes, speeds, durations and dates. Knows no component and keeps no state. */

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'] as const

/** @param bytes a count of bytes; decimal units, as drives are sold and downloads are counted. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes < 0) return '–'
  let unit = 0
  let value = bytes
  // 999.5 would be printed as 1000 of the smaller unit.
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit += 1
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1
  return `${value.toLocaleString(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false })} ${UNITS[unit]}`
}

export function formatSpeed(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`
}

/** How long until `total`, in seconds; null where nobody can say. */
export function secondsLeft(bytes: number, total: number | null, bytesPerSecond: number): number | null {
  if (total === null || bytesPerSecond <= 0) return null
  return Math.max(0, (total - bytes) / bytesPerSecond)
}

/** Rounded the way people say it: `a few seconds`, `4 min`, `1 h 20 min`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return t('common.duration.long')
  if (seconds < 5) return t('common.duration.few')
  if (seconds < 60) return t('common.duration.seconds', { n: Math.round(seconds / 5) * 5 })
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return t('common.duration.minutes', { n: minutes })
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return minutes % 60 === 0 ? t('common.duration.hours', { n: hours }) : t('common.duration.hoursMinutes', { h: hours, m: minutes % 60 })
  const days = Math.round(hours / 24)
  return t('common.duration.days', {}, days)
}

/** Share done, 0 to 1; 0 while the total is unknown, 1 for an empty thing that is complete. */
export function fractionDone(bytes: number, total: number | null): number {
  if (total === null) return 0
  if (total === 0) return 1
  return Math.min(1, Math.max(0, bytes / total))
}

/** Never says 100 % before the end. */
export function formatPercent(fraction: number): string {
  return `${fraction >= 1 ? 100 : Math.min(99, Math.floor(fraction * 100))}%`
}

const DATE: Intl.DateTimeFormatOptions = { year: 'numeric', month: 'short', day: 'numeric' }
const MOMENT: Intl.DateTimeFormatOptions = { dateStyle: 'medium', timeStyle: 'short' }
const formats = new Map<string, Intl.DateTimeFormat>()

/** Making a format is slow, and lists have thousands of dates. */
function dateFormat(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  // Who reads English in another country has that country's dates.
  const tag = typeof navigator === 'undefined' ? locale() : (navigator.languages ?? []).find((language) => language.startsWith(locale())) ?? locale()
  const key = `${tag} ${options === DATE}`
  const format = formats.get(key) ?? new Intl.DateTimeFormat(tag, options)
  formats.set(key, format)
  return format
}

/** @param time milliseconds since 1970 */
export function formatDate(time: number): string {
  return isDate(time) ? dateFormat(DATE).format(time) : '–'
}

export function formatMoment(time: number): string {
  return isDate(time) ? dateFormat(MOMENT).format(time) : '–'
}

/** `just now`, `5 min ago`, `3 h ago`, then the date. */
export function formatAgo(time: number, now: number): string {
  const seconds = (now - time) / 1000
  if (seconds < 60) return t('common.ago.now')
  if (seconds < 3600) return t('common.ago.minutes', { n: Math.floor(seconds / 60) })
  if (seconds < 86_400) return t('common.ago.hours', { n: Math.floor(seconds / 3600) })
  return formatDate(time)
}

/** The name at the end of a path. */
export function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

export function parentPath(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash < 0 ? '' : path.slice(0, slash)
}

/** Beyond this a Date is invalid and formatting it would throw; strangers choose these numbers. */
const LAST_DATE = 8.64e15

function isDate(time: number): boolean {
  return Number.isFinite(time) && Math.abs(time) <= LAST_DATE
}
