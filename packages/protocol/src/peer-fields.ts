import type { CborMap } from './cbor.ts'
import { MAX_RECORD_BYTES } from './peer-record.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'
import { utf8Length } from './text.ts'

/** Checks single fields of a message that a peer sent. Which fields a message has is not known here. */

type Field<T> = Result<T, Fault<'bad-field'>>

/** A whole number of the range; CBOR integers and floats are the same to it. */
export function integerField(map: CborMap, name: string, min: number, max: number): Field<number> {
  const value = map[name]
  return isInteger(value, min, max) ? succeed(value) : badField(`${name} is not a whole number from ${min} to ${max}`)
}

/** The same, and undefined when the field is absent or null. */
export function optionalInteger(map: CborMap, name: string, min: number, max: number): Field<number | undefined> {
  return isAbsent(map[name]) ? succeed(undefined) : integerField(map, name, min, max)
}

export function textField(map: CborMap, name: string, maxBytes: number): Field<string> {
  const value = map[name]
  return isText(value, maxBytes) ? succeed(value) : badField(`${name} is not a text of at most ${maxBytes} bytes`)
}

export function optionalText(map: CborMap, name: string, maxBytes: number): Field<string | undefined> {
  return isAbsent(map[name]) ? succeed(undefined) : textField(map, name, maxBytes)
}

/** A copy, so that keeping a key does not keep the frame it came in. */
export function bytesField(map: CborMap, name: string, length: number): Field<Uint8Array> {
  const value = map[name]
  if (!(value instanceof Uint8Array) || value.length !== length) return badField(`${name} is not a string of ${length} bytes`)
  return succeed(Uint8Array.from(value))
}

/** A signed record, unread: a copy, so that keeping it does not keep the frame it came in. */
export function recordField(value: unknown): Field<Uint8Array> {
  if (!(value instanceof Uint8Array) || value.length > MAX_RECORD_BYTES) return badField(`a record is not a string of at most ${MAX_RECORD_BYTES} bytes`)
  return succeed(Uint8Array.from(value))
}

export function listField(map: CborMap, name: string, maxCount: number): Field<readonly unknown[]> {
  const value = map[name]
  return Array.isArray(value) && value.length <= maxCount ? succeed(value) : badField(`${name} is not a list of at most ${maxCount}`)
}

/** Milliseconds since 1970, fractions and times before it included. */
export function timeField(map: CborMap, name: string): Field<number> {
  const value = map[name]
  return isTime(value) ? succeed(value) : badField(`${name} is not a time`)
}

export function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null
}

export function isText(value: unknown, maxBytes: number): value is string {
  return typeof value === 'string' && value.length <= maxBytes && utf8Length(value) <= maxBytes
}

export function isInteger(value: unknown, min: number, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max && !Object.is(value, -0)
}

/** The range of a JavaScript Date: 100 million days either side of 1970. */
const MAX_TIME_MS = 8.64e15

export function isTime(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= MAX_TIME_MS
}

export function badField(message: string) {
  return refuse('bad-field', message)
}
