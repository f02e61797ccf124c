import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'
import { CodedError, type PeerId, type SharePath } from '@harddrive-party/protocol'
import { type CopyRow, type PathTarget, type SearchTarget, type WishStatus, type WishValues, NEW_PLACE, WishCopy, valuesOf } from '@harddrive-party/protocol/control'
import { explain } from '../words.ts'
import { useHelper } from './helper-store.ts'
import { type Memory, memoryInRam } from './memory.ts'

/**
 * This browser's copy of the person's wishes. Everything is written down here first and synced with the helper whenever that is there, so changes made
 * offline, here and elsewhere, come together without loss.
 */

/** A wish as pages show it. */
export interface ShownWish extends Omit<WishValues, 'removed'> {
  readonly id: string
  readonly addedAt: number
  /** Changed here, and the helper has yet to hear of it. */
  readonly unsent: boolean
  /** What the helper last said of it; null = it does not know it yet. */
  readonly status: WishStatus | null
}

/** A file or folder that no transfer is known of. */
export interface QueuedWish {
  readonly id: string
  readonly peerId: PeerId
  readonly peerName: string
  readonly path: string
  readonly isDirectory: boolean
  readonly size?: number
  readonly addedAt: number
  readonly unsent: boolean
  /** Why the helper would not take it. */
  readonly error?: string
}

export type Wanted = Pick<QueuedWish, 'peerId' | 'peerName' | 'path' | 'isDirectory' | 'size'>

/** Other pages of this browser hear here that something was stored. */
const CHANNEL = 'harddrive-party wishes'

