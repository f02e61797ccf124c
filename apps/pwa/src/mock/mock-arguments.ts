import { CodedError, parseAnnounceCode } from '@harddrive-party/protocol'
import { type ControlMethod, parseArguments } from '@harddrive-party/protocol/control'

/** Refuses what a real helper would refuse, and names the field, so that a mistake in the app shows while it runs on the mock. */
export function checkArguments(method: ControlMethod, args: unknown): void {
  const checked = parseArguments(method, args)
  if (!checked.ok) throw new CodedError('bad-request', checked.error.message)
  if (method === 'connect') {
    const code = parseAnnounceCode((args as { code: string }).code)
    if (!code.ok) throw new CodedError('bad-request', `code: ${code.error.message}`)
  }
  // What only the helper's own system can tell.
  const given = (args ?? {}) as Readonly<Record<string, unknown>>
  for (const name of ['directory', 'downloadDirectory']) {
    const directory = given[name]
    if (typeof directory === 'string' && !directory.startsWith('/')) throw new CodedError('bad-request', `${name}: must be absolute`)
  }
}
