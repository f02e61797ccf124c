import * as v from 'valibot'
import { type SharePath, parseSharePath } from '../share-path.ts'
import { id, parsed, peerId } from './argument-parts.ts'
import type { PREVIEW_METHODS } from './preview-api.ts'

/** What the methods about looking at files admit. */

const path = parsed<SharePath>(parseSharePath)

export const PREVIEW_SCHEMAS = {
  thumbnailsUrl: v.strictObject({ peerId: v.nullable(peerId) }),
  previewText: v.union([v.strictObject({ peerId: v.nullable(peerId), path }), v.strictObject({ transferId: id, path: v.exactOptional(path) })], 'must name a peer and a path, or a transfer'),
} satisfies Record<(typeof PREVIEW_METHODS)[number], v.GenericSchema>