export const useWishes = defineStore('wishes', () => {
  const helper = useHelper()
  const rows = shallowRef<readonly CopyRow[]>([])
  /** `failed`: the helper is there and does not take it; `problem` says why. */
  const sync = ref<'idle' | 'loading' | 'ready' | 'failed'>('idle')
  const problem = ref('')
  let memory: Memory = memoryInRam()
  let copy = new WishCopy(newWriter, { rows: [], place: NEW_PLACE })
  let channel: BroadcastChannel | undefined
  let running: Promise<void> | undefined
  let again = false

  /** Newest first. */
  const all = computed(() => rows.value.filter(({ wish }) => !wish.fields.removed.value).map(shown).sort((a, b) => b.addedAt - a.addedAt || (a.id < b.id ? 1 : -1)))
  const searches = computed(() => all.value.filter(({ what }) => what.kind === 'search'))
  const paths = computed(() => all.value.filter(({ what }) => what.kind === 'path'))
  const queued = computed(() => paths.value.filter(({ id }) => !helper.transfers.has(id)).map(asQueued))
  const unsent = computed(() => rows.value.filter(({ changed }) => changed).length)

  async function start(use: Memory) {
    memory = use
    channel?.close()
    channel = use.isShared && typeof BroadcastChannel === 'function' ? new BroadcastChannel(CHANNEL) : undefined
    channel?.addEventListener('message', ({ data }: MessageEvent<unknown>) => hear(data))
    try {
      const kept = await use.wishCopy()
      const made = copy.rows()
      copy = new WishCopy(newWriter, kept)
      copy.absorb(made)
      await use.putWishes([], copy.forget(Date.now()), copy.place)
      // Of an earlier version of this app, which kept them only until the helper took them.
      for (const { id, peerId, peerName, path, isDirectory, size } of await use.oldWishes()) {
        if (copy.row(id) === undefined) await keep(copy.add(id, { what: pathTarget({ peerId, peerName, path, isDirectory, ...(size === undefined ? {} : { size }) }) }, Date.now()))
        await use.removeOldWish(id)
      }
    } catch {
      // The browser refused to read; wishes made now still work.
    }
    refresh()
    if (helper.isOpen) await syncAll()
  }

  watch(() => helper.isOpen, (open) => {
    if (open) void syncAll()
    else sync.value = 'idle'
  })
  watch(() => helper.wishes?.revision, (revision) => {
    if (helper.isOpen && revision !== undefined && revision !== copy.place.cursor) void syncAll()
  })

  function refresh() {
    rows.value = copy.rows()
  }

  // A browser that refuses to write keeps the wish for as long as the page is open.
  async function keep(...changed: CopyRow[]) {
    refresh()
    await memory.putWishes(changed, [], copy.place).catch(() => undefined)
    tellOthers(changed)
  }

  function tellOthers(stored: readonly CopyRow[]) {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has none: it reaches this origin only
    channel?.postMessage(stored)
  }

  /** Another page has stored something. */
  function hear(data: unknown) {
    if (!Array.isArray(data)) return
    copy.absorb(data as CopyRow[])
    refresh()
    if (helper.isOpen && copy.hasChanges) void syncAll()
  }

  /** Resolves when both sides have everything, or when that has to wait. */
  function syncAll(): Promise<void> {
    again = true
    running ??= exchange().finally(() => {
      running = undefined
    })
    return running
  }

  async function exchange() {
    sync.value = 'loading'
    try {
      while (again) {
        again = false
        const request = copy.request()
        const page = await helper.api.syncWishes(request)
        const { put, removed, place, again: more } = copy.take(request, page, Date.now())
        again ||= more
        refresh()
        await memory.putWishes(put, removed, place).catch(() => undefined)
        if (put.length > 0) tellOthers(put)
      }
      sync.value = 'ready'
      problem.value = unsent.value === 0 ? '' : 'too-many'
    } catch (error) {
      const isGone = error instanceof CodedError && (error.code === 'closed' || error.code === 'connection-lost')
      sync.value = isGone ? 'idle' : 'failed'
      problem.value = explain(error)
    }
  }

  async function change(id: string, values: Partial<WishValues>) {
    const row = copy.edit(id, values, Date.now())
    if (row === undefined) return
    await keep(row)
    if (helper.isOpen) await syncAll()
  }

  /**
   * Wishes for a file or folder; sends it at once when the helper is there.
   * @returns where it is now. Rejects when the helper would not have it, and then keeps nothing.
   */
  async function want(wanted: Wanted): Promise<'sent' | 'queued'> {
    const twin = paths.value.find(({ what }) => what.kind === 'path' && what.peerId === wanted.peerId && what.path === wanted.path)
    const id = twin?.id ?? crypto.randomUUID()
    if (twin === undefined) await keep(copy.add(id, { what: pathTarget(wanted) }, Date.now()))
    if (!helper.isOpen) return 'queued'
    await syncAll()
    const row = copy.row(id)
    if (row?.status?.state === 'refused') {
      const { code, message } = row.status.reason ?? { code: 'internal', message: 'refused' }
      await change(id, { removed: true })
      throw new CodedError(code, message)
    }
    return row === undefined || !row.changed ? 'sent' : 'queued'
  }

  /** @returns its id */
  async function wantSearch(what: SearchTarget, how: Partial<Pick<WishValues, 'repeat' | 'automatic' | 'folder'>>): Promise<string> {
    const twin = searches.value.find((wish) => wish.what.kind === 'search' && wish.what.text === what.text && wish.what.peerId === what.peerId)
    if (twin !== undefined) {
      await change(twin.id, how)
      return twin.id
    }
    const id = crypto.randomUUID()
    await keep(copy.add(id, { what, ...how }, Date.now()))
    if (helper.isOpen) await syncAll()
    return id
  }

  const remove = (id: string) => change(id, { removed: true })
  /** Takes a removal back; everything that was set is as it was. */
  const restore = (id: string) => change(id, { removed: false })

  /** Asks for it anew, as another wish: the helper has said no to this one. */
  async function retry(id: string) {
    const wish = paths.value.find((candidate) => candidate.id === id)
    if (wish?.what.kind !== 'path') return
    await remove(id)
    await keep(copy.add(crypto.randomUUID(), { what: wish.what }, Date.now()))
    if (helper.isOpen) await syncAll()
  }

  return { all, searches, paths, queued, unsent, sync, problem, start, want, wantSearch, change, remove, restore, retry, syncAll }
})

function newWriter(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function pathTarget({ peerId, peerName, path, isDirectory, size }: Wanted): PathTarget {
  // The path came out of a listing, where the protocol has checked it; the helper checks it again.
  return { kind: 'path', peerId, peerName, path: path as SharePath, isDirectory, size: size ?? null }
}

function shown({ wish, changed, status }: CopyRow): ShownWish {
  const { removed: _removed, ...values } = valuesOf(wish)
  return { id: wish.id, addedAt: wish.addedAt, ...values, unsent: changed, status }
}

function asQueued({ id, addedAt, what, unsent, status }: ShownWish): QueuedWish {
  const { peerId, peerName, path, isDirectory, size } = what as PathTarget
  return {
    id, peerId, peerName, path, isDirectory: isDirectory === true, addedAt, unsent, ...(size === null ? {} : { size }),
    ...(status?.state === 'refused' && status.reason !== null ? { error: explain(status.reason) } : {}),
  }
}
