import * as v from 'valibot'
import { cleanText } from '../text.ts'
import { type ACCESS_METHODS, MAX_GROUPS, MAX_GROUP_NAME, MAX_MEMBERS } from './access-api.ts'
import { id, peerId, text } from './argument-parts.ts'

/** What the methods about audiences and groups admit. */

const members = v.pipe(v.array(peerId, 'must be a list'), v.maxLength(MAX_MEMBERS, `must be at most ${MAX_MEMBERS}`))
const name = v.pipe(
  text(MAX_GROUP_NAME, 'a name'),
  v.check((given) => given.trim() === given && cleanText(given, 4 * MAX_GROUP_NAME) === given, 'must have no spaces around it and no control characters'),
)

export const AUDIENCE = v.union(
  [v.literal('everyone'), v.strictObject({ peers: members, groups: v.pipe(v.array(id), v.maxLength(MAX_GROUPS)) })],
  'must be "everyone", or a list of peers and one of groups',
)

export const ACCESS_SCHEMAS = {
  setAudience: v.strictObject({ shareId: id, audience: AUDIENCE }),
  addGroup: v.strictObject({ name, members: v.exactOptional(members) }),
  changeGroup: v.strictObject({ groupId: id, name: v.exactOptional(name), members: v.exactOptional(members) }),
  removeGroup: v.strictObject({ groupId: id }),
} satisfies Record<(typeof ACCESS_METHODS)[number], v.GenericSchema>
