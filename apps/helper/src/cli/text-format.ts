/** How values look on a terminal. Pure text: writes nothing. */

/**
 * Names come from strangers: control characters could drive the terminal, bidi controls could make one name look like another.
 * They are shown as `\u{1b}`.
 */
export function escapeName(name: string): string {
  // oxlint-disable-next-line no-control-regex -- finding control characters is the point
  return name.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
}

/** A peer's name as one word, as every command takes it: `brave otter` is `brave-otter`. */
export function nameSlug(name: string): string {
  return name.trim().toLowerCase().replace(/[\s_]+/g, '-')
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** Decimal units, three digits: `1.42 MB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  if (unit === 0) return `${Math.round(value)} B`
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${UNITS[unit]}`
}

/** `7 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}

/** `2026-11-20 14:05` in local time; `-` for none. */
export function formatTime(ms: number | null): string {
  if (ms === null || ms === 0) return '-'
  const date = new Date(ms)
  if (Number.isNaN(date.getTime())) return '-'
  return `${date.getFullYear()}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())} ${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}`
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0')
}

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** Aligned columns under their titles, two spaces apart; the last one is never padded. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const lines = [columns.map((column) => column.title), ...rows]
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => textWidth(line[i] ?? ''))))
  return lines.map((line) =>
    columns
      .map((column, i) => {
        const cell = line[i] ?? ''
        const space = ' '.repeat(Math.max(0, (widths[i] ?? 0) - textWidth(cell)))
        if (column.align === 'right') return space + cell
        return i === columns.length - 1 ? cell : cell + space
      })
      .join('  ')
      .trimEnd(),
  )
}

/** Ideographs, syllables and pictures that terminals show two cells wide (Unicode's East Asian Width, in blocks). */
const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u
const NO_WIDTH = /[\p{Mn}\p{Me}\u200b-\u200d]/u

function textWidth(text: string): number {
  let width = 0
  for (const character of text) width += NO_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1
  return width
}
