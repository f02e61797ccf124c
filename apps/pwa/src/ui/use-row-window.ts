import { type Ref, computed, onBeforeUnmount, onMounted, ref, shallowRef, watch } from 'vue'
import { type ScrollPlace, TOP, follow, isStuck, maxScroll, rowsInView, scrollScale, settle, showRow } from './scroll-scale.ts'

/** The rows of a long list of fixed heights that have to exist, and where each is drawn; a million of them and more. */

export interface DrawnRow {
  readonly index: number
  /** From the top of the scrolled space. */
  readonly start: number
}

/** After this many milliseconds without a movement the thumb may be put where it belongs. */
const REST_MS = 200

/** Watches an element's scrolling for as long as the component is there. */
export function useRowWindow(element: Ref<HTMLElement | undefined>, count: () => number, rowSize: () => number, overscan: number) {
  const view = ref(0)
  const place = shallowRef<ScrollPlace>(TOP)
  const scale = computed(() => scrollScale(count(), rowSize(), view.value))
  const range = computed(() => rowsInView(scale.value, place.value, rowSize(), overscan))
  const drawn = computed(() => {
    const { first, end } = range.value
    const shift = place.value.scroll - place.value.offset
    return Array.from({ length: Math.max(0, end - first) }, (_, at): DrawnRow => ({ index: first + at, start: (first + at) * rowSize() + shift }))
  })
  let observer: ResizeObserver | undefined
  let resting: ReturnType<typeof setTimeout> | undefined

  function put(next: ScrollPlace) {
    const found = element.value
    if (found === undefined) return
    if (Math.abs(found.scrollTop - next.scroll) >= 1) found.scrollTop = next.scroll
    // The browser may hold it back, or round it.
    place.value = { scroll: found.scrollTop, offset: next.offset }
  }

  function rest() {
    const next = settle(scale.value, place.value)
    if (Math.abs(next.scroll - place.value.scroll) >= 1 || next.offset !== place.value.offset) put(next)
  }

  function onScroll() {
    const found = element.value
    if (found === undefined) return
    const next = follow(scale.value, place.value, Math.max(0, Math.min(found.scrollTop, maxScroll(scale.value))))
    if (next.scroll !== place.value.scroll || next.offset !== place.value.offset) place.value = next
    if (isStuck(scale.value, next)) rest()
    clearTimeout(resting)
    if (scale.value.height < scale.value.total || next.scroll !== next.offset) resting = setTimeout(rest, REST_MS)
  }

  watch(rowSize, (size, before) => (place.value = { ...place.value, offset: (place.value.offset / before) * size }))
  // What was on top stays there when the list grows; when it shrinks, the thumb has to come along.
  watch(() => scale.value, (now, before) => {
    if (now.total < before.total || now.view !== before.view) rest()
  }, { flush: 'post' })

  onMounted(() => {
    const found = element.value
    if (found === undefined) return
    view.value = found.clientHeight
    found.addEventListener('scroll', onScroll, { passive: true })
    if (typeof ResizeObserver === 'undefined') return
    observer = new ResizeObserver(() => (view.value = found.clientHeight))
    observer.observe(found)
  })
  onBeforeUnmount(() => {
    clearTimeout(resting)
    observer?.disconnect()
    element.value?.removeEventListener('scroll', onScroll)
  })

  return {
    drawn,
    height: computed(() => scale.value.height),
    view,
    /** Scrolls as little as is needed to see the row whole. */
    show: (index: number) => put(showRow(scale.value, place.value, index, rowSize())),
    /** Back to the first row. */
    reset: () => put(TOP),
  }
}
