import * as v from 'valibot'
import { flag, peerId } from './argument-parts.ts'
import { type LIMITS_METHODS, MAX_FILES_PER_PEER, MAX_QUEUE_PER_PEER, MAX_RATE, MAX_RULES, MAX_UPLOAD_SLOTS, MIN_RATE, parseTimeOfDay } from './limits-api.ts'

/** What the methods about limits admit. */

const between = (least: number, most: number) => v.pipe(
  v.number('must be a number'), v.integer('must be a whole number'), v.minValue(least, `must be at least ${least}`), v.maxValue(most, `must be at most ${most}`),
)
const rate = v.nullable(between(MIN_RATE, MAX_RATE))
const peerRate = v.union([rate, v.literal('none')], `must be a number from ${MIN_RATE}, null or "none"`)
const time = v.pipe(v.string('must be text'), v.check((text) => parseTimeOfDay(text) !== undefined, 'must be a time like 22:30'))
const days = v.pipe(v.array(between(0, 6), 'must be a list'), v.minLength(1, 'must name a day'), v.maxLength(7, 'has at most 7 days'))

export const LIMIT_RULE = v.strictObject({ days, from: time, to: time, up: rate, down: rate })

export const LIMIT_FIELDS = {
  up: rate,
  down: rate,
  peerUp: rate,
  peerDown: rate,
  localIsFree: flag,
  rules: v.pipe(v.array(LIMIT_RULE, 'must be a list'), v.maxLength(MAX_RULES, `must be at most ${MAX_RULES}`)),
  slots: between(1, MAX_UPLOAD_SLOTS),
  filesPerPeer: between(1, MAX_FILES_PER_PEER),
  queuePerPeer: between(1, MAX_QUEUE_PER_PEER),
}

export const PEER_LIMIT_FIELDS = { up: peerRate, down: peerRate, priority: v.picklist(['high', 'normal', 'low'], 'must be high, normal or low') }

function optional<T extends Record<string, v.GenericSchema>>(fields: T): { readonly [K in keyof T]: v.ExactOptionalSchema<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).map(([name, schema]) => [name, v.exactOptional(schema)])) as never
}

export const LIMITS_SCHEMAS = {
  setLimits: v.strictObject(optional(LIMIT_FIELDS)),
  setPeerLimits: v.strictObject({ peerId, ...optional(PEER_LIMIT_FIELDS) }),
} satisfies Record<(typeof LIMITS_METHODS)[number], v.GenericSchema>
