/** Checks stored offers: what another version wrote, and this one cannot continue, reads as absent. */
import { isErrorCode, parsePathPart, parsePeerId } from '@harddrive-party/protocol'
import * as v from 'valibot'
import type { OfferRecord } from '../core/offers/offer-record.ts'
import type { OfferRuleRecord } from '../core/offers/offers.ts'

const peerId = v.pipe(v.string(), v.rawTransform(({ dataset, addIssue, NEVER }) => {
  const parsed = parsePeerId(dataset.value)
  if (parsed.ok) return parsed.value
  addIssue({ message: parsed.error.message })
  return NEVER
}))
const code = v.custom<NonNullable<OfferRecord['reason']>['code']>(isErrorCode)
const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const name = v.pipe(v.string(), v.check((text) => parsePathPart(text).ok))

const RECORD = v.object({
  offerId: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  direction: v.picklist(['in', 'out']),
  peerId,
  name,
  files: size,
  bytes: size,
  isDirectory: v.boolean(),
  note: v.nullable(v.string()),
  items: v.array(v.object({ name, file: v.string() })),
  stagingId: v.nullable(v.string()),
  at: v.number(),
  expiresAt: v.number(),
  endedAt: v.nullable(v.number()),
  state: v.picklist(['waiting', 'accepted', 'failed', 'declined', 'done', 'cancelled', 'withdrawn', 'expired']),
  received: size,
  isDelivered: v.boolean(),
  folder: v.nullable(v.string()),
  reason: v.nullable(v.object({ code, message: v.string() })),
  owes: v.boolean(),
})

const RULE = v.object({ peerId, autoAcceptBytes: v.nullable(size), muted: v.boolean() })

export function decodeOfferRecord(raw: unknown): OfferRecord | undefined {
  const result = v.safeParse(RECORD, raw)
  return result.success ? result.output : undefined
}

export function decodeOfferRule(raw: unknown): OfferRuleRecord | undefined {
  const result = v.safeParse(RULE, raw)
  return result.success ? result.output : undefined
}
