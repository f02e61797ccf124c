/** Looks at a database file before lmdb does: its native code crashes the process on a file that is not one of its own. */
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { CodedError } from '@harddrive-party/protocol'

/** In the first page, behind its header; little-endian, as on every platform that Node has. */
const MAGIC_OFFSET = 24
const MAGIC = 0xbeef_c0de

/**
 * @param directory of an lmdb environment, which may not exist yet
 * @throws CodedError `disk-error` when its data file cannot be read or is something else
 */
export function checkLmdbFile(directory: string): void {
  const file = join(directory, 'data.mdb')
  const start = Buffer.alloc(MAGIC_OFFSET + 4)
  let count: number
  try {
    const handle = openSync(file, 'r')
    try {
      count = readSync(handle, start, 0, start.length, 0)
    } finally {
      closeSync(handle)
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return
    throw new CodedError('disk-error', `cannot read the database ${file}`, { cause })
  }
  // An empty one is a database that was never written.
  if (count === 0 || (count === start.length && start.readUInt32LE(MAGIC_OFFSET) === MAGIC)) return
  throw new CodedError('disk-error', `the database ${file} is damaged. Put its backup back, or remove it to start without what it knew`)
}
