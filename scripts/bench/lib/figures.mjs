// Small arithmetic on figures, and how they are printed.

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

export function round(value, digits = 1) {
  return Number(value.toFixed(digits))
}

/** Ours divided by theirs, run by run: what disturbed one run disturbed both. */
export function ratio(ours, theirs, digits = 2) {
  return round(median(ours.map((value, run) => value / theirs[run])), digits)
}

/** Several families may speak of one thing: `b` wins where both have a figure. */
export function mergeFigures(a, b) {
  const merged = { ...a }
  for (const [name, value] of Object.entries(b)) {
    merged[name] = isGroup(value) && isGroup(merged[name]) ? mergeFigures(merged[name], value) : value
  }
  return merged
}

/** One line per figure; a list of objects becomes a table. */
export function formatFigures(figures, prefix = '') {
  return Object.entries(figures).map(([name, value]) => {
    if (isGroup(value)) return formatFigures(value, `${prefix}${name}.`)
    if (Array.isArray(value) && value.every(isGroup)) return `${prefix}${name}\n${formatTable(value)}`
    return `${`${prefix}${name}`.padEnd(36)} ${Array.isArray(value) ? value.join(' ') : (value ?? 'not measurable here')}`
  }).join('\n')
}

function formatTable(rows) {
  const columns = [...new Set(rows.flatMap(Object.keys))]
  const lines = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? '–')))]
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  return lines.map((line) => `  ${line.map((cell, column) => cell.padStart(widths[column])).join('  ')}`).join('\n')
}

function isGroup(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
