/**
 * Moves one of several rows by a finger or a pen on its grip: browsers drag elements by mouse only. The grip takes no part in scrolling (`touch-action: none`);
 * all around it scrolls as ever. Says where the row is let go, and moves nothing itself.
 */

export interface TouchMove {
  /** The element that a row is told by: the closest one with this attribute, whose value is given to `onOver` and `onDrop`. */
  readonly attribute: string
  readonly onOver: (target: string | null) => void
  readonly onDrop: (target: string) => void
}

/** Less is a tap. */
const MIN_MOVE_PX = 6
/** So near to an edge of what scrolls, it scrolls on by itself … */
const EDGE_PX = 72
/** … by this much at every frame. */
const SCROLL_PX = 8

/** @returns to be called when a pointer goes down on a grip; mice are left to the browser */
export function useTouchMove({ attribute, onOver, onDrop }: TouchMove): (event: PointerEvent) => void {
  return (down) => {
    if (down.pointerType === 'mouse' || !down.isPrimary || !(down.currentTarget instanceof HTMLElement)) return
    const grip = down.currentTarget
    let at = { x: down.clientX, y: down.clientY }
    let isMoving = false
    let over: string | null = null
    let frame = 0
    grip.setPointerCapture(down.pointerId)

    const look = () => {
      const found = document.elementFromPoint(at.x, at.y)?.closest(`[${attribute}]`)?.getAttribute(attribute) ?? null
      if (found !== over) onOver((over = found))
    }
    const scrollOn = () => {
      const scroller = scrollerOf(grip)
      const { top, bottom } = scroller.getBoundingClientRect()
      const step = at.y < top + EDGE_PX ? -SCROLL_PX : at.y > bottom - EDGE_PX ? SCROLL_PX : 0
      if (step !== 0) {
        scroller.scrollBy({ top: step, behavior: 'instant' })
        look()
      }
      frame = requestAnimationFrame(scrollOn)
    }
    const move = (event: PointerEvent) => {
      if (event.pointerId !== down.pointerId) return
      at = { x: event.clientX, y: event.clientY }
      if (!isMoving && Math.hypot(at.x - down.clientX, at.y - down.clientY) < MIN_MOVE_PX) return
      if (!isMoving) frame = requestAnimationFrame(scrollOn)
      isMoving = true
      look()
    }
    const end = (event: PointerEvent) => {
      if (event.pointerId !== down.pointerId) return
      cancelAnimationFrame(frame)
      for (const [name, listener] of [['pointermove', move], ['pointerup', end], ['pointercancel', end]] as const) grip.removeEventListener(name, listener)
      const target = over
      if (target !== null) onOver(null)
      if (event.type === 'pointerup' && isMoving && target !== null) onDrop(target)
    }
    grip.addEventListener('pointermove', move)
    grip.addEventListener('pointerup', end)
    grip.addEventListener('pointercancel', end)
  }
}

function scrollerOf(element: HTMLElement): HTMLElement {
  for (let found = element.parentElement; found !== null; found = found.parentElement) {
    if (found.scrollHeight > found.clientHeight && /auto|scroll/.test(getComputedStyle(found).overflowY)) return found
  }
  return document.documentElement
}
