import type { CborMap } from './cbor.ts'
import { LIST_SORTS } from './entry.ts'
import {
  MAX_BUNDLE_FILES, MAX_CURSOR_BYTES, MAX_GOSSIP_RECORDS, MAX_HASHED_BYTES, MAX_HASH_RANGES, MAX_PAGE_ENTRIES, MAX_PATH_BYTES, MAX_READ_BYTES, MAX_SEARCH_BYTES,
} from './limits.ts'
import { KEY_HASH_BYTES } from './announce-code.ts'
import { INTRODUCTION_PROOF_BYTES } from './introduction.ts'
import { badField, bytesField, integerField, isAbsent, isInteger, isText, isTime, listField, optionalInteger, optionalText, recordField, textField } from './peer-fields.ts'
import type { BundleRequest, FileVersion, GossipRequest, HashRange, HashesRequest, IntroduceRequest, LsRequest, ReadRequest } from './peer-messages.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'
import { type SharePath, parseSharePath } from './share-path.ts'

/** Reads the requests that have arguments. Unknown fields are passed over, so that later versions can add some. */

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
  const sort = LIST_SORTS.find((known) => known === map['sort'])
  // An order that is not known here must be refused: pages in another one would not fit together.
  if (!isAbsent(map['sort']) && sort === undefined) return badField('sort is not an order known here')
  const reverse = map['reverse'] ?? false
  if (typeof reverse !== 'boolean') return badField('reverse is neither true nor false')
  return succeed({
    type: 'ls',
    ...(path.value === undefined ? {} : { path: path.value }),
    // An empty term matches everything, which is what no term means.
    ...(search.value ? { search: search.value } : {}),
    recursive,
    ...(sort === undefined ? {} : { sort }),
    ...(reverse ? { reverse } : {}),
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
  const places = map['places'] ?? false
  if (typeof places !== 'boolean') return badField('places is neither true nor false')
  return succeed({
    type: 'read',
    path: path.value,
    ...(start.value === undefined ? {} : { start: start.value }),
    ...(end.value === undefined ? {} : { end: end.value }),
    ...(expect.value === undefined ? {} : { expect: expect.value }),
    ...(places ? { places } : {}),
  })
}

/** @returns the files, which are wanted whole */
export function decodeBundle(map: CborMap): Result<BundleRequest, Fault> {
  const list = listField(map, 'files', MAX_BUNDLE_FILES)
  if (!list.ok) return list
  if (list.value.length === 0) return badField('a bundle of no files')
  const files: FileVersion[] = []
  let bytes = 0
  for (const item of list.value) {
    if (!Array.isArray(item)) return badField('a file is not a list of path, size and time')
    const [text, size, mtime] = item as unknown[]
    if (!isText(text, MAX_PATH_BYTES) || !isInteger(size, 0, MAX_READ_BYTES) || !isTime(mtime)) return badField('a file is not a list of path, size and time')
    const path = parseSharePath(text)
    if (!path.ok) return refuse('bad-path', path.error.message)
    bytes += size
    files.push({ path: path.value, size, mtime })
  }
  if (bytes > MAX_READ_BYTES) return badField(`a bundle of more than ${MAX_READ_BYTES} bytes`)
  const places = map['places'] ?? false
  if (typeof places !== 'boolean') return badField('places is neither true nor false')
  return succeed({ type: 'bundle', files, ...(places ? { places } : {}) })
}

export function decodeHashes(map: CborMap): Result<HashesRequest, Fault> {
  const path = pathField(map)
  if (!path.ok) return path
  const list = listField(map, 'ranges', MAX_HASH_RANGES)
  if (!list.ok) return list
  if (list.value.length === 0) return badField('no range to hash')
  const ranges: HashRange[] = []
  let bytes = 0
  for (const item of list.value) {
    if (!Array.isArray(item)) return badField('a range is not a list of start and end')
    const [start, end] = item as unknown[]
    if (!isInteger(end, 1, Number.MAX_SAFE_INTEGER) || !isInteger(start, 0, end - 1)) return badField('a range is not a list of start and end')
    bytes += end - start
    ranges.push({ start, end })
  }
  if (bytes > MAX_HASHED_BYTES) return badField(`ranges of more than ${MAX_HASHED_BYTES} bytes`)
  const expect = expectField(map)
  if (!expect.ok) return expect
  return succeed({ type: 'hashes', path: path.value, ranges, ...(expect.value === undefined ? {} : { expect: expect.value }) })
}

export function decodeGossip(map: CborMap): Result<GossipRequest, Fault> {
  const own = isAbsent(map['own']) ? succeed(undefined) : recordField(map['own'])
  if (!own.ok) return own
  const list = listField(map, 'others', MAX_GOSSIP_RECORDS)
  if (!list.ok) return list
  const others: Uint8Array[] = []
  for (const item of list.value) {
    const record = recordField(item)
    if (!record.ok) return record
    others.push(record.value)
  }
  return succeed({ type: 'gossip', ...(own.value === undefined ? {} : { own: own.value }), others })
}

export function decodeIntroduce(map: CborMap): Result<IntroduceRequest, Fault> {
  const to = bytesField(map, 'to', KEY_HASH_BYTES)
  if (!to.ok) return to
  const record = recordField(map['record'])
  if (!record.ok) return record
  const proof = bytesField(map, 'proof', INTRODUCTION_PROOF_BYTES)
  if (!proof.ok) return proof
  return succeed({ type: 'introduce', to: to.value, record: record.value, proof: proof.value })
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
