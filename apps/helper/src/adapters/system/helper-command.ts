/** The command line that starts a helper as this one was started, whoever runs it from wherever. */
import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import type { CommandLine } from '../../core/autostart-entry.ts'

/** @param program path of `hdp`; the one that runs now unless told otherwise */
export function helperCommand({ storage, uiAddress }: { readonly storage?: string | undefined; readonly uiAddress?: URL | undefined }, program = process.argv[1] ?? ''): CommandLine {
  return [
    process.execPath, realpathSync(program), 'start', '--no-open',
    ...(storage === undefined ? [] : ['--storage', resolve(storage)]),
    ...(uiAddress === undefined ? [] : ['--ui-address', uiAddress.origin]),
  ]
}
