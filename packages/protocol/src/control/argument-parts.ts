import * as v from 'valibot'
import { type PeerId, parsePeerId } from '../peer-id.ts'
import type { Result } from '../result.ts'

/** Checks of single fields that the arguments of several areas of the control API are made of. */

/** Ids are ours: 64 hex digits or a UUID. Wishes taken offline bring their own. */
const MAX_ID = 128

/** Built from one of the project's parsers, whose message becomes the error. */
export function parsed<T extends string>(parse: (text: string) => Result<T, { readonly message: string }>) {
  return v.pipe(
    v.string('must be text'),
    v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
      const result = parse(dataset.value)
      if (result.ok) return result.value
      addIssue({ message: result.error.message })
      return NEVER
    }),
  )
}

export const text = (most: number, what: string) => v.pipe(v.string('must be text'), v.minLength(1, 'must not be empty'), v.maxLength(most, `${what} has at most ${most} characters`))
export const flag = v.boolean('must be true or false')
export const peerId = parsed<PeerId>(parsePeerId)
export const id = v.pipe(v.string('must be text'), v.regex(/^[A-Za-z0-9._:-]{1,128}$/, `must be an id of at most ${MAX_ID} letters, digits or . _ : -`))
