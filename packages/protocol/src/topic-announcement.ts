import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { asciiBytes, concatBytes } from './bytes.ts'
import { verify as nobleVerify } from './identity.ts'
import { peerIdToKey } from './peer-id.ts'
import { type SignRecord, type SignedPeerRecord, type VerifyRecord, decodePeerRecord } from './peer-record.ts'
import { type Fault, type Result, refuse, succeed } from './result.ts'
import type { TopicKeys } from './topic-key.ts'

/**
 * Seals and opens what members of a topic say to each other over channels that strangers read: who is here now, and how to reach them. All have one
 * size and look random. Whether one is new, and what follows from it, is decided elsewhere.
 */

/** `ask`: I am here, who else is? `answer`: I am here, and trying to reach those who asked. */
export const TOPIC_ANNOUNCEMENT_KINDS = ['ask', 'answer'] as const
export type TopicAnnouncementKind = (typeof TOPIC_ANNOUNCEMENT_KINDS)[number]

export interface TopicAnnouncement {
  readonly kind: TopicAnnouncementKind
  /** When it was made, milliseconds since 1970; each one of a sender is later than the one before, so that it is a sequence number too. */
  readonly at: number
  readonly signed: SignedPeerRecord
}

export type TopicAnnouncementFault = Fault<'wrong-length' | 'not-sealed' | 'version' | 'bad-layout' | 'bad-record' | 'bad-signature'>

/** Every announcement has exactly this size: room for the longest record, and one packet on any network. */
export const TOPIC_ANNOUNCEMENT_BYTES = 768
export const TOPIC_NONCE_BYTES = 24

const TAG_BYTES = 16
const VERSION = 1
const AT_TIME = 2
const AT_SIGNATURE = AT_TIME + 8
const SIGNATURE_BYTES = 64
const AT_LENGTH = AT_SIGNATURE + SIGNATURE_BYTES
const AT_RECORD = AT_LENGTH + 2
const PLAIN_BYTES = TOPIC_ANNOUNCEMENT_BYTES - TOPIC_NONCE_BYTES - TAG_BYTES
const LABEL = asciiBytes('hdp/1 topic announcement')

/**
 * @param name the rendezvous name it is for: it opens nowhere else
 * @param nonce 24 random bytes, new for each
 * @param sign with the key whose record it is
 * @returns TOPIC_ANNOUNCEMENT_BYTES bytes
 * @throws TypeError for a record that does not fit: records that are sent are our own
 */
export function sealTopicAnnouncement(
  { kind, at, signed }: TopicAnnouncement, { keys, name, nonce, sign }: { keys: TopicKeys; name: string; nonce: Uint8Array; sign: SignRecord },
): Uint8Array {
  const { bytes } = signed
  if (bytes.length > PLAIN_BYTES - AT_RECORD) throw new TypeError(`a record in a topic announcement has at most ${PLAIN_BYTES - AT_RECORD} bytes`)
  const plain = new Uint8Array(PLAIN_BYTES)
  const view = new DataView(plain.buffer)
  plain[0] = VERSION
  plain[1] = TOPIC_ANNOUNCEMENT_KINDS.indexOf(kind)
  view.setBigUint64(AT_TIME, BigInt(at))
  plain.set(sign(signedMessage(name, plain.subarray(0, AT_SIGNATURE), bytes)), AT_SIGNATURE)
  view.setUint16(AT_LENGTH, bytes.length)
  plain.set(bytes, AT_RECORD)
  return concatBytes(nonce, xchacha20poly1305(keys.seal, nonce, asciiBytes(name)).encrypt(plain))
}

/**
 * @param verify for the record and for the announcement itself; default: in JavaScript, a millisecond each
 * @returns what it says, signed by whom it is about, or why it is nothing; never throws
 */
export function openTopicAnnouncement(
  bytes: Uint8Array, { keys, name, verify = nobleVerify }: { keys: TopicKeys; name: string; verify?: VerifyRecord },
): Result<TopicAnnouncement, TopicAnnouncementFault> {
  if (bytes.length !== TOPIC_ANNOUNCEMENT_BYTES) return refuse('wrong-length', `a topic announcement has ${TOPIC_ANNOUNCEMENT_BYTES} bytes`)
  const plain = unseal(bytes, keys, name)
  if (plain === undefined) return refuse('not-sealed', 'not sealed by somebody who knows this topic')
  if (plain[0] !== VERSION) return refuse('version', `this topic announcement is of version ${plain[0]}`)
  const kind = TOPIC_ANNOUNCEMENT_KINDS[plain[1] ?? -1]
  const view = new DataView(plain.buffer, plain.byteOffset, plain.byteLength)
  const at = Number(view.getBigUint64(AT_TIME))
  const end = AT_RECORD + view.getUint16(AT_LENGTH)
  if (kind === undefined || !Number.isSafeInteger(at) || end > PLAIN_BYTES) return refuse('bad-layout', 'a topic announcement contradicts itself')
  const signed = decodePeerRecord(plain.subarray(AT_RECORD, end), verify)
  if (!signed.ok) return refuse('bad-record', `a topic announcement is about nobody: ${signed.error.message}`)
  const message = signedMessage(name, plain.subarray(0, AT_SIGNATURE), signed.value.bytes)
  // A record may be known to many; only its owner can say that it is there now.
  if (!verify(plain.subarray(AT_SIGNATURE, AT_LENGTH), message, peerIdToKey(signed.value.record.peerId))) {
    return refuse('bad-signature', 'a topic announcement was not made by whom it is about')
  }
  return succeed({ kind, at, signed: signed.value })
}

function unseal(bytes: Uint8Array, keys: TopicKeys, name: string): Uint8Array | undefined {
  const nonce = bytes.slice(0, TOPIC_NONCE_BYTES)
  try {
    return xchacha20poly1305(keys.seal, nonce, asciiBytes(name)).decrypt(bytes.slice(TOPIC_NONCE_BYTES))
  } catch {
    // The library throws when the tag does not fit, which is what everything that is not for us does.
    return undefined
  }
}

function signedMessage(name: string, head: Uint8Array, record: Uint8Array): Uint8Array {
  return concatBytes(LABEL, asciiBytes(name), head, record)
}
