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
  return `${value.toFixed(digits)} ${UNITS[unit]}`
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
  if (!Number.isFinite(seconds)) return 'a long time'
  if (seconds < 5) return 'a few seconds'
  if (seconds < 60) return `${Math.round(seconds / 5) * 5} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  const days = Math.round(hours / 24)
  return days === 1 ? '1 day' : `${days} days`
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

const dateFormat = new Intl.DateTimeFormat(undefined, { year: 'numeric', month: 'short', day: 'numeric' })
const momentFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

/** @param time milliseconds since 1970 */
export function formatDate(time: number): string {
  return isDate(time) ? dateFormat.format(time) : '–'
}

export function formatMoment(time: number): string {
  return isDate(time) ? momentFormat.format(time) : '–'
}

/** `just now`, `5 min ago`, `3 h ago`, then the date. */
export function formatAgo(time: number, now: number): string {
  const seconds = (now - time) / 1000
  if (seconds < 60) return 'just now'
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`
  return formatDate(time)
}

export function formatCount(count: number, one: string, many: string): string {
  return `${count.toLocaleString()} ${count === 1 ? one : many}`
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
