/** The commands about searching peers and keeping shares fresh, their options and their help. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { SEARCH_ORDERS, type SearchOrder } from '@harddrive-party/protocol'
import { searchFiles } from './commands/search.ts'
import type { HelperSession } from './helper-session.ts'

type Helper = <A extends readonly unknown[]>(run: (session: HelperSession, ...args: A) => Promise<void>) => (this: Command, ...given: unknown[]) => Promise<void>

const MAX_SHOWN = 10_000

/** @param helper makes an action of a function that wants a session */
export function addLibraryCommands(command: (name: string, description: string) => Command, helper: Helper): void {
  command('search <words...>', 'Search what your connected peers share: what each finds as soon as it answers, the best first, the same file once.')
    .option('--peer <peer>', 'only at this peer')
    .addOption(new Option('--sort <order>', 'one list of what all peers find, in this order').choices(SEARCH_ORDERS))
    .addOption(new Option('--limit <n>', 'results at most').argParser(parseLimit).default(100))
    .addHelpText('after', `
All words must be in a name or in a folder's above it. Quote the whole search where the shell would change it:
  $ hdp search "abbey road *.flac"           the end of the name; also ext:flac,mp3
  $ hdp search 'beatles "abbey road" -live'  a phrase; not in the name
  $ hdp search "holiday type:video size:>1GB" --sort date
Types: audio, video, image, document, folder. Sizes: size:>10MB, size:1MB..2GB.

--json: one object per line, best first, {peer, path, size, isDirectory, mtime, also: [{peer, path}]}`)
    .action(helper((session, words: string[], options: { peer?: string; sort?: SearchOrder; limit: number }) => searchFiles(session, words, options)))
}

function parseLimit(text: string): number {
  const limit = Number(text)
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_SHOWN) throw new InvalidArgumentError(`give a whole number from 1 to ${MAX_SHOWN}`)
  return limit
}
