/** Draws a peer's key as the tracks of a drive platter: the same key always looks the same. A picture to recognise by, not a proof. */
export interface Platter {
  /** Degrees on the colour circle. */
  readonly hue: number
  readonly arcs: readonly { readonly radius: number; readonly d: string }[]
}

const RADII = [18.5, 13.5, 8.5] as const

/** @param fingerprint hexadecimal digits, at least 8 */
export function drawPlatter(fingerprint: string): Platter {
  const byte = (index: number) => Number.parseInt(fingerprint.slice(index * 2, index * 2 + 2).padEnd(2, '0'), 16) || 0
  const arcs = RADII.flatMap((radius, ring) => {
    const start = (byte(1 + ring * 2) / 256) * 360
    const sweep = 70 + (byte(2 + ring * 2) / 256) * 170
    const rest = 360 - sweep - 56
    return [arc(radius, start, sweep), ...(rest > 24 ? [arc(radius, start + sweep + 28, rest)] : [])].map((d) => ({ radius, d }))
  })
  return { hue: Math.round((byte(0) / 256) * 360), arcs }
}

function arc(radius: number, start: number, sweep: number): string {
  const [x1, y1] = point(radius, start)
  const [x2, y2] = point(radius, start + sweep)
  return `M${x1} ${y1}A${radius} ${radius} 0 ${sweep > 180 ? 1 : 0} 1 ${x2} ${y2}`
}

function point(radius: number, degrees: number): [string, string] {
  const angle = ((degrees - 90) * Math.PI) / 180
  return [(24 + radius * Math.cos(angle)).toFixed(2), (24 + radius * Math.sin(angle)).toFixed(2)]
}
