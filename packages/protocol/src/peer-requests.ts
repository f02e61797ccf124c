import type { CborMap } from './cbor.ts'
import { MAX_CURSOR_BYTES, MAX_PAGE_ENTRIES, MAX_PATH_BYTES, MAX_SEARCH_BYTES } from './limits.ts'
import { badField, integerField, isAbsent, isInteger, isTime, optionalInteger, optionalText, textField } from './peer-fields.ts'
import type { LsRequest, ReadRequest } from './peer-messages.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'
import { type SharePath, parseSharePath } from './share-path.ts'

/** Reads the two requests that have arguments. Unknown fields are passed over, so that later versions can add some. */

export function decodeLs(map: CborMap): Result<LsRequest, Fault> {
  const path = isAbsent(map['path']) ? succeed(undefined) : pathField(map)
  if (!path.ok) return path
  const search = optionalText(map, 'search', MAX_SEARCH_BYTES)
  if (!search.ok) return search
  const cursor = optionalText(map, 'cursor', MAX_CURSOR_BYTES)
  if (!cursor.ok) return cursor
  const limit = integerField(map, 'limit', 1, Number.MAX_SAFE_INTEGER)
  if (!limit.ok) return limit
  const recursive = map['recursive'] ?? false
  if (typeof recursive !== 'boolean') return badField('recursive is neither true nor false')
  return succeed({
    type: 'ls',
    ...(path.value === undefined ? {} : { path: path.value }),
    // An empty term matches everything, which is what no term means.
    ...(search.value ? { search: search.value } : {}),
    recursive,
    ...(cursor.value === undefined ? {} : { cursor: cursor.value }),
    limit: Math.min(limit.value, MAX_PAGE_ENTRIES),
  })
}

export function decodeRead(map: CborMap): Result<ReadRequest, Fault> {
  const path = pathField(map)
  if (!path.ok) return path
  const start = optionalInteger(map, 'start', 0, Number.MAX_SAFE_INTEGER)
  if (!start.ok) return start
  const end = optionalInteger(map, 'end', start.value ?? 0, Number.MAX_SAFE_INTEGER)
  if (!end.ok) return end
  const expect = expectField(map)
  if (!expect.ok) return expect
  return succeed({
    type: 'read',
    path: path.value,
    ...(start.value === undefined ? {} : { start: start.value }),
    ...(end.value === undefined ? {} : { end: end.value }),
    ...(expect.value === undefined ? {} : { expect: expect.value }),
  })
}

function pathField(map: CborMap): Result<SharePath, Fault> {
  const text = textField(map, 'path', MAX_PATH_BYTES)
  if (!text.ok) return text
  const path = parseSharePath(text.value)
  return path.ok ? path : refuse('bad-path', path.error.message)
}

function expectField(map: CborMap): Result<ReadRequest['expect'] | undefined, Fault> {
  const value = map['expect']
  if (isAbsent(value)) return succeed(undefined)
  if (!Array.isArray(value)) return badField('expect is not a list of size and time')
  const [size, mtime] = value as unknown[]
  if (!isInteger(size, 0, Number.MAX_SAFE_INTEGER) || !isTime(mtime)) return badField('expect is not a list of size and time')
  return succeed({ size, mtime })
}
