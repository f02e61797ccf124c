/** One-time pairing codes: made, redeemed once, forgotten. Decides when a code is good; the role that comes with it was chosen by whoever had it made. */
import { randomBytes } from 'node:crypto'
import { type DeviceRole, PAIRING_CODE_BYTES, pairingCodeFromBytes } from '@harddrive-party/protocol/control'

export interface PairingCodes {
  /** @returns 32 hex digits, and when the code ends (milliseconds since 1970) */
  create(role: DeviceRole): { readonly code: string; readonly expiresAt: number }
  /**
   * @param isFor whether what the device sent was made with this code; must compare in constant time
   * @returns the role of the code, at most once per code; `limited` = too many wrong tries of late, nothing was looked at
   */
  redeem(isFor: (code: string) => boolean): { readonly role: DeviceRole } | 'wrong' | 'limited'
}

/** Long enough to walk to another room, short enough that an old terminal window is no key. */
export const PAIRING_CODE_LIFETIME_MS = 10 * 60 * 1000
/** Links waiting to be used: the newest ones count. */
const MAX_CODES = 8
/** 128 bits cannot be guessed; somebody who tries anyway ends every open invitation and must wait. */
const MAX_WRONG_TRIES = 5
const TRIES_WINDOW_MS = 60 * 1000

export function createPairingCodes({ now }: { now: () => number }): PairingCodes {
  let codes: { code: string; role: DeviceRole; expiresAt: number }[] = []
  let wrongTries: number[] = []
  return {
    create: (role) => {
      const made = { code: pairingCodeFromBytes(randomBytes(PAIRING_CODE_BYTES)), role, expiresAt: now() + PAIRING_CODE_LIFETIME_MS }
      codes = [...codes.filter(({ expiresAt }) => expiresAt > now()), made].slice(-MAX_CODES)
      return { code: made.code, expiresAt: made.expiresAt }
    },
    redeem: (isFor) => {
      wrongTries = wrongTries.filter((at) => at > now() - TRIES_WINDOW_MS)
      if (wrongTries.length >= MAX_WRONG_TRIES) return 'limited'
      codes = codes.filter(({ expiresAt }) => expiresAt > now())
      const used = codes.filter(({ code }) => isFor(code))
      const [first] = used
      if (first !== undefined) {
        codes = codes.filter((candidate) => !used.includes(candidate))
        return { role: first.role }
      }
      wrongTries.push(now())
      if (wrongTries.length >= MAX_WRONG_TRIES) codes = []
      return 'wrong'
    },
  }
}
