import * as v from 'valibot'
import { MAX_CURSOR_BYTES, MAX_PAGE_ENTRIES, MAX_SEARCH_BYTES } from '../limits.ts'
import { type PeerId, parsePeerId } from '../peer-id.ts'
import { type Result, refuse, succeed } from '../result.ts'
import { type SharePath, parseSharePath } from '../share-path.ts'
import { utf8Length } from '../text.ts'
import { type FIELDS, type SyncedWish, UNWRITTEN_FOLDER } from './synced-wish.ts'
import { type WishesApi, MAX_SYNCED_CHANGES } from './wishes-api.ts'

/** What the methods about wishes admit, and what a stored wish has to look like. Says nothing about who may call them. */

const MAX_NAME = 100
const time = v.pipe(v.number('must be a time'), v.integer('must be whole milliseconds'), v.minValue(0, 'must be a time'), v.maxValue(8_640_000_000_000_000, 'must be a time'))
const whole = v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(0, 'must not be negative'), v.maxValue(Number.MAX_SAFE_INTEGER, 'is too large'))
const flag = v.boolean('must be true or false')
const wishId = v.pipe(v.string('must be text'), v.regex(/^[A-Za-z0-9_-]{1,64}$/, 'has 1 to 64 letters, digits, - or _'))
const peerId = v.pipe(v.string('must be text'), v.check((text) => parsePeerId(text).ok, 'must be a peer id of 64 hexadecimal digits'), v.transform((text) => text as PeerId))
const sharePath = v.pipe(v.string('must be text'), v.check((text) => parseSharePath(text).ok, 'must be a path of shared files'), v.transform((text) => text as SharePath))
const name = v.pipe(v.string('must be text'), v.maxLength(MAX_NAME, `has at most ${MAX_NAME} characters`))
const text = v.pipe(
  v.string('must be text'), v.check((typed) => typed.trim() !== '', 'must not be empty'), v.check((typed) => utf8Length(typed) <= MAX_SEARCH_BYTES, `has at most ${MAX_SEARCH_BYTES} bytes`),
)

const PATH_TARGET = v.strictObject({
  kind: v.literal('path'), peerId, peerName: name, path: sharePath, isDirectory: v.nullable(flag), size: v.nullable(whole),
})
const SEARCH_TARGET = v.strictObject({ kind: v.literal('search'), text, peerId: v.nullable(peerId), peerName: v.nullable(name) })
const what = v.variant('kind', [PATH_TARGET, SEARCH_TARGET], 'must be a path or a search')
const priority = v.picklist(['low', 'normal', 'high'], 'must be low, normal or high')

const stamp = v.pipe(v.string('must be text'), v.regex(/^[0-9a-f]{12}-[0-9a-f]{4}-[0-9a-f]{16}$/, 'must be a stamp'))
const written = <S extends v.GenericSchema>(value: S) => v.strictObject({ at: stamp, value })

const SYNCED_WISH = v.strictObject({
  id: wishId,
  addedAt: time,
  fields: v.strictObject({
    what: written(what), paused: written(flag), priority: written(priority), repeat: written(flag), automatic: written(flag), removed: written(flag),
    // Absent in what was kept before wishes had folders.
    folder: v.optional(written(v.nullable(sharePath)), UNWRITTEN_FOLDER),
  } satisfies Record<(typeof FIELDS)[number], v.GenericSchema>),
})

const change = {
  paused: v.exactOptional(flag), priority: v.exactOptional(priority), repeat: v.exactOptional(flag), automatic: v.exactOptional(flag), folder: v.exactOptional(v.nullable(sharePath)),
}
const limit = v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(1, 'must be at least 1'), v.maxValue(MAX_PAGE_ENTRIES, `must be at most ${MAX_PAGE_ENTRIES}`))
const cursor = v.pipe(v.string('must be text'), v.minLength(1, 'must not be empty'), v.maxLength(MAX_CURSOR_BYTES, 'is too long'))
const matchId = v.pipe(v.string('must be text'), v.minLength(1, 'must not be empty'), v.maxLength(128, 'is too long'))

export const WISHES_SCHEMAS = {
  syncWishes: v.strictObject({
    store: v.exactOptional(wishId),
    since: whole,
    whole: v.exactOptional(flag),
    changes: v.exactOptional(v.pipe(v.array(SYNCED_WISH, 'must be a list'), v.maxLength(MAX_SYNCED_CHANGES, `must be at most ${MAX_SYNCED_CHANGES}`))),
  }),
  wishes: v.strictObject({ cursor: v.exactOptional(cursor), limit }),
  addWish: v.strictObject({ id: v.exactOptional(wishId), what, ...change }),
  editWish: v.strictObject({ wishId, what: v.exactOptional(what), ...change }),
  removeWish: v.strictObject({ wishId }),
  wishMatches: v.strictObject({ wishId, cursor: v.exactOptional(cursor), limit }),
  answerMatches: v.strictObject({ wishId, accept: flag, matchIds: v.exactOptional(v.pipe(v.array(matchId, 'must be a list'), v.maxLength(MAX_PAGE_ENTRIES, `must be at most ${MAX_PAGE_ENTRIES}`))) }),
} satisfies Record<keyof WishesApi, v.GenericSchema>

/** Reads a wish from wherever it was kept. */
export function parseSyncedWish(raw: unknown): Result<SyncedWish> {
  const result = v.safeParse(SYNCED_WISH, raw, { abortEarly: true })
  if (result.success) return succeed(result.output)
  const [issue] = result.issues
  return refuse('bad-wish', `${v.getDotPath(issue) ?? 'wish'}: ${issue.message}`)
}
