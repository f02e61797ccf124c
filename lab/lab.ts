/** What a run of the lab has in common: the internet it built, the program it tests, the file it passes around. */
import { type HelperOptions, makeShare, readKnownFlags } from './helpers.ts'
import { type Host, openHost } from './hosts.ts'
import { enterPrivateWorld } from './namespaces.ts'
import { SERVER, STUN_ADDRESSES, STUN_ADDRESSES_V6 } from './places.ts'
import { buildInternet } from './sites.ts'
import type { SharedFile } from './meetings.ts'

export interface Lab {
  readonly server: Host
  readonly helper: Pick<HelperOptions, 'program' | 'shareDirectory' | 'knownFlags' | 'onLog'>
  readonly file: SharedFile
  /** One that takes seconds to fetch. */
  readonly largeFile: SharedFile
  /** Again, after it was stopped. */
  serveStun(): Promise<void>
  /** Site names are never used twice: the kernel takes its time to clear old ones away. */
  nextSite(): number
  /** For people who watch. */
  tell(line: string): void
}

/** A megabyte: several round trips, and over before it bores. */
const FILE_BYTES = 1 << 20
const LARGE_FILE_BYTES = 48 << 20

/** @param logs also tell what every helper logs */
export async function openLab(program: readonly string[], logs: boolean, tell: (line: string) => void): Promise<Lab> {
  await enterPrivateWorld()
  await buildInternet()
  const server = await openHost(SERVER)
  const serveStun = async () => {
    await server.serveStun({ hosts: STUN_ADDRESSES })
    await server.serveStun({ hosts: STUN_ADDRESSES_V6 })
  }
  await serveStun()
  const { directory, path, content } = await makeShare(FILE_BYTES)
  // Before any helper runs: to one that does, a new file is known only after its next look.
  const largeFile = await makeShare(LARGE_FILE_BYTES)
  let sites = 0
  return {
    server, tell, serveStun,
    largeFile,
    helper: { program, shareDirectory: directory, knownFlags: await readKnownFlags(program), ...(logs ? { onLog: tell } : {}) },
    file: { path, content },
    nextSite: () => ++sites,
  }
}
