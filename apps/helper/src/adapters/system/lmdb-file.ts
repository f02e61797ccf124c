/** Looks at a database file before lmdb does: its native code crashes the process on a file that is not one of its own, or only a part of one. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { CodedError } from '@harddrive-party/protocol'
import { findLmdbDamage } from './lmdb-pages.ts'

/**
 * @param directory of an lmdb environment that nobody has open, which may not exist yet
 * @throws CodedError `disk-error` when its data file cannot be read, is something else or is damaged so that lmdb would crash
 */
export function checkLmdbFile(directory: string): void {
  const file = join(directory, 'data.mdb')
  let damage: string | undefined
  try {
    const handle = openSync(file, 'r')
    try {
      damage = findLmdbDamage({ size: fstatSync(handle).size, read: (into, position) => readSync(handle, into, 0, into.length, position) })
    } finally {
      closeSync(handle)
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return
    throw new CodedError('disk-error', `cannot read the database ${file}`, { cause })
  }
  if (damage === undefined) return
  throw new CodedError('disk-error', `the database ${file} is damaged: ${damage}. Put its backup back, or remove it to start without what it knew`)
}
