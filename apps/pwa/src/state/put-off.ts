import { defineStore } from 'pinia'
import { shallowReactive } from 'vue'
import { useToasts } from './toasts.ts'

/** Actions that cannot be taken back once done: they are put off for some seconds, in which a notice offers to leave it. Until then what they are about is hidden. */
export const usePutOff = defineStore('put-off', () => {
  const keys = shallowReactive(new Set<string>())
  const toasts = useToasts()

  /**
   * @param key what it is about, for `has`
   * @param options.back undoes what was done at once, if anything
   */
  function later(key: string, text: string, action: () => Promise<unknown>, options: { readonly back?: () => Promise<unknown> } = {}) {
    keys.add(key)
    toasts.show(text, 'good', {
      undo: () => {
        keys.delete(key)
        if (options.back !== undefined) void toasts.attempt(options.back)
      },
      // When it fails it is shown again, with the reason.
      gone: () => void toasts.attempt(action).finally(() => keys.delete(key)),
    })
  }

  return { later, has: (key: string) => keys.has(key) }
})
