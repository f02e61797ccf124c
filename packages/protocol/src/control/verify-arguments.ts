import * as v from 'valibot'
import { parseSharePath, type SharePath } from '../share-path.ts'
import { flag, id, parsed, peerId, text } from './argument-parts.ts'
import type { VERIFY_METHODS } from './verify-api.ts'

/** What the methods about comparing with a source admit. */

/** Of paths on the helper's own machine, in characters. */
const MAX_LOCAL_PATH = 4096

const local = v.pipe(text(MAX_LOCAL_PATH, 'a path'), v.check((path) => !path.includes('\0'), 'must not contain NUL'))
const ofTransfer = v.strictObject({ transferId: id, quick: v.exactOptional(flag) })
const ofPath = v.strictObject({ peerId, path: parsed<SharePath>(parseSharePath), local: v.exactOptional(local), quick: v.exactOptional(flag) })
const cursor = v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(0, 'must not be negative'))

export const VERIFY_SCHEMAS = {
  startVerify: v.union([ofTransfer, ofPath], 'must name a transfer, or a peer and a path'),
  verifyReport: v.strictObject({ verifyId: id, cursor: v.exactOptional(cursor) }),
  cancelVerify: v.strictObject({ verifyId: id }),
} satisfies Record<(typeof VERIFY_METHODS)[number], v.GenericSchema>
