import { defineStore } from 'pinia'
import { computed, ref, watch } from 'vue'
import { CodedError, type PeerId, type SharePath } from '@harddrive-party/protocol'
import type { ControlApi } from '@harddrive-party/protocol/control'
import { explain } from '../words.ts'
import type { Wish } from './app-db.ts'
import { useHelper } from './helper-store.ts'
import { type Memory, memoryInRam } from './memory.ts'

/**
 * What the person wants and the helper has not taken over yet. A wish is written down first and sent second, under an id that makes sending
 * it twice the same as once, so nothing is lost between the two.
 */
export const useWishes = defineStore('wishes', () => {
  const helper = useHelper()
  const wishes = ref<Wish[]>([])
  let memory: Memory = memoryInRam()
  let sending = false

  /** Newest first. A wish that the helper has taken is a transfer, and no longer here. */
  const queued = computed(() => [...wishes.value].sort((a, b) => b.addedAt - a.addedAt))

  async function start(use: Memory) {
    memory = use
    try {
      const stored = await use.wishes()
      const known = new Set(wishes.value.map((wish) => wish.id))
      wishes.value = [...stored.filter((wish) => !known.has(wish.id)), ...wishes.value]
    } catch {
      // The browser refused to read; wishes made now still work.
    }
    if (helper.isOpen) await sendAll()
  }

  watch(() => helper.isOpen, (open) => {
    if (open) void sendAll()
  })

  // A browser that refuses to write keeps the wish for as long as the page is open.
  async function save(wish: Wish) {
    wishes.value = replaceWish(wishes.value, wish)
    await memory.putWish(wish).catch(() => undefined)
  }

  async function remove(id: string) {
    wishes.value = wishes.value.filter((wish) => wish.id !== id)
    await memory.removeWish(id).catch(() => undefined)
  }

  /**
   * Takes a wish; sends it at once when the helper is there.
   * @returns where it is now. Rejects when the helper would not have it, and then keeps nothing.
   */
  async function want(wanted: Pick<Wish, 'peerId' | 'peerName' | 'path' | 'isDirectory' | 'size'>): Promise<'sent' | 'queued'> {
    const twin = queued.value.find((wish) => wish.peerId === wanted.peerId && wish.path === wanted.path)
    const wish: Wish = twin ?? { ...wanted, id: crypto.randomUUID(), addedAt: Date.now() }
    await save(wish)
    if (!helper.isOpen) return 'queued'
    const outcome = await sendWish(helper.api, wish)
    if (outcome.type === 'kept') return 'queued'
    await remove(wish.id)
    if (outcome.type === 'refused') throw outcome.error
    return 'sent'
  }

  async function sendAll() {
    if (sending) return
    sending = true
    try {
      for (const wish of queued.value.toReversed()) {
        if (wish.error !== undefined) continue
        const outcome = await sendWish(helper.api, wish)
        if (outcome.type === 'kept') return
        if (outcome.type === 'refused') await save({ ...wish, error: explain(outcome.error) })
        else await remove(wish.id)
      }
    } finally {
      sending = false
    }
  }

  async function retry(id: string) {
    const wish = wishes.value.find((candidate) => candidate.id === id)
    if (wish === undefined) return
    const { error: _dropped, ...clean } = wish
    await save(clean)
    if (helper.isOpen) await sendAll()
  }

  return { wishes, queued, start, want, remove, retry, sendAll }
})

export type SendOutcome = { type: 'sent'; transferId: string } | { type: 'kept' } | { type: 'refused'; error: unknown }

/** Hands one wish to the helper. A lost helper keeps the wish; anything else it says is an answer. */
export async function sendWish(api: Pick<ControlApi, 'download'>, wish: Wish): Promise<SendOutcome> {
  try {
    // The path came out of a listing, where the protocol has checked it; the helper checks it again.
    const { transferId } = await api.download({ peerId: wish.peerId as PeerId, path: wish.path as SharePath, id: wish.id })
    return { type: 'sent', transferId }
  } catch (error) {
    return error instanceof CodedError && (error.code === 'closed' || error.code === 'connection-lost') ? { type: 'kept' } : { type: 'refused', error }
  }
}

export function replaceWish(wishes: readonly Wish[], wish: Wish): Wish[] {
  return wishes.some((known) => known.id === wish.id) ? wishes.map((known) => (known.id === wish.id ? wish : known)) : [...wishes, wish]
}
