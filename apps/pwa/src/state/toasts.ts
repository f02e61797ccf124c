import { defineStore } from 'pinia'
import { ref } from 'vue'
import { explain } from '../words.ts'

/** Short notices that come and go, some with a way back. Whatever must not be missed belongs on a page instead. */

export interface Toast {
  readonly id: number
  readonly tone: 'good' | 'bad'
  readonly text: string
  /** Takes back what it is about. */
  readonly undo?: () => unknown
}

export interface ToastOptions {
  readonly undo?: () => unknown
  /** It went by and nothing was taken back. */
  readonly gone?: () => unknown
}

/** Long enough to read two lines. */
const SHOWN_MS = 5000
/** Long enough to notice a slip and to reach the button. */
const UNDO_MS = 8000
const MAX_TOASTS = 3

interface Life {
  readonly gone: (() => unknown) | undefined
  timer: ReturnType<typeof setTimeout> | undefined
  /** When the timer was last started, and how long it had. */
  startedAt: number
  leftMs: number
}

export const useToasts = defineStore('toasts', () => {
  const toasts = ref<Toast[]>([])
  const lives = new Map<number, Life>()
  let lastId = 0

  function show(text: string, tone: Toast['tone'] = 'good', { undo, gone }: ToastOptions = {}) {
    const toast: Toast = { id: ++lastId, tone, text, ...(undo === undefined ? {} : { undo }) }
    const twin = undo === undefined ? toasts.value.find((other) => other.text === text && other.undo === undefined) : undefined
    if (twin !== undefined) dismiss(twin.id)
    while (toasts.value.length >= MAX_TOASTS) dismiss(toasts.value[0]!.id)
    toasts.value = [...toasts.value, toast]
    lives.set(toast.id, { gone, timer: undefined, startedAt: 0, leftMs: undo !== undefined ? UNDO_MS : tone === 'bad' ? 2 * SHOWN_MS : SHOWN_MS })
    release(toast.id)
  }

  function take(id: number): Life | undefined {
    const life = lives.get(id)
    clearTimeout(life?.timer)
    lives.delete(id)
    toasts.value = toasts.value.filter((toast) => toast.id !== id)
    return life
  }

  function dismiss(id: number) {
    take(id)?.gone?.()
  }

  function undo(id: number) {
    const toast = toasts.value.find((other) => other.id === id)
    take(id)
    toast?.undo?.()
  }

  /** Somebody is reading it, or about to press its button. */
  function hold(id: number) {
    const life = lives.get(id)
    if (life?.timer === undefined) return
    clearTimeout(life.timer)
    life.timer = undefined
    life.leftMs -= Date.now() - life.startedAt
  }

  function release(id: number) {
    const life = lives.get(id)
    if (life === undefined || life.timer !== undefined) return
    life.startedAt = Date.now()
    life.timer = setTimeout(() => dismiss(id), Math.max(0, life.leftMs))
  }

  /** The page goes: what was only put off happens now. */
  function settle() {
    for (const { id, undo: back } of toasts.value) if (back !== undefined) dismiss(id)
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

  return { toasts, show, dismiss, undo, hold, release, settle, attempt }
})
