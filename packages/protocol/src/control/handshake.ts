import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { isErrorCode } from '../errors.ts'
import { verify } from '../identity.ts'
import { type PeerId, parsePeerId } from '../peer-id.ts'
import { type Result, refuse, succeed } from '../result.ts'
import type { ControlEvent } from './api.ts'

/**
 * The mutual proof at the start of every control connection: bytes, messages and checks, but no sockets and no state.
 *
 * helper -> device  hello    a fresh nonce and the helper's key
 * device -> helper  proof    its key, its nonce, a signature over everything; when pairing also a tag that only the pairing code can make
 * helper -> device  welcome  the helper's signature over the same, or `refused`
 *
 * Both signatures cover both nonces, both keys and the page's origin, each under a name of its own, so that neither can be used again, turned
 * around, or passed on to another helper or from another page. The pairing code itself never crosses: an impostor on our port learns nothing.
 */
export const CONTROL_VERSION = 1

export interface HelperHello {
  readonly kind: 'hello'
  readonly version: number
  /** 32 bytes, hex. */
  readonly nonce: string
  readonly peerId: PeerId
}

export interface DeviceProof {
  readonly kind: 'proof'
  readonly deviceId: string
  readonly nonce: string
  /** What the list of devices shows, at most MAX_DEVICE_NAME characters. */
  readonly name: string
  /** Ed25519, 64 bytes, hex. */
  readonly signature: string
  /** HMAC-SHA-256 under the pairing code, hex; absent unless pairing. */
  readonly pairing?: string
}

export interface HelperWelcome {
  readonly kind: 'welcome'
  readonly name: string
  readonly signature: string
}

export interface HelperRefusal {
  readonly kind: 'refused'
  readonly code: string
  readonly message: string
}

/** After the handshake: calls and their answers, and events beside them. */
export type ControlEnvelope = { readonly kind: 'rpc'; readonly message: unknown } | { readonly kind: 'event'; readonly event: ControlEvent }

export const MAX_DEVICE_NAME = 100
/** A proof with the longest name is under 1 KiB; more is not a proof. */
export const MAX_HANDSHAKE_CHARACTERS = 4 * 1024

const NONCE = /^[0-9a-f]{64}$/
const TAG = /^[0-9a-f]{64}$/
const SIGNATURE = /^[0-9a-f]{128}$/
// Control characters and direction overrides could make one device look like another in the list.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

/** Everything both sides sign. */
export interface Transcript {
  readonly helperKey: PeerId
  readonly deviceId: string
  readonly helperNonce: string
  readonly deviceNonce: string
  /** Of the page, or for the command line of the helper's address. */
  readonly origin: string
  readonly name: string
}

/** @returns what the device signs @param pairing the tag, when pairing */
export function deviceStatement(transcript: Transcript, pairing?: string): Uint8Array {
  return statement('device', transcript, pairing)
}

/** @returns what the helper signs */
export function helperStatement(transcript: Transcript, pairing?: string): Uint8Array {
  return statement('helper', transcript, pairing)
}

/** @param code 32 hex digits @returns 32 bytes, hex */
export function pairingTag(code: string, transcript: Transcript): string {
  return bytesToHex(hmac(sha256, hexToBytes(code), statement('pairing', transcript)))
}

/** @param signature hex @param key the signer's Ed25519 public key, hex */
export function isSignedBy(key: string, signature: string, statement: Uint8Array): boolean {
  return verify(hexToBytes(signature), statement, hexToBytes(key))
}

/** Whether the text may be shown as a device's name. */
export function isDeviceName(name: unknown): name is string {
  return typeof name === 'string' && name.length > 0 && name.length <= MAX_DEVICE_NAME && !UNPRINTABLE.test(name)
}

export function decodeHello(text: unknown): Result<HelperHello> {
  const raw = parseObject(text)
  const peerId = typeof raw?.['peerId'] === 'string' ? parsePeerId(raw['peerId']) : undefined
  if (raw?.['kind'] !== 'hello' || !matches(NONCE, raw['nonce']) || peerId?.ok !== true) return refuse('bad-answer', 'this is not a helper')
  if (raw['version'] !== CONTROL_VERSION) return refuse('unsupported', 'the helper and this app are of different versions; reload the app or update the helper')
  return succeed({ kind: 'hello', version: CONTROL_VERSION, nonce: raw['nonce'], peerId: peerId.value })
}

export function decodeProof(text: unknown): Result<DeviceProof> {
  const raw = parseObject(text)
  if (raw?.['kind'] !== 'proof') return refuse('bad-request', 'expected a proof')
  const { deviceId, nonce, name, signature, pairing } = raw
  if (!matches(NONCE, deviceId) || !matches(NONCE, nonce) || !matches(SIGNATURE, signature)) return refuse('bad-request', 'malformed proof')
  if (!isDeviceName(name)) return refuse('bad-request', `a device name has 1 to ${MAX_DEVICE_NAME} printable characters`)
  if (pairing !== undefined && !matches(TAG, pairing)) return refuse('bad-request', 'malformed pairing tag')
  return succeed({ kind: 'proof', deviceId, nonce, name, signature, ...(pairing === undefined ? {} : { pairing }) })
}

export function decodeWelcome(text: unknown): Result<HelperWelcome | HelperRefusal> {
  const raw = parseObject(text)
  if (raw?.['kind'] === 'refused' && isErrorCode(raw['code']) && typeof raw['message'] === 'string') {
    return succeed({ kind: 'refused', code: raw['code'], message: raw['message'].slice(0, 500) })
  }
  if (raw?.['kind'] !== 'welcome' || !matches(SIGNATURE, raw['signature']) || typeof raw['name'] !== 'string') {
    return refuse('bad-answer', 'the helper answered something else than a welcome')
  }
  return succeed({ kind: 'welcome', name: raw['name'].slice(0, 200), signature: raw['signature'] })
}

/** Fixed-length fields first, then each text with its length: no two transcripts have the same bytes. */
function statement(signer: 'device' | 'helper' | 'pairing', transcript: Transcript, pairing?: string): Uint8Array {
  return concatBytes(
    utf8ToBytes(`harddrive-party control ${CONTROL_VERSION} ${signer}\0`),
    hexToBytes(transcript.helperKey),
    hexToBytes(transcript.deviceId),
    hexToBytes(transcript.helperNonce),
    hexToBytes(transcript.deviceNonce),
    counted(utf8ToBytes(transcript.origin)),
    counted(utf8ToBytes(transcript.name)),
    counted(pairing === undefined ? new Uint8Array() : hexToBytes(pairing)),
  )
}

function counted(bytes: Uint8Array): Uint8Array {
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, bytes.length)
  return concatBytes(length, bytes)
}

function matches(pattern: RegExp, value: unknown): value is string {
  return typeof value === 'string' && pattern.test(value)
}

function parseObject(text: unknown): Record<string, unknown> | undefined {
  if (typeof text !== 'string' || text.length > MAX_HANDSHAKE_CHARACTERS) return undefined
  try {
    const raw: unknown = JSON.parse(text)
    return typeof raw === 'object' && raw !== null && !Array.isArray(raw) ? (raw as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
