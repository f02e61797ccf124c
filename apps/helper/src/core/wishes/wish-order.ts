/** Where a wish stands among the others, as a number that is stored: smaller comes first. Knows nothing else of wishes. */

export interface Ordered {
  readonly id: string
  order: number
}

/** `up` and `down`: past the next one on that side. */
export type MoveTo = 'top' | 'up' | 'down' | 'bottom' | { readonly before: string }

/** Between whole numbers there is room for some fifty moves to the same spot; then all are numbered anew. */
const STEP = 1

export function compareOrder(a: Ordered, b: Ordered): number {
  return a.order - b.order || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}

/** @returns those whose order is another one now; of `others`, which are in order, the moved one may be part */
export function moveInOrder<T extends Ordered>(others: readonly T[], moved: T, to: MoveTo): T[] {
  const line = others.filter((one) => one !== moved)
  const found = others.indexOf(moved)
  const at = found === -1 ? line.length : found
  const target = positionOf(line, at, to)
  if (target === undefined || (target === found && found !== -1)) return []
  const before = line[target - 1]
  const after = line[target]
  const order = before === undefined ? (after?.order ?? 0) - STEP : after === undefined ? before.order + STEP : (before.order + after.order) / 2
  if ((before === undefined || before.order < order) && (after === undefined || order < after.order)) {
    moved.order = order
    return [moved]
  }
  line.splice(target, 0, moved)
  for (const [index, one] of line.entries()) one.order = index * STEP
  return line
}

function positionOf(line: readonly Ordered[], at: number, to: MoveTo): number | undefined {
  switch (to) {
    case 'top':
      return 0
    case 'bottom':
      return line.length
    case 'up':
      return Math.max(0, at - 1)
    case 'down':
      return Math.min(line.length, at + 1)
    default: {
      const found = line.findIndex(({ id }) => id === to.before)
      return found === -1 ? undefined : found
    }
  }
}

/** Keeps a line in order. */
export function insertInOrder<T extends { readonly record: Ordered }>(line: T[], one: T): void {
  let at = line.length
  while (at > 0 && compareOrder((line[at - 1] as T).record, one.record) > 0) at--
  line.splice(at, 0, one)
}
