import { defineStore } from 'pinia'
import { computed, shallowRef, watch } from 'vue'
import { useHelper } from '../../state/helper-store.ts'
import type { KnownHelper } from '../../state/app-db.ts'
import { useSetup } from '../../state/setup-store.ts'
import { type AddressProblem, type HelperAddress, formatHelperPage, hostOf, isHelperOrigin, parseHelperAddress } from './helper-address.ts'

/** The helpers of this person that this browser knows by address. Each serves its own app and pairs on its own; here they are only named and gone to. */

/** More than a menu can show sensibly. */
export const MAX_HELPERS = 24

export const MAX_HELPER_NAME = 64

export interface ListedHelper extends KnownHelper {
  readonly shownName: string
  readonly isCurrent: boolean
}

export type AddedHelper =
  | { readonly ok: true; readonly helper: KnownHelper; readonly address: HelperAddress }
  | { readonly ok: false; readonly problem: AddressProblem | 'here' | 'many' }

export const useHelpers = defineStore('helpers', () => {
  const helper = useHelper()
  const setup = useSetup()
  const kept = shallowRef<readonly KnownHelper[]>([])

  /** The one that serves this page, as it is known this moment. */
  const current = computed((): KnownHelper => {
    const before = kept.value.find(({ origin }) => origin === location.origin)
    return {
      origin: location.origin,
      name: helper.status?.name ?? before?.name ?? hostOf(location.origin),
      givenName: before?.givenName ?? null,
      fingerprint: helper.status?.peerId ?? before?.fingerprint ?? null,
      openedAt: before?.openedAt ?? null,
    }
  })

  /** The current one first, then what was opened last. */
  const list = computed((): readonly ListedHelper[] => [
    listed(current.value, true),
    ...kept.value.filter(({ origin }) => origin !== location.origin).toSorted((a, b) => (b.openedAt ?? 0) - (a.openedAt ?? 0) || a.origin.localeCompare(b.origin)).map((one) => listed(one, false)),
  ])

  /** Also what another tab has changed. */
  async function load() {
    await setup.booted
    kept.value = (await setup.memory.helpers()).filter(({ origin }) => isHelperOrigin(origin) || origin === location.origin)
  }

  async function put(entry: KnownHelper) {
    await setup.memory.putHelper(entry)
    await load()
  }

  /** The current one is in the list by itself, under the name it has now. */
  async function noteCurrent(now: number) {
    await load()
    await put({ ...current.value, openedAt: now })
  }

  /** @param text an address or a pairing link; a helper that is listed already keeps its name */
  async function add(text: string): Promise<AddedHelper> {
    const parsed = parseHelperAddress(text)
    if (!parsed.ok) return { ok: false, problem: parsed.error }
    const { origin, pairing } = parsed.value
    if (origin === location.origin) return { ok: false, problem: 'here' }
    await load()
    const before = kept.value.find((one) => one.origin === origin)
    if (before === undefined && kept.value.length >= MAX_HELPERS) return { ok: false, problem: 'many' }
    const entry = { ...(before ?? { origin, name: hostOf(origin), givenName: null, openedAt: null }), fingerprint: pairing?.fingerprint ?? before?.fingerprint ?? null }
    await put(entry)
    return { ok: true, helper: entry, address: parsed.value }
  }

  /** @param name empty for the helper's own name again */
  async function rename(origin: string, name: string) {
    const entry = list.value.find((one) => one.origin === origin)
    if (entry === undefined) return
    const { shownName: _, isCurrent: __, ...plain } = entry
    await put({ ...plain, givenName: name.trim().slice(0, MAX_HELPER_NAME) || null })
  }

  async function remove(origin: string) {
    await setup.memory.removeHelper(origin)
    await load()
  }

  /** Leaves this app for that of another helper, which learns the page and nothing else. @param path of the page shown here */
  async function open(origin: string, path: string, now: number) {
    const entry = kept.value.find((one) => one.origin === origin)
    if (entry === undefined || origin === location.origin) return
    // Going there matters more than remembering when.
    await put({ ...entry, openedAt: now }).catch(() => undefined)
    location.assign(formatHelperPage(origin, path))
  }

  // A list that cannot be kept is no reason to disturb.
  watch(() => [helper.status?.peerId, helper.status?.name] as const, ([peerId]) => {
    void (peerId === undefined ? load() : noteCurrent(Date.now())).catch(() => undefined)
  }, { immediate: true })

  return { current, list, load, noteCurrent, add, rename, remove, open, openPairing }
})

function listed(entry: KnownHelper, isCurrent: boolean): ListedHelper {
  return { ...entry, shownName: entry.givenName ?? entry.name, isCurrent }
}

/** Takes an invitation to where it was made; it is used up there. */
function openPairing({ origin, pairing }: HelperAddress) {
  if (pairing !== null) location.assign(`${origin}/#/pair/${pairing.code}.${pairing.fingerprint}`)
}
