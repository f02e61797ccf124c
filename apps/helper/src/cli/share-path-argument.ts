/** Turns a path that a person typed into a share path, or ends the command with the rule it breaks. */
import { type SharePath, parseSharePath } from '@harddrive-party/protocol'
import { CommandError, EXIT } from './exit-codes.ts'

export function sharePath(text: string): SharePath {
  const parsed = parseSharePath(text)
  if (!parsed.ok) throw new CommandError(EXIT.notFound, 'bad-path', `no such path: ${parsed.error.message}`)
  return parsed.value
}
