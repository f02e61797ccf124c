import * as v from 'valibot'
import { MAX_OFFER_NOTE_BYTES } from '../offer.ts'
import { type SharePath, parseSharePath } from '../share-path.ts'
import { utf8Length } from '../text.ts'
import { flag, id, parsed, peerId, text } from './argument-parts.ts'
import { MAX_OFFERED_PATHS, type OFFERS_METHODS } from './offers-api.ts'

/** What the methods about offers admit. */

const MAX_LOCAL_PATH = 4096
const localPath = v.pipe(text(MAX_LOCAL_PATH, 'a path'), v.check((path) => !path.includes('\0'), 'must not contain NUL'))
const paths = v.pipe(v.array(localPath, 'must be a list'), v.minLength(1, 'must name a file or folder'), v.maxLength(MAX_OFFERED_PATHS, `has at most ${MAX_OFFERED_PATHS} entries`))
const note = v.pipe(v.string('must be text'), v.check((words) => utf8Length(words) <= MAX_OFFER_NOTE_BYTES, `has at most ${MAX_OFFER_NOTE_BYTES} bytes`))
const bytes = v.pipe(v.number('must be a number'), v.safeInteger('must be a whole number'), v.minValue(1, 'must be at least 1'))
const offer = v.strictObject({ offerId: id })

export const OFFERS_SCHEMAS = {
  sendOffer: v.pipe(
    v.strictObject({ peerId, paths: v.exactOptional(paths), stagingId: v.exactOptional(id), note: v.exactOptional(note) }),
    v.check((args) => (args.paths === undefined) !== (args.stagingId === undefined), 'name one of paths and stagingId'),
  ),
  answerOffer: v.strictObject({ offerId: id, accept: flag, folder: v.exactOptional(parsed<SharePath>(parseSharePath)) }),
  cancelOffer: offer,
  clearOffers: v.optional(v.strictObject({})),
  setOfferRule: v.strictObject({ peerId, autoAcceptBytes: v.exactOptional(v.nullable(bytes)), muted: v.exactOptional(flag) }),
  openStaging: v.optional(v.strictObject({})),
  closeStaging: v.strictObject({ stagingId: id }),
} satisfies Record<(typeof OFFERS_METHODS)[number], v.GenericSchema>
