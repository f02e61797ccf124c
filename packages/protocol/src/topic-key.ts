import { scryptAsync } from '@noble/hashes/scrypt.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { asciiBytes, concatBytes } from './bytes.ts'
import { nobleHmac } from './hmac.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'
import { utf8Length, wellFormed } from './text.ts'

/** Turns a topic, words that some people agree on, into the keys they meet under and the names they meet at. It sends nothing and keeps nothing. */

/** Of the text as its members write it, in UTF-8. */
export const MAX_TOPIC_BYTES = 256

export type TopicFault = Fault<'empty' | 'too-long'>

/** What everybody who knows the topic, and nobody else, can compute. */
export interface TopicKeys {
  /** 32 bytes: what announcements are encrypted with. */
  readonly seal: Uint8Array
  /** 32 bytes: what the names of each day are made from. */
  readonly name: Uint8Array
}

/**
 * scrypt (RFC 7914) with 128 MiB and about half a second: a topic is likely to be a few words, and whoever watches a broker may guess them one after
 * another. It is done once for each topic.
 */
export const TOPIC_KDF = { N: 2 ** 17, r: 8, p: 1, dkLen: 32 } as const
export const TOPIC_KDF_SALT = asciiBytes('hdp/1 topic')

/** @param password the topic in UTF-8, as `parseTopic` gave it @returns 32 bytes of scrypt with TOPIC_KDF and TOPIC_KDF_SALT */
export type TopicKdf = (password: Uint8Array) => Promise<Uint8Array>

/** In JavaScript, letting others run in between. */
const nobleKdf: TopicKdf = (password) => scryptAsync(password, TOPIC_KDF_SALT, TOPIC_KDF)

const SEAL_LABEL = asciiBytes('hdp/1 topic seal')
const NAME_LABEL = asciiBytes('hdp/1 topic name')
const DAY_MS = 24 * 60 * 60_000
/** So long before and after midnight (UTC) the neighbouring day's name is used too: clocks differ. */
export const DAY_OVERLAP_MS = 10 * 60_000
const NAME_BYTES = 16

/** Makes one form of the ways in which people write the same words: compatibility forms, capitals and white space do not count. */
export function parseTopic(text: string): Result<string, TopicFault> {
  if (text.length > MAX_TOPIC_BYTES) return tooLong()
  const topic = wellFormed(text).normalize('NFKC').toLowerCase().normalize('NFKC').replace(/\s+/gu, ' ').trim()
  if (topic === '') return refuse('empty', 'a topic needs at least one character')
  return utf8Length(topic) > MAX_TOPIC_BYTES ? tooLong() : succeed(topic)
}

function tooLong(): { readonly ok: false; readonly error: TopicFault } {
  return refuse('too-long', `a topic has at most ${MAX_TOPIC_BYTES} bytes`)
}

/** @param topic as `parseTopic` gave it; takes about a second */
export async function deriveTopicKeys(topic: string, kdf: TopicKdf = nobleKdf): Promise<TopicKeys> {
  const root = await kdf(utf8ToBytes(topic))
  return { seal: nobleHmac(root, SEAL_LABEL), name: nobleHmac(root, NAME_LABEL) }
}

/**
 * The names at which members meet at this time, 32 lower-case hexadecimal digits each: one, or around midnight two. They look random, all members
 * share them, and those of two days cannot be told to belong together.
 */
export function rendezvousNames({ name }: TopicKeys, unixMs: number): string[] {
  const days = new Set([unixMs, unixMs - DAY_OVERLAP_MS, unixMs + DAY_OVERLAP_MS].map((at) => Math.max(0, Math.floor(at / DAY_MS))))
  return [...days].map((day) => nameOfDay(name, day))
}

/** When `rendezvousNames` gives something else next. @param unixMs wall-clock time @returns wall-clock time, later than `unixMs` */
export function nextNameChange(unixMs: number): number {
  const midnight = Math.floor(unixMs / DAY_MS) * DAY_MS
  return [midnight + DAY_OVERLAP_MS, midnight + DAY_MS - DAY_OVERLAP_MS, midnight + DAY_MS + DAY_OVERLAP_MS].find((at) => at > unixMs) ?? midnight + DAY_MS
}

function nameOfDay(key: Uint8Array, day: number): string {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(day))
  const name = nobleHmac(key, concatBytes(NAME_LABEL, bytes)).subarray(0, NAME_BYTES)
  return Array.from(name, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
