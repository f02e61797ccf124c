import { CodedError } from '@harddrive-party/protocol'
import { decode as decodeCbor, encode as encodeCbor } from 'cbor-x'
import { type RootDatabase, open as openLmdb } from 'lmdb'
import { checkLmdbFile } from './lmdb-file.ts'

/** Typed tables over one lmdb environment. Crash-safe: a put is whole or absent; `flushed` resolves when it is on the disk. */
export interface Store {
  /**
   * @param decode checks a stored value's shape; what it refuses (written by another version) reads as absent
   */
  table<T extends object>(name: string, decode: (raw: unknown) => T | undefined): Table<T>
  /** Resolves when everything put so far survives a power cut. */
  flushed(): Promise<void>
  /** Idempotent. */
  close(): Promise<void>
}

export interface Table<T> {
  get(key: string): T | undefined
  /** Visible to `get` when it resolves; several puts in one turn are one transaction. */
  put(key: string, value: T): Promise<void>
  remove(key: string): Promise<void>
  /** Removes every key that begins so, a bounded number at a time. */
  removeAll(prefix: string): Promise<void>
  /** In key order. */
  entries(): { readonly key: string; readonly value: T }[]
}

/** lmdb's own bound on keys is 1978 bytes; ours are ids. */
const MAX_KEY_CHARACTERS = 512

/** Little enough not to hold up anything else. */
const REMOVED_AT_ONCE = 500

/** @param directory made if absent, private to the user @throws CodedError `disk-error` */
export function openStore(directory: string): Store {
  checkLmdbFile(directory)
  let root: RootDatabase
  try {
    root = openLmdb({ path: directory, maxDbs: 32, noSubdir: false })
  } catch (cause) {
    throw new CodedError('disk-error', `cannot open the database in ${directory}`, { cause })
  }
  let closing: Promise<void> | undefined
  return {
    table: (name, decode) => {
      const database = root.openDB<Uint8Array, string>({ name, encoding: 'binary' })
      const read = (stored: Uint8Array | undefined) => (stored === undefined ? undefined : decode(decodeCbor(stored)))
      return {
        get: (key) => read(database.get(checkKey(key))),
        put: async (key, value) => {
          await database.put(checkKey(key), encodeCbor(value))
        },
        remove: async (key) => {
          await database.remove(checkKey(key))
        },
        removeAll: async (prefix) => {
          for (;;) {
            const keys: string[] = []
            // Keys are ordered: the first one without the prefix ends it.
            for (const key of database.getKeys({ start: checkKey(prefix), limit: REMOVED_AT_ONCE })) {
              if (!key.startsWith(prefix)) break
              keys.push(key)
            }
            if (keys.length === 0) return
            await Promise.all(keys.map((key) => database.remove(key)))
          }
        },
        entries: () => {
          const found = []
          for (const { key, value } of database.getRange()) {
            const decoded = read(value)
            if (decoded !== undefined) found.push({ key, value: decoded })
          }
          return found
        },
      }
    },
    flushed: async () => {
      await root.flushed
    },
    close: () => (closing ??= root.flushed.then(() => root.close())),
  }
}

function checkKey(key: string): string {
  if (key.length === 0 || key.length > MAX_KEY_CHARACTERS) throw new TypeError('a table key has 1 to 512 characters')
  return key
}
