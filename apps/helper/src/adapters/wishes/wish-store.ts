import { type PeerId, type SharePath, isErrorCode, parsePeerId, parseSharePath } from '@harddrive-party/protocol'
import { DONE, QUEUED, type Reason, type WishEnd, type WishPage, type WishPhase, type WishRecord, hasEnded } from '../../core/wishes/wish.ts'
import type { WishRow } from '../../core/wishes/wish-listing.ts'
import type { Store } from '../system/store.ts'

/** Keeps wishes and the files they are made of in the database. Decides nothing about them. */
export interface WishStore {
  records(): WishRecord[]
  putRecord(record: WishRecord): Promise<void>
  /** @returns undefined when it was never put or cannot be read */
  page(id: string, number: number): WishPage | undefined
  putRows(id: string, number: number, rows: readonly WishRow[]): Promise<void>
  putStates(id: string, number: number, page: WishPage): Promise<void>
  /** Of pages with these numbers, the last not included. */
  removePageRange(id: string, from: number, to: number): Promise<void>
  removePages(id: string): Promise<void>
  removeRecord(id: string): Promise<void>
  /** What is paused as a whole. */
  pauses(): Pauses
  putPauses(pauses: Pauses): Promise<void>
}

export interface Pauses {
  readonly all: boolean
  readonly peers: readonly PeerId[]
}

/** Rows on one page: what is read and written at once stays small. */
export const PAGE_ROWS = 500

const PHASES: readonly WishPhase[] = ['list', 'fetch', 'done', 'failed', 'cancelled']

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
  const pauses = store.table<Pauses>('queue-pauses', decodePauses)
  return {
    records: () => records.entries().map(({ value }) => value),
    // As lists: what a map becomes is up to whoever reads.
    putRecord: (record) => records.put(record.id, { ...record, holds: [...record.holds], skips: [...record.skips] } as unknown as WishRecord),
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
    removePageRange: async (id, from, to) => {
      for (let number = from; number < to; number++) await Promise.all([rows.remove(pageKey(id, number)), states.remove(pageKey(id, number))])
    },
    removePages: async (id) => {
      await Promise.all([rows.removeAll(`${id}.`), states.removeAll(`${id}.`)])
    },
    removeRecord: (id) => records.remove(id),
    pauses: () => pauses.get('now') ?? { all: false, peers: [] },
    putPauses: (now) => pauses.put('now', now),
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
export function newStates(rows: readonly WishRow[]): Uint8Array {
  return Uint8Array.from(rows, ({ isDirectory }) => (isDirectory ? DONE : QUEUED))
}

type Raw = { readonly [K in keyof WishRecord]?: unknown }

/** @returns undefined for what another version wrote and this one cannot continue */
function decodeRecord(raw: unknown): WishRecord | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined
  const { id, peerId, path, addedAt, since, downloadDirectory, endedAt, phase, reason, isDirectory, target, total, totalFiles, ...counts } = raw as Raw
  const peer = typeof peerId === 'string' ? parsePeerId(peerId) : undefined
  const shared = typeof path === 'string' ? parseSharePath(path) : undefined
  if (peer?.ok !== true || shared?.ok !== true || typeof id !== 'string' || typeof downloadDirectory !== 'string') return undefined
  // Until version 0.1 failed files were made ready in a phase of their own.
  const isRearming = phase === 'rearm'
  const known = isRearming ? 'fetch' : PHASES.find((one) => one === phase)
  if (known === undefined || typeof addedAt !== 'number' || typeof since !== 'number') return undefined
  const { doneFiles, failedFiles, doneBytes, base, pages, firstPage, changed, restarted, renamed, rejected, begun, skippedFiles, skippedBytes } = counts
  const { order, holds, skips, rearm, follow, again, folder } = counts
  return {
    id, peerId: peer.value, path: shared.value satisfies SharePath, addedAt, since, downloadDirectory, folder: typeof folder === 'string' ? folder : null, phase: known,
    endedAt: numberOr(endedAt, null), reason: decodeReason(reason), isDirectory: typeof isDirectory === 'boolean' ? isDirectory : null,
    target: typeof target === 'string' ? target : null, total: numberOr(total, null), totalFiles: numberOr(totalFiles, null),
    doneFiles: numberOr(doneFiles, 0), failedFiles: numberOr(failedFiles, 0), doneBytes: numberOr(doneBytes, 0), base: numberOr(base, 0), pages: numberOr(pages, 0),
    firstPage: isRearming ? 0 : numberOr(firstPage, 0), skippedFiles: numberOr(skippedFiles, 0), skippedBytes: numberOr(skippedBytes, 0),
    // Older ones are in the order in which they were asked for.
    order: numberOr(order, addedAt), holds: decodeChoices(holds), skips: decodeChoices(skips),
    rearm: isRearming ? [''] : Array.isArray(rearm) ? rearm.filter((path) => typeof path === 'string') : [], follow: follow === true, again: decodeAgain(again), changed: numberOr(changed, 0), restarted: numberOr(restarted, 0), renamed: numberOr(renamed, 0),
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

function decodeChoices(raw: unknown): Map<string, boolean> {
  const entries = Array.isArray(raw) ? raw : []
  return new Map(entries.filter((entry): entry is [string, boolean] => Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'boolean'))
}

function decodeAgain(raw: unknown): WishRecord['again'] {
  if (typeof raw !== 'object' || raw === null || !('how' in raw) || !('ended' in raw)) return null
  const ended = PHASES.find((phase): phase is WishEnd => phase === raw.ended && hasEnded(phase))
  return ended !== undefined && (raw.how === 'missing' || raw.how === 'new') ? { how: raw.how, ended } : null
}

function decodePauses(raw: unknown): Pauses | undefined {
  if (typeof raw !== 'object' || raw === null || !('all' in raw) || !('peers' in raw) || !Array.isArray(raw.peers)) return undefined
  const peers = raw.peers.flatMap((text: unknown) => {
    const peer = typeof text === 'string' ? parsePeerId(text) : undefined
    return peer?.ok === true ? [peer.value] : []
  })
  return { all: raw.all === true, peers }
}
