import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'
import type { ActivityEntry } from '@harddrive-party/protocol/control'
import { useHelper } from '../../state/helper-store.ts'
import { explain } from '../../words.ts'
import { notifyOf } from './notifications.ts'

/** What happened, as far as this browser has asked for it, and how far the person has read. The log itself is the helper's. */

const KEY = 'activity-seen'
const PAGE = 50
/** More than this waits unread: counting on helps nobody. */
const MAX_COUNTED = 99

export const useActivity = defineStore('activity', () => {
  const helper = useHelper()
  const entries = shallowRef<readonly ActivityEntry[]>([])
  const status = ref<'idle' | 'loading' | 'ready' | 'failed'>('idle')
  const problem = ref('')
  const hasMore = ref(false)
  const seen = ref(storedSeen())
  const isLooking = ref(false)

  const unseen = computed(() => Math.min(MAX_COUNTED, entries.value.filter(({ id }) => id > (seen.value ?? 0)).length))

  async function load(before?: number): Promise<void> {
    if (status.value === 'loading') return
    status.value = 'loading'
    try {
      const page = await helper.api.activity({ limit: PAGE, ...(before === undefined ? {} : { before }) })
      entries.value = before === undefined ? page.entries : [...entries.value, ...page.entries]
      hasMore.value = page.entries.length === PAGE
      status.value = 'ready'
      // A browser that is new here has missed nothing.
      if (seen.value === null || isLooking.value) markSeen()
    } catch (error) {
      problem.value = explain(error)
      status.value = 'failed'
    }
  }

  function markSeen() {
    const newest = entries.value[0]?.id ?? 0
    if (seen.value !== null && newest <= seen.value) return
    seen.value = newest
    try {
      localStorage.setItem(KEY, String(newest))
    } catch {
      // Then it counts again at the next visit.
    }
  }

  /** While the page of the log is open, whatever comes is read. */
  function look(looking: boolean) {
    isLooking.value = looking
    if (looking) markSeen()
  }

  helper.onChange((change) => {
    if (change.type === 'activity') {
      if (entries.value.some(({ id }) => id === change.entry.id)) return
      entries.value = [change.entry, ...entries.value]
      if (isLooking.value && document.visibilityState === 'visible') markSeen()
      else void notifyOf(change.entry)
    } else if (change.type === 'activity-cleared') {
      entries.value = []
      hasMore.value = false
    }
  })
  watch(() => helper.isOpen, (open) => {
    if (open) void load()
  }, { immediate: true })
  watch(unseen, (count) => void showBadge(count), { immediate: true })

  return { entries, status, problem, hasMore, unseen, load, look }
})

function storedSeen(): number | null {
  try {
    const stored = localStorage.getItem(KEY)
    return stored === null || !Number.isSafeInteger(Number(stored)) ? null : Number(stored)
  } catch {
    return null
  }
}

/** On the icon of the installed app; a browser without badges has nothing to show it on. */
async function showBadge(count: number): Promise<void> {
  if (!('setAppBadge' in navigator)) return
  await (count === 0 ? navigator.clearAppBadge() : navigator.setAppBadge(count)).catch(() => undefined)
}
