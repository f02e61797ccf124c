import { bytesToHex } from '@noble/hashes/utils.js'
import type { PeerId } from '../peer-id.ts'
import { type Result, refuse, succeed } from '../result.ts'

/**
 * The link that lets one browser pair with a helper, once. What follows `#` never reaches any server: the app reads it from its own address.
 */
export interface PairingInvitation {
  /** The one-time code: 16 bytes as 32 hex digits. */
  readonly code: string
  /** The first 32 hex digits of the helper's public key, so that the very first contact is checked too. */
  readonly fingerprint: string
}

export const PAIRING_CODE_BYTES = 16
const FINGERPRINT_DIGITS = 32
const INVITATION = /^([0-9a-f]{32})\.([0-9a-f]{32})$/
const ROUTE = '/pair/'

/** @param random 16 random bytes */
export function pairingCodeFromBytes(random: Uint8Array): string {
  if (random.length !== PAIRING_CODE_BYTES) throw new TypeError('a pairing code has 16 bytes')
  return bytesToHex(random)
}

export function pairingFingerprint(helper: PeerId): string {
  return helper.slice(0, FINGERPRINT_DIGITS)
}

/** @param origin of the app, for example `http://127.0.0.1:3030` @returns `<origin>/#/pair/<code>.<fingerprint>` */
export function formatPairingLink(origin: string, code: string, helper: PeerId): string {
  return `${origin}/#${ROUTE}${code}.${pairingFingerprint(helper)}`
}

/** @param text the whole link, its fragment with or without `#`, or `<code>.<fingerprint>` alone */
export function parsePairingFragment(text: string): Result<PairingInvitation> {
  const fragment = text.slice(text.indexOf('#') + 1).trim()
  const found = INVITATION.exec(fragment.startsWith(ROUTE) ? fragment.slice(ROUTE.length) : fragment)
  if (found?.[1] === undefined || found[2] === undefined) return refuse('bad-pairing-link', 'this is not a pairing link of a helper')
  return succeed({ code: found[1], fingerprint: found[2] })
}
