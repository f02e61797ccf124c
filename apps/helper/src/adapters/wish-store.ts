import { type SharePath, isErrorCode, parsePeerId, parseSharePath } from '@harddrive-party/protocol'
import { DONE, FAILED, QUEUED, type Reason, type WishPage, type WishPhase, type WishRecord } from '../core/wish.ts'
import type { WishRow } from '../core/wish-listing.ts'
import type { Store } from './store.ts'

/** Keeps wishes and the files they are made of in the database. Decides nothing about them. */
export interface WishStore {
  records(): WishRecord[]
  putRecord(record: WishRecord): Promise<void>
  /** @returns undefined when it was never put or cannot be read */
  page(id: string, number: number): WishPage | undefined
  putRows(id: string, number: number, rows: readonly WishRow[]): Promise<void>
  putStates(id: string, number: number, page: WishPage): Promise<void>
  removePages(id: string): Promise<void>
  removeRecord(id: string): Promise<void>
}

/** Rows on one page: what is read and written at once stays small. */
export const PAGE_ROWS = 500

const PHASES: readonly WishPhase[] = ['list', 'rearm', 'fetch', 'done', 'failed', 'cancelled']

/** Columns, since thousands of objects with the same keys would repeat them. */
interface StoredRows {
  readonly remote: string[]
  readonly local: (string | null)[]
  readonly size: number[]
  readonly mtime: number[]
  readonly directories: number[]
}

interface StoredStates {
  readonly states: Uint8Array
  readonly reasons: [number, string, string][]
  readonly names: [number, string][]
}

export function openWishStore(store: Store): WishStore {
  const records = store.table('wishes', decodeRecord)
  const rows = store.table<StoredRows>('wish-rows', (raw) => raw as StoredRows)
  const states = store.table<StoredStates>('wish-states', (raw) => raw as StoredStates)
  return {
    records: () => records.entries().map(({ value }) => value),
    putRecord: (record) => records.put(record.id, record),
    page: (id, number) => {
      const stored = rows.get(pageKey(id, number))
      return stored === undefined ? undefined : decodePage(stored, states.get(pageKey(id, number)))
    },
    putRows: (id, number, page) => rows.put(pageKey(id, number), encodeRows(page)),
    putStates: (id, number, { states: bytes, reasons, names }) =>
      states.put(pageKey(id, number), {
        states: bytes,
        reasons: [...reasons].map(([index, { code, message }]) => [index, code, message]),
        names: [...names],
      }),
    removePages: async (id) => {
      await Promise.all([rows.removeAll(`${id}.`), states.removeAll(`${id}.`)])
    },
    removeRecord: (id) => records.remove(id),
  }
}

function pageKey(id: string, number: number): string {
  return `${id}.${number}`
}

function encodeRows(rows: readonly WishRow[]): StoredRows {
  return {
    remote: rows.map(({ remote }) => remote),
    local: rows.map(({ remote, local }) => (local === remote ? null : local)),
    size: rows.map(({ size }) => size),
    mtime: rows.map(({ mtime }) => mtime),
    directories: rows.flatMap(({ isDirectory }, index) => (isDirectory ? [index] : [])),
  }
}

function decodePage(stored: StoredRows, state: StoredStates | undefined): WishPage {
  const directories = new Set(stored.directories)
  const rows = stored.remote.map((remote, index) => ({
    remote, local: stored.local[index] ?? remote, size: stored.size[index] ?? 0, mtime: stored.mtime[index] ?? 0, isDirectory: directories.has(index),
  }))
  return {
    rows,
    states: state === undefined ? newStates(rows) : new Uint8Array(state.states),
    reasons: new Map((state?.reasons ?? []).flatMap(([index, code, message]): [number, Reason][] => (isErrorCode(code) ? [[index, { code, message }]] : []))),
    names: new Map(state?.names ?? []),
  }
}

/** A directory is there once its page was looked at; only files are fetched. */
function newStates(rows: readonly WishRow[]): Uint8Array {
  return Uint8Array.from(rows, ({ isDirectory }) => (isDirectory ? DONE : QUEUED))
}

/** Makes failed and begun files of a page ready for another try. @returns what of it is done */
export function rearmPage(page: WishPage): { files: number; bytes: number; changed: boolean } {
  let files = 0
  let bytes = 0
  let changed = false
  for (const [index, row] of page.rows.entries()) {
    if (row.isDirectory) continue
    if (page.states[index] === DONE) {
      files++
      bytes += row.size
    } else if (page.states[index] === FAILED) {
      page.states[index] = QUEUED
      page.reasons.delete(index)
      changed = true
    }
  }
  return { files, bytes, changed }
}

type Raw = { readonly [K in keyof WishRecord]?: unknown }

/** @returns undefined for what another version wrote and this one cannot continue */
function decodeRecord(raw: unknown): WishRecord | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined
  const { id, peerId, path, addedAt, since, downloadDirectory, endedAt, phase, reason, isDirectory, target, total, totalFiles, ...counts } = raw as Raw
  const peer = typeof peerId === 'string' ? parsePeerId(peerId) : undefined
  const shared = typeof path === 'string' ? parseSharePath(path) : undefined
  if (peer?.ok !== true || shared?.ok !== true || typeof id !== 'string' || typeof downloadDirectory !== 'string') return undefined
  const known = PHASES.find((one) => one === phase)
  if (known === undefined || typeof addedAt !== 'number' || typeof since !== 'number') return undefined
  const { doneFiles, failedFiles, doneBytes, pages, firstPage, changed, restarted, renamed, rejected, begun } = counts
  return {
    id, peerId: peer.value, path: shared.value satisfies SharePath, addedAt, since, downloadDirectory, phase: known,
    endedAt: numberOr(endedAt, null), reason: decodeReason(reason), isDirectory: typeof isDirectory === 'boolean' ? isDirectory : null,
    target: typeof target === 'string' ? target : null, total: numberOr(total, null), totalFiles: numberOr(totalFiles, null),
    doneFiles: numberOr(doneFiles, 0), failedFiles: numberOr(failedFiles, 0), doneBytes: numberOr(doneBytes, 0), pages: numberOr(pages, 0),
    firstPage: numberOr(firstPage, 0), changed: numberOr(changed, 0), restarted: numberOr(restarted, 0), renamed: numberOr(renamed, 0),
    rejected: numberOr(rejected, 0),
    begun: Object.fromEntries(Object.entries(begun ?? {}).filter((entry): entry is [string, number] => typeof entry[1] === 'number')),
  }
}

function numberOr<T>(value: unknown, otherwise: T): number | T {
  return typeof value === 'number' && Number.isFinite(value) ? value : otherwise
}

function decodeReason(raw: unknown): Reason | null {
  if (typeof raw !== 'object' || raw === null || !('code' in raw) || !('message' in raw)) return null
  const { code, message } = raw
  return isErrorCode(code) && typeof message === 'string' ? { code, message } : null
}
