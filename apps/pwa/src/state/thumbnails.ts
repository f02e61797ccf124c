import { defineStore } from 'pinia'
import { shallowReactive, watch } from 'vue'
import type { Entry, PeerId } from '@harddrive-party/protocol'
import { useHelper } from './helper-store.ts'

/** Where small pictures of peers' images are, and how many are loaded at once. Shows nothing itself. */

/** A browser opens six connections to one place; a film that plays there needs some too. */
const LOADED_AT_ONCE = 4
/** An address that does not answer is asked for again, but not for every picture. */
const ASK_AGAIN_MS = 5_000

export const useThumbnails = defineStore('thumbnails', () => {
  const helper = useHelper()
  /** By peer, mine under null. `null` = none are made. */
  const bases = shallowReactive(new Map<PeerId | null, string | null>())
  const askedAt = new Map<PeerId | null, number>()
  /** Those on the screen last come first: whoever scrolls on does not wait for what is gone. */
  const waiting: (() => void)[] = []
  let loading = 0

  // Another life of the helper has other addresses.
  watch(() => helper.isOpen, () => {
    bases.clear()
    askedAt.clear()
  })

  /** Asks where they are, unless that was done a moment ago. */
  async function ask(peerId: PeerId | null) {
    const now = Date.now()
    if (now - (askedAt.get(peerId) ?? -Infinity) < ASK_AGAIN_MS) return
    askedAt.set(peerId, now)
    try {
      bases.set(peerId, (await helper.api.thumbnailsUrl({ peerId })).url)
    } catch {
      bases.delete(peerId)
    }
  }

  function next() {
    while (loading < LOADED_AT_ONCE) {
      const begin = waiting.pop()
      if (begin === undefined) return
      loading += 1
      begin()
    }
  }

  return {
    ask,
    /** Undefined until it is known. */
    baseOf: (peerId: PeerId | null) => bases.get(peerId),
    /** @param begin called when it may load @returns to be called once it has, or is no longer wanted; twice is once */
    load(begin: () => void): () => void {
      let over = false
      let begun = false
      const start = () => {
        begun = true
        begin()
      }
      waiting.push(start)
      next()
      return () => {
        if (over) return
        over = true
        if (!begun) waiting.splice(waiting.indexOf(start), 1)
        else {
          loading -= 1
          next()
        }
      }
    },
  }
})

export function thumbnailUrl(base: string, { path, size, mtime }: Entry, edge: number): string {
  return `${base}?${new URLSearchParams({ path, size: String(size), mtime: String(mtime), edge: String(edge) })}`
}
