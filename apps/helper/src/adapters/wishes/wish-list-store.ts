import { randomUUID } from 'node:crypto'
import { isErrorCode, parsePeerId, parseSharePath } from '@harddrive-party/protocol'
import { type HubRow, type WishMatch, type WishStatus, parseSyncedWish } from '@harddrive-party/protocol/control'
import type { Store } from '../system/store.ts'

/** Keeps the synced list of wishes and what searches have found in the database. Decides nothing about them. */
export interface WishListStore {
  /** Names this list; another database has another. */
  readonly name: string
  readonly rows: readonly HubRow[]
  readonly forgotten: number
  put(row: HubRow): Promise<void>
  forget(ids: readonly string[], forgotten: number): Promise<void>
  /** Everything a search has found, answered or not, by key. */
  found(wishId: string): Map<string, FoundMatch>
  putFound(wishId: string, match: FoundMatch): Promise<void>
  removeFound(wishId: string): Promise<void>
  /** Resolves when everything kept so far survives a power cut. */
  flushed(): Promise<void>
}

/** `taken` and `dropped` are answers; only their key is of use from then on. */
export interface FoundMatch {
  readonly key: string
  readonly answer: 'none' | 'taken' | 'dropped'
  readonly match: Omit<WishMatch, 'matchId' | 'peerName'>
}

interface StoredMeta {
  readonly name: string
  readonly forgotten: number
}

const META = 'list'
const STATES: readonly WishStatus['state'][] = ['waiting', 'transfer', 'refused', 'watching', 'found', 'full']

export async function openWishListStore(store: Store): Promise<WishListStore> {
  const metas = store.table<StoredMeta>('wish-list', (raw) => {
    const { name, forgotten } = raw as Partial<StoredMeta>
    return typeof name === 'string' && typeof forgotten === 'number' ? { name, forgotten } : undefined
  })
  const rows = store.table<HubRow>('wish-list-rows', decodeRow)
  const found = store.table<FoundMatch & { readonly wishId: string; readonly number: number }>('wish-matches', (raw) => {
    const match = decodeFound(raw)
    const { wishId, number } = raw as { wishId?: unknown; number?: unknown }
    return match === undefined || typeof wishId !== 'string' || typeof number !== 'number' ? undefined : { ...match, wishId, number }
  })
  let meta = metas.get(META) ?? { name: randomUUID(), forgotten: 0 }
  await metas.put(META, meta)
  const byWish = new Map<string, Map<string, FoundMatch & { readonly number: number }>>()
  let lastNumber = 0
  for (const { value: { wishId, ...match } } of found.entries()) {
    const matches = byWish.get(wishId) ?? new Map<string, FoundMatch & { readonly number: number }>()
    byWish.set(wishId, matches.set(match.key, match))
    lastNumber = Math.max(lastNumber, match.number)
  }
  return {
    name: meta.name,
    rows: rows.entries().map(({ value }) => value),
    forgotten: meta.forgotten,
    put: (row) => rows.put(row.wish.id, row),
    forget: async (ids, forgotten) => {
      meta = { ...meta, forgotten }
      await Promise.all([metas.put(META, meta), ...ids.map((id) => rows.remove(id))])
    },
    found: (wishId) => byWish.get(wishId) ?? new Map(),
    putFound: (wishId, match) => {
      const matches = byWish.get(wishId) ?? new Map<string, FoundMatch & { readonly number: number }>()
      byWish.set(wishId, matches)
      // The key may be longer than the database takes.
      const number = matches.get(match.key)?.number ?? ++lastNumber
      matches.set(match.key, { ...match, number })
      return found.put(`${wishId}.${number}`, { ...match, wishId, number })
    },
    removeFound: async (wishId) => {
      byWish.delete(wishId)
      await found.removeAll(`${wishId}.`)
    },
    flushed: store.flushed,
  }
}

function decodeRow(raw: unknown): HubRow | undefined {
  const { wish: stored, status, revision, removedAt } = raw as Partial<HubRow>
  const wish = parseSyncedWish(stored)
  if (!wish.ok || typeof revision !== 'number' || (removedAt !== null && typeof removedAt !== 'number') || !isStatus(status)) return undefined
  return { wish: wish.value, status, revision, removedAt }
}

function isStatus(status: WishStatus | undefined): status is WishStatus {
  if (status === undefined || !STATES.includes(status.state) || typeof status.matches !== 'number' || typeof status.taken !== 'number') return false
  return status.reason === null || (isErrorCode(status.reason?.code) && typeof status.reason.message === 'string')
}

function decodeFound(raw: unknown): FoundMatch | undefined {
  const { key, answer, match } = raw as Partial<FoundMatch>
  if (typeof key !== 'string' || match === undefined || (answer !== 'none' && answer !== 'taken' && answer !== 'dropped')) return undefined
  const { peerId, path, isDirectory, size, foundAt } = match
  const isGood = parsePeerId(peerId).ok && parseSharePath(path).ok && typeof isDirectory === 'boolean' && typeof size === 'number' && typeof foundAt === 'number'
  return isGood ? { key, answer, match: { peerId, path, isDirectory, size, foundAt } } : undefined
}
