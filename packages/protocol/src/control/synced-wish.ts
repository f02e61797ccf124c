import type { PeerId } from '../peer-id.ts'
import type { SharePath } from '../share-path.ts'
import { type Stamp, type WishClock, stampTime } from './wish-stamp.ts'

/**
 * A wish as every paired browser and the helper keep it, and how two copies become one: of each field the one that was written last. The same whatever is
 * merged with what, in which order and how often. Knows nothing of who has which copy.
 */
export interface SyncedWish {
  /** Also the id of the transfer that carries out a wish for a path. */
  readonly id: string
  /** Milliseconds since 1970, by the clock of whoever added it. */
  readonly addedAt: number
  readonly fields: WishFields
}

/** Written apart from each other: two people who change different fields both get what they want. */
export interface WishFields {
  readonly what: Written<WishTarget>
  readonly paused: Written<boolean>
  readonly priority: Written<WishPriority>
  /** Of a search: go on after it was found once. */
  readonly repeat: Written<boolean>
  /** Of a search: download what is found; else the person is asked. */
  readonly automatic: Written<boolean>
  /** Where it lands, below the download folder; null = in that itself. Means something until the download has begun. */
  readonly folder: Written<SharePath | null>
  /** A field like the others, so that taking it back is possible. */
  readonly removed: Written<boolean>
}

export interface Written<T> {
  readonly at: Stamp
  readonly value: T
}

export type WishPriority = 'low' | 'normal' | 'high'
export type WishTarget = PathTarget | SearchTarget

/** A file or folder of one peer. */
export interface PathTarget {
  readonly kind: 'path'
  readonly peerId: PeerId
  /** For showing it while the helper is away. */
  readonly peerName: string
  readonly path: SharePath
  /** Null where nobody has looked. */
  readonly isDirectory: boolean | null
  readonly size: number | null
}

/** Whatever a search finds, at one peer or at any. */
export interface SearchTarget {
  readonly kind: 'search'
  /** As typed into the search field: words, endings (`*.flac`), sizes (`size:>10MB`). Never empty. */
  readonly text: string
  /** Null = anybody. */
  readonly peerId: PeerId | null
  readonly peerName: string | null
}

/** What can be said of a wish, by a person or a script. */
export interface WishValues {
  readonly what: WishTarget
  readonly paused: boolean
  readonly priority: WishPriority
  readonly repeat: boolean
  readonly automatic: boolean
  readonly folder: SharePath | null
  readonly removed: boolean
}

const UNSAID: Omit<WishValues, 'what'> = { paused: false, priority: 'normal', repeat: false, automatic: false, folder: null, removed: false }

export function newSyncedWish(id: string, addedAt: number, values: Pick<WishValues, 'what'> & Partial<WishValues>, at: Stamp): SyncedWish {
  return { id, addedAt, fields: write({ ...UNSAID, ...values }, at) as WishFields }
}

/** @returns the wish with these fields written now, or the very same when they say so already */
export function editWish(wish: SyncedWish, values: Partial<WishValues>, clock: Pick<WishClock, 'tick'>, wall: number): SyncedWish {
  const changed = Object.entries(values).filter(([name, value]) => value !== undefined && !isSame(wish.fields[name as keyof WishFields].value, value))
  if (changed.length === 0) return wish
  return { ...wish, fields: { ...wish.fields, ...write(Object.fromEntries(changed) as Partial<WishValues>, clock.tick(wall)) } }
}

export function valuesOf({ fields }: SyncedWish): WishValues {
  const { what, paused, priority, repeat, automatic, folder, removed } = fields
  return {
    what: what.value, paused: paused.value, priority: priority.value, repeat: repeat.value, automatic: automatic.value, folder: folder.value, removed: removed.value,
  }
}

/** What nobody has ever written: older than every stamp. */
export const UNWRITTEN_FOLDER: Written<null> = { at: '000000000000-0000-0000000000000000', value: null }

/** A wish that was kept before wishes had folders. */
export function completeWish(wish: SyncedWish): SyncedWish {
  return (wish.fields as Partial<WishFields>).folder === undefined ? { ...wish, fields: { ...wish.fields, folder: UNWRITTEN_FOLDER } } : wish
}

/** Both copies in one: commutative, associative, idempotent. @returns one of the two where that one has it all */
export function mergeWishes(a: SyncedWish, b: SyncedWish): SyncedWish {
  const fields: Partial<Record<keyof WishFields, Written<unknown>>> = {}
  let fromA = a.addedAt <= b.addedAt
  let fromB = b.addedAt <= a.addedAt
  for (const name of FIELDS) {
    const [left, right] = [a.fields[name], b.fields[name]]
    const order = compareWritten(left, right)
    fields[name] = order >= 0 ? left : right
    fromA &&= order >= 0
    fromB &&= order <= 0
  }
  if (fromA) return a
  return fromB ? b : { id: a.id, addedAt: Math.min(a.addedAt, b.addedAt), fields: fields as unknown as WishFields }
}

export function isSameWish(a: SyncedWish, b: SyncedWish): boolean {
  return a === b || (a.id === b.id && a.addedAt === b.addedAt && FIELDS.every((name) => compareWritten(a.fields[name], b.fields[name]) === 0))
}

export function stampsOf({ fields }: SyncedWish): Stamp[] {
  return FIELDS.map((name) => fields[name].at)
}

/** Writes the fields anew that a clock far ahead has written. Only for whoever wrote them, and before anybody else has them. */
export function restampWish(wish: SyncedWish, horizon: number, clock: Pick<WishClock, 'tick'>, wall: number): SyncedWish {
  const at = clock.tick(wall)
  const late = FIELDS.filter((name) => stampTime(wish.fields[name].at) > horizon).map((name) => [name, { ...wish.fields[name], at }])
  return late.length === 0 ? wish : { ...wish, addedAt: Math.min(wish.addedAt, stampTime(at)), fields: { ...wish.fields, ...(Object.fromEntries(late) as Partial<WishFields>) } }
}

export const FIELDS = ['what', 'paused', 'priority', 'repeat', 'automatic', 'folder', 'removed'] as const satisfies readonly (keyof WishFields)[]

function write(values: Partial<WishValues>, at: Stamp): Partial<WishFields> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { at, value }])) as Partial<WishFields>
}

/** Honest writers never write two values under one stamp; whoever does still gets one outcome everywhere. */
function compareWritten(a: Written<unknown>, b: Written<unknown>): number {
  if (a.at !== b.at) return a.at > b.at ? 1 : -1
  const [left, right] = [stableText(a.value), stableText(b.value)]
  return left === right ? 0 : left > right ? 1 : -1
}

function isSame(a: unknown, b: unknown): boolean {
  return stableText(a) === stableText(b)
}

/** The order of keys in an object says nothing. */
function stableText(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner)
}
