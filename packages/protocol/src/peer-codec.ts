import { type CborMap, decodeCbor, encodeCbor } from './cbor.ts'
import type { ErrorCode } from './errors.ts'
import { MAX_ERROR_MESSAGE_BYTES } from './limits.ts'
import { decodeData, decodeError, decodeHashed, decodeHello, decodeIntroduced, decodePage, decodePlace, decodeSent } from './peer-answers.ts'
import { decodeOffer, decodeOfferNews } from './offer.ts'
import { decodeBundle, decodeGossip, decodeHashes, decodeIntroduce, decodeLs, decodeRead } from './peer-requests.ts'
import type { Entry } from './entry.ts'
import type { PeerAnswer, PeerRequest } from './peer-messages.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'
import { decodeChanged } from './share-change.ts'
import { cleanText, wellFormed } from './text.ts'
import { decodePicture, decodeThumbnail } from './thumbnail.ts'

/** Turns the messages of `hdp/1` into bytes and back. It checks every field that arrives and sends nothing itself. */

/** @param message ours: its limits are the caller's to keep @returns a frame body */
export function encodeRequest(message: PeerRequest): Uint8Array {
  switch (message.type) {
    case 'hello':
    case 'ping':
    case 'gossip':
    case 'introduce':
    case 'changed':
    case 'offer':
    case 'offer-news':
    case 'thumbnail':
      return encodeCbor({ ...message })
    case 'ls': {
      // What people type may hold half a character; CBOR text may not.
      const search = message.search === undefined ? undefined : wellFormed(message.search)
      return encodeCbor(present({ ...message, search }))
    }
    case 'bundle':
      return encodeCbor(present({ type: 'bundle', files: message.files.map(({ path, size, mtime }) => [path, size, mtime]), places: message.places }))
    case 'hashes': {
      const { expect } = message
      const ranges = message.ranges.map(({ start, end }) => [start, end])
      return encodeCbor(present({ ...message, ranges, expect: expect && [expect.size, expect.mtime] }))
    }
    case 'read':
      return encodeCbor(present({ ...message, expect: message.expect && [message.expect.size, message.expect.mtime] }))
  }
}

/** @param message ours @returns a frame body */
export function encodeAnswer(message: PeerAnswer): Uint8Array {
  switch (message.type) {
    case 'page':
      return encodeCbor(present({ type: 'page', entries: message.entries.map(entryToWire), cursor: message.cursor }))
    case 'error':
      return encodeCbor({ type: 'error', code: message.code, message: cleanText(message.message, MAX_ERROR_MESSAGE_BYTES) })
    default:
      return encodeCbor({ ...message })
  }
}

/**
 * Reads a request from a peer.
 * @returns the request; `bad-request` for anything malformed, `unsupported` for a type that this version does not know
 */
export function decodeRequest(bytes: Uint8Array): Result<PeerRequest, Fault<ErrorCode>> {
  const map = decodeCbor(bytes)
  if (!map.ok) return refuse('bad-request', `the request is not readable: ${map.error.message}`)
  const request = requestOf(map.value)
  return request.ok ? request : refuse(request.error.code === 'unsupported' ? 'unsupported' : 'bad-request', request.error.message)
}

function requestOf(map: CborMap): Result<PeerRequest, Fault> {
  switch (map['type']) {
    case 'hello':
      return decodeHello(map)
    case 'ls':
      return decodeLs(map)
    case 'read':
      return decodeRead(map)
    case 'bundle':
      return decodeBundle(map)
    case 'hashes':
      return decodeHashes(map)
    case 'ping':
      return succeed({ type: 'ping' })
    case 'gossip':
      return decodeGossip(map)
    case 'introduce':
      return decodeIntroduce(map)
    case 'changed':
      return decodeChanged(map)
    case 'offer':
      return decodeOffer(map)
    case 'offer-news':
      return decodeOfferNews(map)
    case 'thumbnail':
      return decodeThumbnail(map)
    default:
      return typeof map['type'] === 'string' ? refuse('unsupported', 'this request is not known here') : refuse('bad-request', 'the request has no type')
  }
}

/** Reads an answer from a peer. @returns the answer, or `bad-answer` */
export function decodeAnswer(bytes: Uint8Array): Result<PeerAnswer, Fault<ErrorCode>> {
  const map = decodeCbor(bytes)
  if (!map.ok) return refuse('bad-answer', `the answer is not readable: ${map.error.message}`)
  const answer = answerOf(map.value)
  return answer.ok ? answer : refuse('bad-answer', answer.error.message)
}

function answerOf(map: CborMap): Result<PeerAnswer, Fault> {
  switch (map['type']) {
    case 'hello':
      return decodeHello(map)
    case 'wait':
      return map['reason'] === 'approval' ? succeed({ type: 'wait', reason: 'approval' }) : decodePlace(map)
    case 'page':
      return decodePage(map)
    case 'data':
      return decodeData(map)
    case 'sent':
      return decodeSent(map)
    case 'hashed':
      return decodeHashed(map)
    case 'picture':
      return decodePicture(map)
    case 'pong':
      return succeed({ type: 'pong' })
    case 'noted':
      return succeed({ type: 'noted' })
    case 'introduced':
      return decodeIntroduced(map)
    case 'error':
      return decodeError(map)
    default:
      return refuse('bad-answer', 'an answer of an unknown type')
  }
}

function entryToWire({ path, size, mtime, isDirectory }: Entry): readonly [string, number, number, boolean] {
  return [path, size, mtime, isDirectory]
}

function present(map: CborMap): CborMap {
  return Object.fromEntries(Object.entries(map).filter(([, value]) => value !== undefined))
}

