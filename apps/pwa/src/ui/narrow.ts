import { onScopeDispose, readonly, ref } from 'vue'

/** Whether the page is as narrow as a phone; the same border as in the style sheets. */
export function useNarrow() {
  const query = window.matchMedia('(max-width: 760px)')
  const isNarrow = ref(query.matches)
  const follow = () => {
    isNarrow.value = query.matches
  }
  query.addEventListener('change', follow)
  onScopeDispose(() => query.removeEventListener('change', follow))
  return readonly(isNarrow)
}
