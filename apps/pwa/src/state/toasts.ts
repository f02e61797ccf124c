import { defineStore } from 'pinia'
import { ref } from 'vue'
import { explain } from '../words.ts'

/** Short notices that come and go. Whatever must not be missed belongs on a page instead. */

export interface Toast {
  readonly id: number
  readonly tone: 'good' | 'bad'
  readonly text: string
}

/** Long enough to read two lines. */
const SHOWN_MS = 5000
const MAX_TOASTS = 3

export const useToasts = defineStore('toasts', () => {
  const toasts = ref<Toast[]>([])
  let lastId = 0

  function show(text: string, tone: Toast['tone'] = 'good') {
    const toast = { id: ++lastId, tone, text }
    toasts.value = [...toasts.value.filter((other) => other.text !== text), toast].slice(-MAX_TOASTS)
    setTimeout(() => dismiss(toast.id), tone === 'bad' ? 2 * SHOWN_MS : SHOWN_MS)
  }

  function dismiss(id: number) {
    toasts.value = toasts.value.filter((toast) => toast.id !== id)
  }

  /** Runs something the person asked for; failure becomes a notice. @returns whether it worked. */
  async function attempt(action: () => Promise<unknown>, done?: string): Promise<boolean> {
    try {
      await action()
      if (done !== undefined) show(done)
      return true
    } catch (error) {
      show(explain(error), 'bad')
      return false
    }
  }

  return { toasts, show, dismiss, attempt }
})
