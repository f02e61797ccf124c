/** What a run of the lab has in common: the internet it built, the program it tests, the file it passes around. */
import { type HelperOptions, makeShare, readKnownFlags } from './helpers.ts'
import { type Host, openHost } from './hosts.ts'
import { enterPrivateWorld } from './namespaces.ts'
import { SERVER, STUN_ADDRESSES, STUN_ADDRESSES_V6 } from './places.ts'
import { buildInternet } from './sites.ts'
import type { SharedFile } from './meetings.ts'

export interface Lab {
  readonly server: Host
  readonly helper: Pick<HelperOptions, 'program' | 'shareDirectory' | 'knownFlags'>
  readonly file: SharedFile
  /** Site names are never used twice: the kernel takes its time to clear old ones away. */
  nextSite(): number
  /** For people who watch. */
  tell(line: string): void
}

/** A megabyte: several round trips, and over before it bores. */
const FILE_BYTES = 1 << 20

export async function openLab(program: readonly string[], tell: (line: string) => void): Promise<Lab> {
  await enterPrivateWorld()
  await buildInternet()
  const server = await openHost(SERVER)
  await server.serveStun({ hosts: STUN_ADDRESSES })
  await server.serveStun({ hosts: STUN_ADDRESSES_V6 })
  const { directory, path, content } = await makeShare(FILE_BYTES)
  let sites = 0
  return {
    server, tell,
    helper: { program, shareDirectory: directory, knownFlags: await readKnownFlags(program) },
    file: { path, content },
    nextSite: () => ++sites,
  }
}
