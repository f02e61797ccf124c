import type { CborMap } from './cbor.ts'
import { badField, bytesField, integerField, optionalInteger, optionalText, textField } from './peer-fields.ts'
import { type Fault, type Result, succeed } from './result.ts'
import { type SharePath, parsePathPart, parseSharePath } from './share-path.ts'
import { MAX_PATH_PART_BYTES } from './limits.ts'
import { cleanText } from './text.ts'

/** Somebody would like to send something: the messages by which it is offered, answered and ended. Moves no files: those are read like any others. */

/** What a peer lists in its hello that takes offers; others are not bothered with them. */
export const OFFER_CAPABILITY = 'offer'

export const OFFER_ID_BYTES = 16

/** A line or two; in UTF-8 bytes. */
export const MAX_OFFER_NOTE_BYTES = 500

/** Files and folders in one offer, whatever they lie in: who has more shares a folder. */
export const MAX_OFFER_ENTRIES = 20_000

export interface OfferRequest {
  readonly type: 'offer'
  /** 16 random bytes. The same again says the same. */
  readonly offerId: Uint8Array
  /** Of the file or folder: where it is in the sender's tree is `offerPath`. */
  readonly name: string
  /** Files in it, 0 to MAX_OFFER_ENTRIES. */
  readonly files: number
  readonly bytes: number
  readonly isDirectory: boolean
  readonly note?: string
}

/**
 * Of the receiver: `accepted` (again whenever more has come in), `declined`, `failed` (it may go on), `done`, `cancelled`.
 * Of the sender: `withdrawn`. After `declined`, `done`, `cancelled` and `withdrawn` there is nothing more to say.
 */
export const OFFER_NEWS = ['accepted', 'declined', 'failed', 'done', 'cancelled', 'withdrawn'] as const
export type OfferNewsState = (typeof OFFER_NEWS)[number]

export interface OfferNewsRequest {
  readonly type: 'offer-news'
  readonly offerId: Uint8Array
  readonly state: OfferNewsState
  /** With `accepted` and `failed`: how much has come in. */
  readonly bytes?: number
}

export function decodeOffer(map: CborMap): Result<OfferRequest, Fault> {
  const offerId = bytesField(map, 'offerId', OFFER_ID_BYTES)
  if (!offerId.ok) return offerId
  const name = textField(map, 'name', MAX_PATH_PART_BYTES)
  if (!name.ok) return name
  if (!parsePathPart(name.value).ok) return badField('name cannot be the name of a file')
  const files = integerField(map, 'files', 0, MAX_OFFER_ENTRIES)
  if (!files.ok) return files
  const bytes = integerField(map, 'bytes', 0, Number.MAX_SAFE_INTEGER)
  if (!bytes.ok) return bytes
  const { isDirectory } = map
  if (typeof isDirectory !== 'boolean') return badField('isDirectory is neither true nor false')
  if (!isDirectory && files.value !== 1) return badField('a file is one file')
  const note = optionalText(map, 'note', MAX_OFFER_NOTE_BYTES)
  if (!note.ok) return note
  const shown = note.value === undefined ? '' : cleanText(note.value, MAX_OFFER_NOTE_BYTES)
  return succeed({ type: 'offer', offerId: offerId.value, name: name.value, files: files.value, bytes: bytes.value, isDirectory, ...(shown === '' ? {} : { note: shown }) })
}

export function decodeOfferNews(map: CborMap): Result<OfferNewsRequest, Fault> {
  const offerId = bytesField(map, 'offerId', OFFER_ID_BYTES)
  if (!offerId.ok) return offerId
  const state = OFFER_NEWS.find((known) => known === map['state'])
  if (state === undefined) return badField('state is none that is known here')
  const bytes = optionalInteger(map, 'bytes', 0, Number.MAX_SAFE_INTEGER)
  if (!bytes.ok) return bytes
  return succeed({ type: 'offer-news', offerId: offerId.value, state, ...(bytes.value === undefined ? {} : { bytes: bytes.value }) })
}

/** The first part of every path of an offer: nobody else's listing shows it, and nobody can guess it. @param offerId hex */
export function offerRoot(offerId: string): string {
  return `offer-${offerId}`
}

/** Where an offer is in the tree of its sender. @param offerId hex @param name as `parsePathPart` admits */
export function offerPath(offerId: string, name: string): Result<SharePath, Fault> {
  return parseSharePath(`${offerRoot(offerId)}/${name}`)
}
