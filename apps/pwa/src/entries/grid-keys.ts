/** Where keys lead among tiles that fill rows from the start. Pure arithmetic, touches no element. */

export interface TileGrid {
  readonly count: number
  readonly columns: number
  /** Rows that are seen at once. */
  readonly rows: number
}

/** @param at the tile that has the focus @returns the tile that gets it, or null for a key that means nothing here */
export function moveInGrid({ count, columns, rows }: TileGrid, at: number, key: string): number | null {
  const last = count - 1
  const within = (index: number) => Math.max(0, Math.min(last, index))
  /** Up and down keep their column, except into a last row that does not reach it. */
  const byRows = (step: number) => {
    const row = Math.floor(at / columns)
    const next = Math.max(0, Math.min(Math.floor(Math.max(0, last) / columns), row + step))
    return next === row ? at : within(next * columns + (at % columns))
  }
  switch (key) {
    case 'ArrowRight': return within(at + 1)
    case 'ArrowLeft': return within(at - 1)
    case 'ArrowDown': return byRows(1)
    case 'ArrowUp': return byRows(-1)
    case 'PageDown': return byRows(Math.max(1, rows - 1))
    case 'PageUp': return byRows(-Math.max(1, rows - 1))
    case 'Home': return 0
    case 'End': return within(last)
    default: return null
  }
}
