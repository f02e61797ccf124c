import type { CborMap } from './cbor.ts'
import { PATH_KEY_BYTES } from './datagram.ts'
import { parseEndpoint } from './endpoint.ts'
import type { Entry } from './entry.ts'
import { isErrorCode } from './errors.ts'
import { KNOCK_SECRET_BYTES } from './knock.ts'
import {
  MAX_AGENT_BYTES, MAX_CAPABILITIES, MAX_CAPABILITY_BYTES, MAX_CURSOR_BYTES, MAX_ERROR_MESSAGE_BYTES, MAX_HELLO_ADDRESSES, MAX_HELLO_FRAME_BYTES,
  MAX_HASH_RANGES, MAX_HELLO_VERSIONS, MAX_PAGE_ENTRIES, MAX_QUEUE_PLACE, MAX_READ_BYTES, MAX_SMALL_FRAME_BYTES,
} from './limits.ts'
import { badField, bytesField, integerField, isInteger, isText, isTime, listField, optionalInteger, optionalText, recordField, textField, timeField } from './peer-fields.ts'
import type { DataMessage, ErrorMessage, HashedMessage, HelloMessage, IntroducedMessage, PageMessage, SentMessage, WaitMessage } from './peer-messages.ts'
import { type Fault, type Result, succeed } from './result.ts'
import { parseSharePath } from './share-path.ts'
import { cleanText } from './text.ts'

/** Reads `hello` and the answers that carry something. Unknown fields are passed over, so that later versions can add some. */

/** SHA-256. */
const HASH_BYTES = 32
const MAX_VERSION = 65_535
const MAX_PORT = 65_535

export function decodeHello(map: CborMap): Result<HelloMessage, Fault> {
  const versions = listField(map, 'versions', MAX_HELLO_VERSIONS)
  if (!versions.ok) return versions
  if (versions.value.length === 0 || !versions.value.every((version) => isInteger(version, 1, MAX_VERSION))) return badField('versions are not numbers')
  const capabilities = listField(map, 'capabilities', MAX_CAPABILITIES)
  if (!capabilities.ok) return capabilities
  if (!capabilities.value.every((name) => isText(name, MAX_CAPABILITY_BYTES))) return badField('capabilities are not short texts')
  const agent = textField(map, 'agent', MAX_HELLO_FRAME_BYTES)
  if (!agent.ok) return agent
  const knockSecret = bytesField(map, 'knockSecret', KNOCK_SECRET_BYTES)
  if (!knockSecret.ok) return knockSecret
  const pathKey = bytesField(map, 'pathKey', PATH_KEY_BYTES)
  if (!pathKey.ok) return pathKey
  const addresses = listField(map, 'addresses', MAX_HELLO_ADDRESSES)
  if (!addresses.ok) return addresses
  if (!addresses.value.every((text) => typeof text === 'string')) return badField('addresses are not texts')
  const tcpPort = optionalInteger(map, 'tcpPort', 0, MAX_PORT)
  if (!tcpPort.ok) return tcpPort
  return succeed({
    type: 'hello',
    versions: versions.value as number[],
    capabilities: capabilities.value as string[],
    agent: cleanText(agent.value, MAX_AGENT_BYTES),
    knockSecret: knockSecret.value,
    pathKey: pathKey.value,
    // Hints: one of a kind not known here must not end the connection.
    addresses: (addresses.value as string[]).filter((text) => parseEndpoint(text).ok),
    ...(tcpPort.value === undefined ? {} : { tcpPort: tcpPort.value }),
  })
}

/** One odd name must not hide a whole directory: entries with bad paths are left out and counted. Anything else that is wrong refuses the page. */
export function decodePage(map: CborMap): Result<PageMessage, Fault> {
  const list = listField(map, 'entries', MAX_PAGE_ENTRIES)
  if (!list.ok) return list
  const cursor = optionalText(map, 'cursor', MAX_CURSOR_BYTES)
  if (!cursor.ok) return cursor
  const entries: Entry[] = []
  for (const item of list.value) {
    if (!Array.isArray(item)) return badField('an entry is not a list')
    const [text, size, mtime, isDirectory] = item as unknown[]
    if (typeof text !== 'string' || !isInteger(size, 0, Number.MAX_SAFE_INTEGER) || !isTime(mtime) || typeof isDirectory !== 'boolean') {
      return badField('an entry is not a path, a size, a time and whether it is a directory')
    }
    const path = parseSharePath(text)
    if (path.ok) entries.push({ path: path.value, size, mtime, isDirectory })
  }
  const rejected = list.value.length - entries.length
  return succeed({
    type: 'page',
    entries,
    ...(cursor.value === undefined ? {} : { cursor: cursor.value }),
    ...(rejected === 0 ? {} : { rejected }),
  })
}

export function decodeIntroduced(map: CborMap): Result<IntroducedMessage, Fault> {
  const record = recordField(map['record'])
  return record.ok ? succeed({ type: 'introduced', record: record.value }) : record
}

/** A `wait` that is not for a person. */
export function decodePlace(map: CborMap): Result<WaitMessage, Fault> {
  if (map['reason'] !== 'queue') return badField('a wait for an unknown reason')
  const place = integerField(map, 'place', 1, MAX_QUEUE_PLACE)
  return place.ok ? succeed({ type: 'wait', reason: 'queue', place: place.value }) : place
}

export function decodeData(map: CborMap): Result<DataMessage, Fault> {
  const size = integerField(map, 'size', 0, Number.MAX_SAFE_INTEGER)
  if (!size.ok) return size
  const mtime = timeField(map, 'mtime')
  if (!mtime.ok) return mtime
  const start = integerField(map, 'start', 0, size.value)
  if (!start.ok) return start
  const length = integerField(map, 'length', 0, Math.min(MAX_READ_BYTES, size.value - start.value))
  if (!length.ok) return length
  return succeed({ type: 'data', size: size.value, mtime: mtime.value, start: start.value, length: length.value })
}

export function decodeSent(map: CborMap): Result<SentMessage, Fault> {
  const bytes = integerField(map, 'bytes', 0, MAX_READ_BYTES)
  if (!bytes.ok) return bytes
  const hash = bytesField(map, 'hash', HASH_BYTES)
  if (!hash.ok) return hash
  return succeed({ type: 'sent', bytes: bytes.value, hash: hash.value })
}

export function decodeHashed(map: CborMap): Result<HashedMessage, Fault> {
  const size = integerField(map, 'size', 0, Number.MAX_SAFE_INTEGER)
  if (!size.ok) return size
  const mtime = timeField(map, 'mtime')
  if (!mtime.ok) return mtime
  const list = listField(map, 'hashes', MAX_HASH_RANGES)
  if (!list.ok) return list
  const hashes: Uint8Array[] = []
  for (const item of list.value) {
    if (!(item instanceof Uint8Array) || item.length !== HASH_BYTES) return badField(`a hash is not a string of ${HASH_BYTES} bytes`)
    hashes.push(Uint8Array.from(item))
  }
  return succeed({ type: 'hashed', size: size.value, mtime: mtime.value, hashes })
}

/** Later versions may have codes that are unknown here; their text still says what went wrong. */
export function decodeError(map: CborMap): Result<ErrorMessage, Fault> {
  const code = textField(map, 'code', MAX_CAPABILITY_BYTES)
  if (!code.ok) return code
  const message = textField(map, 'message', MAX_SMALL_FRAME_BYTES)
  if (!message.ok) return message
  return succeed({
    type: 'error',
    code: isErrorCode(code.value) ? code.value : 'internal',
    message: cleanText(message.value, MAX_ERROR_MESSAGE_BYTES),
  })
}
