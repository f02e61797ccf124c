/**
 * Where a list of fixed rows stands in a scroll bar that may be shorter than the list: browsers stop at some ten million pixels.
 * Small steps (wheel, finger, keys) move the list pixel by pixel; a jump of the thumb is mapped. Pure arithmetic, touches no element.
 */

/** In pixels. Positions up to 2^24 are exact in the single precision of graphics; Chromium ends at about 33 million, Firefox at 17. */
export const MAX_SCROLL_HEIGHT = 15_000_000

/** The outermost part of a shortened scroll bar is as long as the list there, so that both ends can be reached in small steps. */
const EDGE = 500_000

/** Steps up to this many screens are small. */
const NEAR_SCREENS = 2

export interface ScrollScale {
  /** The whole list, in pixels. */
  readonly total: number
  /** What the browser is told of it. */
  readonly height: number
  /** The window onto it. */
  readonly view: number
}

/** Where the scroll bar is, and which pixel of the list is on top of the window. */
export interface ScrollPlace {
  readonly scroll: number
  readonly offset: number
}

export const TOP: ScrollPlace = { scroll: 0, offset: 0 }

export function scrollScale(rows: number, size: number, view: number): ScrollScale {
  const total = rows * size
  return { total, height: Math.min(total, MAX_SCROLL_HEIGHT), view }
}

export function maxOffset({ total, view }: ScrollScale): number {
  return Math.max(0, total - view)
}

export function maxScroll({ height, view }: ScrollScale): number {
  return Math.max(0, height - view)
}

/** The pixel of the list that belongs to a place of the thumb. Monotone, and onto from end to end. */
export function offsetAt(scale: ScrollScale, scroll: number): number {
  const [ends, endl] = [maxScroll(scale), maxOffset(scale)]
  const at = clamp(scroll, ends)
  if (at <= EDGE || ends === endl) return at
  if (at >= ends - EDGE) return endl - (ends - at)
  return EDGE + ((at - EDGE) * (endl - 2 * EDGE)) / (ends - 2 * EDGE)
}

/** The inverse of `offsetAt`. */
export function scrollAt(scale: ScrollScale, offset: number): number {
  const [ends, endl] = [maxScroll(scale), maxOffset(scale)]
  const at = clamp(offset, endl)
  if (at <= EDGE || ends === endl) return at
  if (at >= endl - EDGE) return ends - (endl - at)
  return EDGE + ((at - EDGE) * (ends - 2 * EDGE)) / (endl - 2 * EDGE)
}

/** What the list does when the scroll bar was moved to `scroll`. */
export function follow(scale: ScrollScale, place: ScrollPlace, scroll: number): ScrollPlace {
  if (scale.height === scale.total && place.scroll === place.offset) return { scroll, offset: clamp(scroll, maxOffset(scale)) }
  const step = scroll - place.scroll
  const isNear = Math.abs(step) <= scale.view * NEAR_SCREENS
  return { scroll, offset: isNear ? clamp(place.offset + step, maxOffset(scale)) : offsetAt(scale, scroll) }
}

/** The scroll bar is at an end and the list is not: without settling, it could not be moved on. */
export function isStuck(scale: ScrollScale, { scroll, offset }: ScrollPlace): boolean {
  return (scroll <= 0 && offset > 0) || (scroll >= maxScroll(scale) && offset < maxOffset(scale))
}

/** The same pixels of the list, with the thumb where it belongs after many small steps. */
export function settle(scale: ScrollScale, { offset }: ScrollPlace): ScrollPlace {
  const kept = clamp(offset, maxOffset(scale))
  return { scroll: Math.round(scrollAt(scale, kept)), offset: kept }
}

/** The nearest place from which the row is seen whole. */
export function showRow(scale: ScrollScale, place: ScrollPlace, row: number, size: number): ScrollPlace {
  const top = row * size
  const offset = Math.max(Math.min(place.offset, top), top + size - scale.view)
  if (offset === place.offset) return place
  // A window lower than a row shows its head.
  return settle(scale, { scroll: 0, offset: scale.view < size ? top : offset })
}

export interface RowWindow {
  readonly first: number
  /** The one after the last. */
  readonly end: number
}

/** The rows that have to exist, some more than can be seen. */
export function rowsInView(scale: ScrollScale, { offset }: ScrollPlace, size: number, overscan: number): RowWindow {
  const rows = Math.round(scale.total / size)
  const at = clamp(offset, maxOffset(scale))
  return { first: Math.max(0, Math.floor(at / size) - overscan), end: Math.min(rows, Math.ceil((at + scale.view) / size) + overscan) }
}

function clamp(value: number, max: number): number {
  return Math.max(0, Math.min(max, value))
}
